"""How well an entity is known: who is new learns faster, and is doubted until it has.

An entity that the bundle does not know is scored from its first full window on, by what the pool knows. That
fits it more or less: so its edge is further at first, by `DOUBT`, and comes in as its own steps are learnt
from. An anomaly teaches nobody at the rate of a newcomer.
"""

from __future__ import annotations

import numpy as np

from detector.stream.nouns import Bools, Floats, Ints

NEW_STEPS = 50.0
"""A new entity learns as if it had been known for so many steps."""
DOUBT, DOUBT_STEPS = 2.0, 100.0
"""Log units that the edge of an entity which the bundle does not know is further at first, and after how many
steps half of that is left. Of a thousand that come at once, each with a rhythm of the day of its own, an
eighth of the accepted alarms; without it, three times the accepted (tests/unit/test_new_entities.py)."""


class Acquaintance:
    """How well the entities of a stream are known; arrays are `(rows,)`.

    `never`: what the bundle knows stays as it is; those whom it does not know have to be learnt all the same.
    """

    def __init__(self, *, never: bool) -> None:
        self._never = never
        self._age_steps = np.zeros(0, np.float32)  # scored steps that were learnt from
        self._known = np.zeros(0, bool)  # to the bundle
        self._calm = np.ones(0, bool)  # in its newest step

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        more = rows - len(self._age_steps)
        self._age_steps = np.concatenate([self._age_steps, np.zeros(more, np.float32)])
        self._known = np.concatenate([self._known, np.zeros(more, bool)])
        self._calm = np.concatenate([self._calm, np.ones(more, bool)])

    def admit(self, row: int, known_steps: float | None) -> None:
        """Take an entity in; `known_steps` is None where the bundle does not know it."""
        self._known[row] = known_steps is not None
        self._age_steps[row] = known_steps or 0.0
        self._calm[row] = True

    def rate(self, row: Ints) -> Floats:
        """Return at which rate, at least, entities learn, `(windows,)`."""
        rate = np.float32(1.0) / (self._age_steps[row] + np.float32(NEW_STEPS))
        learns = self._calm[row] & ~(self._known[row] & self._never)
        return np.where(learns, rate, np.float32(0.0))

    def doubt(self, row: Ints) -> Floats:
        """Return by how many log units the edges of entities are further, `(windows,)`."""
        doubt = np.float32(DOUBT * DOUBT_STEPS) / (self._age_steps[row] + np.float32(DOUBT_STEPS))
        return np.where(self._known[row], np.float32(0.0), doubt)

    def grow(self, row: Ints, learnt: Bools) -> None:
        """Note from whose newest step something was learnt, `(windows,)`."""
        self._age_steps[row] += learnt

    def note(self, row: Ints, calm: Bools) -> None:
        """Note whose newest score is no anomaly, `(windows,)`."""
        self._calm[row] = calm
