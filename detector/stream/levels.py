"""By which labels the entities of the streams are grouped.

A level is some labels: those of one level that have the same values of them are a group. A stream brings in
the levels that it names, or else each proper prefix of its entity and each label that `group_patterns` finds;
and a level counts for all streams that have its labels. So `device` groups the interfaces of a device with
its BGP peers and with the device itself.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

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


def check_levels(definition: Definition, reserved: Container[str]) -> None:
    """Refuse levels that no entity of a stream can have, and labels that nobody groups by.

    Args:
        definition: The stream.
        reserved: Names that a label may not have.

    Raises:
        ValueError: What is wrong, the key first.
    """
    for label, _ in definition.group_patterns:
        if label not in definition.entity:
            raise ValueError(f"group_patterns: {label!r} is no label of the entity")
    _check_found(definition, reserved)
    for level in definition.groups or ():
        if not level or len(set(level)) < len(level):
            raise ValueError(f"groups: {list(level)}: a group has a label at least, and none twice")
        for label in level:
            if label not in group_labels(definition):
                raise ValueError(f"groups: {label!r} is no label of the entity, and no pattern finds it")


def _check_found(definition: Definition, reserved: Container[str]) -> None:
    labels = group_labels(definition)
    for label in labels[len(definition.entity) :]:
        if not label.isascii() or label.startswith("__"):
            raise ValueError(f"group_patterns: {label!r} is not a legal Prometheus label name")
        if label in reserved or labels.count(label) > 1:
            raise ValueError(f"group_patterns: {label!r} is taken")
        if not any(label in level for level in levels_of(definition)):
            raise ValueError(f"group_patterns: {label!r} is in none of groups")


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
