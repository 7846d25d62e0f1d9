"""How long a thing lasts when all is well, learnt from its own past.

A span is the time between two words of an entity, or how long a signal stands still. Three of the longest
spans of each thing are remembered, and the least of the three is its habit: what happened once or twice was
an accident, and must not hide the next one; what happened three times happens. A habit that is not lived
fades: its height halves in `fade_s`.
"""

from __future__ import annotations

import numpy as np

from detector.stream.nouns import Doubles, Floats, Ints

LONGEST = 3
"""Spans that are remembered."""


class Habit:
    """The longest spans of many things, 12 bytes each.

    A height is log2 of a span, plus its time in units of `fade_s`. So heights compare as if they had faded,
    and nothing has to be done while time goes by.
    """

    def __init__(self, fade_s: float) -> None:
        self._fade_s = fade_s
        self.height = np.empty((0, LONGEST), np.float32)  # lowest first

    def resize(self, things: int) -> None:
        """Make room."""
        more = np.full((things - len(self.height), LONGEST), -np.inf, np.float32)
        self.height = np.concatenate([self.height, more])

    def forget(self, which: Ints) -> None:
        """Forget some things."""
        self.height[which] = -np.inf

    def learn(self, which: Ints, span: Floats | Doubles, time_s: float) -> None:
        """Take spans in, all above 0, that ended at `time_s`. Each thing stands once in `which`."""
        height = (np.log2(span) + time_s / self._fade_s).astype(np.float32)
        higher = height > self.height[which, 0]
        which = which[higher]
        heights = self.height[which]
        heights[:, 0] = height[higher]
        heights.sort(axis=1)
        self.height[which] = heights

    def usual(self, which: Ints, time_s: float) -> Doubles:
        """Return the longest span that is a habit, 0 where none is yet."""
        return self._span(self.height[which, 0], time_s)

    def longest(self, which: Ints, time_s: float) -> Doubles:
        """Return the longest span of all, 0 where there was none yet."""
        return self._span(self.height[which, -1], time_s)

    def _span(self, height: Floats, time_s: float) -> Doubles:
        return np.exp2(height.astype(np.float64) - time_s / self._fade_s)
