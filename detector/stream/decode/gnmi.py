"""The tree that gNMI speaks of: paths with keys, and JSON below them, whoever wrote them down.

A path is text, `openconfig:interfaces/interface[name=Ethernet1]/state`, or elements as in protobuf's JSON,
`{"elem": [{"name": "interface", "key": {"name": "Ethernet1"}}]}`. What stands at a path is a leaf, or JSON;
in that, the entries of lists have their keys among their leaves. Names of modules (`openconfig-interfaces:`)
do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from detector.stream.decode.gnmi_values import leaf_value

PATH_CHARS_MAX: Final = 512
"""A longer path is none: those of OpenConfig are below 200, with the names of interfaces in them."""
ELEMENTS_MAX: Final = 32
"""Of a path; the deepest in YANG models have half of it."""
PATHS_MAX: Final = 50_000
"""Paths of which is remembered what they say: five an interface of ten large routers, thirty megabytes.
Beyond, all are read anew."""

Labels = tuple[tuple[str, str | int], ...]
Take = Callable[[Labels, str, Any], None]
_Names = tuple[str, ...]
_Element = tuple[str, Mapping[str, str]]  # its name and its keys


class Path(NamedTuple):
    """Its last names; keys that are wanted as labels, and those of its last element; the field that it is."""

    names: _Names
    labels: Labels = ()
    last: Labels = ()
    field: str | None = None


ROOT: Final = Path(())


class Tree:
    """What a stream wants of the tree: labels of keys, and fields of leaves.

    A key is the label `<element>_<key>`, as gnmic names it: `interface_name`. A field is the end of a leaf's
    path, whole elements of it: `in-octets`, `state/counters/in-octets`. The longest that fits wins.

    Args:
        fields: What signals are called.
        labels: The labels that somebody asks for.

    Raises:
        ValueError: A field is no path, or has keys.
    """

    def __init__(self, fields: Iterable[str], labels: Iterable[str]) -> None:
        self.labels: Collection[str] = frozenset(labels)
        self._wanted = {_field_names(field): field for field in fields}
        self._depth = max(map(len, self._wanted))
        self._leaves = frozenset(names[-1] for names in self._wanted)
        self._paths: dict[str | bytes, Path | None] = {}
        self._prefixes: dict[bytes, str | None] = {}
        self._below: dict[tuple[_Names, str], tuple[_Names, str | None]] = {}

    def path(self, written: Any, prefix: str = "") -> Path | None:
        """Return a path below a prefix, however it is written; the root of nothing, None of no path."""
        if isinstance(written, str):
            key: str | bytes = f"{prefix}/{written}" if prefix else written
        else:
            try:
                key = orjson.dumps((prefix, written))
            except TypeError:  # a lone surrogate
                return None
        if key in self._paths:
            return self._paths[key]
        above, below = _elements(prefix), _elements(written)
        path = None if above is None or below is None else self._path_of(above + below)
        return _remember(self._paths, key, path, len(key))

    def prefix(self, written: Any) -> str | None:
        """Return a prefix as text, for `path`; None where it is no path."""
        if not isinstance(written, dict):
            text = as_text(written)
        else:
            try:
                key = orjson.dumps(written)
            except TypeError:
                return None
            known = self._prefixes.get(key)
            text = known or _remember(self._prefixes, key, as_text(written), len(key))
        return None if text is None or self.path(text) is None else text

    def fields_at(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields among leaves that are named by their whole paths."""
        fields: dict[str, Any] = {}
        known = self._paths
        for written, value in values.items():
            path = known[written] if written in known else self.path(written)
            if path is not None and path.field is not None and path.field not in fields:
                fields[path.field] = value if type(value) is int else leaf_value(value)
        return fields

    def take_leaves(self, path: Path, value: Any, take: Take) -> None:
        """Hand over labels, field and value of each leaf at and below a path that is a field."""
        if isinstance(value, dict) and len(value) == 1 and path.names:
            name, inner = next(iter(value.items()))
            if ":" in name and _plain(name) == path.names[-1]:  # SONiC says the container's name once more
                value = inner
        self._walk(path.names, path.labels, path.field, value, take)

    def _walk(self, names: _Names, labels: Labels, field: str | None, value: Any, take: Take) -> None:
        if isinstance(value, dict):
            known = self._below
            for name, inner in value.items():
                below, leaf = known.get((names, name)) or self._step(names, name)
                if isinstance(inner, (dict, list)):
                    self._walk(below, labels, leaf, inner, take)
                elif leaf is not None and inner is not None:
                    take(labels, leaf, leaf_value(inner))
        elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            for entry in value:
                self._walk(names, self._entry_labels(names, labels, entry), field, entry, take)
        elif field is not None and value is not None:
            take(labels, field, leaf_value(value))

    def _step(self, names: _Names, name: str) -> tuple[_Names, str | None]:
        """Return the last names of the path to a child, and the field that it is, if one."""
        below = (*names, _plain(name))[-self._depth :]
        found = below, self._field(below)
        return _remember(self._below, (names, name), found, sum(map(len, names)) + len(name))

    def _field(self, names: _Names) -> str | None:
        if not names or names[-1] not in self._leaves:
            return None
        ends = (names[start:] for start in range(len(names)))
        return next((self._wanted[end] for end in ends if end in self._wanted), None)

    def _entry_labels(self, names: _Names, labels: Labels, entry: Any) -> Labels:
        """Return the labels of an entry of a list: its keys are among its leaves."""
        if not isinstance(entry, dict) or not names:
            return labels
        leaves = ((f"{names[-1]}_{_plain(name)}", leaf) for name, leaf in entry.items())
        own = {one: leaf for one, leaf in leaves if one in self.labels and isinstance(leaf, (str, int))}
        return tuple({**dict(labels), **own}.items()) if own else labels

    def _path_of(self, elements: Sequence[_Element]) -> Path:
        labels: dict[str, str | int] = {}
        last: dict[str, str | int] = {}
        for name, keys in elements:
            named = ((f"{name}_{key}", value) for key, value in keys.items())
            last = {label: value for label, value in named if label in self.labels}
            labels |= last
        names = tuple(name for name, _ in elements[-self._depth :])
        return Path(names, tuple(labels.items()), tuple(last.items()), self._field(names))


