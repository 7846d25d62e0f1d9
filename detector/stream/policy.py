"""What an operator says of deviations, entity by entity, without training again.

What holds of a row is decided once, when its entity is admitted: the stream's own word on each signal, over
it every policy whose selector fits, key by key, the later before the earlier. Entities of whom the same
holds share one line of the table; a row has the index of its line. Then, of each scored step:

    tolerated   |observed - expected| < max(deviation_min, deviation_min_ratio * |expected|): no error
    side        a deviation against the direction: no error
    weight      multiplies what a signal says against the others; 0: as if it were not seen
    broken      observed < valid_min or observed > valid_max: the score is `BREACH_SCORE` at least

All of it is in the raw units of the signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from detector.stream.definition import Definition, SignalPolicy
from detector.stream.nouns import Bools, Doubles, Entity, Floats, Ints, Scores, Windows
from detector.stream.selector import Selectors
from detector.stream.shares import Shares

BREACH_SCORE = 2.0
"""The least score of a value out of its valid range: at 1.0 nothing would open an episode, and nobody should
read a limit that is broken as a close call."""
SIDES = {"both": 0.0, "above": 1.0, "below": -1.0}
PLAIN = SignalPolicy("both", 0.0, 0.0, -np.inf, np.inf, 1.0)
"""What holds of a signal of which nobody says anything."""
ERROR_TINY = 1e-6
"""So that an error of 0 divides nothing by 0."""


def sides(definition: Definition) -> Floats:
    """Return which deviations of each signal count, for all entities: 0 both, 1 only above, -1 only below."""
    return np.array([SIDES[signal.direction] for signal in definition.signals], np.float32)


def share_aside(side: Floats, aside: Floats, error: Floats) -> Floats:
    """Return how much of each error counts by its side, from 0 to 1; all shapes are `(windows, signals)`.

    Of a signal of which one side counts, no more than the value itself is on that side of where it usually
    is, `aside`: less than what a burst made the network expect is no fall.
    """
    wrong = side * error
    bounded = np.clip(side * aside / np.maximum(wrong, ERROR_TINY), 0.0, 1.0)
    return np.where(side == 0, np.float32(1.0), np.where(wrong > 0, bounded, np.float32(0.0)))


def tolerated(observed: Floats, expected: Floats, least: Floats, least_ratio: Floats) -> Bools:
    """Return which deviations are too small to count; all shapes are `(windows, signals)` or fit that."""
    with np.errstate(over="ignore", invalid="ignore"):
        small: Bools = np.abs(observed - expected) < np.maximum(least, least_ratio * np.abs(expected))
    return small


def broken(observed: Floats, seen: Bools, valid_min: Floats, valid_max: Floats) -> Floats | None:
    """Return the bound that each value is beyond, NaN where it is within or unseen; None: none is beyond."""
    below, above = seen & (observed < valid_min), seen & (observed > valid_max)
    if not (below.any() or above.any()):
        return None
    bound = np.where(above, valid_max, np.float32(np.nan))
    return np.where(below, valid_min, bound)


def broken_key(observed: float, bound: float) -> str:
    """Return which key of a policy says the bound that a value is beyond."""
    return "valid_max" if observed > bound else "valid_min"


def lifted(scores: Scores, bound: Floats | None) -> Scores:
    """Return scores in which a broken bound counts.

    A score that it lifts is of the signals that broke one, in equal parts; a higher one stays as it is.
    """
    if bound is None:
        return scores
    breach = ~np.isnan(bound)
    lifts = breach.any(axis=1) & (scores.score < BREACH_SCORE)
    share = breach / np.maximum(breach.sum(axis=1, keepdims=True), 1)
    return scores._replace(
        score=np.where(lifts, np.float32(BREACH_SCORE), scores.score),
        contribution=np.where(lifts[:, None], share, scores.contribution).astype(np.float32),
        bound=bound,
    )


class _Line(NamedTuple):
    """What holds of some entities: arrays `(signals,)`, and two values. Of many lines, arrays of those."""

    side: Floats
    deviation_min: Floats
    deviation_min_ratio: Floats
    valid_min: Floats
    valid_max: Floats
    weight: Floats
    mute: Bools
    budget: Doubles


class _Table(NamedTuple):
    """All lines `(lines, signals)`, and what of it no line asks for, which then costs nothing."""

    lines: _Line
    tolerates: bool
    weighs: bool
    bounds: bool


class Policies:
    """What holds of the entities of one stream. What it knows of a row is one index."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._selectors = Selectors(definition.entity, [policy.match for policy in definition.policies])
        self._fitting: dict[int, int] = {}  # which policies fit -> the line of what they come to
        self._same: dict[bytes, int] = {}
        self._lines: list[_Line] = []
        self._index = np.zeros(0, np.int32)
        of = definition.budget_of
        self._shares = Shares(definition.entity.index(of) if of else None)
        self._line_of(0)
        self._tabulated = _tabulated(self._lines)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        self._index = np.concatenate([self._index, np.zeros(rows - len(self._index), np.int32)])
        self._shares.resize(rows)

    def admit(self, row: int, entity: Entity) -> None:
        """Decide what holds of a new entity."""
        self._index[row] = self._line_of(self._selectors.fitting(entity))
        self._shares.admit(row, entity)

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self._index[rows] = 0
        self._shares.forget(rows)

    # What holds

    @property
    def muted(self) -> Bools:
        """Of whom nobody wants an alarm, `(rows,)`."""
        return self._table.lines.mute[self._index]

    @property
    def budget(self) -> Doubles:
        """How many false alarms a week are accepted of each, `(rows,)`; of what is shared, a part."""
        budget, members = self._table.lines.budget[self._index], self._shares.members
        return budget if members is None else budget / members

    def side(self, row: Ints) -> Floats:
        """Return which deviations count, as of `sides`; `(windows, signals)`, or `(1, signals)` for all."""
        return self._of(row, self._table.lines.side)

    @property
    def tolerates(self) -> bool:
        """Whether any deviation is too small to count."""
        return self._table.tolerates

    def tolerated(self, row: Ints, observed: Floats, expected: Floats) -> Bools:
        """Return which deviations are too small to count, `(windows, signals)`."""
        lines = self._table.lines
        least, least_ratio = self._of(row, lines.deviation_min), self._of(row, lines.deviation_min_ratio)
        return tolerated(observed, expected, least, least_ratio)

    def weight(self, row: Ints) -> Floats | None:
        """Return the weights of the signals, `(windows, signals)` or for all; None: they weigh the same."""
        return self._of(row, self._table.lines.weight) if self._table.weighs else None

    def broken(self, windows: Windows) -> Floats | None:
        """Return the bounds that the newest step of windows is beyond, as the function of this name."""
        if not self._table.bounds:
            return None
        lines, row = self._table.lines, windows.row
        valid_min, valid_max = self._of(row, lines.valid_min), self._of(row, lines.valid_max)
        return broken(windows.value[:, -1], windows.seen[:, -1], valid_min, valid_max)

    def _of(self, row: Ints, column: Floats) -> Floats:
        return column if len(column) == 1 else column[self._index[row]]

    # How it is decided

    @property
    def _table(self) -> _Table:
        if len(self._tabulated.lines.mute) < len(self._lines):  # some were admitted of whom else holds
            self._tabulated = _tabulated(self._lines)
        return self._tabulated

    def _line_of(self, fitting: int) -> int:
        if fitting not in self._fitting:
            line = _line(self._definition, fitting)
            key = b"".join(part.tobytes() for part in line)
            if key not in self._same:
                self._same[key] = len(self._lines)
                self._lines.append(line)
            self._fitting[fitting] = self._same[key]
        return self._fitting[fitting]


