"""Format `telegraf-json`: what Telegraf's `outputs.mqtt` writes with `data_format = "json"`.

One metric a message, or with `layout = "batch"` many::

    {"name": "interface", "tags": {"ifName": "eth0"}, "fields": {"ifHCInOctets": 1}, "timestamp": 1760000000}
    {"metrics": [{...}, {...}]}

Fields are signals, tags are labels. A batch may carry metrics that are not the stream's: those without one of
its fields, and, where `Layout.metric` gives a name, those of another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detector.stream.decode.documents import parse_document
from detector.stream.decode.records import Decode, append_all, record_appender
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message


def telegraf_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format."""
    append_record = record_appender(definition)
    name = definition.layout.metric

    def append(metric: Any, message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        if not isinstance(metric, dict):
            return Drop.WRONG_SHAPE
        fields = metric.get("fields")
        if not isinstance(fields, dict):
            return Drop.WRONG_SHAPE
        if name and metric.get("name") != name:
            return Drop.NO_SIGNAL
        return append_record(fields, metric.get("tags"), metric, None, labels, message.arrival_s, batch)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        payload = parse_document(message.payload)
        if isinstance(payload, Drop):
            return payload
        if isinstance(payload, dict) and isinstance(metrics := payload.get("metrics"), list):
            return append_all(metrics, lambda metric: append(metric, message, labels, batch), batch)
        return append(payload, message, labels, batch)

    return decode
