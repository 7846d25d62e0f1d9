"""What is in a payload, as a JSON document: for people, who ask why a message does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from detector.stream.decode.csv_rows import csv_document
from detector.stream.decode.documents import parse_document
from detector.stream.decode.influx import influx_document
from detector.stream.decode.prometheus import prometheus_document
from detector.stream.definition import Definition

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
