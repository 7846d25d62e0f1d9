"""Counters to rates: what an ever-growing number says about the time between two looks at it.

A device tells how much it has counted since it started; what is judged is the rate. Between two
samples of a counter one of these is true, tested in this order:

    first    nothing came before, or so long ago that it says nothing: a new base, no rate
    grown    the difference over the time since the last counted sample is the rate
    wrapped  it fell, and adding 2**bits makes a rate that this counter has been seen to reach
    reset    it fell otherwise, or beside another one of the entity that did (reboot, cleared, replaced
             card): a new base, no rate, counted;
             so is a growth above the signal's `rate_max`, which no interface of that speed can make
    pending  it stands still though it was moving: devices export faster than they refresh, so the
             next growth belongs to the whole time since the last one. Only a counter that stands
             still in two samples or more, and for `refresh_s` or longer, has the rate 0. A naive
             difference alternates between 0 and double instead (11 % of the samples of a 4.5 s export).

A counter moves once it has grown in two samples in a row, or twice within `MOVING_REFRESHES` refreshes, and
until it stands still.

A reset is a gap, never a spike, and never poisons what comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Doubles, Ints

MOVING_REFRESHES = 2.0
"""Refreshes within which two growths make a counter one that moves; a rare error now and then does not."""
WRAP_RATE_FACTOR = 4.0
"""A wrap is believed up to this multiple of the highest recent rate: traffic may burst, but a reboot
at a random value implies a rate far above it."""
RATE_HIGH_DECAY = 0.999
"""How the highest recent rate fades, a sample: a day at 10 s keeps 0.02 % of a burst."""


class Counters:
    """The state of every counter: `(rows, signals)` arrays, reached by flat index `row * signals + signal`.

    `value` was last seen at `at_s`; `base_s` is the time up to which growth has been counted (older than
    `at_s` while a growth is pending); `grown_s` is the time of its newest growth, `moving` whether it moves,
    `pending` whether it stood still in its last sample without being believed, `rate_high` the highest recent
    rate.
    """

    def __init__(self, definition: Definition) -> None:
        signals = definition.signals
        self._refresh_s = definition.refresh_s
        self._gap_max_s = definition.window_s
        self._wrap = np.array([2.0**signal.bits for signal in signals])
        self._rate_max = np.array([signal.rate_max for signal in signals])
        self._width = len(signals)
        self.resets_total = 0
        self._allocate(0)

    def _allocate(self, cells: int) -> None:
        self._value = np.full(cells, np.nan)
        self._base_s = np.full(cells, np.nan)
        self._rate_high = np.zeros(cells)
        self._grown_s = np.full(cells, -np.inf)
        self._moving = np.zeros(cells, bool)
        self._pending = np.zeros(cells, bool)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = {name: array for name, array in vars(self).items() if name in _STATE}
        self._allocate(rows * self._width)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        cells = (rows[:, None] * self._width + np.arange(self._width)).ravel()
        self._value[cells] = np.nan
        self._base_s[cells] = np.nan
        self._rate_high[cells] = 0.0
        self._grown_s[cells] = -np.inf
        self._moving[cells] = False
        self._pending[cells] = False

    def rates(self, cell: Ints, time_s: Doubles, value: Doubles) -> Doubles:
        """Return the rate of each group of samples, NaN where they say none.

        Args:
            cell: Flat index of each sample; equal ones are a group and stand together.
            time_s: Their times, ascending in a group.
            value: What the counters showed.

        Returns:
            One rate a group, in the order of the groups: all growth over all the time it took.
        """
        starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])[: len(cell)]
        lengths = np.diff(np.r_[starts, len(cell)])
        growth = np.zeros(len(starts))
        span_s = np.zeros(len(starts))
        # One pass a rank within the groups: as many as the densest counter has samples in a step.
        for rank in range(lengths.max(initial=0)):
            group = np.flatnonzero(lengths > rank)
            sample = starts[group] + rank
            counted, grown, took_s = self._advance(cell[sample], time_s[sample], value[sample])
            growth[group[counted]] += grown[counted]
            span_s[group[counted]] += took_s[counted]
        rate = np.full(len(starts), np.nan)
        np.divide(growth, span_s, out=rate, where=span_s > 0)
        return rate

    def _advance(self, cell: Ints, time_s: Doubles, value: Doubles) -> Sequence[np.ndarray]:
        """Take one sample of each cell; return whether it counts, its growth and its duration."""
        signal = cell % self._width
        took_s = time_s - self._base_s[cell]
        growth = value - self._value[cell]
        first = ~(took_s <= self._gap_max_s)  # also where there is no base (NaN)
        rate_limit = np.minimum(self._rate_max[signal], WRAP_RATE_FACTOR * self._rate_high[cell])
        with np.errstate(divide="ignore", invalid="ignore"):
            wrapped_growth = growth + self._wrap[signal]
            wrapped = (growth < 0) & (wrapped_growth >= 0) & (wrapped_growth / took_s <= rate_limit)
            # A reboot resets all counters at once: where one fell for no wrap, no other one wrapped.
            row = cell // self._width
            wrapped &= ~np.isin(row, row[~first & (growth < 0) & ~wrapped])
            growth = np.where(wrapped, wrapped_growth, growth)
            rate = growth / took_s
        reset = ~first & ((growth < 0) | (rate > self._rate_max[signal]))
        fresh = ~self._pending[cell] | (took_s < self._refresh_s)
        pending = ~first & (growth == 0) & self._moving[cell] & fresh
        self._pending[cell] = pending
        counted: Bools = ~first & ~reset & ~pending
        self._note_growth(cell, time_s, counted & (growth > 0), pending | reset | (first & (growth != 0)))
        self._value[cell] = value
        self._base_s[cell] = np.where(pending, self._base_s[cell], time_s)
        rate_high = self._rate_high[cell] * RATE_HIGH_DECAY
        self._rate_high[cell] = np.maximum(rate_high, np.where(counted, rate, 0.0))
        self.resets_total += int(reset.sum())
        return counted, growth, took_s

    def _note_growth(self, cell: Ints, time_s: Doubles, grown: Bools, untold: Bools) -> None:
        """Find which counters move. A sample that tells no rate leaves that as it was."""
        grown_s = self._grown_s[cell]
        again = (grown_s == self._base_s[cell]) | (time_s - grown_s <= MOVING_REFRESHES * self._refresh_s)
        self._moving[cell] = np.where(grown, again, self._moving[cell] & untold)
        self._grown_s[cell] = np.where(grown, time_s, grown_s)


_STATE = ("_value", "_base_s", "_rate_high", "_grown_s", "_moving", "_pending")
