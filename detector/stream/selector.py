"""Which entities an operator means: globs on labels, as in `{ device = "leaf*", ifName = "eth?" }`.

A glob is that of `fnmatch`: `*` any text, `?` one character, `[a-c]` one of some, `[!a]` one of the others.
Upper and lower case differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache

from detector.stream.definition import Match
from detector.stream.nouns import Entity

TEXTS_MAX = 16_384
"""Texts of a label of which is remembered what fits them: names of devices, or of the interfaces that most
of them share. One beyond costs a look with each glob."""


class Selectors:
    """Some selectors, asked together: an entity costs a look-up a label, however many there are.

    Args:
        labels: The labels of an entity.
        matches: The selectors; each label is one of those, and no glob is empty.
    """

    def __init__(self, labels: Sequence[str], matches: Sequence[Match]) -> None:
        self._all = (1 << len(matches)) - 1
        self._readers = [lru_cache(TEXTS_MAX)(_reader(label, matches)) for label in labels]

    def fitting(self, entity: Entity) -> int:
        """Return which selectors fit an entity: bit `i` is that of the one at `i`."""
        fitting = self._all
        for read, text in zip(self._readers, entity, strict=True):
            fitting &= read(text)
        return fitting


def _reader(label: str, matches: Sequence[Match]) -> Callable[[str], int]:
    """Return what gives the selectors that a text of one label does not speak against."""
    globs = [dict(match).get(label) for match in matches]
    silent = sum(1 << index for index, glob in enumerate(globs) if not glob)
    asked = [(1 << index, re.compile(translate(glob)).match) for index, glob in enumerate(globs) if glob]
    return lambda text: silent | sum(bit for bit, fits in asked if fits(text))
