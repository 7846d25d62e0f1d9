"""The edge of normal of each entity: what its budget accepts, and what its alarms have made of it."""

from __future__ import annotations

from math import exp, log

import numpy as np

from detector.stream.calibration import WEEK_S, Calibration, edge
from detector.stream.definition import Definition
from detector.stream.nouns import Doubles, Floats, Ints
from detector.stream.policy import Policies

HABIT = 0.4
"""Log units that an alarm right at the edge makes of a habit, at a budget of one and less; at more, as much
less."""
SURELY = 0.6
"""Log units beyond the edge at which an alarm makes none: what was an alarm at any edge is a fault, or has to
be made known as none. When every alarm made one, the faults of a fabric that has one an entity every second
day hid the next ones: 90 % were found, now 95 %."""
WEAKNESS = 0.5
"""Of a habit, what the alarms of a budget make on average: their peaks are beyond the edge by a scale of the
tail, a third of a log unit."""
HABIT_MAX = 1.0
APART_S = 6 * 3600.0
"""Alarms closer than this are one bout: each adds by the time since the one before."""
HABIT_S = 4 * 86400.0
SURE = 1.5
SURE_SCALE = 0.35
"""The mean energy that is an anomaly whatever the tail says, at a budget of one, and how much its logarithm
falls with that of the budget. Two fleets of servers that were known for weeks had theirs at 0.6, 1.4 at a
tenth of the budget and 0.3 at ten times: so twice what is usual, on their slope."""
TAIL_PRIOR_S = 86400.0
"""A tail that was learnt from a day is believed by half: an hour says little of a week's worst."""


class Edges:
    """The edges of the entities of one stream, in log units above the usual score of each.

    `habit` `(rows,)` grows with every weak alarm and is forgotten within days: what alarms again and again
    has to be more to alarm again, and an entity whose tail is heavier than the typical one comes back to its
    budget. An alarm far beyond the edge says nothing of where the edge should be: it would be one at any.
    """

    def __init__(self, definition: Definition, calibration: Calibration, policies: Policies) -> None:
        self._step_s = definition.step_s
        self._learnt = calibration
        self._policies = policies
        self._keep = np.float32(exp(-definition.step_s / HABIT_S))
        self._edges: dict[float, float] = {}
        self.habit = np.zeros(0, np.float32)
        self._since_s = np.zeros(0, np.float32)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        more = rows - len(self.habit)
        self.habit = np.concatenate([self.habit, np.zeros(more, np.float32)])
        self._since_s = np.concatenate([self._since_s, np.full(more, np.inf, np.float32)])

    def admit(self, row: int) -> None:
        """Take a new entity in."""
        self.habit[row] = 0.0
        self._since_s[row] = np.inf

    def alarmed(self, rows: Ints, peaks: Doubles) -> None:
        """Note that episodes of the entities in `rows` ended, and the highest scores of them, `(rows,)`."""
        weak = np.clip(1.0 - np.log(np.maximum(peaks, 1.0)) / SURELY, 0.0, 1.0)
        habit = HABIT / np.maximum(self._policies.budget[rows], 1.0) * weak
        habit *= np.minimum(self._since_s[rows] / APART_S, 1.0)
        self._since_s[rows] = 0.0
        self.habit[rows] = np.minimum(self.habit[rows] + habit, HABIT_MAX)

    def of(self, row: Ints) -> Floats:
        """Return the edges of entities of whom a step is judged, `(windows,)`; their habits fade by it."""
        budgets, index = np.unique(self._policies.budget[row], return_inverse=True)
        accepted = np.array([self._accepted(budget) for budget in budgets.tolist()], np.float32)
        self.habit[row] *= self._keep
        self._since_s[row] += np.float32(self._step_s)
        return np.asarray(accepted[index] + self.habit[row], dtype=np.float32)

    def _accepted(self, budget: float) -> float:
        if budget not in self._edges:
            # At the budget's own rate an entity has this much of a habit, on average.
            accustomed = WEAKNESS * HABIT / max(budget, 1.0) * budget * HABIT_S / WEEK_S
            beyond = edge(self._learnt.tail, budget, self._step_s) - accustomed
            sure = log(SURE) - SURE_SCALE * log(budget) - self._learnt.pool_typical
            believed = self._learnt.history_s / (self._learnt.history_s + TAIL_PRIOR_S)
            self._edges[budget] = believed * min(beyond, sure) + (1.0 - believed) * sure
        return self._edges[budget]
