"""What a stream wants of a message and the message lacks, and what it has instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from detector.stream.decode.labels import completed, missing_labels
from detector.stream.decode.paths import find, parse_path
from detector.stream.decode.places import places_reader
from detector.stream.decode.records import signal_fields
from detector.stream.decode.topic import template_of
from detector.stream.decode.views import METRICS, document_of, names_of
from detector.stream.definition import Definition
from detector.stream.nouns import Drop, Message
from detector.wording import shown

NAMES_MAX = 64
"""Names of a message that are shown: more than a Telegraf interface has, and a screen still holds them."""
TIME_NAMES = {"timestamp", "time"}
"""Fields that are the time where a stream does not say which one is."""
NAMED_IN_PAYLOAD = {"csv", "json", *METRICS}
"""Formats in which the payload says what is what."""


class _Record(NamedTuple):
    """Where a payload has what is asked of one record; see `stream/decode/`."""

    fields: Any
    tags: Any
    envelope: Any
    labels: Mapping[str, str]


def misfit(
    definition: Definition, labels: Mapping[str, str], message: Message, *, refused: bool
) -> Iterator[str]:
    """Say what a stream wants and a message lacks, and what the message has instead."""
    document = document_of(definition, message.payload)
    records = _records(definition, document, labels)
    names = names_of(definition.format, message)
    if refused:
        given = _texts({**labels, **names.of_topic} if names else labels)
        yield f"  the topic gives: {given or 'no label'}"
    if not _names_fields(definition):
        if refused:
            yield f"  wanted: one of {', '.join(signal_fields(definition))}"
        if refused and names:
            yield f"  the message has: {_listed(list(names.values)) or 'nothing with a name'}"
        if refused and names and names.labels:
            yield f"  and the labels: {_texts(names.labels)}"
        return
    if missing := _missing_labels(definition, records):
        yield f"  missing of the entity: {', '.join(missing)}"
    envelopes = [one._replace(fields=one.envelope) for one in records]
    told = signal_fields(definition)[len(definition.signals) :]  # of the device, around its records too
    absent = [name for name in signal_fields(definition) if not _has(records, name)]
    if absent := [name for name in absent if name not in told or not _has(envelopes, name)]:
        yield f"  not in this message: {_listed(absent)}"
    if unused := _unused(definition, records):
        yield f"  numbers that no signal uses: {_listed(unused)}"
    if refused:
        yield f"  the message has: {_listed(list(_leaves(document))) or 'nothing with a name'}"


def _texts(labels: Mapping[str, Any]) -> str:
    return _listed([f'{name}="{text}"' for name, text in labels.items()])


def _names_fields(definition: Definition) -> bool:
    bare = definition.format == "influx" and "signal" in template_of(definition).labels
    return definition.format in NAMED_IN_PAYLOAD and not bare


def _records(definition: Definition, document: Any, labels: Mapping[str, str]) -> list[_Record]:
    """Return the records of a message; those that have a signal, where any has one."""
    if definition.format in METRICS:
        metrics = document.get("metrics") if isinstance(document, dict) else None
        found = metrics if isinstance(metrics, list) else [document]
        records = [
            _Record(one.get("fields"), one.get("tags"), None, labels)
            for one in found
            if isinstance(one, dict)
        ]
    else:
        places = places_reader(definition)(document)
        records = [
            _Record(one.record, one.record, document, completed(labels, one.keys.items()))
            for one in ([] if isinstance(places, Drop) else places)
            if isinstance(one.record, dict)
        ]
    wanted = signal_fields(definition)
    return [one for one in records if any(_has([one], name) for name in wanted)] or records


def _missing_labels(definition: Definition, records: Sequence[_Record]) -> list[str]:
    """Return the labels of the entity that a record lacks, with the path where one was looked for."""
    paths = dict(definition.layout.labels)
    missing = {
        label for one in records for label in missing_labels(definition, one.labels, one.tags, one.envelope)
    }
    return [
        f"{label} (at {paths[label]})" if label in paths else label
        for label in definition.entity
        if label in missing
    ]


def _has(records: Sequence[_Record], name: str) -> bool:
    path = parse_path(name)
    return any(find(one.fields, path) is not None for one in records)


def _unused(definition: Definition, records: Sequence[_Record]) -> list[str]:
    """Return the numbers of the records that are neither a signal nor a label nor the time."""
    layout = definition.layout
    used = {*signal_fields(definition), *definition.entity, *dict(layout.labels).values()}
    if definition.format in ("csv", "json"):
        used |= {layout.time} if layout.time else TIME_NAMES
    leaves = (leaf for one in records for leaf in _leaves(one.fields).items())
    numbers = (name for name, value in leaves if isinstance(value, int | float) and name not in used)
    return list(dict.fromkeys(numbers))


def _leaves(document: object, at: str = "") -> dict[str, object]:
    """Return what a document holds, by dotted path; of an array its first item."""
    inside: Iterable[tuple[str, object]] = ()
    if isinstance(document, dict):
        inside = document.items()
    elif isinstance(document, list):
        inside = [("0", item) for item in document[:1]]
    elif at:
        return {at: document}
    leaves: dict[str, object] = {}
    for name, value in inside:
        leaves |= _leaves(value, f"{at}.{name}" if at else name)
    return leaves


def _listed(names: Sequence[str]) -> str:
    first = [shown(name) for name in names[:NAMES_MAX]]
    more = [f"and {len(names) - len(first)} more"] if len(names) > len(first) else []
    return ", ".join(first + more)
