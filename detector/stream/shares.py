"""How many entities have a budget together: those that share a label."""

from __future__ import annotations

import numpy as np

from detector.stream.nouns import Entity, Ints


class Shares:
    """The entities of a stream by what they have at one place of their labels; None: each is by itself.

    Texts that nobody has any more leave nothing behind.
    """

    def __init__(self, place: int | None) -> None:
        self._place = place
        self._share: dict[str, int] = {}
        self._free: list[int] = []
        self._of = np.zeros(0, np.int32)  # the share of each row
        self._members = np.ones(1, np.int64)  # of each share; the first is of nobody in particular
        self._text: dict[int, str] = {}

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        self._of = np.concatenate([self._of, np.zeros(rows - len(self._of), np.int32)])

    def admit(self, row: int, entity: Entity) -> None:
        """Take a new entity in."""
        if self._place is None:
            return
        text = entity[self._place]
        share = self._share.get(text)
        if share is None:
            share = self._found(text)
        self._of[row] = share
        self._members[share] += 1

    def _found(self, text: str) -> int:
        if not self._free:
            shares = len(self._members)
            self._free = list(range(2 * shares - 1, shares - 1, -1))
            self._members = np.concatenate([self._members, np.zeros(shares, np.int64)])
        share = self._share[text] = self._free.pop()
        self._text[share] = text
        return share

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        for row in rows.tolist():
            share = int(self._of[row])
            self._of[row] = 0
            if share:
                self._members[share] -= 1
                if not self._members[share]:
                    del self._share[self._text.pop(share)]
                    self._free.append(share)

    @property
    def members(self) -> Ints | None:
        """With how many each has a budget together, itself included, `(rows,)`; None: each by itself."""
        return None if self._place is None else self._members[self._of]
