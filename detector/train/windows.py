"""The windows of a timeline, scaled: what networks and baselines are fitted to and judged by.

The timeline is scaled once, as a whole; a window is then a copy of neighbouring memory. That is the same, to
the bit, as scaling each window as the daemon does: a test holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from detector.stream.nouns import Bools, Doubles, Floats, Ints
from detector.stream.scaling import few_counts, scaled
from detector.train.scales import Scaling
from detector.train.timeline import Timeline

CHUNK_WINDOWS = 4096


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a timeline, by where they end: `entity` and `end` `(windows,)`.

    `value` `(entities, steps, signals)` is the timeline's, scaled.
    """

    past: Timeline
    value: Floats
    entity: Ints
    end: Ints

    def __len__(self) -> int:
        """How many windows."""
        return len(self.end)

    def part(self, chosen: Bools | Ints | slice) -> Windows:
        """Return some of the windows."""
        return replace(self, entity=self.entity[chosen], end=self.end[chosen])

    def of(self, chosen: Ints | slice) -> tuple[Floats, Bools, Doubles]:
        """Return values, what of them was seen `(windows, steps, signals)`, and their time `(windows,)`."""
        entity, end = self.entity[chosen], self.end[chosen]
        steps = self.past.definition.window_steps
        value: Floats = _view(self.value, steps)[entity, end - steps + 1]
        seen: Bools = _view(self.past.seen, steps)[entity, end - steps + 1]
        # A signal is 0 until it is first seen in the window, see `scaling.scaled`.
        late = np.flatnonzero(~seen[:, 0].all(axis=1))
        if len(late):
            begun = np.logical_or.accumulate(seen[late], axis=1)
            value[late] = np.where(begun, value[late], np.float32(0.0))
        return value, seen, np.float64(self.past.definition.step_s) * self.past.step[end]

    def spread(self, most: int) -> Iterator[tuple[Floats, Bools, Doubles]]:
        """Yield so many of them at most, evenly spread, in parts."""
        chosen = evenly(len(self), most)
        for start in range(0, len(chosen), CHUNK_WINDOWS):
            yield self.of(chosen[start : start + CHUNK_WINDOWS])


def evenly(count: int, most: int) -> Ints:
    """Return so many indices at most, evenly spread over `count`."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def windows_of(past: Timeline, learnt: Scaling, entity: Ints, end: Ints) -> Windows:
    """Return the windows of a timeline that end where `entity` and `end` say."""
    few = few_counts(past.definition)
    value = np.empty_like(past.value)
    for one in range(len(value)):
        # What was never seen is not 0 here yet: it may have been seen in another window's past.
        whole = np.ones_like(past.seen[one : one + 1])
        part = slice(one, one + 1)
        value[part] = scaled(past.value[part], whole, learnt.center[part], learnt.scale[part], few)
    return Windows(past, value, entity, end)


def _view(array: Any, steps: int) -> Any:
    """Return every run of `steps` steps, `(entities, starts, steps, signals)`, without a copy."""
    entities, length, signals = array.shape
    by_entity, by_step, by_signal = array.strides
    shape = entities, max(length - steps + 1, 0), steps, signals
    return as_strided(array, shape, (by_entity, by_step, by_step, by_signal), writeable=False)
