"""By which labels the entities of the streams are grouped.

A level is some labels: those of one level that have the same values of them are a group. A stream brings in
the levels that it names, or else each proper prefix of its entity and each label that `group_patterns` finds;
and a level counts for all streams that have its labels. So `device` groups the interfaces of a device with
its BGP peers and with the device itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from detector.stream.decode.patterns import pattern_groups, pattern_reader
from detector.stream.definition import Definition
from detector.stream.nouns import Entity

Level = tuple[str, ...]
"""Names of labels."""
Values = tuple[str, ...]
"""The values of the labels of a level: which group of it."""


def group_labels(definition: Definition) -> tuple[str, ...]:
    """Return the labels by which a stream can be grouped: of the entity, and found in those by a pattern."""
    found = [name for _, expression in definition.group_patterns for name in pattern_groups(expression)]
    return (*definition.entity, *found)


def levels_of(definition: Definition) -> tuple[Level, ...]:
    """Return the levels that a stream brings in."""
    if definition.groups is not None:
        return definition.groups
    entity = definition.entity
    prefixes = [entity[:size] for size in range(1, len(entity))]
    return (*((name,) for name in group_labels(definition)[len(entity) :]), *prefixes)


def levels(definitions: Iterable[Definition]) -> tuple[Level, ...]:
    """Return the levels of all streams, each once, in whatever order its labels stand."""
    found = {frozenset(level): level for one in reversed(list(definitions)) for level in levels_of(one)}
    return tuple(reversed(found.values()))


def reader(definition: Definition, level: Level) -> Callable[[Entity], Values | None] | None:
    """Return what gives an entity's group of a level, None where a pattern finds none.

    Itself None where the stream does not have the labels.
    """
    names = definition.entity
    if not set(level) <= set(group_labels(definition)):
        return None
    patterns = [
        (names.index(label), pattern_reader(expression))
        for label, expression in definition.group_patterns
        if not set(level).isdisjoint(pattern_groups(expression))
    ]

    def read(entity: Entity) -> Values | None:
        labels = dict(zip(names, entity, strict=True))
        for place, groups in patterns:
            labels.update(groups(entity[place]))
        return tuple(labels[name] for name in level) if labels.keys() >= set(level) else None

    return read
