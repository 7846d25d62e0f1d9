"""How often each entity of a stream speaks, learnt from its own intervals, and how long it may pause.

    patience   the pause after which it is silent: far beyond the longest that is its habit, several times the
               usual interval, twice what it has just done, and never less than `PATIENCE_MIN_S`
    slow       its interval is lastingly more than twice what it was, and yet it never was silent

Intervals are between steps that heard it, so a period shorter than a step is one step. What is usual is the
mean of their logarithm, which a pause hardly moves, with their deviation about it, both in octaves.

How far is far? Of pauses whose tail is exponential the longest of n grows with ln(n), and the one that is
exceeded once in a million intervals is ln(1e6) / ln(n) times as long; where the tail is heavier, their
deviation is larger. So the factor is ln(1e6) / ln(n), 2 at least, times the deviation where that is above 1.

What is a habit? Who has a rhythm is silent again whenever it breaks it, unless that happens several times a
day (`FADE_OFTEN_S`): then it is told no more. Who publishes on change has none, and its habits are kept for
weeks (`FADE_S`), nights and weekends among them; until it has said enough, all that it did is one.

Slowness sums up by how much intervals are more than `SLOW_OCTAVES` above the usual (a CUSUM): five at six
times the usual are enough, a pause now and then is not. While it is above 0 nothing is learnt of what is
usual; after `NORMAL_S` what a slow one does is.
"""

from __future__ import annotations

import numpy as np

from detector.stream.habit import Habit
from detector.stream.nouns import Bools, Doubles, Floats, Ints

KNOWN = 8
"""Intervals after which an entity is judged by itself. Before, and after its first, by what it did so far and
by the others of its stream;"""
POOL_SHARE = 0.75
"""that is, with the patience that is enough for so many of them: without end, if more are unknown as well."""
KNOWN_BY_CHANCE = 300
"""Intervals until which the habit of who has no rhythm is the longest of all, for the third is still far from
what it will do. Of forty with exponential or lognormal pauses 1 is told in its first day, not 12."""
SELDOM = 14.0
"""ln(1e6)."""
FACTOR_MIN = 2.0
PATIENCE_MIN_S = 60.0
"""A publisher that connects again and a broker that restarts take so long, and are no news."""
PATIENCE_INTERVALS = 4.0
"""A tenth of the messages lost by chance loses four in a row once a day at 10 s; by then that is a habit."""
FADE_OFTEN_S = 12 * 3600.0
FADE_S = 28 * 86400.0
MEMORY = 200
"""Intervals that a mean remembers."""
EXCESS_MAX = 2.0
"""Octaves that one interval can be off for the mean: a night's silence teaches it as little as a minute's."""
REGULAR_OCTAVES = 0.6
"""Deviation of who has a rhythm, lost messages and a grid that does not fit included; by chance 1.85."""
SETTLED = 30
"""Intervals after which it can be slow."""
SLOW_OCTAVES = 1.25
"""2.4 times the usual: real exporters drift between one and two times their cadence."""
SLOW_OCTAVES_MAX = 2.5
SLOW_SUM = 6.0
NORMAL_S = 86400.0
PACE = 1 / 8
"""Weight of the newest interval in what a slow entity is said to do."""


