"""Format `prometheus`: the text that exporters expose, version 0.0.4 and OpenMetrics, in a message.

A signal's field is the name of a metric, and perhaps labels that pick from its series::

    ifHCInOctets{ifDescr="ge1",ifIndex="1",ifName="ge1"} 1.310822e+07 1760000000000
    node_cpu_seconds_total{cpu="0",mode="idle"} 10870.69     # node_cpu_seconds_total{mode="idle"}

Samples that share the labels of the entity, and the time, are one record. The series of a histogram or a
summary have the names that are written: `..._bucket{le="0.5"}`, `..._sum`, `..._count`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from detector.stream.decode.labels import entity_reader
from detector.stream.decode.numbers import plain_number
from detector.stream.decode.records import Decode, append_all, record_appender, signal_fields
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message

Sample = tuple[str, str, str, str]
"""Name, labels, value and time as they are written; of a line that does not follow the format, the name."""
Tags = Mapping[str, str]
Picks = Mapping[tuple[str, ...], Mapping[tuple[str, ...], Sequence[str]]]
"""By names of labels, and then by their values, the fields that ask for these."""
Record = tuple[dict[str, float | str], Tags, str]
"""Fields, labels, and the time as it is written."""

_BOUNDS: Final = frozenset({"le", "quantile"})
_STRING: Final = r'"(?>[^"\\\n]++|\\.)*+"'
_LABEL_NAME: Final = rf"(?:[a-zA-Z_][a-zA-Z0-9_]*+|{_STRING})"
_LABELS: Final = rf"[ \t]*+(?:{_LABEL_NAME}[ \t]*+=[ \t]*+{_STRING}[ \t]*+(?:,[ \t]*+|(?=\}})))*+"
# A number sign behind the value begins an exemplar of OpenMetrics.
_REST: Final = (
    rf"[ \t]*+(?:\{{({_LABELS})\}})?+[ \t]*+([^ \t\n#{{]++)(?:[ \t]++([^ \t\n#]++))?+"
    r"[ \t]*+(?:\#[^\n]*+)?+(?=\n|\Z)"
)
_SAMPLE = re.compile(rf"\n[ \t]*+([a-zA-Z_:][^ \t\n#{{,=]*+)(?=[{{ \t]){_REST}")
_CONTENT = re.compile(r"\n[ \t]*+[^ \t\n#]")
_LABEL = re.compile(rf'({_LABEL_NAME})[ \t]*+=[ \t]*+"((?>[^"\\]++|\\.)*+)"')
_ESCAPE = re.compile(r'\\([\\"n])')
_FIELD = re.compile(rf'([^{{}}"\\\n#]+)(?:\{{({_LABELS})\}})?+')
# Since version 3 of Prometheus: a name with dots and the like stands in quotes, first among the labels.
_QUOTED_NAME = re.compile(r'\n[ \t]*+\{[ \t]*+"([^{}"\\\n#]++)"[ \t]*+,?+')


def prometheus_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: A signal's field is not a name with labels.
    """
    picks = _picks(definition)
    find_samples = samples_finder(picks)
    read_entity = entity_reader(definition)
    append_record = record_appender(definition)
    time = definition.layout.time or "timestamp"

    def append(record: Record | None, message: Message, labels: Tags, batch: Batch) -> Drop | None:
        if record is None:
            return Drop.MALFORMED
        fields, tags, stamp = record
        stamped = {time: stamp} if stamp else {}
        return append_record(fields, tags, stamped, None, labels, message.arrival_s, batch)

    def decode(message: Message, labels: Tags, batch: Batch) -> Drop | None:
        text = _text(message.payload)
        if not text:
            return Drop.PAYLOAD_EMPTY
        samples = find_samples(text)
        if not samples:
            return Drop.NO_SIGNAL if _follows_the_format(text) else Drop.MALFORMED
        records = _group(samples, picks, lambda tags: read_entity(labels, tags, None), batch)
        return append_all(records, lambda record: append(record, message, labels, batch), batch)

    return decode


def prometheus_document(definition: Definition, payload: bytes) -> dict[str, Any]:
    """Return all that is in a payload, as Telegraf would have written it in JSON: a metric for each labels.

    Its fields have the names of the metrics, and the samples that are signals the fields that want them.
    """
    picks = _picks(definition)
    metrics: dict[str, dict[str, Any]] = {}
    for name, written, value, _ in _SAMPLE.findall(_lines(_text(payload))):
        tags = read_labels(written)
        metric = metrics.setdefault(written, {"tags": tags, "fields": {}})
        for field in [*_picked(picks.get(name, {}), tags)] or [name]:
            metric["fields"][field] = plain_number(value)
    return {"metrics": list(metrics.values())}


