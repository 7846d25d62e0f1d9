"""Format `value`: the payload is one number as text, and the topic says of what.

shellies/{device}/relay/0/{signal}    12.5
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Final

from detector.stream.decode.labels import entity_reader
from detector.stream.decode.records import Decode, signal_fields, write
from detector.stream.decode.topic import Template
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

VALUE_BYTES_MAX: Final = 512
"""The largest float64 written out without an exponent has 309 digits, and as many again may follow."""

_WORDS = {b"true": 1.0, b"false": 0.0}


def value_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: There are several signals, and the topic has no `{signal}` to tell them apart.
    """
    named = "signal" in Template(definition.topic).labels
    if not named and len(definition.signals) > 1:
        raise ValueError(f"stream {definition.name!r}: several signals need {{signal}} in the topic")
    signals = {field: index for index, field in enumerate(signal_fields(definition))}
    read_entity = entity_reader(definition)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        text = message.payload.rstrip(b"\0").strip()
        refusal = _check(text)
        if refusal is not None:
            return refusal
        signal = signals.get(labels["signal"]) if named else 0
        if signal is None or text == b"null":
            return Drop.NO_SIGNAL
        entity = read_entity(labels, None, None)
        if isinstance(entity, Drop):
            return entity
        number = parse_value(text)
        if isinstance(number, Drop):
            batch.dropped[number] += 1
            return Drop.NO_SIGNAL
        write(batch, entity, message.arrival_s, [signal], [number])
        return None

    return decode


def parse_value(text: bytes) -> float | Drop:
    """Return the number, 1 and 0 for JSON's booleans; else NOT_A_NUMBER or NOT_FINITE."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        number = float(text)
    except ValueError:
        return Drop.NOT_A_NUMBER
    if b"_" in text:  # a digit separator in Python, nowhere else
        return Drop.NOT_A_NUMBER
    return number if isfinite(number) else Drop.NOT_FINITE


def _check(text: bytes) -> Drop | None:
    """Return why the payload cannot be one value of any kind."""
    if not text:
        return Drop.PAYLOAD_EMPTY
    if text[0] in b"{[" or len(text) > VALUE_BYTES_MAX:
        return Drop.WRONG_SHAPE
    try:
        text.decode()
    except UnicodeDecodeError:
        return Drop.NOT_UTF8
    return None
