"""What time it is for a stream, and which times it believes.

With `clock = "wall"` now is the wall clock, and a sample's time is compared with its arrival. A wall clock
that is set back by more than `future_max_s` makes a fresh start, or all that comes would be late until it
has caught up.

With `clock = "data"` now is the highest accepted time of the stream, so that a replay at sixty times the
speed is scored as it would have been live. One wild time stamp cannot move that clock: a time out of bounds
is refused, and only those of `JUMP_MESSAGES` messages in a row that agree with each other move it, for then
it is the stream that has jumped (a replay that starts again, a pause over night).
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Doubles, Drop

JUMP_MESSAGES = 16
"""Messages in a row, all refused, that make a jump: more than a device with a broken clock sends at once."""


class Clock:
    """The clock of one stream."""

    def __init__(self, definition: Definition) -> None:
        self._follows_data = definition.clock == "data"
        self._age_max_s = definition.age_max_s
        self._future_max_s = definition.future_max_s
        self._highest_s = -np.inf
        self._arrived_s = -np.inf
        self._refused_s: list[float] = []
        self._refused_arrival_s = -np.inf

    def now_s(self, wall_s: float) -> float:
        """Return the stream's now; -inf while a data clock has seen nothing."""
        return self._highest_s if self._follows_data else wall_s

    def believe(self, time_s: Doubles, arrival_s: Doubles) -> tuple[Doubles, Bools, bool]:
        """Judge the times of records in their order of arrival.

        Returns:
            The clock's now for each, whether it is believed, and whether the clock went back.
        """
        if not self._follows_data:
            return self._believe_wall(time_s, arrival_s)
        ahead = np.maximum.accumulate(np.r_[self._highest_s, time_s])
        if len(time_s) and np.isfinite(self._highest_s) and self._within(time_s, ahead[:-1]).all():
            self._highest_s = float(ahead[-1])
            self._refused_s.clear()
            return ahead[:-1], np.ones(len(time_s), bool), False
        return self._believe_one_by_one(time_s, arrival_s)

    def refusal(self, time_s: float, now_s: float) -> Drop:
        """Return why a time was not believed."""
        return Drop.TIME_FUTURE if time_s > now_s else Drop.TIME_OLD

    def _within(self, time_s: Doubles, now_s: Doubles) -> Bools:
        return (time_s <= now_s + self._future_max_s) & (time_s >= now_s - self._age_max_s)

    def _believe_wall(self, time_s: Doubles, arrival_s: Doubles) -> tuple[Doubles, Bools, bool]:
        believed = self._within(time_s, arrival_s)
        latest_s = np.maximum.accumulate(np.r_[self._arrived_s, arrival_s])
        back = np.flatnonzero(arrival_s < latest_s[:-1] - self._future_max_s)
        if not len(back):
            self._arrived_s = float(latest_s[-1])
            return arrival_s, believed, False
        believed[: back[0]] = False  # they belong to the time that is left
        self._arrived_s = float(arrival_s[back[0] :].max())
        return arrival_s, believed, True

    def _believe_one_by_one(self, time_s: Doubles, arrival_s: Doubles) -> tuple[Doubles, Bools, bool]:
        now_s = np.empty(len(time_s))
        believed = np.zeros(len(time_s), bool)
        went_back = False
        for index, (one_s, one_arrival_s) in enumerate(zip(time_s.tolist(), arrival_s.tolist(), strict=True)):
            if self._highest_s == -np.inf:
                self._highest_s = one_s
            now_s[index] = self._highest_s
            believed[index] = -self._age_max_s <= one_s - self._highest_s <= self._future_max_s
            if believed[index]:
                self._highest_s = max(self._highest_s, one_s)
                self._refused_s.clear()
            elif self._jumped(one_s, one_arrival_s):
                if one_s < self._highest_s:
                    went_back = True
                    believed[:index] = False  # they belong to the time that is left
                self._highest_s = now_s[index] = one_s
                believed[index] = True
                self._refused_s.clear()
        return now_s, believed, went_back

    def _jumped(self, time_s: float, arrival_s: float) -> bool:
        """Note a refused time; say whether those of enough messages agree."""
        near_s = min(self._age_max_s, self._future_max_s)
        if self._refused_s and abs(time_s - self._refused_s[-1]) > near_s:
            self._refused_s.clear()
        if not self._refused_s or arrival_s != self._refused_arrival_s:  # a message's records arrive as one
            self._refused_s.append(time_s)
        self._refused_arrival_s = arrival_s
        return len(self._refused_s) >= JUMP_MESSAGES
