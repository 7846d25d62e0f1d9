"""Dotted paths into decoded JSON: `cpu.0.load` is `document["cpu"][0]["load"]`.

At every level a key that is literally the whole rest of the path wins over its first part, so that
`sys.load` finds `{"sys.load": 1}` as well as `{"sys": {"load": 1}}`.

Of an array, `sensors[name=cpu].value` takes the first object that says so of itself; there may be several
conditions, and dots on either side of the `=`, as in `ports[name=ge-0/0/1.0][state.admin=up].rx`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

ITEMS_MAX: Final = 1000
"""Of an array that is searched for one object: every signal of a record looks through them anew."""

Path = tuple[tuple[str, str, int], ...]
"""What to look for at every level: the whole rest, its first part, and that part as an index or -1."""

_CONDITION = re.compile(r"\[([^\[\]=]+)=([^\[\]]*)\]")
_CONDITIONS = re.compile(r"(?:\[[^\[\]=]+=[^\[\]]*\])+")
_DOT_OUTSIDE = re.compile(r"\.(?![^\[]*\])")
_INDEX_DIGITS_MAX = 9  # more digits than any list that fits into a message has


def parse_path(dotted: str) -> Path:
    """Return a dotted path, ready for `find`."""
    return join_path(split_path(dotted))


def split_path(dotted: str) -> list[str]:
    """Return the parts of a dotted path; conditions that stand together are a part of their own."""
    if not _CONDITIONS.search(dotted):
        return dotted.split(".")
    return _DOT_OUTSIDE.split(_CONDITIONS.sub(r".\g<0>", dotted).removeprefix("."))


def join_path(parts: Sequence[str]) -> Path:
    """Return the path of some parts, ready for `find`; that of none is the document itself."""
    path: list[tuple[str, str, int]] = []
    rest = ""
    for part in reversed(parts):
        rest = f"{part}{'.' if path and rest[:1] != '[' else ''}{rest}"
        path.append((rest, part, _index(part)))
    return tuple(reversed(path))


def find(document: Any, path: Path) -> Any:
    """Return what stands at the path, None where nothing does."""
    value = document
    for rest, part, index in path:
        if isinstance(value, dict):
            if rest in value:
                return value[rest]
            value = value.get(part)
        elif isinstance(value, list):
            value = _item(value, part) if index < 0 else value[index] if index < len(value) else None
        else:
            return None
    return value


def _index(part: str) -> int:
    # `isdigit` alone is true of characters that `int` refuses.
    if part.isascii() and part.isdigit() and len(part) <= _INDEX_DIGITS_MAX:
        return int(part)
    return -1


def _item(items: Sequence[Any], conditions: str) -> Any:
    """Return the first of the items that meets the conditions, None where none does."""
    wanted = _parsed(conditions)
    if not wanted:
        return None
    for item in items[:ITEMS_MAX]:
        if isinstance(item, dict) and all(_text(find(item, path)) == text for path, text in wanted):
            return item
    return None


@lru_cache(maxsize=1024)  # as many as two streams of the most signals have paths; nobody else asks
def _parsed(conditions: str) -> tuple[tuple[Path, str], ...]:
    return tuple((parse_path(field), text) for field, text in _CONDITION.findall(conditions))


def _text(value: Any) -> str | None:
    """Return how a condition writes a value: numbers and booleans as JSON does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
