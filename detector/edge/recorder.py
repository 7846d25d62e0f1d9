"""Steps of a stream to the disk, a file every so often, and no row twice."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from pyarrow import parquet

from detector.edge.recording import Step, read_entities, read_span, to_table
from detector.edge.snapshot import RecordedSnapshot
from detector.edge.tree import DAY_S, day_folder, whole_file
from detector.logs import say
from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Entity, Floats

LOG = logging.getLogger("detector.recorder")

DAYS_MAX: Final = 2
"""Days of which is known what is written: around midnight steps of two of them close."""
FILES_MAX: Final = 4
"""Files whose entities are in memory while steps come again; they come in order, so few do."""


class Recorder:
    """Writes the steps of one stream.

    A file is complete before it gets its name, so that a kill leaves whole files and at most one hidden
    `.tmp` that no reader looks at. What is not written yet, up to `rows_max` rows or `flush_s`, is lost.

    A row, that is a time and an entity, which is there already is not written once more: after a restart
    the broker may repeat what it was not told to have arrived, and the clock of the data may go back.

    Args:
        directory: Where all recordings are; made where missing.
        definition: The stream.
        rows_max: A file is written when this many rows are there,
        flush_s: or when this time has passed since the first of them came.
        monotonic: A clock for `flush_s`.

    `rows_total`, `bytes_total` and `files_total` count what was written, `entities_total` whose rows it were.
    `errors_total` counts files that could not be written, `rows_lost_total` the rows in them, and
    `rows_repeated_total` those that were there already.

    Raises:
        ValueError: Two columns would have one name.
    """

    def __init__(
        self,
        directory: Path,
        definition: Definition,
        rows_max: int,
        flush_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        names = ("time", *definition.entity, *definition.signal_names)
        if len(set(names)) < len(names):
            raise ValueError(f"stream {definition.name!r}: a column stands twice in {', '.join(names)}")
        self.directory = directory / definition.name
        self._definition = definition
        self._rows_max = rows_max
        self._flush_s = flush_s
        self._monotonic = monotonic
        self._written = _Written(self.directory, definition.entity)
        self._pending: list[Step] = []
        self._rows = 0
        self._first_s = 0.0
        self._newest_s = -math.inf
        self._entities: set[Entity] = set()
        self.rows_total = 0
        self.bytes_total = 0
        self.files_total = 0
        self.errors_total = 0
        self.rows_lost_total = 0
        self.rows_repeated_total = 0

    @property
    def entities_total(self) -> int:
        """The entities that were written, counted up to `entities_max`: names come and go without end."""
        return min(len(self._entities), self._definition.entities_max)

    def add(self, time_s: float, entities: Sequence[Entity], value: Floats, seen: Bools) -> None:
        """Take a step; it is written when `flush` finds that it is time.

        Args:
            time_s: When.
            entities: Who, one a row.
            value: What, `(rows, signals)`; only seen cells are read. Kept, not copied.
            seen: Which cells are real, `(rows, signals)`.
        """
        step = Step(time_s, entities, value, seen)
        known = self._known(time_s)
        if known:
            step = step.without(known)
            self.rows_repeated_total += len(entities) - len(step.entities)
        if step.entities:
            if not self._pending:
                self._first_s = self._monotonic()
            self._pending.append(step)
            self._rows += len(step.entities)

    def flush(self, *, everything: bool = False) -> list[Path]:
        """Write what is due, or everything; return the new files. To be called every second or so.

        Raises:
            OSError: A file cannot be written. Its rows are lost, so that a full disk never becomes a full
                memory; the recorder can go on.
        """
        full = self._rows >= self._rows_max
        due = bool(self._pending) and self._monotonic() - self._first_s >= self._flush_s
        return self._write() if full or due or everything else []

    def snapshot(self) -> RecordedSnapshot:
        """Return what was written, and what was not."""
        return RecordedSnapshot(
            stream=self._definition.name,
            rows_total=self.rows_total,
            bytes_total=self.bytes_total,
            files_total=self.files_total,
            errors_total=self.errors_total,
            rows_lost_total=self.rows_lost_total,
            rows_repeated_total=self.rows_repeated_total,
        )

    def _known(self, time_s: float) -> frozenset[Entity]:
        """Return who has a row at a time already, here or on the disk."""
        known = self._written.entities(time_s)
        if time_s <= self._newest_s:  # usually the newest step is the next one
            known = known.union(*(step.entities for step in self._pending if step.time_s == time_s))
        self._newest_s = max(self._newest_s, time_s)
        return known

    def _write(self) -> list[Path]:
        pending, self._pending, self._rows = self._pending, [], 0
        paths: list[Path] = []
        problem: OSError | None = None
        for _, steps in groupby(pending, lambda step: step.time_s // DAY_S):
            try:
                paths.append(self._write_file(list(steps)))
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem
        return paths

    def _write_file(self, steps: Sequence[Step]) -> Path:
        rows = sum(len(step.entities) for step in steps)
        try:
            with whole_file(self.directory, steps[0].time_s, ".parquet") as (file, path):
                parquet.write_table(to_table(self._definition, steps), file, compression="zstd")
                size_bytes = file.tell()
        except OSError:
            self.errors_total += 1
            self.rows_lost_total += rows
            raise
        self.rows_total += rows
        self.bytes_total += size_bytes
        self.files_total += 1
        self._written.add(path, [step.time_s for step in steps])
        if len(self._entities) < self._definition.entities_max:
            self._entities.update(entity for step in steps for entity in step.entities)
        return path


@dataclass(slots=True)
class _Day:
    """The files of a day: from when to when."""

    spans: list[tuple[float, float, Path]] = field(default_factory=list)
    newest_s: float = -math.inf

    def add(self, first_s: float, last_s: float, path: Path) -> None:
        self.spans.append((first_s, last_s, path))
        self.newest_s = max(self.newest_s, last_s)


class _Written:
    """Which rows of a stream are on the disk. A day is looked at when its first step comes."""

    def __init__(self, directory: Path, labels: Sequence[str]) -> None:
        self._directory = directory
        self._labels = labels
        self._days: dict[float, _Day] = {}
        self._files: dict[Path, Mapping[float, set[Entity]]] = {}

    def entities(self, time_s: float) -> frozenset[Entity]:
        """Return who has a row at a time."""
        day = self._day(time_s)
        if time_s > day.newest_s:
            return frozenset()
        files = [path for first_s, last_s, path in day.spans if first_s <= time_s <= last_s]
        return frozenset[Entity]().union(*(self._read(path).get(time_s, ()) for path in files))

    def add(self, path: Path, times_s: Sequence[float]) -> None:
        """Learn of a new file, whose steps are of one day; one that was deleted may have had its name."""
        self._files.pop(path, None)
        self._day(times_s[0]).add(min(times_s), max(times_s), path)

    def _day(self, time_s: float) -> _Day:
        number = time_s // DAY_S
        if number not in self._days:
            _make_room(self._days, DAYS_MAX)
            self._days[number] = self._look(day_folder(self._directory, time_s))
        return self._days[number]

    def _look(self, folder: Path) -> _Day:
        day = _Day()
        for path in folder.glob("[!.]*.parquet"):
            try:
                day.add(*read_span(path), path)
            except (OSError, ValueError) as error:
                say(LOG, "unreadable recording", logging.WARNING, path=path, reason=str(error))
        return day

    def _read(self, path: Path) -> Mapping[float, set[Entity]]:
        if path not in self._files:
            _make_room(self._files, FILES_MAX)
            try:
                self._files[path] = read_entities(path, self._labels)
            except (OSError, ValueError):  # deleted as too old
                self._files[path] = {}
        return self._files[path]


def _make_room(held: dict[Any, Any], count_max: int) -> None:
    """Let go of what has been held for longest."""
    while len(held) >= count_max:
        del held[next(iter(held))]