def samples_finder(names: Iterable[str]) -> Callable[[str], list[Sample]]:
    """Return a function that finds the samples of metrics of these names in a text."""
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    find = re.compile(rf"\n[ \t]*+({longest_first})(?=[{{ \t\n]|\Z)(?:{_REST}|[^\n]*+)").findall

    def find_samples(text: str) -> list[Sample]:
        return find(_lines(text))

    return find_samples


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").strip("\ufeff\0 \t\r\n")


def _lines(text: str) -> str:
    """Return a text with a line feed before each line, and each name before its labels."""
    text = f"\n{text}".replace("\r\n", "\n")
    return _QUOTED_NAME.sub(r"\n\1{", text) if "\n{" in text else text


def _follows_the_format(text: str) -> bool:
    """Say whether a text has any sample, or nothing but comments."""
    lines = _lines(text)
    return bool(_SAMPLE.search(lines)) or not _CONTENT.search(lines)


def begins_with_sample(text: str) -> bool:
    """Say whether the first line that is no comment is a sample, with a number for a value and for a time."""
    if text[:1] == "{" and not _QUOTED_NAME.match(f"\n{text}"):  # as nearly all JSON
        return False
    lines = _lines(text)
    first = _CONTENT.search(lines)
    sample = _SAMPLE.match(lines, first.start()) if first else None
    return sample is not None and all(
        isinstance(plain_number(one), float) for one in sample.group(3, 4) if one
    )


def _group(
    samples: list[Sample],
    picks: Mapping[str, Picks],
    entity_of: Callable[[Tags], Entity | Drop],
    batch: Batch,
) -> list[Record | None]:
    """Return a record for each entity and time, and None for each line that does not follow the format.

    Of several samples that one field picks for one record the first counts; the others are counted.
    """
    records: dict[tuple[Entity | Drop, str], Record] = {}
    known: dict[str, tuple[Entity | Drop, Tags]] = {}  # the metrics of an exporter share their labels
    for name, written, value, stamp in samples:
        tags = known[written][1] if written in known else read_labels(written)
        for field in _picked(picks[name], tags) if value else ():
            if written not in known:
                known[written] = entity_of(tags), tags
            fields = records.setdefault((known[written][0], stamp), ({}, tags, stamp))[0]
            if field in fields:
                batch.dropped[Drop.DUPLICATE] += 1
            else:
                fields[field] = plain_number(value)
    malformed = sum(not value for _, _, value, _ in samples)
    return [*records.values(), *[None] * malformed]


def _picked(picks: Picks, tags: Tags) -> Iterable[str]:
    """Return the fields that want a sample with these labels."""
    if len(picks) == 1 and () in picks:
        return picks[()][()]
    return [field for names, fields in picks.items() for field in fields.get(_values(names, tags), ())]


def _values(names: Iterable[str], tags: Tags) -> tuple[str, ...]:
    """Return the values of labels as they compare.

    One that is empty is as good as absent. Bounds are numbers: the same one is `1` in one version of the
    format and `1.0` in the other.
    """
    values = ((name, tags.get(name, "")) for name in names)
    return tuple([str(plain_number(value)) if name in _BOUNDS else value for name, value in values])


def read_labels(written: str) -> Tags:
    """Return the labels that are written between braces."""
    pairs = _LABEL.findall(written)
    if "\\" in written or '"=' in written:
        return {_unescaped(label.strip('"')): _unescaped(text) for label, text in pairs}
    return dict(pairs)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)


def _picks(definition: Definition) -> Mapping[str, Picks]:
    """Return by the name of a metric which of its samples are wanted, and as what field."""
    picks: dict[str, dict[tuple[str, ...], dict[tuple[str, ...], list[str]]]] = {}
    for field in dict.fromkeys(signal_fields(definition)):
        match = _FIELD.fullmatch(field)
        if match is None:
            raise ValueError(
                f"stream {definition.name!r}: signal field {field!r} is no name of a metric,"
                ' with labels or without, as in up{job="node"}'
            )
        labels = read_labels(match[2] or "")
        of_name = picks.setdefault(match[1].strip(), {})
        of_name.setdefault(tuple(labels), {}).setdefault(_values(labels, labels), []).append(field)
    return picks
