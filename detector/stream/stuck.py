"""Which signals stand still while their peers move: a frozen gauge, a counter that is no longer updated.

A signal is stuck when its value has been the same, to the last bit, for more steps than is its habit by far
(see `detector.stream.habit`). So what often stands still is stuck late, and never what hardly ever changes (a
state, a speed) or counts what is rare (errors). A step in which it was not seen says nothing.

And a step counts only where there are witnesses, peers that usually move and do not stand still themselves:

    of a gauge      half of those that other entities of the stream have under its name; where there are none,
                    half of the other signals of the entity, for who has a past of `ALONE` changes
    of a counter    the same, and all other signals of the entity that move as fast: a rate is 0 wherever
                    nothing happens, and where nothing happens packets stand still with octets

So where all stand still (a quiet Sunday, a port at night, a pause of the simulator) nobody is stuck, and
nothing is learnt from it; nor from counters that stood still together, as those of a link that was down: no
habit of any of them. A gauge at an end of what the stream has ever seen of it is clipped, or at rest, as
is one that is few of its least changes above the low end: a rate in whole packets is two for long at night.
Nearly constant is not stuck: what is left of its noise is judged by the network.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import COUNTED, Definition
from detector.stream.habit import Habit
from detector.stream.nouns import Bools, Floats, Ints, Steps

CHANGES_KNOWN = 100
"""Changes after which a signal is judged by itself,"""
CHANGES_MIN = 8
"""and before by its peers of other entities, if it has changed so often."""
POOL_SHARE = 0.9
"""It may stand still for as long as so many of them."""
ALONE = 1000
STEPS_MIN = 10
"""Two minutes of steps of ten seconds, with the two in which a counter that stands still is not seen."""
FAR = 6.0
"""Times its habit is far beyond it: a noise that wanders within one quantum stands still for twice as long
about ten times a year, on `detector simulate`, and for three times as long never; gauges of servers, which
rest with what they run, do it every other day, and for six times as long once in a month."""
FAR_MEAN = 8.0
"""And so many times the mean: a state that flaps for an hour has a habit, and yet is still in the mean."""
RARE_STEPS = 3.0
"""A counter that changes less often than in each third step counts events, and may have none."""
STATE_STEPS = 10.0
"""A gauge that changes less often than in each tenth shows a state, which may last."""
FAST_STEPS = 30
"""A signal that would be stuck so soon shows in time whether an entity is alive."""
REST_CHANGES = 10.0
"""Least changes above the low end where what is left of a signal is lost in its rounding."""
FADE_S = 3 * 86400.0
"""What happens each night stays a habit; three faults in some weeks do not become one."""
CHANGES_MAX = 10_000
"""Then the past counts half: about a day of a signal that always moves."""


class Stuck:
    """What stands still in one stream; arrays are `(rows, signals)`."""

    def __init__(self, definition: Definition) -> None:
        self._width = len(definition.signals)
        self._counter = np.array([signal.kind in COUNTED for signal in definition.signals])
        self._slowest = np.where(self._counter, RARE_STEPS, STATE_STEPS)  # steps from change to change
        self._low = np.full(self._width, np.inf, np.float32)  # of all entities, ever: (signals,)
        self._high = np.full(self._width, -np.inf, np.float32)
        self._least = np.full(self._width, np.inf, np.float32)  # change
        self._paused = np.zeros(self._width, bool)  # most entities stand still: (signals,)
        self._habit = Habit(FADE_S)
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        shape = (rows, self._width)
        self.value = np.full(shape, np.nan, np.float32)
        self.since_s = np.full(shape, np.nan)  # when the value was new
        self.active = np.zeros(shape, bool)
        self._still = np.zeros(shape, np.float32)  # steps that saw it again, and witnesses
        self._seen = np.zeros(shape, np.float32)
        self._changes = np.zeros(shape, np.float32)
        self._bound = np.full(shape, np.inf, np.float32)  # of `_still`; infinite: not judged by itself

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        names = ("value", "since_s", "active", "_still", "_seen", "_changes", "_bound")
        old = {name: getattr(self, name) for name in names}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array
        self._habit.resize(rows * self._width)

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self.value[rows] = self.since_s[rows] = np.nan
        self.active[rows] = False
        for array in (self._still, self._seen, self._changes):
            array[rows] = 0.0
        self._bound[rows] = np.inf
        self._habit.forget((rows[:, None] * self._width + np.arange(self._width)).ravel())

    def release(self, silent: Bools) -> None:
        """Call nothing stuck any more of those who are silent, `(rows,)`."""
        self.active[silent] = False

    def take(self, steps: Steps, time_s: float, speaking: Bools) -> None:
        """Take a closed step in, of which `active` is told; `speaking` `(rows,)` can be witnesses."""
        row, seen = steps.row, steps.seen
        if not len(row):
            return
        counts, tells = self._witnessed(row, speaking)
        again = seen & (steps.value == self.value[row])
        new = seen & ~again
        still = self._still[row]
        ended, signal = np.nonzero(new & (still > 0) & ~self._paused)
        alone = self._alone(row[ended], signal, still[ended])
        self._learn(row[ended[alone]], signal[alone], time_s)
        self._still[row] = np.where(new, np.float32(0.0), still + (again & counts))
        self._range(steps.value, self.value[row], seen, new)
        self.value[row] = np.where(new, steps.value, self.value[row])
        self.since_s[row] = np.where(new, time_s, self.since_s[row])
        self.active[row] &= ~new
        self._count(row, seen & (new | counts), new, time_s)
        self._find(row, tells)

    def _alone(self, row: Ints, signal: Ints, still: Floats) -> Bools:
        """Return which signals stood still by themselves: of counters, twice as long as any fast one beside.

        Args:
            row: Whose, `(cells,)`.
            signal: Which, `(cells,)`.
            still: How long each signal of theirs stood still, `(cells, signals)`.
        """
        cell = np.arange(len(row))
        beside = np.where(self._counter & (self._bound[row] <= FAST_STEPS), still, np.float32(0.0))
        beside[cell, signal] = 0.0
        longest = beside.max(axis=1, initial=0.0)
        return np.asarray(~self._counter[signal] | (still[cell, signal] > 2 * longest))

    def _range(self, value: Floats, before: Floats, seen: Bools, new: Bools) -> None:
        self._low = np.minimum(self._low, np.min(value, 0, where=seen, initial=np.inf))
        self._high = np.maximum(self._high, np.max(value, 0, where=seen, initial=-np.inf))
        change = np.abs(value - before)
        self._least = np.minimum(self._least, np.min(change, 0, where=new & (change > 0), initial=np.inf))

    def _count(self, row: Ints, counted: Bools, new: Bools, time_s: float) -> None:
        self._seen[row] += counted
        changes = self._changes[row] + new
        self._changes[row] = changes
        known, signal = np.nonzero(new & (changes == CHANGES_KNOWN))
        self._bind(row[known], signal, time_s)
        full, signal = np.nonzero(changes >= CHANGES_MAX)
        self._changes[row[full], signal] /= 2.0
        self._seen[row[full], signal] /= 2.0

    def _learn(self, row: Ints, signal: Ints, time_s: float) -> None:
        self._habit.learn(row * self._width + signal, self._still[row, signal] + 1.0, time_s)
        self._bind(row, signal, time_s)

    def _bind(self, row: Ints, signal: Ints, time_s: float) -> None:
        """Say anew for how long each may stand still, where enough is known of it."""
        known = self._changes[row, signal] >= CHANGES_KNOWN
        row, signal = row[known], signal[known]
        mean = self._seen[row, signal] / self._changes[row, signal]
        usual = self._habit.usual(row * self._width + signal, time_s)
        bound = np.maximum(np.maximum(FAR * usual, FAR_MEAN * mean), STEPS_MIN)
        bound[mean > self._slowest[signal]] = np.inf
        self._bound[row, signal] = bound

    def _witnessed(self, row: Ints, speaking: Bools) -> tuple[Bools, Bools]:
        """Say of each signal of `row` whether its peers move, and whether it has those that it takes.

        What has no peers is counted, for its habit; nothing is told of it.
        """
        mover = np.isfinite(self._bound)
        moves = mover & (2.0 * self._still <= self._bound)
        movers, moving = (mover & speaking[:, None]).sum(axis=0), (moves & speaking[:, None]).sum(axis=0)
        fast = mover[row] & (self._bound[row] <= FAST_STEPS)
        fast_moves = fast & (2 * self._still[row] <= STEPS_MIN)
        others, others_move = movers - mover[row], moving - moves[row]
        within = fast.sum(axis=1, keepdims=True) - fast
        within_move = fast_moves.sum(axis=1, keepdims=True) - fast_moves
        self._pause((movers > 1) & (2 * moving < movers))

        has_peers, past = others > 0, self._changes[row] >= ALONE
        counts = np.where(has_peers, 2 * others_move >= others, 2 * within_move >= within)
        counts &= ~self._counter | (within_move == within)
        return counts, counts & (has_peers | ((within > 0) & past))

    def _pause(self, paused: Bools) -> None:
        """Note which signals stand still with most entities; where that is over, all begin anew.

        They do not move again in the same step.
        """
        self._still[:, self._paused & ~paused] = 0.0
        self._paused = paused

    def _find(self, row: Ints, tells: Bools) -> None:
        """Call stuck what has stood still for too long, and not at an end of what was ever seen."""
        still, bound = self._still[row], self._bound[row]
        young = np.isinf(bound) & (still > STEPS_MIN) & (self._changes[row] >= CHANGES_MIN)
        young &= self._changes[row] < CHANGES_KNOWN
        for signal in np.flatnonzero(young.any(axis=0)).tolist():
            bound[young[:, signal], signal] = self._pool(signal)
        value = self.value[row]
        rest = self._low + REST_CHANGES * self._least
        inside = self._counter | ((value > rest) & (value < self._high))
        self.active[row] |= (still > bound) & inside & tells

    def _pool(self, signal: int) -> float:
        """Return how long a signal may stand still by what all entities do that have it."""
        bounds = self._bound[self._changes[:, signal] > 0, signal]
        place = int(POOL_SHARE * (len(bounds) - 1))
        return float(np.partition(bounds, place)[place])
