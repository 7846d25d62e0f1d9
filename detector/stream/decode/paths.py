"""Dotted paths into decoded JSON: `cpu.0.load` is `document["cpu"][0]["load"]`.

At every level a key that is literally the whole rest of the path wins over its first part, so that
`sys.load` finds `{"sys.load": 1}` as well as `{"sys": {"load": 1}}`.
"""

from __future__ import annotations

from typing import Any

Path = tuple[tuple[str, str, int], ...]
"""What to look for at every level: the whole rest, its first part, and that part as an index or -1."""

_INDEX_DIGITS_MAX = 9  # more digits than any list that fits into a message has


def parse_path(dotted: str) -> Path:
    """Return a dotted path, ready for `find`."""
    parts = dotted.split(".")
    return tuple((".".join(parts[level:]), part, _index(part)) for level, part in enumerate(parts))


def find(document: Any, path: Path) -> Any:
    """Return what stands at the path, None where nothing does."""
    value = document
    for rest, part, index in path:
        if isinstance(value, dict):
            if rest in value:
                return value[rest]
            value = value.get(part)
        elif isinstance(value, list) and 0 <= index < len(value):
            value = value[index]
        else:
            return None
    return value


def _index(part: str) -> int:
    # `isdigit` alone is true of characters that `int` refuses.
    if part.isascii() and part.isdigit() and len(part) <= _INDEX_DIGITS_MAX:
        return int(part)
    return -1
