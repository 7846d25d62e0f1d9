"""What a recording is: closed steps as a Parquet file, in the dataset layout, for the trainer.

The columns are `time` (float64, UTC seconds), the labels (text) and the signals (float32, null where a signal
was not seen). The steps of a file are of one UTC day.

A step holds rates where the messages held counters. The file says so in its metadata, so that nobody
differentiates them once more: key `detector`, a JSON object with `format` 1, `stream`, `kinds` ("rates"),
`signals` (names), and what a network that learns from it has to know of the stream: `step_s`, `window_steps`,
`refresh_s` and `definitions`, an object a signal of all that is not its default.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Bools, Entity, Floats

FORMAT: Final = 1
KEY: Final = b"detector"
RECORDED: Final = ("kind", "bits", "aggregate", "direction", "rate_max", "words", "scale", "offset", "unit")
"""What a recording says of a signal: all but where a payload had it."""


class Step(NamedTuple):
    """A closed step: `(rows,)` entities, `(rows, signals)` of values and of what was seen of them."""

    time_s: float
    entities: Sequence[Entity]
    value: Floats
    seen: Bools

    def without(self, known: frozenset[Entity]) -> Step:
        """Return it without some entities."""
        kept = np.array([entity not in known for entity in self.entities], bool)
        entities = [entity for entity in self.entities if entity not in known]
        return Step(self.time_s, entities, self.value[kept], self.seen[kept])


def to_table(definition: Definition, steps: Sequence[Step]) -> pa.Table:
    """Return steps as the table that a file holds."""
    names = [entity for step in steps for entity in step.entities]
    value = np.concatenate([step.value for step in steps]).astype(np.float32, copy=False)
    unseen = ~np.concatenate([step.seen for step in steps])
    time_s = np.repeat([step.time_s for step in steps], [len(step.entities) for step in steps])
    columns = {"time": pa.array(time_s, pa.float64())}
    for index, label in enumerate(definition.entity):
        columns[label] = pa.array([name[index] for name in names], pa.string())
    for index, signal in enumerate(definition.signal_names):
        columns[signal] = pa.array(value[:, index], pa.float32(), mask=unseen[:, index])
    return pa.table(columns).replace_schema_metadata({KEY: json.dumps(_metadata(definition)).encode()})


def _metadata(definition: Definition) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "stream": definition.name,
        "kinds": "rates",
        "step_s": definition.step_s,
        "window_steps": definition.window_steps,
        "refresh_s": definition.refresh_s,
        "signals": list(definition.signal_names),
        "definitions": {signal.name: recorded_of(signal) for signal in definition.signals},
    }


def recorded_of(signal: Signal) -> dict[str, Any]:
    """Return what a recording says of a signal, as the settings have it: what is not the default."""
    plain = Signal(signal.name)
    said = {name: getattr(signal, name) for name in RECORDED if getattr(signal, name) != getattr(plain, name)}
    return said | ({"words": dict(signal.words)} if signal.words else {})


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


def read_span(path: Path) -> tuple[float, float]:
    """Return the times of the first and the last step in a recording; from its last bytes alone.

    Raises:
        ValueError: The file is no recording.
        OSError: It cannot be read.
    """
    metadata = parquet.read_metadata(path)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    found = [group.column(metadata.schema.names.index("time")).statistics for group in groups]
    if not found or any(one is None or not one.has_min_max for one in found):
        raise ValueError(f"{path}: does not say which times it holds")
    return min(one.min for one in found), max(one.max for one in found)


def read_entities(path: Path, labels: Sequence[str]) -> dict[float, set[Entity]]:
    """Return who has a row in a recording, by its time; nobody where the labels are others.

    Raises:
        ValueError: The file is no Parquet.
        OSError: It cannot be read.
    """
    if not set(labels) < set(parquet.read_schema(path).names):
        return {}
    table = parquet.read_table(path, columns=["time", *labels])
    found: dict[float, set[Entity]] = {}
    for time_s, *entity in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found.setdefault(time_s, set()).add(tuple(entity))
    return found
