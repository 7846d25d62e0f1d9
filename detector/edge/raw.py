"""Messages as they came, to the disk: what a broker was told to have arrived is not lost any more.

`<directory>/_raw/<UTC date>/<HHMMSS>-<n>.ndjson`, named by the arrival of the first message in it; the
lines are those of `capture`. Every start begins a file, and every hour, and what comes after a large one;
it is only appended to. A kill leaves a last line that may be torn, which readers skip: nobody was told
that its message had arrived.

Plain text, not compressed: it can be read while it is written, and to the last line after a kill.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from detector.edge.capture import to_line
from detector.edge.snapshot import RawSnapshot
from detector.edge.tree import day_folder, make_folder, names, sync_folder
from detector.stream.nouns import Message

FOLDER: Final = "_raw"
"""No stream can be called so."""
SUFFIX: Final = ".ndjson"
FILE_BYTES_MAX: Final = 64 << 20
"""Some minutes of a busy broker: what can be deleted, copied or looked into at a time."""
HOUR_S: Final = 3600


class RawRecorder:
    """Appends messages to files; what `write` has returned from is on the disk.

    Args:
        directory: Where all recordings are; made where missing.
        file_bytes_max: A file that has so much is followed by another.

    `messages_total`, `bytes_total` and `files_total` count what was written, `errors_total` what failed.
    `path` is the file that is being written, None while there is none.
    """

    def __init__(self, directory: Path, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        self.directory = directory / FOLDER
        self._file_bytes_max = file_bytes_max
        self._handle = -1
        self._bytes = 0
        self._hour = 0.0
        self.path: Path | None = None
        self.messages_total = 0
        self.bytes_total = 0
        self.files_total = 0
        self.errors_total = 0

    def write(self, messages: Sequence[Message]) -> Path | None:
        """Write messages; when it returns they survive a kill and a loss of power.

        Returns:
            The file before, where these begin another one.

        Raises:
            OSError: None of them counts as written. The next attempt begins another file.
        """
        if not messages:
            return None
        try:
            finished = self._turn_over(messages[0].arrival_s)
            self._append(b"".join(map(to_line, messages)))
        except OSError:
            self.errors_total += 1
            self._give_up()
            raise
        self.messages_total += len(messages)
        return finished

    def close(self) -> Path | None:
        """Return the file that was written last, if there is one; it is finished."""
        finished, self.path = self.path, None
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.close(handle)
        return finished

    def snapshot(self) -> RawSnapshot:
        """Return what was written."""
        return RawSnapshot(
            messages_total=self.messages_total,
            bytes_total=self.bytes_total,
            files_total=self.files_total,
            errors_total=self.errors_total,
        )

    def _turn_over(self, arrival_s: float) -> Path | None:
        """Begin a file where there is none, or another hour, or no room; return the one before."""
        hour = arrival_s // HOUR_S
        if hour <= self._hour and self._bytes < self._file_bytes_max and self._is_there():
            return None
        finished = self.close()
        folder = day_folder(self.directory, arrival_s)
        for name in names(arrival_s, SUFFIX):
            make_folder(folder)  # each time, for another recorder removes empty ones
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._handle = os.open(folder / name, flags, 0o666)
                break
        self.path, self._bytes, self._hour = folder / name, 0, hour
        self.files_total += 1
        sync_folder(folder)
        return finished

    def _is_there(self) -> bool:
        """Say whether there is a file, and nobody has deleted it."""
        return self._handle >= 0 and os.fstat(self._handle).st_nlink > 0

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        os.fdatasync(self._handle)
        self._bytes += len(data)
        self.bytes_total += len(data)

    def _give_up(self) -> None:
        """Take back what was not written as a whole; it will be written again."""
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, self._bytes)
            if not self._bytes:
                self.path.unlink()
                self.files_total -= 1
        self.close()
