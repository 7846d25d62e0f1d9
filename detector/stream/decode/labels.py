"""Who a record is about: the labels of the entity, from the topic or from the payload."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from detector.stream.decode.paths import find, parse_path
from detector.stream.decode.patterns import pattern_groups, pattern_reader
from detector.stream.definition import Definition
from detector.stream.nouns import Drop, Entity

LABEL_CHARS_MAX: Final = 256
"""Names on a network are shorter: 255 octets for an SNMP DisplayString and for a DNS name. A longer text is
a message in the wrong field; cut, two of them could become one entity."""
TOPIC: Final = "topic"
"""The pattern that is about the topic goes by this name."""
TEXTS_MAX: Final = 16_384
"""Texts of which a pattern remembers what was in them; each is shorter than `LABEL_CHARS_MAX`, all are some
megabytes. Names beyond are looked into anew, in four microseconds."""

# Control characters break logs and pages, and so do those that break lines or turn the writing direction;
# a lone surrogate cannot be encoded when /metrics is rendered.
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_AROUND = "\0" + "".join(filter(str.isspace, map(chr, range(0x3001))))  # the NUL ends a string of C

ReadEntity = Callable[[Mapping[str, str], Any, Any], Entity | Drop]


def entity_reader(definition: Definition) -> ReadEntity:
    """Return a function of (labels of the topic, record, envelope) that gives the entity.

    What a pattern found comes first, for an operator has asked for it. Then the topic, for a broker can
    restrict who publishes to it, with the user properties of the message where it has no such label. Then
    the path that `Layout.labels` gives, or else the field of the label's name, in the record and then in the
    envelope. An empty text and null count as absent. It gives ENTITY_MISSING where a label is absent,
    WRONG_SHAPE where one is no legal text, and LABEL_REFUSED where one is not allowed.

    Raises:
        ValueError: A pattern is malformed; the message says how.
    """
    read = _plain_reader(definition, definition.entity)
    if any(source != TOPIC for source, _ in definition.layout.patterns):
        read = _with_patterns(read, definition)
    return _with_allowed(read, definition) if definition.layout.allow else read


def check_labels(definition: Definition) -> None:
    """Check what the layout says of labels.

    Raises:
        ValueError: A label, a pattern or what is allowed makes no sense; the message says why.
    """
    for label, _ in definition.layout.labels:
        if label not in named_labels(definition):
            raise ValueError(f"labels: {label!r} is no label of the entity")
    for source, expression in definition.layout.patterns:
        signal = ("signal",) if source == TOPIC else ()  # a level of the topic can name it too
        for group in pattern_groups(expression):
            if group not in (*definition.entity, *signal):
                raise ValueError(f"pattern {expression!r}: {group!r} is no label of the entity")
    for label, texts in definition.layout.allow:
        if label not in definition.entity:
            raise ValueError(f"allow: {label!r} is no label of the entity")
        for text in texts:
            if "*" in text[1:-1] or (len(text) > 1 and text[0] == text[-1] == "*"):
                raise ValueError(f"allow: {text!r}: a * stands at one end")


def label_sources(definition: Definition) -> frozenset[str]:
    """Return where in a record the labels of the entity are looked for, and the texts of patterns."""
    paths = dict(definition.layout.labels)
    texts = (source for source, _ in definition.layout.patterns if source != TOPIC)
    return frozenset(paths.get(name, name) for name in (*definition.entity, *texts))


def missing_labels(
    definition: Definition, labels: Mapping[str, str], record: Any, envelope: Any
) -> tuple[str, ...]:
    """Return the labels of the entity that are absent; arguments as of `entity_reader`'s function."""
    found = _pattern_reader(definition)(labels, record, envelope)
    readers = ((label, _plain_reader(definition, (label,))) for label in definition.entity)
    return tuple(label for label, read in readers if read(found, record, envelope) is Drop.ENTITY_MISSING)


