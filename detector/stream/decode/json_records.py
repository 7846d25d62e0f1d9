"""Format `json`: an object, an array of objects, or an object that has them somewhere; see `places`.

A record is an object with the values of one entity, flat or nested; labels and time are in it, or in
the envelope around an array, or in the topic::

    {"device": "r1", "ts": 1760000000, "ports": [{"name": "eth0", "rx": {"bytes": 1}}, ...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detector.stream.decode.documents import parse_document
from detector.stream.decode.labels import completed
from detector.stream.decode.places import Place, places_reader
from detector.stream.decode.records import Decode, append_all, record_appender, signal_fields
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message


def json_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format."""
    append_record = record_appender(definition, taken=signal_fields(definition))
    read_places = places_reader(definition) if definition.layout.records else None

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
        if read_places is not None:
            return append_places(read_places(payload), payload, message, labels, batch)
        if isinstance(payload, list):
            return append_all(payload, lambda record: append(record, payload, message, labels, batch), batch)
        return append(payload, None, message, labels, batch)

    def append_places(
        places: list[Place] | Drop, envelope: Any, message: Message, labels: Mapping[str, str], batch: Batch
    ) -> Drop | None:
        if isinstance(places, Drop):
            return places
        return append_all(
            places,
            lambda one: append(one.record, envelope, message, completed(labels, one.keys.items()), batch),
            batch,
        )

    return decode
