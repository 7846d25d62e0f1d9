"""The entity of a record that was seen before, by one look-up."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from detector.stream.decode.labels import LABEL_CHARS_MAX, ReadEntity
from detector.stream.decode.topic import Template
from detector.stream.definition import Definition
from detector.stream.nouns import Drop, Entity

NAMES_AN_ENTITY: Final = 2
"""Names that are remembered for each entity that the stream has room for. Beyond, all are forgotten and read
anew: names without end take no more memory than the entities that they would like to be."""


def remembering(read: ReadEntity, definition: Definition) -> ReadEntity:
    """Return a reader that looks at a name once: it is one look-up from then on.

    It remembers entities whose labels are texts at the top of topic and record. The others, and those that
    have labels from elsewhere (user properties, patterns), are read as before.
    """
    if definition.layout.patterns:
        return read
    topic_labels = Template(definition.topic).labels if definition.topic else ()
    paths = dict(definition.layout.labels)
    of_topic = [label for label in definition.entity if label in topic_labels]
    of_record = [paths.get(label, label) for label in definition.entity if label not in topic_labels]
    topic_part = itemgetter(*of_topic) if of_topic else _nothing
    record_part = itemgetter(*of_record) if of_record else _nothing
    known: dict[tuple[Any, Any], Entity] = {}
    names_max = NAMES_AN_ENTITY * definition.entities_max

    def read_or_remember(labels: Mapping[str, str], record: Any, envelope: Any) -> Entity | Drop:
        if len(labels) != len(topic_labels):
            return read(labels, record, envelope)
        try:
            key = topic_part(labels), record_part(record)
            entity = known.get(key)
        except (KeyError, TypeError):  # absent; or it cannot be a key, being no text
            return read(labels, record, envelope)
        if entity is not None:
            return entity
        found = read(labels, record, envelope)
        if isinstance(found, tuple) and _is_text(key[0]) and _is_text(key[1]):
            if len(known) >= names_max:
                known.clear()
            known[key] = found
        return found

    return read_or_remember


def _nothing(_place: Any) -> str:
    return "nothing"


def _is_text(part: Any) -> bool:
    """Say whether a label, or each of several, is text that decides alone, and no longer than labels are."""
    parts = part if isinstance(part, tuple) else (part,)
    return all(isinstance(one, str) and 0 < len(one) <= LABEL_CHARS_MAX for one in parts)