def _tabulated(lines: Sequence[_Line]) -> _Table:
    all_of = _Line(*(np.array(column) for column in zip(*lines, strict=True)))
    return _Table(
        all_of,
        tolerates=bool(all_of.deviation_min.any() or all_of.deviation_min_ratio.any()),
        weighs=bool((all_of.weight != 1.0).any()),
        bounds=bool(np.isfinite([all_of.valid_min, all_of.valid_max]).any()),
    )


def _line(definition: Definition, fitting: int) -> _Line:
    """Return what the policies of a set come to, over what holds for the whole stream."""
    chosen = [policy for index, policy in enumerate(definition.policies) if fitting >> index & 1]
    by_name = [dict(policy.signals) for policy in chosen]
    held = [
        _together([PLAIN, SignalPolicy(one.direction), one.policy, *(said.get(one.name) for said in by_name)])
        for one in definition.signals
    ]
    weight = _column(held, "weight")
    mute = [policy.mute for policy in chosen if policy.mute is not None]
    budget = [policy.budget for policy in chosen if policy.budget is not None]
    return _Line(
        side=np.array([SIDES[one.direction or "both"] for one in held], np.float32),
        deviation_min=_column(held, "deviation_min"),
        deviation_min_ratio=_column(held, "deviation_min_ratio"),
        valid_min=np.where(weight > 0, _column(held, "valid_min"), np.float32(-np.inf)),
        valid_max=np.where(weight > 0, _column(held, "valid_max"), np.float32(np.inf)),
        weight=weight,
        mute=np.array([False, *mute][-1]),
        budget=np.array([definition.budget, *budget][-1]),
    )


def _together(said: Sequence[SignalPolicy | None]) -> SignalPolicy:
    """Return what holds where all of these are said, the later before the earlier."""
    keys = {key: value for one in said if one for key, value in asdict(one).items() if value is not None}
    return SignalPolicy(**keys)


def _column(held: Sequence[SignalPolicy], key: str) -> Floats:
    with np.errstate(over="ignore"):  # what float32 cannot hold is beyond every value
        return np.array([getattr(one, key) for one in held], np.float64).astype(np.float32)