class WholeTree(Tree):
    """What there is in the tree: each key a label, and each leaf a field by its whole path."""

    def __init__(self) -> None:
        super().__init__(["any"], ())
        self._depth = ELEMENTS_MAX
        self.labels = _Everything()

    def _field(self, names: _Names) -> str | None:
        return "/".join(names)


class _Everything(tuple[str, ...]):
    """All labels that there may be; none of them known by name."""

    __slots__ = ()

    def __contains__(self, _label: object) -> bool:
        return True


_Key = TypeVar("_Key")
_Found = TypeVar("_Found")


def _remember(known: dict[_Key, _Found], key: _Key, found: _Found, chars: int) -> _Found:
    """Remember what was found, unless its key is long, and return it."""
    if chars <= PATH_CHARS_MAX:
        if len(known) >= PATHS_MAX:
            known.clear()
        known[key] = found
    return found


# Paths

_ELEMENT = re.compile(r"([^/\[\]]*)((?:\[[^\[\]=]+=(?:\\.|[^\\\]])*+\])*+)(?:/|$)", re.DOTALL)
_KEY = re.compile(r"\[([^\[\]=]+)=((?:\\.|[^\\\]])*+)\]", re.DOTALL)
_SPECIAL = re.compile(r"[\\\]]")
_ESCAPE = r"\\\g<0>"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _plain(name: str) -> str:
    """Return the name of an element without that of its module, or of the origin of the path."""
    return name.rpartition(":")[2]


def _field_names(field: str) -> _Names:
    elements = _elements(field)
    if not elements:
        raise ValueError(f"signal field {field!r} is no path")
    if any(keys for _, keys in elements):
        raise ValueError(f"signal field {field!r}: the keys of a path are labels, and stand in no field")
    return tuple(name for name, _ in elements)


def as_text(written: Any) -> str | None:
    """Return a path as text; that of nothing is empty, and None is what is no path."""
    if isinstance(written, str):
        return written if len(written) <= PATH_CHARS_MAX else None
    elements = _elements(written)
    return None if elements is None else "/".join(name + _keys_as_text(keys) for name, keys in elements)


def _keys_as_text(keys: Mapping[str, str]) -> str:
    return "".join(f"[{key}={_SPECIAL.sub(_ESCAPE, value)}]" for key, value in keys.items())


def _elements(written: Any) -> list[_Element] | None:
    """Return the elements of a path, each with its keys; none of nothing, None where it is no path."""
    if written is None:
        return []
    if isinstance(written, str):
        return _elements_of_text(written) if len(written) <= PATH_CHARS_MAX else None
    listed = written.get("elem", []) if isinstance(written, dict) else None
    if not isinstance(listed, list) or len(listed) > ELEMENTS_MAX:
        return None
    elements = [_element(one) for one in listed]
    return None if None in elements else [one for one in elements if one is not None]


def _elements_of_text(text: str) -> list[_Element] | None:
    elements: list[_Element] = []
    start = 0
    while start < len(text):
        match = _ELEMENT.match(text, start)
        if match is None or len(elements) > ELEMENTS_MAX:
            return None
        name = _plain(match[1])
        keys = {_plain(key): _ESCAPED.sub(r"\1", value) for key, value in _KEY.findall(match[2])}
        if name:  # none is before the first slash, and behind the last one
            elements.append((name, keys))
        elif keys:
            return None
        start = match.end()
    return elements


def _element(written: Any) -> _Element | None:
    """Return an element of a path as protobuf's JSON has it, with its keys; None where it is none."""
    name = written.get("name") if isinstance(written, dict) else None
    keys = written.get("key", {}) if isinstance(written, dict) else None
    if not isinstance(name, str) or not name or not isinstance(keys, dict):
        return None
    return _plain(name), {_plain(key): value for key, value in keys.items() if isinstance(value, str)}
