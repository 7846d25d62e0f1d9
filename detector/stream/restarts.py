"""Did a device restart between two looks at its counters? It says so itself, where anybody asks.

A witness is a column that is told beside the counters, of the same entity, in the same message or another:

    uptime     has it fallen, or is it less than the time since it was told last? Then the device restarted,
               `uptime` before now. Ticks are hundredths of a second in 32 bits and begin at 0 again after 497
               days; when that was to be expected, nothing restarted.
    boot_time  is it another one? The clock of the device may be wrong: then it restarted, nobody knows when.
    boot_id    is it another one? Any text or number: a boot id, snmpEngineBoots, or of an interface
               ifCounterDiscontinuityTime, which changes when counters begin anew without the device.

So the life of an entity is known as: up without a restart from `up_s` to `told_s`, and before that a
restart after `down_s`. Two looks on either side of a restart have nothing in common; two looks within one
life do, and what fell between them has wrapped.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Witness
from detector.stream.nouns import Bools, Doubles, Ints

JITTER_S = 5.0
"""How far clocks, caches of agents and whole seconds are apart; no device restarts in less."""
TICK_S = 0.01
"""What SNMP counts uptime in, whatever an agent makes of it. 32 bits of them are 497 days."""
WRAP_JITTER_S = 60.0
"""How exactly that has to be expected. Of a million devices that restart, one does so in this minute."""
FINER = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
"""A boot time from here on is in nano-, micro- or milliseconds, as `decode.times` reads times."""


class Restarts:
    """What one witness says; arrays of `(rows,)`.

    `told` is its newest value, of `told_s`; up since `up_s`; the restart before that came after `down_s`,
    infinity where there was none.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self._told = np.full(rows, np.nan)
        self._told_s = np.full(rows, -np.inf)
        self._up_s = np.full(rows, -np.inf)
        self._down_s = np.full(rows, np.inf)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = self._told, self._told_s, self._up_s, self._down_s
        self._allocate(rows)
        for array, before in zip((self._told, self._told_s, self._up_s, self._down_s), old, strict=True):
            array[: len(before)] = before

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self._told[rows] = np.nan
        self._told_s[rows] = -np.inf
        self._up_s[rows] = -np.inf

    def hear(self, row: Ints, time_s: Doubles, value: Doubles) -> None:
        """Take what was told: rows that stand together, times ascending in each. What is no news is left."""
        news = time_s > self._told_s[row]
        row, time_s, value = row[news], time_s[news], value[news]
        if not len(row):
            return
        heads = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        told, since_s = self._read(value, time_s)
        before, before_s = np.roll(told, 1), np.roll(time_s, 1)
        before[heads], before_s[heads] = self._told[row[heads]], self._told_s[row[heads]]
        first = np.isnan(before)
        restarted = ~first & self._is_another(before, told, time_s - before_s)
        dated = (since_s > before_s) & (since_s <= time_s)
        begun = restarted | first
        up_s = np.where(begun, np.where(dated, since_s, time_s), -np.inf)
        down_s = np.where(dated, np.maximum(before_s, since_s - JITTER_S), before_s)
        down_s[~begun | (first & ~dated)] = np.inf
        any_begun = np.logical_or.reduceat(begun, heads)
        which = row[heads[any_begun]]
        # Of several restarts at once the span of all: what was told between them is of no use.
        self._up_s[which] = np.maximum.reduceat(up_s, heads)[any_begun]
        self._down_s[which] = np.minimum.reduceat(down_s, heads)[any_begun]
        tails = np.r_[heads[1:], len(row)] - 1
        self._told[row[tails]], self._told_s[row[tails]] = told[tails], time_s[tails]

    def between(self, row: Ints, from_s: Doubles, until_s: Doubles) -> tuple[Bools, Bools]:
        """Return for which spans there was a restart in them, and for which there was none; else unknown."""
        up_s = self._up_s[row]
        restarted = (from_s < up_s) & (until_s > self._down_s[row])
        return restarted, (from_s >= up_s) & (until_s <= self._told_s[row])

    def _read(self, value: Doubles, time_s: Doubles) -> tuple[Doubles, Doubles]:
        """Return what is to be compared, and since when the device is up, NaN where nobody says."""
        if self._witness.kind == "uptime":
            up_s = value * self._witness.unit_s
            return up_s, time_s - up_s
        if self._witness.kind == "boot_time":
            for limit, unit_s in FINER:
                value = np.where(value >= limit, value * unit_s, value)
            return value, value
        return value, np.full(len(value), np.nan)

    def _is_another(self, before: Doubles, told: Doubles, elapsed_s: Doubles) -> Bools:
        """Return where the device that tells is not as it was."""
        if self._witness.kind == "boot_id":
            return np.asarray(told != before)
        if self._witness.kind == "boot_time":
            return np.asarray(np.abs(told - before) > JITTER_S)
        less = (told < before - JITTER_S) | (told + JITTER_S < elapsed_s)
        for unit_s in (TICK_S, self._witness.unit_s):
            less &= np.abs(told + 2.0**32 * unit_s - before - elapsed_s) > WRAP_JITTER_S
        return less
