"""What is in a message, by the names that settings have for it: for people, who ask why it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from detector.stream.decode.collectd import collectd_names
from detector.stream.decode.csv_rows import csv_document
from detector.stream.decode.documents import parse_document
from detector.stream.decode.influx import influx_document
from detector.stream.decode.openconfig import openconfig_names
from detector.stream.decode.prometheus import prometheus_document
from detector.stream.decode.senml import senml_names
from detector.stream.decode.sparkplug import named_values, topic_labels
from detector.stream.definition import Definition
from detector.stream.nouns import Message

_VIEWS: Final[Mapping[str, Callable[[Definition, bytes], Any]]] = {
    "csv": csv_document,
    "influx": lambda _definition, payload: influx_document(payload),
    "prometheus": prometheus_document,
}
METRICS: Final = frozenset({"influx", "prometheus", "telegraf-json"})
"""Formats of which the document holds metrics with fields and tags, as Telegraf writes them."""


def document_of(definition: Definition, payload: bytes) -> Any:
    """Return a payload of the stream's format as a JSON document, or why it is none."""
    view = _VIEWS.get(definition.format)
    return parse_document(payload) if view is None else view(definition, payload)


class Names(NamedTuple):
    """Labels that a topic gives beside the template, labels and values that a payload has, by their names."""

    of_topic: Mapping[str, Any]
    labels: Mapping[str, Any]
    values: Mapping[str, Any]


def _of_topic(labels: Mapping[str, Any], values: Mapping[str, Any]) -> Names:
    return Names(labels, {}, values)


_NAMES: Final[Mapping[str, Callable[[Message], Names]]] = {
    "collectd": lambda message: _of_topic(*collectd_names(message)),
    "openconfig": lambda message: Names({}, *openconfig_names(message)),
    "senml": lambda message: Names({}, *senml_names(message)),
    "sparkplug": lambda message: Names(topic_labels(message.topic), {}, named_values(message.payload)),
}


def names_of(name: str, message: Message) -> Names | None:
    """Return what a message has, of a format that says it in words of its own; None of another one."""
    return _NAMES[name](message) if name in _NAMES else None
