"""All that `detector record` writes: steps of each stream, messages as they came, within limits.

A disk that takes nothing costs rows, which are counted and logged, and never the daemon or the next rows.
Messages are kept until it takes them: those of QoS 1 and 2 are not acknowledged before, so they wait with the
broker, and those of QoS 0 where there is room.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from detector.edge import raw, tree
from detector.edge.recorder import Recorder
from detector.edge.snapshot import RecordingsSnapshot
from detector.logs import say
from detector.settings import Settings, SettingsError
from detector.stream.nouns import Message, Outcome
from detector.stream.pipeline import StreamPipeline

LOG = logging.getLogger("detector.recorders")


class Recorders:
    """A recorder a stream, in one tree. What kills have left unfinished in it is removed.

    Raises:
        SettingsError: The directory cannot be made, or not be written.
    """

    def __init__(self, settings: Settings) -> None:
        record = self._record = settings.record
        self._by_stream = {
            stream.name: Recorder(record.directory, stream.definition(), record.rows_max, record.flush_s)
            for stream in settings.streams
        }
        file_bytes_max = min(raw.FILE_BYTES_MAX, record.bytes_max // 4)
        self._raw = raw.RawRecorder(record.directory, file_bytes_max) if record.raw else None
        self._failing = False
        self._limits = tree.Limits(record.directory, record.bytes_max, record.age_max_s)
        folders = [recorder.directory for recorder in self._by_stream.values()]
        folders += [self._raw.directory] if self._raw else []
        try:
            for folder in folders:
                tree.probe(folder)
        except OSError as error:
            raise SettingsError(f"record.directory: {error}") from None
        if swept := tree.sweep(record.directory):
            say(LOG, "unfinished files removed", logging.WARNING, files=swept, directory=record.directory)

    def write(self, messages: Sequence[Message]) -> bool:
        """Write messages as they came, where that is asked for; say whether that is done.

        To be called before anybody else sees them or acknowledges them, and once more where it is not done.
        """
        if self._raw is None:
            return True
        try:
            finished = self._raw.write(messages)
        except OSError as error:
            if not self._failing:
                say(LOG, "messages not recorded, waiting", logging.ERROR, reason=str(error))
            self._failing = True
            return False
        if self._failing and messages:
            self._failing = False
            say(LOG, "messages recorded again")
        if finished is not None:
            self._limits.add(finished)
        return True

    def add(self, stream: StreamPipeline, outcome: Outcome) -> None:
        """Take what a step of a stream came to."""
        steps = outcome.steps
        entities = [stream.roster.entities[row] or () for row in steps.row]
        self._by_stream[stream.definition.name].add(outcome.time_s, entities, steps.value, steps.seen)

    def flush(self) -> None:
        """Write what is due, and delete what is too much; to be called every second or so."""
        for name, recorder in self._by_stream.items():
            self._flush(name, recorder)
        self._tell_deleted(self._limits.enforce(self._raw.path if self._raw else None))

    def close(self) -> None:
        """Write what is left, and tell what was written in all."""
        for name, recorder in self._by_stream.items():
            self._flush(name, recorder, everything=True)
            rows, level = recorder.rows_total, logging.INFO if recorder.rows_total else logging.WARNING
            entities, directory = recorder.entities_total, recorder.directory.absolute()
            say(LOG, "recorded", level, stream=name, rows=rows, entities=entities, directory=directory)
        if self._raw is not None:
            self._raw.close()
            count = self._raw.messages_total
            level, directory = logging.INFO if count else logging.WARNING, self._raw.directory.absolute()
            say(LOG, "recorded", level, messages=count, directory=directory)

    def snapshot(self) -> RecordingsSnapshot:
        """Return what was written, and how large the tree is."""
        return RecordingsSnapshot(
            streams=tuple(recorder.snapshot() for recorder in self._by_stream.values()),
            raw=None if self._raw is None else self._raw.snapshot(),
            tree_bytes=self._limits.bytes,
            tree_bytes_max=self._record.bytes_max,
            deleted_files_total=self._limits.deleted_files_total,
            deleted_bytes_total=self._limits.deleted_bytes_total,
            undeleted_files_total=self._limits.undeleted_files_total,
        )

    def _flush(self, name: str, recorder: Recorder, *, everything: bool = False) -> None:
        lost = recorder.rows_lost_total
        try:
            written = recorder.flush(everything=everything)
        except OSError as error:
            rows = recorder.rows_lost_total - lost
            say(LOG, "rows not recorded", logging.ERROR, stream=name, rows=rows, reason=str(error))
        else:
            for path in written:
                self._limits.add(path)

    def _tell_deleted(self, paths: Sequence[Path]) -> None:
        if paths:
            why = f"record.bytes_max or record.age_max_s: {self._limits.bytes} bytes are left"
            say(LOG, "recordings deleted", files=len(paths), newest=paths[-1], reason=why)