def _plain_reader(definition: Definition, entity: Sequence[str]) -> ReadEntity:
    paths = dict(definition.layout.labels)
    sources = tuple((label, parse_path(paths.get(label, label))) for label in entity)

    def read(labels: Mapping[str, str], record: Any, envelope: Any) -> Entity | Drop:
        texts = []
        for label, path in sources:
            value = labels.get(label) or find(record, path)
            if value is None or value == "":
                value = find(envelope, path)
            text = label_text(value)
            if isinstance(text, Drop):
                return text
            texts.append(text)
        return tuple(texts)

    return read


def _with_patterns(read: ReadEntity, definition: Definition) -> ReadEntity:
    find_labels = _pattern_reader(definition)
    return lambda labels, record, envelope: read(find_labels(labels, record, envelope), record, envelope)


def _pattern_reader(definition: Definition) -> Callable[[Mapping[str, str], Any, Any], Mapping[str, str]]:
    """Return a function that gives the labels that it gets, with those that patterns find."""
    paths = dict(definition.layout.labels)
    sources = tuple(
        (source, parse_path(paths.get(source, source)), lru_cache(TEXTS_MAX)(pattern_reader(expression)))
        for source, expression in definition.layout.patterns
        if source != TOPIC
    )

    def read(labels: Mapping[str, str], record: Any, envelope: Any) -> Mapping[str, str]:
        found = dict(labels)
        for source, path, groups in sources:
            value = labels.get(source) or find(record, path)
            text = label_text(find(envelope, path) if value is None or value == "" else value)
            if not isinstance(text, Drop):
                found.update(groups(text))
        return found

    return read


def _with_allowed(read: ReadEntity, definition: Definition) -> ReadEntity:
    checks = tuple(
        (definition.entity.index(label), _allows(texts)) for label, texts in definition.layout.allow
    )

    def read_allowed(labels: Mapping[str, str], record: Any, envelope: Any) -> Entity | Drop:
        entity = read(labels, record, envelope)
        if isinstance(entity, tuple) and not all(allows(entity[index]) for index, allows in checks):
            return Drop.LABEL_REFUSED
        return entity

    return read_allowed


def _allows(texts: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a text is one of those, of which a `*` at one end stands for any text."""
    exact = frozenset(texts)
    starts = tuple(text[:-1] for text in texts if text.endswith("*"))
    ends = tuple(text[1:] for text in texts if text.startswith("*"))
    return lambda text: text in exact or text.startswith(starts) or text.endswith(ends)


def named_labels(definition: Definition) -> frozenset[str]:
    """Return the labels that somebody asks for: those of the entity, and those that a pattern looks into."""
    return frozenset((*definition.entity, *(source for source, _ in definition.layout.patterns)))


def completed(labels: Mapping[str, str], others: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return labels, with others where there is none or an empty one."""
    missing = {name: text for name, text in others if not labels.get(name)}
    return {**labels, **missing} if missing else labels


def label_text(value: Any) -> str | Drop:
    """Return a label's value: text as `clean` leaves it, numbers and booleans as JSON writes them.

    ENTITY_MISSING for null and the empty text; WRONG_SHAPE for arrays, objects, numbers that are not
    finite, and text that is longer than `LABEL_CHARS_MAX`.
    """
    if isinstance(value, str):
        text = clean(value)
        if len(text) > LABEL_CHARS_MAX:
            return Drop.WRONG_SHAPE
        return text or Drop.ENTITY_MISSING
    if value is None:
        return Drop.ENTITY_MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return Drop.WRONG_SHAPE


def beside(labels: Mapping[str, str], named: Mapping[str, str]) -> Mapping[str, str]:
    """Return the labels that a format does not name itself, from its own topics, which go before them."""
    return labels if labels.keys().isdisjoint(named) else {k: v for k, v in labels.items() if k not in named}


def clean(text: str) -> str:
    """Return a text without what is around it and means nothing, and with U+FFFD for what cannot be shown.

    Replaced, not refused: a tab in a description, or half an emoji where an agent cut it, is in every
    message of an entity, and would cost all its telemetry.
    """
    if text.isprintable():  # quick, and false of some legal characters too, a no-break space for one
        return text.strip()
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text.strip(_AROUND))
