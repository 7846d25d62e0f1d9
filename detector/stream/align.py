"""Stage 2: samples become steps on the grid.

Samples wait until their step closes, `lateness_s` after the step's time, and are then taken in the order
of their times, whatever the order in which they came. So any arrival order within the lateness gives the
same steps, to the last bit. By rule:

    late         its step has been closed: dropped, counted
    duplicate    same entity, signal and time as another: the greater value stays, the rest is counted
    reordered    older than what came before from the same entity, in time for its step: used, counted
    gap          nothing of a signal in a step: unseen; what stands in for it is the window's business
    hole         no sample of the whole stream for longer than a window: closed once, not step by step

Several gauge samples in a step become the last, the mean, the greatest or their sum; for counters see
`detector.stream.counters`. A closed step is in the units of its signals: here and nowhere else a gauge
becomes `value * scale + offset`, before several become one, and the rate of a counter `rate * scale`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan

import numpy as np

from detector.stream.counters import Counters
from detector.stream.definition import Definition, Witness
from detector.stream.nouns import Doubles, Ints, Samples, Steps

ON_GRID = 1e-6
"""A time this share of a step behind a grid time is on it: float64 seconds resolve no better at 10 ms."""

VALUE_MAX = 1e30
"""Values are clipped to this. It is beyond any telemetry, and far enough from the end of float32 for sums,
differences and scaling downstream never to overflow."""


class Align:
    """Aligns the samples of one stream."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._width = len(definition.signals)
        self._is_counter = np.array([column.kind == "counter" for column in definition.columns])
        self._aggregate = np.array([signal.aggregate for signal in definition.signals])
        self._scale = np.array([signal.scale for signal in definition.signals])
        self._offset = np.array([signal.offset for signal in definition.signals])
        self._waiting: list[Samples] = []
        self._overheard: list[Samples] = []
        self._next: int | None = None
        self.newest_s = np.empty(0)  # (rows,): the newest time of each entity
        self._counters = Counters(definition)
        self.late_total = 0
        self.duplicates_total = 0
        self.reordered_total = 0

    @property
    def discontinuities(self) -> Ints:
        """How often counters began anew, `(signals, reasons)` in the order of `Discontinuity`."""
        return self._counters.discontinuities

    @property
    def counter_looks(self) -> Ints:
        """How many samples that was looked for in, `(signals,)`."""
        return self._counters.looks

    def believe(self, witnesses: Sequence[Witness]) -> int:
        """Believe witnesses of another stream too; return the column of the first of them, for `overhear`."""
        return self._counters.believe(witnesses)

    def overhear(self, samples: Samples) -> None:
        """Take what those tell of entities; it waits for its step, and is no sample of the stream."""
        self._overheard.append(samples)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        self.newest_s = np.concatenate([self.newest_s, np.full(rows - len(self.newest_s), -np.inf)])
        self._counters.resize(rows)

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`, with what waits of them."""
        self.newest_s[rows] = -np.inf
        self._counters.forget(rows)
        self._waiting = [part.take(~np.isin(part.row, rows)) for part in self._waiting]
        self._overheard = [part.take(~np.isin(part.row, rows)) for part in self._overheard]

    def restart(self) -> None:
        """Forget which steps were closed: the clock went back."""
        self._waiting.clear()
        self._overheard.clear()
        self._next = None

    def add(self, samples: Samples) -> None:
        """Take samples in; late ones are dropped and counted."""
        if self._next is not None:
            late = self._step_of(samples.time_s) < self._next
            if late.any():
                self.late_total += int(late.sum())
                samples = samples.take(~late)
        if len(samples.row):
            self._count_reordered(samples)
            self._waiting.append(samples._replace(value=np.clip(samples.value, -VALUE_MAX, VALUE_MAX)))

    @property
    def closed_s(self) -> float:
        """The time of the newest closed step; NaN before the first."""
        return nan if self._next is None else (self._next - 1) * self._definition.step_s

    def closable(self, now_s: float) -> bool:
        """Say whether `close` would close a step."""
        if self._next is not None:
            return self._next <= self._last_due(now_s)
        first_s = min((float(part.time_s.min(initial=np.inf)) for part in self._waiting), default=np.inf)
        return first_s < np.inf and int(self._step_of(np.array(first_s))) <= self._last_due(now_s)

    def close(self, now_s: float) -> Iterator[Steps]:
        """Close every step whose time, and the lateness after it, have passed at `now_s`."""
        if not self.closable(now_s):
            return
        last = self._last_due(now_s)
        samples, steps = self._due(last)
        if self._next is None:
            self._next = int(steps[0])
        edges = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])[: len(steps)]
        ends = np.r_[edges[1:], len(steps)][: len(edges)]
        for start, end in zip(edges.tolist(), ends.tolist(), strict=True):
            yield from self._empty_until(int(steps[start]))
            yield self._closed(samples.take(slice(start, end)))
        yield from self._empty_until(last + 1)
        self._hear_others(last)

    def _last_due(self, now_s: float) -> int:
        definition = self._definition
        return int(np.floor((now_s - definition.lateness_s) / definition.step_s + ON_GRID))

    def _step_of(self, time_s: Doubles) -> Ints:
        return np.ceil(time_s / self._definition.step_s - ON_GRID).astype(np.int64)

    def _due(self, last: int) -> tuple[Samples, Ints]:
        """Take out what belongs to the steps up to `last`: sorted, without duplicates."""
        if not self._waiting:
            return _NOTHING, _NOTHING.row
        waiting = Samples(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
        steps = self._step_of(waiting.time_s)
        due = steps <= last
        rest = waiting.take(~due)
        self._waiting = [rest] if len(rest.row) else []
        samples, steps = waiting.take(due), steps[due]
        order = np.lexsort((samples.value, samples.time_s, samples.signal, samples.row, steps))
        samples, steps = samples.take(order), steps[order]
        again = (
            (samples.time_s[1:] == samples.time_s[:-1])
            & (samples.row[1:] == samples.row[:-1])
            & (samples.signal[1:] == samples.signal[:-1])
        )
        self.duplicates_total += int(again.sum())
        keep = np.r_[~again, np.ones(min(1, len(steps)), bool)]
        return samples.take(keep), steps[keep]

    def _empty_until(self, step: int) -> Iterator[Steps]:
        """Close empty steps before `step`, at most a window of them: more would change nothing."""
        assert self._next is not None
        first = max(self._next, step - self._definition.window_steps)
        for empty in range(first, step):
            yield Steps(
                empty, _NOTHING.row, np.empty((0, self._width), np.float32), np.empty((0, self._width), bool)
            )
        self._next = max(self._next, step)

    def _closed(self, samples: Samples) -> Steps:
        """Turn the samples of one step, sorted by entity, signal and time, into it."""
        assert self._next is not None
        step = self._next
        self._next += 1
        self._counters.hear(samples)
        self._hear_others(step)
        if len(self._is_counter) > self._width:
            samples = samples.take(samples.signal < self._width)
        rows, position = np.unique(samples.row, return_inverse=True)
        value = np.full((len(rows), self._width), np.nan)
        counter = self._is_counter[samples.signal]
        self._reduce_gauges(value, position, samples.take(~counter), ~counter)
        part = samples.take(counter)
        cell = part.row * self._width + part.signal
        heads = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])[: len(cell)]
        rates = self._counters.rates(cell, part.time_s, part.value)
        value[position[counter][heads], part.signal[heads]] = rates * self._scale[part.signal[heads]]
        return Steps(step, rows, np.clip(value, -VALUE_MAX, VALUE_MAX).astype(np.float32), ~np.isnan(value))

    def _hear_others(self, step: int) -> None:
        """Hear what was overheard up to a step; what belongs to closed ones is late, and of use still."""
        if not self._overheard:
            return
        overheard = Samples(*(np.concatenate(column) for column in zip(*self._overheard, strict=True)))
        due = self._step_of(overheard.time_s) <= step
        self._overheard = [overheard.take(~due)] if not due.all() else []
        told = overheard.take(due)
        self._counters.hear(told.take(np.lexsort((told.time_s, told.signal, told.row))))

    def _reduce_gauges(self, value: Doubles, position: Ints, samples: Samples, chosen: np.ndarray) -> None:
        if not len(samples.row):
            return
        place = position[chosen]
        scaled = samples.value * self._scale[samples.signal] + self._offset[samples.signal]
        cell = samples.row * self._width + samples.signal
        heads = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
        signal, place = samples.signal[heads], place[heads]
        counts = np.diff(np.r_[heads, len(cell)])
        reduced = {
            "last": scaled[heads + counts - 1],
            "max": np.maximum.reduceat(scaled, heads),
            "sum": np.add.reduceat(scaled, heads),
        }
        reduced["mean"] = reduced["sum"] / counts
        for aggregate, values in reduced.items():
            mine = self._aggregate[signal] == aggregate
            value[place[mine], signal[mine]] = values[mine]

    def _count_reordered(self, samples: Samples) -> None:
        order = np.argsort(samples.row, kind="stable")
        row, time_s = samples.row[order], samples.time_s[order]
        # A running maximum for each entity in one pass: entities are set apart by more than the span.
        apart = time_s - time_s.min() + np.cumsum(np.r_[False, row[1:] != row[:-1]]) * (np.ptp(time_s) + 1.0)
        behind = np.r_[False, apart[1:] < np.maximum.accumulate(apart)[:-1]]
        self.reordered_total += int((behind | (time_s < self.newest_s[row])).sum())
        np.maximum.at(self.newest_s, row, time_s)


_NOTHING = Samples(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
