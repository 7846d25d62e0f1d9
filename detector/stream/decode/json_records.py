"""Format `json`: an object, an array of objects, or an object that has such an array somewhere.

A record is an object with the values of one entity, flat or nested; labels and time are in it, or in
the envelope around an array, or in the topic::

    {"device": "r1", "ts": 1760000000, "ports": [{"name": "eth0", "rx": {"bytes": 1}}, ...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detector.stream.decode.documents import parse_document
from detector.stream.decode.paths import find, parse_path
from detector.stream.decode.records import Decode, append_all, record_appender, signal_fields
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message


def json_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format."""
    append_record = record_appender(definition, taken=signal_fields(definition))
    records_path = parse_path(definition.layout.records) if definition.layout.records else None

    def append(
        record: Any, envelope: Any, message: Message, labels: Mapping[str, str], batch: Batch
    ) -> Drop | None:
        if not isinstance(record, dict):
            return Drop.WRONG_SHAPE
        return append_record(record, record, record, envelope, labels, message.arrival_s, batch)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        payload = parse_document(message.payload)
        if isinstance(payload, Drop):
            return payload
        records = payload if records_path is None else find(payload, records_path)
        if isinstance(records, list):
            return append_all(records, lambda record: append(record, payload, message, labels, batch), batch)
        if records_path is not None:
            return Drop.WRONG_SHAPE
        return append(payload, None, message, labels, batch)

    return decode
