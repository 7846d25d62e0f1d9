"""How many alarms a stream had in the last seven days, of how many its budget accepts.

Every entity that is judged, and neither muted nor in maintenance, is accepted its budget's share of an alarm
by each step. Every episode that begins is an alarm, whether or not it becomes part of a group's: the budget
is that of the entity.

A ratio of five says little where one alarm in five weeks is accepted and one came. Whether a stream is beyond
its budget is therefore asked of chance, and of what begins together only as much counts as chance makes of
the accepted in one step of a thousand, or one alarm: what one cause does to many is no habit of theirs.

    within   --[so many causes are less likely than `SURE` by chance]--> exceeded
    exceeded --[they are at most `RELIEF` times the accepted]----------> within
"""

from __future__ import annotations

from math import isnan, nan

import numpy as np

from detector.stream.calibration import WEEK_S
from detector.stream.chance import tail

HOUR_S = 3_600.0
HOURS_KEPT = 168
HOURS_MIN = 24
"""Hours with a judged step before anything is said: of less, a single alarm is many times the budget."""
SURE = 1e-4
"""Asked anew with every hour and alarm, but of nearly the same week: wrong once in decades."""
RELIEF = 1.2
TOGETHER = 1e-3


class Ledger:
    """The alarms of one stream against its budget. Arrays are of the last hours, a ring: `(HOURS_KEPT,)`."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._hour = 0
        self._alarms = np.zeros(HOURS_KEPT)
        self._causes = np.zeros(HOURS_KEPT)
        self._accepted = np.zeros(HOURS_KEPT)
        self.exceeded = False

    @property
    def used(self) -> float:
        """The alarms of the last seven days over those that are accepted; NaN in the first day."""
        if np.count_nonzero(self._accepted) < HOURS_MIN:
            return nan
        return float(self._alarms.sum() / self._accepted.sum())

    def take(self, time_s: float, budget: float, alarms: int) -> None:
        """Take a judged step in.

        Args:
            time_s: Of the step.
            budget: How many alarms a week are accepted of those together who were judged.
            alarms: How many began.
        """
        turned = self._turn(int(time_s // HOUR_S))
        accepted = budget * self._step_s / WEEK_S
        at = self._hour % HOURS_KEPT
        self._accepted[at] += accepted
        if alarms:
            self._alarms[at] += alarms
            self._causes[at] += min(alarms, _together_max(accepted))
        if alarms or turned:
            self._decide()

    def _turn(self, hour: int) -> bool:
        """Go on to an hour; those that nobody spoke in count as the others do."""
        passed = hour - self._hour
        if not passed:
            return False
        # Where the clock went back, all that is known is of a time to come.
        gone = HOURS_KEPT if passed < 0 else min(passed, HOURS_KEPT)
        index = (hour - np.arange(gone)) % HOURS_KEPT
        for each in (self._alarms, self._causes, self._accepted):
            each[index] = 0.0
        self._hour = hour
        return True

    def _decide(self) -> None:
        causes, accepted = float(self._causes.sum()), float(self._accepted.sum())
        if causes <= RELIEF * accepted or isnan(self.used):
            self.exceeded = False
        elif tail(round(causes), accepted) < SURE:
            self.exceeded = True


def _together_max(accepted: float) -> int:
    """Return how many alarms of one step are so many causes."""
    most = 1
    while tail(most + 1, accepted) >= TOGETHER:
        most += 1
    return most
