"""Who has stopped speaking: a state of its own, and neither normal nor anomalous.

It begins when no sample came for longer than `silence_s`, or with a goodbye. Who said goodbye stays silent
until it speaks after that: what it said before may be in steps that are still to be closed.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Doubles, Ints


class Silence:
    """Who of a stream is silent; arrays are `(rows,)`."""

    def __init__(self, definition: Definition) -> None:
        self._silence_s = definition.silence_s
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self.silent = np.zeros(rows, bool)
        self.gone = np.zeros(rows, bool)  # said goodbye, and nothing since
        self._told = np.zeros(rows, bool)
        self.spoken_s = np.full(rows, np.nan)  # time of the newest step that has a sample of it

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self.spoken_s[rows] = np.nan
        for mask in (self.silent, self.gone, self._told):
            mask[rows] = False

    def hear(self, rows: Ints, time_s: float) -> None:
        """Note that the entities in `rows` spoke in the step of `time_s`."""
        self.spoken_s[rows] = time_s
        self.silent[rows] &= self.gone[rows]

    def part(self, rows: Ints) -> None:
        """Take the goodbye of the entities in `rows`: silent from now on, until `welcome`."""
        self.silent[rows] = True
        self.gone[rows] = True

    def welcome(self, rows: Ints) -> None:
        """Note that the entities in `rows` speak after their goodbye, if they said one."""
        self.gone[rows] = False

    def fall(self, time_s: float) -> tuple[Ints, Doubles]:
        """Find who has been silent for too long at `time_s`, and since when that is too long."""
        quiet = np.flatnonzero(~self.silent & (time_s - self.spoken_s > self._silence_s))
        self.silent[quiet] = True
        return quiet, self.spoken_s[quiet] + self._silence_s

    def turns(self) -> tuple[Ints, Ints]:
        """Return who is silent, and who speaks again, that was not when this was last asked."""
        silenced = np.flatnonzero(self.silent & ~self._told)
        speaking = np.flatnonzero(self._told & ~self.silent)
        self._told = self.silent.copy()
        return silenced, speaking
