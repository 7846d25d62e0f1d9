"""The sets of `cisco.py`: what is read, what of it is free of events, and the stream's definitions.

A set is a folder with `devices.parquet` (time, device, signals), `interfaces.parquet` (time, device,
interface, signals) and `labels.csv` (start, end, device, event, kind).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detector.evaluate.events import Event

STEP_S = 10.0
WINDOW_STEPS = 12
"""Two minutes: full before the first event of every set that is trained on, at any of the cadences."""
FREE_MIN_S = 120.0
TRAIN_END_S = 1e9
"""The time of the first event of every set, to a step, in the training; which one is of no importance."""
ENTITY = {"devices": ("device",), "interfaces": ("device", "interface")}
COUNTER_WORDS = ("bytes", "packets", "drops", "errors", "transitions", "fib", "update-messages")


def sets_of(data: Path) -> list[str]:
    """Return the names of the sets in a folder."""
    return sorted(path.parent.name for path in data.glob("*/labels.csv"))


def is_counter(name: str) -> bool:
    """Say whether a column of these sets only ever grows, by its name."""
    other = name.endswith("-rate") or "memory" in name
    return not other and any(word in name for word in COUNTER_WORDS)


def read(data: Path, name: str, stream: str) -> pa.Table:
    """Return a stream of a set, its devices named `set.device`."""
    table = pq.read_table(data / name / f"{stream}.parquet")
    index = table.schema.get_field_index("device")
    device = pc.binary_join_element_wise(name, table["device"].cast(pa.string()), ".")
    return table.set_column(index, "device", device)


def events(data: Path, name: str) -> list[Event]:
    """Return the labels of a set."""
    with (data / name / "labels.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [
        Event(
            float(row["start"]),
            float(row["end"]),
            row["event"],
            row["kind"],
            {"device": f"{name}.{row['device']}"},
        )
        for row in rows
    ]


def free(data: Path, name: str, stream: str) -> pa.Table | None:
    """Return what a set has before its first event; None where that is too short.

    Its times are moved so that the first event of every set is at one time: years between the sets would
    be gaps, and what is held out at the end of the training has a part of every set so.
    """
    table = read(data, name, stream)
    first_s = min(event.start_s for event in events(data, name))
    time_s = table["time"].to_numpy()
    if first_s - time_s.min() < FREE_MIN_S:
        return None
    # By whole steps, so that a sample stays where it was within its step.
    moved_s = time_s - np.floor(first_s / STEP_S) * STEP_S + TRAIN_END_S
    moved = table.set_column(table.schema.get_field_index("time"), "time", pa.array(moved_s))
    return moved.filter(pa.array(time_s < first_s))


def write_config(directory: Path, data: Path, sets: Sequence[str]) -> Path:
    """Write the daemon's settings: every signal that some set has."""
    lines = []
    for stream, entity in ENTITY.items():
        schemas = [pq.read_schema(data / name / f"{stream}.parquet") for name in sets]
        names = dict.fromkeys(column for schema in schemas for column in schema.names)
        lines += [
            "[[streams]]",
            f'name = "{stream}"',
            f'topic = "telegraf/{{device}}/{stream}"',
            'format = "telegraf-json"',
            'clock = "data"',
            f"entity = {list(entity)}",
            f"step_s = {STEP_S}",
            f"window_steps = {WINDOW_STEPS}",
            f'bundle = "{directory / "bundles" / stream}"',
            "[streams.signals]",
        ]
        for signal in (name for name in names if name not in ("time", *entity)):
            lines.append(f'"{signal}" = {{ kind = "{"counter" if is_counter(signal) else "gauge"}" }}')
    path = directory / "detector.toml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
