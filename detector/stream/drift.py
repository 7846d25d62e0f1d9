"""How far the input has moved from what a bundle was trained on, slowly and for good.

Of every entity and signal the mean of each day is taken, in robust deviations, and of those the mean of
about a week: so neither the time of the day nor the day of the week is drift. At the end of a day

    distance   |mean of about a week - mean of the training's days|     of each entity that the bundle knows
    ratio      the distance that a quarter of the entities reach, over the furthest that a quarter of them
               was from their mean on any one day of the training

1.0 is as far as the training data ever was for a day, and now it stays there. Of few entities all but one
have to reach it, so one that is broken is no drift. What is maintained is left out.

    not advised --[the ratio of a signal is `ADVISE_AT` or more, after `DAYS_SURE` days]--> advised to retrain
    advised     --[that of each is below `ADVISE_UNTIL`]---------------------------------> not advised
"""

from __future__ import annotations

import numpy as np

from detector.stream.calibration import Days
from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Doubles, Floats, Ints

DAY_S = 86_400.0
HOURS = 24
HOURS_MIN = 18
"""Of a day in which an entity was judged: a mean of less is of the time of the day."""
DAYS_KEPT = 7
"""Each day since an entity came weighs the same until there are so many; then the old ones fade."""
DAYS_MIN = 7
"""Of training: fewer have not seen every day of the week."""
LEAST = 0.5
"""The least distance that is a ratio of 1, in robust deviations: a network does not mind less, however steady
the training data was."""
ADVISE_AT = 1.0
ADVISE_UNTIL = 0.7
DAYS_SURE = 3


def reached(distance: Doubles) -> Doubles:
    """Return what a quarter of the entities, but not one alone of several, reach of each signal.

    Args:
        distance: `(entities, signals)`, NaN where unknown.
    """
    count = (~np.isnan(distance)).sum(axis=0)
    place = count - 1 - np.maximum(count // 4, count > 1)
    ascending = np.vstack([np.sort(distance, axis=0), np.full((1, distance.shape[1]), np.nan)])
    return np.asarray(np.take_along_axis(ascending, np.maximum(place, 0)[None], axis=0)[0])


def furthest(means: Doubles) -> Days | None:
    """Return what days of training tell of how far means move by themselves; None where they are too few.

    Args:
        means: `(entities, days, signals)` in robust deviations, NaN where too little of a day was seen.
    """
    known = ~np.isnan(means)
    count = known.sum(axis=1)
    enough = count >= DAYS_MIN
    if not enough.any():
        return None
    level = np.where(enough, np.where(known, means, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
    # A day is as far from the others' mean as that: its own share in the mean brings it nearer.
    apart = count / np.maximum(count - 1, 1)
    each = [reached(np.abs(means[:, day] - level) * apart) for day in range(means.shape[1])]
    return Days(
        level.astype(np.float32), np.fmax(np.fmax.reduce(np.array(each), axis=0), LEAST).astype(np.float32)
    )


class Drift:
    """The drift of one stream; arrays are `(rows, signals)`, `(rows,)` or `(signals,)`.

    `ratio` `(signals,)` is that of the last day that ended, NaN where it is not known; `advised` says whether
    to train again, None where the bundle has nothing to compare with.
    """

    def __init__(self, definition: Definition, days: Days | None) -> None:
        self._signals = len(definition.signals)
        self._step_s = definition.step_s
        self._learnt = days
        self._day = -1
        self._days = 0  # that ended
        self.ratio = np.full(self._signals, np.nan)
        self.advised = None if days is None else False
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        shape = rows, self._signals
        self._known = np.full(rows, -1)  # index of the entity in the bundle
        self._hours = np.zeros(rows, np.uint32)  # of today in which it was judged, a bit each
        self._sum, self._seen = np.zeros(shape, np.float32), np.zeros(shape, np.float32)  # of today
        self._mean = np.zeros(shape, np.float32)  # of the days before
        self._weight = np.zeros(shape, np.float32)  # how many days that stands for

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        if self._learnt is None:
            return
        old = {name: array for name, array in vars(self).items() if name in _ROWS}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array

    def admit(self, row: int, known: int | None) -> None:
        """Take a new entity in; `known` is its index in the bundle, None where that does not know it."""
        if self._learnt is None:
            return
        for name in _ROWS:
            getattr(self, name)[row] = 0
        self._known[row] = -1 if known is None else known

    def take(self, step: int, row: Ints, newest: Floats, counts: Bools) -> None:
        """Take a judged step in.

        Args:
            step: Which.
            row: Whose, `(windows,)`.
            newest: Its values, scaled, `(windows, signals)`.
            counts: Which of them were seen, and are not of maintenance.
        """
        if self._learnt is None:
            return
        # A step covers the time before its own.
        day, left_s = divmod(step * self._step_s - self._step_s / 2, DAY_S)
        if int(day) != self._day:
            self._end_day(self._learnt)
            self._day = int(day)
        hour = np.uint32(1 << int(left_s * HOURS / DAY_S))
        self._hours[row] |= np.where(counts.any(axis=1), hour, np.uint32(0))
        self._sum[row] += np.where(counts, newest, np.float32(0.0))
        self._seen[row] += counts

    def _end_day(self, learnt: Days) -> None:
        whole = np.flatnonzero(np.bitwise_count(self._hours) >= HOURS_MIN)
        if len(whole):
            self._compare(whole, learnt)
            self._days += 1
            self._advise()
        else:
            self.ratio[:] = np.nan
        for today in (self._hours, self._sum, self._seen):
            today[:] = 0

    def _compare(self, whole: Ints, learnt: Days) -> None:
        """Let the day that ends join the days before, and compare those with training."""
        count = self._seen[whole]
        seen = count > 0
        weight = np.minimum(self._weight[whole] + seen, np.float32(DAYS_KEPT))
        change = self._sum[whole] / np.maximum(count, 1) - self._mean[whole]
        self._mean[whole] += np.where(seen, change / np.maximum(weight, 1), np.float32(0.0))
        self._weight[whole] = weight
        index = self._known[whole]
        known = whole[index >= 0]
        level = learnt.level[index[index >= 0]].astype(np.float64)
        told = seen[index >= 0]
        self.ratio = reached(np.where(told, np.abs(self._mean[known] - level), np.nan)) / learnt.furthest

    def _advise(self) -> None:
        worst = np.fmax.reduce(self.ratio)
        if worst >= ADVISE_AT and self._days >= DAYS_SURE:
            self.advised = True
        elif worst < ADVISE_UNTIL:
            self.advised = False


_ROWS = ("_known", "_hours", "_sum", "_seen", "_mean", "_weight")
