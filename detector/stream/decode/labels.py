"""Who a record is about: the labels of the entity, from the topic or from the payload."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from detector.stream.decode.paths import find, parse_path
from detector.stream.definition import Definition
from detector.stream.nouns import Drop, Entity

LABEL_CHARS_MAX: Final = 256
"""Names on a network are shorter: 255 octets for an SNMP DisplayString and for a DNS name."""

# Control characters break logs and pages; a lone surrogate cannot be encoded when /metrics is rendered.
_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

ReadEntity = Callable[[Mapping[str, str], Any, Any], Entity | Drop]


def entity_reader(definition: Definition) -> ReadEntity:
    """Return a function of (labels of the topic, record, envelope) that gives the entity.

    The topic comes first, for a broker can restrict who publishes to it. Then the path that
    `Layout.labels` gives, or else the field of the label's name, in the record and then in the
    envelope. An empty text and null count as absent. It gives ENTITY_MISSING where a label is absent,
    and WRONG_SHAPE where one is no legal text.
    """
    paths = dict(definition.layout.labels)
    sources = tuple((label, parse_path(paths.get(label, label))) for label in definition.entity)

    def read(labels: Mapping[str, str], record: Any, envelope: Any) -> Entity | Drop:
        entity = []
        for label, path in sources:
            value = labels.get(label) or find(record, path)
            if value is None or value == "":
                value = find(envelope, path)
            text = label_text(value)
            if isinstance(text, Drop):
                return text
            entity.append(text)
        return tuple(entity)

    return read


def label_text(value: Any) -> str | Drop:
    """Return a label's value: text as it is, numbers and booleans as JSON writes them.

    ENTITY_MISSING for null and the empty text; WRONG_SHAPE for arrays, objects, numbers that are not
    finite, and text that is longer than `LABEL_CHARS_MAX` or has control characters.
    """
    if isinstance(value, str):
        return _checked(value)
    if value is None:
        return Drop.ENTITY_MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return Drop.WRONG_SHAPE


def _checked(text: str) -> str | Drop:
    if not text:
        return Drop.ENTITY_MISSING
    # `isprintable` is quick, and false of some legal characters too, a no-break space for one.
    if len(text) > LABEL_CHARS_MAX or (not text.isprintable() and _REFUSED.search(text)):
        return Drop.WRONG_SHAPE
    return text
