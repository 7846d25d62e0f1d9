"""Replay: a dataset goes to a broker as the messages that it could have come from, a capture as it came.

The times in the payloads are the data's own; only the pace is the wall's, see `publisher`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa

from detector.edge.capture import Skip, read_capture
from detector.edge.datasets import DATASETS, files_in, read_parts
from detector.edge.publisher import Published, publish_as_they_came, publish_messages
from detector.stream.decode.topic import Template
from detector.stream.nouns import Message

ROWS: Final = 4096
"""How many rows are Python objects at a time."""
RATES_WARNING: Final = (
    "a recording holds scaled values, and rates where the messages had counters: define its signals as "
    "gauges without a scale in the stream that reads them, or each fall is taken for a reset"
)
"""What to know before a recording is published."""
CAPTURES: Final = (".ndjson",)
"""Which files of a folder are captures; one that is named is, unless it is a dataset."""


def publish(
    paths: Path | Sequence[Path],
    template: str,
    payload_format: str,
    stream: str,
    *,
    entity: Sequence[str] | None = None,
    **broker: Any,
) -> int:
    """Publish datasets in time order; return how many messages.

    Args:
        paths: Parquet or CSV files, or folders of them.
        template: The topic, as of `encode`.
        payload_format: As of `encode`.
        stream: The name of the stream; Telegraf's measurement.
        entity: The entity columns; none means all columns of text.
        broker: Everything else, as of `publish_messages`.

    Raises:
        ValueError: The data or the topic cannot be published; the message says why.
        OSError: A file cannot be read, or as of `publish_messages`.
    """
    parts = read_parts([paths] if isinstance(paths, Path) else paths)
    each = (messages(table, template, payload_format, stream, entity) for table in parts)
    return publish_messages(chain.from_iterable(each), **broker)


def is_capture(paths: Sequence[Path]) -> bool:
    """Say whether files, or folders of them, are captures and not datasets.

    Raises:
        ValueError: Some are, some are not, or there is none.
    """
    found = {path.suffix not in DATASETS for path in paths if not path.is_dir()}
    for folder in (path for path in paths if path.is_dir()):
        found |= {suffixes == CAPTURES for suffixes in (DATASETS, CAPTURES) if files_in(folder, suffixes)}
    if not found:
        raise ValueError(f"no {', '.join(DATASETS)} or {CAPTURES[0]} in {', '.join(map(str, paths))}")
    if len(found) > 1:
        raise ValueError("datasets and captures cannot be published as one; name the files of one kind")
    return found == {True}


def publish_captures(
    paths: Sequence[Path], left_out: Counter[str], *, qos: int = 0, retain: bool = False, **broker: Any
) -> int:
    """Publish captures, one file after the other, at the pace of their arrival; return how many messages.

    Args:
        paths: Files, or folders of them.
        left_out: Where is counted what was not published: lines that are no message, as of `capture`, and
            `retained` messages. Those were the broker's stored copies, of unknown age; published as news
            they would be taken for it.
        qos: Messages go out with this or the quality of service that they came with, whichever is more.
        retain: Publish retained messages too, for the broker to store again.
        broker: Everything else, as of `publish_as_they_came`.

    Raises:
        OSError: A file cannot be read, or as of `publish_as_they_came`.
    """
    skipped: Counter[Skip] = Counter()

    def wanted() -> Iterator[Message]:
        files = (file for path in paths for file in files_in(path, CAPTURES))
        for message in (message for file in files for message in read_capture(file, skipped)):
            if message.retained and not retain:
                left_out["retained"] += 1
            else:
                yield message._replace(qos=max(message.qos, qos))

    count = publish_as_they_came(wanted(), **broker)
    left_out.update({reason.value: lines for reason, lines in skipped.items()})
    return count


def messages(
    table: pa.Table,
    template: str,
    payload_format: str,
    stream: str,
    entity: Sequence[str] | None = None,
) -> Iterator[Published]:
    """Yield the messages of a table of `read_parts`, row by row.

    Raises:
        ValueError: A column is neither text nor number, or as of `encode`.
    """
    labels, signals = _columns(table.schema, entity)
    for batch in table.to_batches(max_chunksize=ROWS):
        for row in batch.to_pylist():
            named = {name: str(row[name]) for name in labels if row[name] is not None}
            fields = {name: row[name] for name in signals}
            for topic, payload in encode(payload_format, stream, named, fields, row["time"], template):
                yield row["time"], topic, payload


def encode(
    payload_format: str,
    stream: str,
    labels: Mapping[str, str],
    fields: Mapping[str, float | None],
    time_s: float,
    template: str,
) -> list[tuple[str, bytes]]:
    """Return the messages, (topic, payload), that carry one row; none if nothing in it was seen.

    Args:
        payload_format: `telegraf-json` and `json` give one message; `value` gives one a field, and has no
            place for the time.
        stream: Telegraf's measurement.
        labels: The entity.
        fields: Values by signal; null and what is not finite was not seen.
        time_s: UTC seconds.
        template: A topic template, such as a stream's own: `{label}` is replaced, `{signal}` with format
            `value` too; a level that a stream ignores becomes `_`, and `#` nothing.

    Raises:
        ValueError: The format is unknown, or the topic cannot be built.
    """
    seen = {name: value for name, value in fields.items() if value is not None and math.isfinite(value)}
    if payload_format == "value":
        return [
            (fill(template, {**labels, "signal": name}), orjson.dumps(value)) for name, value in seen.items()
        ]
    if payload_format not in ("telegraf-json", "json"):
        raise ValueError(f"cannot write format {payload_format!r}, only telegraf-json, json and value")
    if not seen:
        return []
    timestamp = int(time_s) if time_s == int(time_s) else time_s
    if payload_format == "telegraf-json":
        record = {"fields": seen, "name": stream, "tags": labels, "timestamp": timestamp}
    else:
        record = {"timestamp": timestamp, **labels, **seen}
        if len(record) < 1 + len(labels) + len(seen):
            raise ValueError(f"format json has one name for two things: timestamp, {', '.join(labels)}")
    return [(fill(template, labels), orjson.dumps(record))]


def fill(template: str, labels: Mapping[str, str]) -> str:
    """Return the topic of an entity.

    Raises:
        ValueError: The template is malformed, a label is absent, or cannot be a level of a topic.
    """
    return "/".join([_level(level, labels) for level in _levels(template)])


@lru_cache(maxsize=16)
def _levels(template: str) -> tuple[str, ...]:
    levels = Template(template).text.split("/")
    return tuple(levels[:-1] if levels[-1] == "#" else levels)


def _level(level: str, labels: Mapping[str, str]) -> str:
    if level in ("+", "{_}"):
        return "_"
    if not level.startswith("{"):
        return level
    name = level[1:-1]
    value = labels.get(name, "")
    if not value or any(char in value for char in "/+#\0"):
        raise ValueError(f"{name} {value!r} cannot be a level of a topic")
    return value


def _columns(schema: pa.Schema, entity: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The entity's columns and the signals."""
    labels: list[str] = []
    signals: list[str] = []
    for field in schema:
        kind = field.type
        if field.name in ("time", "train"):
            continue
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        if field.name in entity if entity is not None else text:
            labels.append(field.name)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
            signals.append(field.name)
        else:
            raise ValueError(f"column {field.name} is {kind}, neither text nor a number")
    missing = set(entity or ()) - set(labels)
    if missing:
        raise ValueError(f"no column {', '.join(sorted(missing))}")
    return labels, signals
