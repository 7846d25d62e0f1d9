"""Where the records of a document are: in an array, or in an object whose keys are a label.

`data.ports` is an array of records. `ports.{interface}` says that under every key of the object `ports` is
a record, or an array of them, and that the key is the label `interface`; `{_}` is any key, ignored::

    {"ports": {"eth0": {"rx": 1}, "eth1": {"rx": 2}}}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from detector.stream.decode.labels import named_labels
from detector.stream.decode.paths import Path, find, join_path, split_path
from detector.stream.definition import Definition
from detector.stream.nouns import Drop

_KEY = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)\}")


class Place(NamedTuple):
    """A record, and the labels that the keys on the way to it are."""

    record: Any
    keys: Mapping[str, str] = {}


ReadPlaces = Callable[[Any], "list[Place] | Drop"]


def places_reader(definition: Definition) -> ReadPlaces:
    """Return a function of a document that gives its records.

    They are at `Layout.records`, and WRONG_SHAPE says that no array, or no object with keys, is there. Where
    that is empty, they are the items of an array, or the document itself.

    Raises:
        ValueError: A level is neither a key nor a label that somebody asks for.
    """
    if not definition.layout.records:
        return lambda document: list(_records(Place(document)))
    steps, last = _steps(definition)

    def read(document: Any) -> list[Place] | Drop:
        places = [Place(document)]
        for path, label in steps:
            objects = [Place(find(one.record, path), one.keys) for one in places]
            if not any(isinstance(one.record, dict) for one in objects):
                return Drop.WRONG_SHAPE
            places = [under for one in objects for under in _under(one, label)]
        found = [Place(find(one.record, last), one.keys) for one in places]
        if not steps and not isinstance(found[0].record, list):
            return Drop.WRONG_SHAPE
        return [record for one in found for record in _records(one)]

    return read


def _steps(definition: Definition) -> tuple[list[tuple[Path, str]], Path]:
    """Return the way to each object with keys, with the label that these are; and the rest of the way."""
    asked = named_labels(definition) | {"_"}
    steps: list[tuple[Path, str]] = []
    parts: list[str] = []
    for part in split_path(definition.layout.records):
        key = _KEY.fullmatch(part)
        if key and key[1] not in asked:
            raise ValueError(f"records: {key[1]!r} is no label of the entity")
        if key:
            steps.append((join_path(parts), key[1]))
            parts = []
        elif "{" in part or "}" in part:
            raise ValueError(f"records: {part!r} is neither a key nor {{label}}")
        else:
            parts.append(part)
    return steps, join_path(parts)


def _under(place: Place, label: str) -> Iterator[Place]:
    """Yield what stands under the keys of an object; of anything else nothing."""
    if isinstance(place.record, dict):
        for key, inner in place.record.items():
            yield Place(inner, place.keys if label == "_" else {**place.keys, label: key})


def _records(place: Place) -> Iterator[Place]:
    """Yield the items of an array, anything else as it is, and nothing of nothing."""
    if isinstance(place.record, list):
        for item in place.record:
            yield Place(item, place.keys)
    elif place.record is not None:
        yield place
