"""Format `value`: the payload is one number or word as text, and the topic says of what.

shellies/{device}/relay/0/{signal}    12.5
"""

from __future__ import annotations

from collections.abc import Mapping

from detector.stream.decode.labels import entity_reader
from detector.stream.decode.numbers import NUMBER_CHARS_MAX, number_of, words_of
from detector.stream.decode.records import Decode, signal_fields, write
from detector.stream.decode.topic import template_of
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message


def value_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: There are several signals, and the topic has no `{signal}` to tell them apart.
    """
    named = "signal" in template_of(definition).labels
    if not named and len(definition.signals) > 1:
        raise ValueError(f"stream {definition.name!r}: several signals need {{signal}} in the topic")
    signals = {field: index for index, field in enumerate(signal_fields(definition))}
    words = tuple(words_of(column) for column in definition.columns)
    read_entity = entity_reader(definition)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        text = _text(message.payload)
        if isinstance(text, Drop):
            return text
        signal = signals.get(labels.get("signal", "")) if named else 0
        if signal is None or text == "null":
            return Drop.NO_SIGNAL
        entity = read_entity(labels, None, None)
        if isinstance(entity, Drop):
            return entity
        number = number_of(text, words[signal])
        if isinstance(number, Drop):
            batch.dropped[number] += 1
            return Drop.NO_SIGNAL
        write(batch, entity, message.arrival_s, [signal], [number])
        return None

    return decode


def _text(payload: bytes) -> str | Drop:
    """Return the payload as text, or why it cannot be one value of any kind."""
    value = payload.rstrip(b"\0").strip()
    if not value:
        return Drop.PAYLOAD_EMPTY
    if value[0] in b"{[" or len(value) > NUMBER_CHARS_MAX:
        return Drop.WRONG_SHAPE
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Drop.NOT_UTF8
