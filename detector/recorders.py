"""All that `detector record` writes: the steps of each stream, and the limits of the tree that they are in.

A disk that takes nothing costs rows, which are counted and logged, and never the daemon or the next rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from detector.edge import tree
from detector.edge.recorder import Recorder
from detector.edge.snapshot import RecordedSnapshot, RecordingsSnapshot
from detector.logs import say
from detector.settings import Settings, SettingsError
from detector.stream.nouns import Outcome
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
        self._limits = tree.Limits(record.directory, record.bytes_max, record.age_max_s)
        for recorder in self._by_stream.values():
            try:
                recorder.probe()
            except OSError as error:
                raise SettingsError(f"record.directory: {error}") from None
        if swept := tree.sweep(record.directory):
            say(LOG, "unfinished files removed", logging.WARNING, files=swept, directory=record.directory)

    def add(self, stream: StreamPipeline, outcome: Outcome) -> None:
        """Take what a step of a stream came to."""
        steps = outcome.steps
        entities = [stream.roster.entities[row] or () for row in steps.row]
        self._by_stream[stream.definition.name].add(outcome.time_s, entities, steps.value, steps.seen)

    def flush(self) -> None:
        """Write what is due, and delete what is too much; to be called every second or so."""
        for name, recorder in self._by_stream.items():
            self._flush(name, recorder)
        self._tell_deleted(self._limits.enforce())

    def close(self) -> None:
        """Write what is left, and tell what was written in all."""
        for name, recorder in self._by_stream.items():
            self._flush(name, recorder, everything=True)
            rows, level = recorder.rows_total, logging.INFO if recorder.rows_total else logging.WARNING
            entities, directory = recorder.entities_total, recorder.directory.absolute()
            say(LOG, "recorded", level, stream=name, rows=rows, entities=entities, directory=directory)

    def snapshot(self) -> RecordingsSnapshot:
        """Return what was written, and how large the tree is."""
        return RecordingsSnapshot(
            streams=tuple(
                RecordedSnapshot(
                    stream=name,
                    rows_total=one.rows_total,
                    bytes_total=one.bytes_total,
                    files_total=one.files_total,
                    errors_total=one.errors_total,
                    rows_lost_total=one.rows_lost_total,
                    rows_repeated_total=one.rows_repeated_total,
                )
                for name, one in self._by_stream.items()
            ),
            tree_bytes=self._limits.bytes,
            tree_bytes_max=self._record.bytes_max,
            deleted_files_total=self._limits.deleted_files_total,
            deleted_bytes_total=self._limits.deleted_bytes_total,
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
