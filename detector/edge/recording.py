"""Recordings: closed steps as Parquet, in the dataset layout, for the trainer.

`<directory>/<stream>/<UTC date>/<HHMMSS>-<n>.parquet`, named by the time of the first step in it. The
columns are `time` (float64, UTC seconds), the entity's labels (text) and the signals (float32, null
where a signal was not seen).

A step holds rates where the messages held counters. The file says so in its metadata, so that nobody
differentiates them once more: key `detector`, a JSON object with `format` 1, `stream`, `kinds`
("rates"), `step_s` and `signals`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Doubles, Entity, Floats

FORMAT: Final = 1
KEY: Final = b"detector"

_Step = tuple[Doubles, Sequence[Entity], Floats, Bools]
"""Rows as `Recorder.add` takes them."""


class Recorder:
    """Writes the steps of one stream.

    A file is complete before it gets its name, so that a kill leaves whole files and at most one hidden
    `.tmp` that no reader looks at. What is not written yet, up to `rows_max` rows or `flush_s`, is lost.

    Args:
        directory: Where all recordings are; made where missing.
        definition: The stream.
        rows_max: A file is written when this many rows are there,
        flush_s: or when this time has passed since the first of them came.
        monotonic: A clock for `flush_s`.

    `rows_total` counts the rows that were written, `entities_total` whose they are.

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
        self._directory = directory / definition.name
        self._definition = definition
        self._rows_max = rows_max
        self._flush_s = flush_s
        self._monotonic = monotonic
        self._pending: list[_Step] = []
        self._rows = 0
        self._first_s = 0.0
        self._entities: set[Entity] = set()
        self.rows_total = 0

    @property
    def entities_total(self) -> int:
        """The entities that were written, counted up to `entities_max`: names come and go without end."""
        return min(len(self._entities), self._definition.entities_max)

    def probe(self) -> None:
        """Make the directory, and try to write into it.

        Raises:
            OSError: It cannot be made, or not be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._directory):
            pass

    def add(self, time_s: Doubles, entities: Sequence[Entity], value: Floats, seen: Bools) -> Path | None:
        """Take rows, and write a file when one is due; return its path then.

        Nothing is written between calls: call it at every tick, if only with no rows.

        Args:
            time_s: When, `(rows,)`.
            entities: Who, one a row.
            value: What, `(rows, signals)`; only seen cells are read. Kept, not copied.
            seen: Which cells are real, `(rows, signals)`.

        Raises:
            OSError: The file cannot be written. Its rows are lost, so that a full disk never becomes a
                full memory; the recorder can go on.
        """
        if len(entities):
            if not self._pending:
                self._first_s = self._monotonic()
            self._pending.append((time_s, entities, value, seen))
            self._rows += len(entities)
        full = self._rows >= self._rows_max
        due = bool(self._pending) and self._monotonic() - self._first_s >= self._flush_s
        return self._write() if full or due else None

    def close(self) -> Path | None:
        """Write what is left; return the path of the file, if there was something to write.

        Raises:
            OSError: As of `add`.
        """
        return self._write() if self._pending else None

    def _write(self) -> Path:
        pending, rows = self._pending, self._rows
        self._pending, self._rows = [], 0
        table = _table(self._definition, pending)
        path = _free_path(self._directory, float(pending[0][0][0]))
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                parquet.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
            self._count(rows, pending)
        finally:
            unfinished.unlink(missing_ok=True)
        return path

    def _count(self, rows: int, written: Sequence[_Step]) -> None:
        self.rows_total += rows
        if len(self._entities) < self._definition.entities_max:
            self._entities.update(entity for _, entities, _, _ in written for entity in entities)


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Return what a recording says of itself (see the top of this file), None for any other Parquet file.

    Raises:
        ValueError: The file is no Parquet, or a recording of a later format.
        OSError: It cannot be read.
    """
    text = (parquet.read_schema(path).metadata or {}).get(KEY)
    if text is None:
        return None
    try:
        metadata = json.loads(text)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a recording of format {FORMAT}")
    return metadata


def is_recorded(paths: Sequence[Path]) -> bool:
    """Say whether a recording is among files, or folders of them; it holds rates in place of counters.

    Raises:
        ValueError: As of `read_metadata`.
        OSError: A file cannot be read.
    """
    files = (file for path in paths for file in (path.rglob("*.parquet") if path.is_dir() else [path]))
    return any(read_metadata(file) is not None for file in files if file.suffix == ".parquet")


def _table(definition: Definition, pending: Sequence[_Step]) -> pa.Table:
    times_s, entities, values, seen = zip(*pending, strict=True)
    names = [entity for part in entities for entity in part]
    value = np.concatenate(values).astype(np.float32, copy=False)
    unseen = ~np.concatenate(seen)
    columns = {"time": pa.array(np.concatenate(times_s), pa.float64())}
    for index, label in enumerate(definition.entity):
        columns[label] = pa.array([name[index] for name in names], pa.string())
    for index, signal in enumerate(definition.signal_names):
        columns[signal] = pa.array(value[:, index], pa.float32(), mask=unseen[:, index])
    metadata = {
        "format": FORMAT,
        "stream": definition.name,
        "kinds": "rates",
        "step_s": definition.step_s,
        "signals": list(definition.signal_names),
    }
    return pa.table(columns).replace_schema_metadata({KEY: json.dumps(metadata).encode()})


def _free_path(directory: Path, time_s: float) -> Path:
    first = datetime.fromtimestamp(time_s, UTC)
    day = directory / first.strftime("%Y-%m-%d")
    paths = (day / f"{first:%H%M%S}-{n}.parquet" for n in count())
    return next(path for path in paths if not path.exists())
