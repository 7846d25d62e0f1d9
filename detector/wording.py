"""How `check` says things: lists that end, names that do no harm to a screen, and how far a time is off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

NAMES_SHOWN: Final = 12


def counted(counts: Counter[str]) -> str:
    """Return names with how often each was seen, the most frequent first."""
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def some(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    first = ", ".join(shown(name) for name in names[:NAMES_SHOWN])
    return f"{first} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else first


def shown(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return text if text.isprintable() else repr(text)


def off_by(ahead_s: float) -> str:
    """Return how far a time is from its arrival."""
    return f"{ahead_s:.0f} s ahead" if ahead_s > 0 else f"{-ahead_s:.0f} s old"
