"""The tree of recordings on the disk: how a file gets its name, what a kill leaves, what is too much.

    <directory>/<stream>/<UTC date>/<HHMMSS>-<n>.parquet     the steps of a stream, see `recording`
    <directory>/_raw/<UTC date>/<HHMMSS>-<n>.ndjson          messages as they came, see `raw`

Several recorders may share a tree. A file that is not complete is hidden, ends in `.tmp`, and is locked by
whoever writes it; one that nobody locks is what a kill left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

DAY_S: Final = 86_400
RESCAN_S: Final = 600.0
"""How often the tree is looked through for what other recorders have written: a tenth of a second's work for
ten thousand files."""

_FINISHED: Final = re.compile(r"\d{6}-\d+\.(parquet|ndjson)")
_UNFINISHED: Final = re.compile(r"\.\d{6}-\d+\.parquet\.tmp")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


_TIME_MAX_S: Final = 253_402_300_799
"""The last second that a date can name; a step that ends the year 9999 is after it."""


def day_folder(directory: Path, time_s: float) -> Path:
    """Return the folder of the UTC day of a time."""
    return directory / _moment(time_s).strftime("%Y-%m-%d")


def names(time_s: float, suffix: str) -> Iterator[str]:
    """Yield the names that a file may have whose first content is of a time."""
    stem = _moment(time_s).strftime("%H%M%S")
    return (f"{stem}-{n}{suffix}" for n in count())


def _moment(time_s: float) -> datetime:
    return datetime.fromtimestamp(min(time_s, _TIME_MAX_S), UTC)


@contextlib.contextmanager
def whole_file(directory: Path, time_s: float, suffix: str) -> Iterator[tuple[BinaryIO, Path]]:
    """Give a file to write, and the path that it gets when it is complete and on the disk.

    Args:
        directory: Of the stream; made where missing.
        time_s: Of the first content.
        suffix: Such as `.parquet`.

    Raises:
        OSError: It cannot be written. Nothing is left of it then.
    """
    file, path = _reserve(day_folder(directory, time_s), names(time_s, suffix))
    unfinished = Path(file.name)
    try:
        with file:
            yield file, path
            file.flush()
            os.fsync(file.fileno())
            unfinished.rename(path)
        sync_folder(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def probe(folder: Path) -> None:
    """Make a folder, and try to write into it.

    Raises:
        OSError: It cannot be made, or not be written.
    """
    make_folder(folder)
    with tempfile.TemporaryFile(dir=folder):
        pass


def make_folder(folder: Path) -> None:
    """Make a folder and those that it is in, and see that a power failure does not undo it.

    Raises:
        OSError: It cannot be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """See that a power failure does not undo what has become of the names in a folder.

    Raises:
        OSError: The disk fails.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reserve(folder: Path, free: Iterator[str]) -> tuple[BinaryIO, Path]:
    """Return a locked hidden file, and a path that nobody else can take while it is there."""
    for name in free:
        path = folder / name
        if path.exists():
            continue
        make_folder(folder)  # each time, for another recorder removes empty ones
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            file = path.with_name(f".{name}.tmp").open("xb")
            if _lock(file) and os.fstat(file.fileno()).st_nlink and not path.exists():
                return file, path
            file.close()
            Path(file.name).unlink(missing_ok=True)
    raise AssertionError("names never end")


def _lock(file: BinaryIO) -> bool:
    """Lock a file while it is open; say whether it is ours. Where nothing can be locked, it is."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not on this file system; then nothing is swept either
        return True
    return True


def sweep(directory: Path) -> int:
    """Remove the unfinished files that kills have left; return how many. What is being written stays."""
    swept = 0
    for entry in _entries(directory, _UNFINISHED):
        with contextlib.suppress(OSError), Path(entry.path).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(entry.path).unlink()
            swept += 1
    return swept


def _entries(directory: Path, pattern: re.Pattern[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the files of a tree whose names fit; what vanishes meanwhile is skipped."""
    for stream in _listed(directory):
        for day in _listed(stream.path):
            if _DAY.fullmatch(day.name):
                yield from (entry for entry in _listed(day.path) if pattern.fullmatch(entry.name))


def _listed(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # no folder, or gone
        return []


class Kept(NamedTuple):
    """A finished file; the order is that in which files are deleted."""

    written_s: float
    path: Path
    size_bytes: int


class Limits:
    """Deletes the oldest recordings of a tree where they are too many or too old.

    The age of a file counts from when it was written, not from the times in it: a replay of last year is
    news. Only what has the name of a recording is counted and deleted.

    Args:
        directory: The tree.
        bytes_max: What all recordings may have together; what is being written comes on top.
        age_max_s: How long a file is kept; None for ever.
        clock: Seconds since the epoch, as the file system counts them.
        monotonic: A clock for `RESCAN_S`.

    `bytes` is the size of the tree as of now. `deleted_files_total` and `deleted_bytes_total` count what was
    deleted, `undeleted_files_total` what could not be, and is tried again.
    """

    def __init__(
        self,
        directory: Path,
        bytes_max: int,
        age_max_s: float | None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._bytes_max = bytes_max
        self._age_max_s = age_max_s
        self._clock = clock
        self._monotonic = monotonic
        self._kept: deque[Kept] = deque()
        self._scan_s = -RESCAN_S
        self.bytes = 0
        self.deleted_files_total = 0
        self.deleted_bytes_total = 0
        self.undeleted_files_total = 0

    def add(self, path: Path) -> None:
        """Count a file that was finished just now."""
        with contextlib.suppress(OSError):  # another recorder was faster to delete it
            status = path.stat()
            self._kept.append(Kept(status.st_mtime, path, status.st_size))
            self.bytes += status.st_size

    def enforce(self, writing: Path | None = None) -> list[Path]:
        """Delete what is too much or too old, the oldest first; return it.

        Args:
            writing: A file that is not finished: it counts when it is added, and stays until then.
        """
        if self._monotonic() - self._scan_s >= RESCAN_S:
            self._scan(writing)
        deleted: list[Path] = []
        while self._kept and self._excessive(self._kept[0]):
            file = self._kept.popleft()
            self.bytes -= file.size_bytes
            if self._delete(file):
                deleted.append(file.path)
        return deleted

    def _excessive(self, file: Kept) -> bool:
        old = self._age_max_s is not None and self._clock() - file.written_s > self._age_max_s
        return old or self.bytes > self._bytes_max

    def _delete(self, file: Kept) -> bool:
        try:
            file.path.unlink()
        except FileNotFoundError:
            return False
        except OSError:
            self.undeleted_files_total += 1
            return False
        self.deleted_files_total += 1
        self.deleted_bytes_total += file.size_bytes
        with contextlib.suppress(OSError):  # there is more in it
            file.path.parent.rmdir()
        return True

    def _scan(self, writing: Path | None) -> None:
        self._scan_s = self._monotonic()
        found = []
        for entry in _entries(self._directory, _FINISHED):
            with contextlib.suppress(OSError):
                status, path = entry.stat(follow_symlinks=False), Path(entry.path)
                if path != writing:
                    found.append(Kept(status.st_mtime, path, status.st_size))
        self._kept = deque(sorted(found))
        self.bytes = sum(file.size_bytes for file in found)
