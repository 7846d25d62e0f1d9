"""A simulation as files, as Telegraf messages, and the settings of the streams that read them."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Literal

import orjson
import pyarrow as pa
from pyarrow import csv, parquet

from detector.simulate.fabric import Simulation
from detector.simulate.scenario import DEVICE_COUNTERS, DEVICE_SIGNALS, INTERFACE_SIGNALS

REALS = frozenset({"cpu_percent", "temperature_celsius"})
"""All other signals are integers, and stand so in JSON."""
LINE_OCTETS_S = 1.25e9
"""What the fastest port can carry; a counter that rose faster was reset."""
BATCH_ROWS = 10_000

Published = tuple[float, str, bytes]


def write(
    simulation: Simulation,
    directory: Path,
    format: Literal["parquet", "csv"] = "parquet",  # noqa: A002
) -> None:
    """Write `interfaces`, `devices` (Parquet or CSV) and `labels.csv` into a directory, made where missing.

    Raises:
        ValueError: The format is neither.
        OSError: The directory cannot be written to.
    """
    if format not in ("parquet", "csv"):
        raise ValueError(f"format is {format!r}, not parquet or csv")
    directory.mkdir(parents=True, exist_ok=True)
    for name, table in (("interfaces", simulation.interfaces), ("devices", simulation.devices)):
        if format == "parquet":
            parquet.write_table(table, directory / f"{name}.parquet")
        else:
            csv.write_csv(table, directory / f"{name}.csv")
    csv.write_csv(simulation.labels, directory / "labels.csv")


def messages(simulation: Simulation) -> Iterator[Published]:
    """Yield (time_s, topic, payload) of every record in time order, as Telegraf's MQTT output writes them.

    The payload is Telegraf's JSON with `json_timestamp_units = "1ms"`; what is not seen is left out.
    """
    return merge(
        _records("interfaces", simulation.interfaces, ("device", "interface"), INTERFACE_SIGNALS),
        _records("devices", simulation.devices, ("device",), DEVICE_SIGNALS),
        key=lambda published: published[0],
    )


def _records(
    name: str, table: pa.Table, entity: tuple[str, ...], signals: tuple[str, ...]
) -> Iterator[Published]:
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        for row in batch.to_pylist():
            fields = {
                signal: value if signal in REALS else int(value)
                for signal in signals
                if (value := row[signal]) is not None
            }
            tags = {label: row[label] for label in entity}
            record = {"fields": fields, "name": name, "tags": tags, "timestamp": round(1000 * row["time"])}
            yield row["time"], f"telegraf/{row['device']}/{name}", orjson.dumps(record)


def stream_settings(directory: Path, step_s: float = 10.0, window_steps: int = 60) -> str:
    """Return the settings of the two streams as TOML: the `[[streams]]` that read what `messages` yields.

    Their clock is the data's, for a simulation is seldom played at the speed of the wall's. Their bundles are
    in `directory`.
    """
    judged = ['clock = "data"', f"step_s = {step_s}", f"window_steps = {window_steps}"]
    bundles = directory / "bundles"
    interfaces = _stream("interfaces", ("device", "interface"), INTERFACE_SIGNALS, judged, bundles)
    return "\n".join([*interfaces, "", *_stream("devices", ("device",), DEVICE_SIGNALS, judged, bundles), ""])


def _stream(
    name: str, entity: tuple[str, ...], signals: tuple[str, ...], judged: list[str], bundles: Path
) -> list[str]:
    return [
        "[[streams]]",
        f'name = "{name}"',
        f'topic = "telegraf/{{device}}/{name}"',
        'format = "telegraf-json"',
        f"entity = {orjson.dumps(entity).decode()}",
        *judged,
        f"bundle = {orjson.dumps(str(bundles / name)).decode()}",
        "[streams.signals]",
        *(f"{signal} = {_kind(signal)}" for signal in signals),
    ]


def _kind(signal: str) -> str:
    # Legacy devices count to 2**32; the others' 64 bits never wrap, and their resets fall much further.
    # Much traffic is no fault, and a backup looks like a surge; what somebody must mend is missing traffic.
    if signal.endswith("octets"):
        return f'{{ kind = "counter", bits = 32, rate_max = {LINE_OCTETS_S}, direction = "below" }}'
    if signal.endswith("packets"):
        return '{ kind = "counter", bits = 32, direction = "below" }'
    if signal in (*INTERFACE_SIGNALS, *DEVICE_COUNTERS):
        return '{ kind = "counter" }'
    return '{ kind = "gauge" }'
