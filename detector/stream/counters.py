"""Counters to rates: what an ever-growing number says about the time between two looks at it.

A device tells how much it has counted since it started; what is judged is the rate. Between two
samples of a counter one of these is true, tested in this order:

    first    nothing came before, or so long ago that it says nothing: a new base, no rate
    restart  the device says that it restarted, see `detector.stream.restarts`: a new base, no rate, counted,
             even if the value is higher than before
    wrapped  it fell, and adding what it counts up to makes a growth that is plausible, see below
    reset    it fell otherwise, or beside another one of the entity that did (reboot, cleared, replaced
             card): a new base, no rate, counted
    too fast it grew by more than the line can carry in that time and `refresh_s` more, for what came late: a
             new base, no rate, counted
    pending  it stands still though it was moving: devices export faster than they refresh, so the
             next growth belongs to the whole time since the last one. Only a counter that stands
             still in two samples or more, and for `refresh_s` or longer, has the rate 0. A naive
             difference alternates between 0 and double instead (11 % of the samples of a 4.5 s export).
             After a hole also one that grew by less than before: a device that stalled, or had not refreshed
             yet, first shows what it had counted by then, and the missing part in the next sample
    anew     it was moving and grew from the 0 that a discontinuity left: nothing tells how long before it was
             seen to show that 0, it began to count: a new base, no rate
    grown    the difference over the time since the last counted sample is the rate

What was cut off sends what it had queued at once, and without times of their own an hour's values are
milliseconds apart. So of samples that come together, within `TOGETHER_SHARE` of a step, the last one alone is
looked at; it is a new base where the last look was as near, in the step before. And what a step tells is no
rate where all of it grew in less than `SPAN_SHARE_MIN` of a step, as from a base that a queue has left.

A fall is a wrap at a growth that the line can carry and that is at most `WRAP_RATE_FACTOR` times as fast as
this counter has been seen; with a device that says that it did not restart, the line alone decides, or half
the range where nobody knows the line.

A counter moves once it has grown in two samples in a row, or twice within `MOVING_REFRESHES` refreshes, and
until it stands still: a hole or a reset is no standing still.

A discontinuity (restart, reset, too fast) is a gap, never a spike, and never poisons what comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detector.stream.definition import BITS_AUTO, Definition, Witness
from detector.stream.nouns import Bools, Discontinuity, Doubles, Ints, Samples
from detector.stream.restarts import Restarts

MOVING_REFRESHES = 2.0
"""Refreshes within which two growths make a counter one that moves; a rare error now and then does not."""
HOLE_REFRESHES = 1.25
"""Refreshes without a sample that make a hole: where a device exports once a step, one is missing."""
STALE_REFRESHES = 0.5
"""After a hole, growth that is short of what the newest rate promised by that of so many refreshes may be
stale."""
TOGETHER_SHARE = 0.1
"""Samples closer than this share of a step came together: a queue of 60 of each of 10,000 counters is emptied
in that time. Of a counter that is always sampled so often, a look a step tells as much."""
SPAN_SHARE_MIN = 0.4
"""A rate is of this share of a step or more, so that what a device that exports once a step had counted shows
at most 2.5 times its rate. A device that exports twice a step has a rate by each."""
WRAP_RATE_FACTOR = 4.0
"""A wrap is believed up to this multiple of the highest recent rate: traffic may burst, but a reboot
at a random value implies a rate far above it."""
RATE_HIGH_DECAY = 0.999
"""How the highest recent rate fades, a sample: a day at 10 s keeps 0.02 % of a burst."""
RANGE_32, RANGE_64 = 2.0**32, 2.0**64
SPEED_UNKNOWN = 2.0**32 - 1
"""What ifSpeed says of a line too fast for its 32 bits, and Linux of one that is down."""

_REASONS = tuple(Discontinuity)
_NEW = {
    **dict.fromkeys(("_value", "_base_s", "_seen_s"), np.nan),
    **dict.fromkeys(("_rate", "_rate_high", "_rate_max"), 0.0),
    "_grown_s": -np.inf,
    **dict.fromkeys(("_moving", "_pending", "_short", "_anew", "_wide"), False),
}
"""The state of a counter that was never seen."""


class _Looks(NamedTuple):
    """One sample of each of some cells, and what came before it."""

    cell: Ints
    row: Ints
    signal: Ints
    time_s: Doubles
    value: Doubles
    base_s: Doubles
    took_s: Doubles
    line: Doubles  # how much the line can carry in that time


class Counters:
    """The state of every counter: `(rows, signals)` arrays, reached by flat index `row * signals + signal`.

    Growth has been counted up to `value` at `base_s`, which are older than the last sample while a growth is
    pending; `seen_s` is the time of its last sample, `grown_s` of its newest growth, `moving` whether it
    moves, `pending` whether its last sample was not believed, `short` whether because it had grown by too
    little, `anew` whether `value` is the 0 that a discontinuity left, `rate` its newest and `rate_high` its
    highest recent rate, `rate_max` the one that is possible, `wide` whether it was ever above 32 bits.

    `discontinuities` counts them, `(signals, reasons)` in the order of `Discontinuity`; `looks` the samples
    that one was looked for in, `(signals,)`.
    """

    _value: Doubles
    _base_s: Doubles
    _rate: Doubles
    _rate_high: Doubles
    _rate_max: Doubles
    _seen_s: Doubles
    _grown_s: Doubles
    _moving: Bools
    _pending: Bools
    _short: Bools
    _anew: Bools
    _wide: Bools

    def __init__(self, definition: Definition) -> None:
        signals = definition.signals
        self._refresh_s = definition.refresh_s
        self._gap_max_s = definition.window_s
        self._together_s = TOGETHER_SHARE * definition.step_s
        self._span_min_s = SPAN_SHARE_MIN * definition.step_s
        self._bits = np.array([signal.bits for signal in signals])
        self._line_rate = np.array([signal.rate_max for signal in signals])
        self._width = len(signals)
        self._columns = len(definition.columns)
        self._witnesses = [(definition.column_of(one.field), Restarts(one)) for one in definition.witnesses]
        self._speeds = [
            (definition.column_of(signal.rate_max_field), index, signal.rate_max_scale)
            for index, signal in enumerate(signals)
            if signal.rate_max_field
        ]
        self.discontinuities = np.zeros((self._width, len(_REASONS)), np.int64)
        self.looks = np.zeros(self._width, np.int64)
        self.resize(0)

    def believe(self, witnesses: Sequence[Witness]) -> int:
        """Believe further witnesses, before there is a row; return the column of the first of them."""
        first = self._columns
        self._witnesses += [(first + index, Restarts(one)) for index, one in enumerate(witnesses)]
        self._columns += len(witnesses)
        return first

    def _blank(self, rows: int) -> dict[str, np.ndarray]:
        """Return the state of the counters of so many new entities."""
        cells = rows * self._width
        state = {name: np.full(cells, value) for name, value in _NEW.items()}
        return {**state, "_rate_max": np.resize(self._line_rate, cells)}

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        state = self._blank(rows)
        for name, array in state.items():
            old = vars(self).get(name, array[:0])
            array[: len(old)] = old
        vars(self).update(state)
        for _, restarts in self._witnesses:
            restarts.resize(rows)

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        cells = (rows[:, None] * self._width + np.arange(self._width)).ravel()
        for name, array in self._blank(len(rows)).items():
            getattr(self, name)[cells] = array
        for _, restarts in self._witnesses:
            restarts.forget(rows)

    def hear(self, samples: Samples) -> None:
        """Take what is told beside the counters up to now, sorted by entity, column and time."""
        for column, restarts in self._witnesses:
            told = samples.take(samples.signal == column)
            restarts.hear(told.row, told.time_s, told.value)
        for column, signal, scale in self._speeds:
            told = samples.take(samples.signal == column)
            known = (told.value > 0) & (told.value != SPEED_UNKNOWN)
            rate_max = np.where(known, told.value * scale, self._line_rate[signal])
            self._rate_max[told.row * self._width + signal] = rate_max

    def rates(self, cell: Ints, time_s: Doubles, value: Doubles) -> Doubles:
        """Return the rate of each group of samples, NaN where they say none.

        Args:
            cell: Flat index of each sample; equal ones are a group and stand together.
            time_s: Their times, ascending in a group.
            value: What the counters showed.

        Returns:
            One rate a group, in the order of the groups: all growth over all the time it took.
        """
        alone = np.r_[(cell[1:] != cell[:-1]) | (np.diff(time_s) >= self._together_s), True][: len(cell)]
        cell, time_s, value = cell[alone], time_s[alone], value[alone]
        starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])[: len(cell)]
        lengths = np.diff(np.r_[starts, len(cell)])
        heads = cell[starts]
        before = self._rate[heads], self._rate_high[heads]
        growth = np.zeros(len(starts))
        span_s = np.zeros(len(starts))
        # One pass a rank within the groups: as many as the densest counter has samples in a step.
        for rank in range(lengths.max(initial=0)):
            group = np.flatnonzero(lengths > rank)
            sample = starts[group] + rank
            counted, grown, took_s = self._advance(cell[sample], time_s[sample], value[sample])
            growth[group[counted]] += grown[counted]
            span_s[group[counted]] += took_s[counted]
        brief = span_s < self._span_min_s
        self._rate[heads[brief]], self._rate_high[heads[brief]] = (rate[brief] for rate in before)
        rate = np.full(len(starts), np.nan)
        np.divide(growth, span_s, out=rate, where=~brief)
        return rate

    def _advance(self, cell: Ints, time_s: Doubles, value: Doubles) -> Sequence[np.ndarray]:
        """Take one sample of each cell; return whether it counts, its growth and its duration."""
        row, signal = np.divmod(cell, self._width)
        base_s = self._base_s[cell]
        took_s = time_s - base_s
        line = self._rate_max[cell] * (took_s + self._refresh_s)
        looks = _Looks(cell, row, signal, time_s, value, base_s, took_s, line)
        base = self._value[cell]
        growth = value - base
        first = ~(took_s <= self._gap_max_s)  # also where there is no base (NaN)
        broken = self._discontinuous(looks, growth, ~first)
        anew = self._anew[cell]
        first |= ((took_s < self._together_s) | (anew & self._moving[cell] & (growth > 0))) & ~broken
        pending = self._not_refreshed(looks, growth) & ~first & ~broken
        self._seen_s[cell] = time_s
        self._pending[cell] = pending
        self._short[cell] = pending & (growth > 0)
        self._anew[cell] = np.where(pending, anew, broken & (value == 0) & (self._refresh_s > 0))
        counted: Bools = ~first & ~broken & ~pending
        self._note_growth(cell, time_s, counted & (growth > 0), pending | broken | (first & (growth != 0)))
        self._value[cell] = np.where(pending, base, value)
        self._base_s[cell] = np.where(pending, base_s, time_s)
        rate = self._rate[cell]
        np.divide(growth, took_s, out=rate, where=counted)
        self._rate[cell] = rate
        self._rate_high[cell] = np.maximum(self._rate_high[cell] * RATE_HIGH_DECAY, rate)
        wide = value >= RANGE_32
        if wide.any():
            self._wide[cell[wide]] = True
        return counted, growth, took_s

    def _not_refreshed(self, looks: _Looks, growth: Doubles) -> Bools:
        """Return which counters may show what they had counted earlier, and the rest in their next sample."""
        cell, refresh_s = looks.cell, self._refresh_s
        hole = looks.time_s - self._seen_s[cell] > HOLE_REFRESHES * refresh_s
        still = (growth == 0) & ~(self._pending[cell] & (looks.took_s >= refresh_s))
        promised = self._rate[cell] * (looks.took_s - STALE_REFRESHES * refresh_s)
        short = (growth > 0) & (growth < promised) & hole & ~self._short[cell]
        waits: Bools = (still | short) & self._moving[cell] & (refresh_s > 0)
        return waits

    def _discontinuous(self, looks: _Looks, growth: Doubles, based: Bools) -> Bools:
        """Find and count where a counter began anew; write the growth of those that wrapped into `growth`."""
        restarted, running = self._lives(looks)
        restarted &= based
        fell = np.flatnonzero(based & (growth < 0))
        if len(fell):
            self._unwrap(looks, growth, fell, running)
        reset = based & ~restarted & (growth < 0)
        too_fast = based & ~restarted & (growth > looks.line)
        self.looks += np.bincount(looks.signal[based], minlength=self._width)
        for reason, found in zip(_REASONS, (restarted, reset, too_fast), strict=True):
            if found.any():
                count = np.bincount(looks.signal[found], minlength=self._width)
                self.discontinuities[:, _REASONS.index(reason)] += count
        return restarted | reset | too_fast

    def _lives(self, looks: _Looks) -> tuple[Bools, Bools]:
        """Return between which samples the device restarted, and between which it says that it did not."""
        restarted, running = np.zeros((2, len(looks.row)), bool)
        for _, restarts in self._witnesses:
            again, on = restarts.between(looks.row, looks.base_s, looks.time_s)
            restarted |= again
            running |= on
        return restarted, running

    def _unwrap(self, looks: _Looks, growth: Doubles, fell: Ints, running: Bools) -> None:
        """Write into `growth` what those among `fell` have grown that wrapped."""
        cell, row, took_s, line = looks.cell[fell], looks.row[fell], looks.took_s[fell], looks.line[fell]
        bits = self._bits[looks.signal[fell]]
        narrow = (bits == 32) | ((bits == BITS_AUTO) & ~self._wide[cell])  # noqa: PLR2004
        top = np.where(narrow, RANGE_32, RANGE_64)
        grown = growth[fell] + top
        usual = WRAP_RATE_FACTOR * self._rate_high[cell] * took_s
        known = np.where(np.isfinite(line), line, np.maximum(usual, top / 2))
        wrapped = (grown >= 0) & (grown <= np.where(running[fell], known, np.minimum(line, usual)))
        # A reboot resets all counters at once: where one fell for no wrap, no other one wrapped.
        wrapped &= ~np.isin(row, row[~wrapped])
        growth[fell[wrapped]] = grown[wrapped]

    def _note_growth(self, cell: Ints, time_s: Doubles, grown: Bools, untold: Bools) -> None:
        """Find which counters move. A sample that tells no rate leaves that as it was."""
        grown_s = self._grown_s[cell]
        again = (grown_s == self._base_s[cell]) | (time_s - grown_s <= MOVING_REFRESHES * self._refresh_s)
        self._moving[cell] = np.where(grown, again | self._moving[cell], self._moving[cell] & untold)
        self._grown_s[cell] = np.where(grown, time_s, grown_s)