class Rhythm:
    """The intervals of the entities of one stream; arrays are `(rows,)`."""

    def __init__(self) -> None:
        self._often = Habit(FADE_OFTEN_S)
        self._ever = Habit(FADE_S)
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self._count = np.zeros(rows, np.float32)
        self._usual = np.zeros(rows, np.float32)  # log2 of an interval
        self._variance = np.zeros(rows, np.float32)
        self._pace = np.zeros(rows, np.float32)  # log2 of the newest intervals
        self._slowness = np.zeros(rows, np.float32)
        self._pause_s = np.zeros(rows, np.float32)  # the newest pause, halved by each interval since
        self._habit_s = np.zeros(rows, np.float32)
        self._longest_s = np.zeros(rows, np.float32)
        self._patience_s = np.full(rows, np.inf)  # infinite: not known
        self.slow = np.zeros(rows, bool)
        self.slow_since_s = np.full(rows, np.nan)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array
        self._often.resize(rows)
        self._ever.resize(rows)

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        for name in (
            "_count",
            "_usual",
            "_variance",
            "_pace",
            "_slowness",
            "_pause_s",
            "_habit_s",
            "_longest_s",
        ):
            getattr(self, name)[rows] = 0.0
        self._patience_s[rows] = np.inf
        self.slow[rows] = False
        self.slow_since_s[rows] = np.nan
        self._often.forget(rows)
        self._ever.forget(rows)

    # What is learnt

    def learn(self, rows: Ints, interval_s: Doubles, time_s: float) -> None:
        """Take intervals in that ended at `time_s`."""
        count = self._count[rows]
        octaves = np.log2(interval_s)
        excess = np.where(count > 0, octaves - self._usual[rows], 0.0)
        self._judge(rows, excess, time_s - interval_s, time_s)
        rate = np.where(self._slowness[rows] > 0, 0.0, 1.0 / np.minimum(count + 1.0, MEMORY))
        bounded = np.clip(excess, -EXCESS_MAX, EXCESS_MAX)
        self._usual[rows] = np.where(count > 0, self._usual[rows] + rate * bounded, octaves)
        self._variance[rows] += rate * (bounded**2 - self._variance[rows])
        self._pace[rows] = np.where(
            count > 0, self._pace[rows] + PACE * (octaves - self._pace[rows]), octaves
        )
        self._pause_s[rows] = np.maximum(interval_s, self._pause_s[rows] / 2.0)
        self._count[rows] = count + 1.0
        self._accustom(rows, interval_s, time_s)

    def _accustom(self, rows: Ints, interval_s: Doubles, time_s: float) -> None:
        """Learn habits, and what patience comes to with them."""
        self._often.learn(rows, interval_s, time_s)
        self._ever.learn(rows, interval_s, time_s)
        count, longest_s = self._count[rows], self._ever.longest(rows, time_s)
        by_chance_s = np.where(count < KNOWN_BY_CHANCE, longest_s, self._ever.usual(rows, time_s))
        habit_s = np.where(self._is_regular(rows), self._often.usual(rows, time_s), by_chance_s)
        self._habit_s[rows], self._longest_s[rows] = habit_s, longest_s
        far = np.maximum(_far(count), FACTOR_MIN) * np.maximum(np.sqrt(self._variance[rows]), 1.0)
        patience_s = np.maximum(far * habit_s, PATIENCE_INTERVALS * self.usual_s(rows))
        patience_s = np.maximum(np.maximum(patience_s, 2.0 * self._pause_s[rows]), PATIENCE_MIN_S)
        self._patience_s[rows] = np.where(count >= KNOWN, patience_s, np.inf)

    def _judge(self, rows: Ints, excess: Doubles, before_s: Doubles, time_s: float) -> None:
        """Say who is slow, by how much the newest interval is above the usual, in octaves."""
        slowness, slow = self._slowness[rows], self.slow[rows]
        judged = slow | (self._is_regular(rows) & (self._count[rows] >= SETTLED))
        more = np.clip(slowness + np.minimum(excess, SLOW_OCTAVES_MAX) - SLOW_OCTAVES, 0.0, SLOW_SUM)
        more = np.where(judged, more, 0.0)
        since_s = np.where((slowness == 0) & (more > 0), before_s, self.slow_since_s[rows])
        slow = (more == SLOW_SUM) | (slow & (more > 0))
        normal = slow & (time_s - since_s > NORMAL_S)
        self._usual[rows[normal]] = self._pace[rows[normal]]
        self._slowness[rows] = np.where(normal, 0.0, more)
        self.slow[rows] = slow & ~normal
        self.slow_since_s[rows] = since_s

    def _is_regular(self, rows: Ints) -> Bools:
        return np.asarray(self._variance[rows] <= REGULAR_OCTAVES**2)

    # What is known

    def patience_s(self, living: Bools) -> Doubles:
        """Return how long each may pause; who is not known, as long as the others that are `living`."""
        unknown = np.flatnonzero(living & np.isinf(self._patience_s))
        if not len(unknown):
            return self._patience_s
        patience_s = self._patience_s.copy()
        others_s = patience_s[living]
        place = int(POOL_SHARE * (len(others_s) - 1))
        count = self._count[unknown]
        own_s = np.where(count > 0, _far(count) * self._longest_s[unknown], np.inf)
        patience_s[unknown] = np.maximum(np.partition(others_s, place)[place], own_s)
        return patience_s

    def late(self, pause_s: float) -> Bools:
        """Return who should have spoken within a pause: it is twice the usual, and beyond the habit."""
        usual_s = np.exp2(self._usual)
        return np.asarray((self._count >= KNOWN) & (pause_s > 2.0 * usual_s) & (pause_s > self._habit_s))

    def usual_s(self, rows: Ints) -> Doubles:
        """Return the usual interval."""
        return np.exp2(self._usual[rows])

    def pace_s(self, rows: Ints) -> Doubles:
        """Return the newest intervals."""
        return np.exp2(self._pace[rows])


def _far(count: Floats) -> Doubles:
    return np.asarray(SELDOM / np.log(count.astype(np.float64) + 2.0))
