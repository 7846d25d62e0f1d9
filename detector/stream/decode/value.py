"""Format `value`: the payload is one number or word as text, and the topic says of what.

    shellies/{device}/relay/0/{signal}    12.5

Some publish every value as JSON: the quotes around a text do not count.
"""

from __future__ import annotations

from codecs import BOM_UTF8
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
    fields = signal_fields(definition)
    signals = {field: [index for index, one in enumerate(fields) if one == field] for field in fields}
    only = [0]
    words = tuple(words_of(column) for column in definition.columns)
    read_entity = entity_reader(definition)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        text = _text(message.payload)
        if isinstance(text, Drop):
            return text
        named_by = signals.get(labels.get("signal", ""), ()) if named else only
        if not named_by or text == "null":
            return Drop.NO_SIGNAL
        entity = read_entity(labels, None, None)
        if isinstance(entity, Drop):
            return entity
        taken, values = [], []
        for signal in named_by:
            number = number_of(text, words[signal])
            if isinstance(number, Drop):
                batch.dropped[number] += 1
            else:
                taken.append(signal)
                values.append(number)
        if not taken:
            return Drop.NO_SIGNAL
        write(batch, entity, message.arrival_s, taken, values)
        return None

    return decode


def _text(payload: bytes) -> str | Drop:
    """Return the payload as text, or why it cannot be one value of any kind."""
    value = payload.removeprefix(BOM_UTF8).rstrip(b"\0").strip()
    if value[:1] == value[-1:] == b'"':
        value = value[1:-1].strip()
    if not value:
        return Drop.PAYLOAD_EMPTY
    if value[0] in b"{[" or len(value) > NUMBER_CHARS_MAX:
        return Drop.WRONG_SHAPE
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Drop.NOT_UTF8
