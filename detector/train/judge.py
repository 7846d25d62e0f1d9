"""Judge a design without labels: folds of a timeline, and the injected faults that are found in them.

Folds go forward in time (blocked, forward chaining): each is learnt from everything before it and judged on
the block that follows, with a window between them that belongs to neither, so that no step is in both.

    |---- learnt from ----|gap|-- judged --|
    |---------- learnt from ---------|gap|-- judged --|
    |------------------ learnt from ------------|gap|-- judged --|

In the judged block the entities live twice: as they were, and as copies with faults (`inject.py`). Both are
scored by the product's own scorer, calibrated on what was learnt from. The level at which so many episodes
begin as the budget accepts, in the entities as they were, is the threshold; what of the faults is beyond it
is found.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from detector.model.design import Design
from detector.stream.calibration import WEEK_S, Calibration
from detector.stream.nouns import Bools, Doubles, Ints, Reconstruct
from detector.train.expect import judged_by
from detector.train.fit import fit_on, prepare
from detector.train.inject import APART_STEPS, KINDS, SIZES, Fault, inject
from detector.train.scored import Judged, of_each, raw_steps, scorer_of
from detector.train.tails import opening, peaks_over
from detector.train.timeline import Timeline
from detector.train.windows import Windows, evenly, windows_of

FOLDS = 3
FIRST_SHARE = 0.4
"""Of the time, what the first fold learns from; the rest is judged block by block."""
JUDGED_WINDOWS_MAX = 120_000
"""Windows of a fold that are judged, without the copies: the newest ones."""
ENTITIES_MAX = 200
"""Entities of a fold that are judged, evenly spread."""
CALIBRATED_SHARE = 4
"""Windows that scores are calibrated by, of those that may be judged."""
FAULTS_MIN = 720
"""Faults of a fold: as many copies are made of the entities as it takes, up to `COPIES_MAX`."""
COPIES_MAX = 8
EPISODES_MIN = 5
"""Where the budget accepts fewer episodes in the judged time than this, the threshold lets that many begin:
fewer say nothing."""
BUDGETS = (0.5, 1.0, 2.0)
"""What is found is the mean at these shares of the budget: one threshold alone hangs on one episode."""
COST_WINDOWS = 1024


@dataclass(frozen=True, slots=True)
class Fold:
    """Positions of a timeline: learnt from are those before `split`, judged those from `begin` to `end`."""

    split: int
    begin: int
    end: int


class Case(NamedTuple):
    """How many faults of a kind and size were found at the budget, of how many."""

    kind: str
    size: float
    found: int
    faults: int


@dataclass(frozen=True, slots=True)
class FoldResult:
    """How a design did in a fold.

    `found` is the share of the injected faults that were found; `error` the mean absolute error of the newest
    step, in robust deviations; `multiplications` is what expecting a window costs on any machine, `window_us`
    on this one.
    """

    found: float
    cases: list[Case]
    error: float
    multiplications: int
    window_us: float

    @classmethod
    def of(cls, told: dict[str, Any]) -> FoldResult:
        """Return what `asdict` and JSON have made of one."""
        return cls(**{**told, "cases": [Case(*case) for case in told["cases"]]})


def folds(past: Timeline, count: int = FOLDS) -> list[Fold]:
    """Return the folds of a timeline, the earliest first; fewer where there is no room."""
    window = past.definition.window_steps
    steps = len(past.step)
    first = max(int(steps * FIRST_SHARE), 2 * window)
    edges = np.linspace(first, steps, count + 1).astype(int).tolist()
    found = [Fold(split, split + window, end) for split, end in pairwise(edges)]
    return [fold for fold in found if fold.end - fold.begin > window]


def judge(arena: Arena, design: Design, seed: int, epochs: int) -> FoldResult:
    """Learn from one part of a timeline, and see what is found in another."""
    most = CALIBRATED_SHARE * JUDGED_WINDOWS_MAX
    fitted = fit_on(arena.ground, design, seed, epochs, lambda *_: None, most)
    reconstruct = fitted.expectation.reconstruct
    judged = judged_by(arena.windows, reconstruct)
    cases, found = arena.found(judged, fitted.calibration)
    error = np.abs(judged.newest - judged.expected)[judged.seen & (judged.entity < arena.clean)[:, None]]
    return FoldResult(
        found=found,
        cases=cases,
        error=float(error.mean()),
        multiplications=fitted.expectation.multiplications,
        window_us=_window_us(arena.ground.windows, reconstruct),
    )


class Arena:
    """What is the same for all who are judged in a fold: the ground they learn from, and the judged block.

    In the block, the first `clean` rows are entities as they were, the others copies with faults.
    """

    def __init__(self, past: Timeline, fold: Fold, seed: int) -> None:
        self.ground = prepare(past.before(fold.split))
        windows = windows_of(past, self.ground.scaling, *past.ends())
        window = past.definition.window_steps
        chosen = _entities(windows.part((windows.end >= fold.begin) & (windows.end < fold.end)))
        steps = max(window, min(fold.end - fold.begin, JUDGED_WINDOWS_MAX // max(len(chosen), 1)))
        part = slice(fold.end - steps - window, fold.end)
        value, seen = windows.value[chosen, part], past.seen[chosen, part]
        copies = int(np.clip(np.ceil(FAULTS_MIN * APART_STEPS / (len(chosen) * steps)), 1, COPIES_MAX))
        hit = np.tile(value, (copies, 1, 1))
        faults = inject(hit, np.tile(seen, (copies, 1, 1)), window, np.random.default_rng(seed))
        self.clean = len(chosen)
        self.faults = [replace(fault, row=fault.row + self.clean) for fault in faults]
        own = np.tile(chosen, copies + 1)
        self._past = replace(
            past,
            entities=tuple(past.entities[index] for index in own),
            step=past.step[part],
            value=np.empty((0, steps + window, value.shape[2]), np.float32),
            seen=np.tile(seen, (copies + 1, 1, 1)),
            born=np.maximum(past.born[own] - part.start, 0),
        )
        row, end = self._past.ends()
        later = end >= window
        self.windows = Windows(self._past, np.concatenate([value, hit]), row[later], end[later])

    def found(self, judged: Judged, calibration: Calibration) -> tuple[list[Case], float]:
        """Return how many faults of each case were found at the budget, and the mean share about it."""
        definition = self._past.definition
        beyond = self._beyond(judged, calibration)
        series = [(end, opening(one, definition)) for end, one in beyond]
        clean = [level for _, level in series[: self.clean]]
        weeks = sum(map(len, clean)) * definition.step_s / WEEK_S
        highest = np.array([_highest(*series[fault.row], fault) for fault in self.faults])
        thresholds = [
            threshold(clean, max(share * definition.budget * weeks, EPISODES_MIN), definition.close_steps)
            for share in BUDGETS
        ]
        hit = highest > thresholds[BUDGETS.index(1.0)]
        case = np.array([KINDS.index(one.kind) * len(SIZES) + SIZES.index(one.size) for one in self.faults])
        cells = len(KINDS) * len(SIZES)
        counts = zip(np.bincount(case[hit], minlength=cells), np.bincount(case, minlength=cells), strict=True)
        names = [(kind, size) for kind in KINDS for size in SIZES]
        cases = [Case(*name, int(a), int(b)) for name, (a, b) in zip(names, counts, strict=True)]
        return cases, float(np.mean([(highest > level).mean() for level in thresholds]))

    def _beyond(self, judged: Judged, calibration: Calibration) -> list[tuple[Ints, Doubles]]:
        """Return for each row where its scored steps are, and how far they are above the usual."""
        scorer = scorer_of(self._past, calibration)
        learns: Bools = np.ones(len(judged.end), bool)
        beyond = np.empty(len(judged.end))
        for part, log in raw_steps(self._past, judged, scorer, learns):
            beyond[part] = scorer.beyond(judged.entity[part], log, learns[part])
        rows, nothing = of_each(judged.entity), np.empty(0, np.int64)
        each = (rows.get(row, nothing) for row in range(len(self._past.entities)))
        return [(judged.end[mine], beyond[mine]) for mine in each]


def threshold(series: list[Doubles], episodes: float, apart: int) -> float:
    """Return the lowest level beyond which no more than so many episodes begin."""
    values = np.unique(np.concatenate([*series, np.zeros(1)]))
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        begun = sum(len(peaks_over(values[middle], one, apart)) for one in series)
        low, high = (low, middle) if begun <= episodes else (middle + 1, high)
    return float(values[low])


def _highest(end: Ints, level: Doubles, fault: Fault) -> float:
    """Return the highest level that would open an episode while a fault lasts."""
    ends = end[len(end) - len(level) :]
    return float(np.max(level[slice(*np.searchsorted(ends, [fault.first, fault.last + 1]))], initial=-np.inf))


def _entities(windows: Windows) -> Ints:
    """Return the entities that have windows, evenly spread where they are too many."""
    there = np.unique(windows.entity)
    return np.asarray(there[evenly(len(there), ENTITIES_MAX)])


def _window_us(windows: Windows, reconstruct: Reconstruct) -> float:
    """Return the time that expecting a window takes, in a batch as a daemon has it: the least of five."""
    given = windows.of(np.arange(min(len(windows), COST_WINDOWS)))
    took_s = []
    for _ in range(5):
        begin_s = time.perf_counter()
        reconstruct(*given)
        took_s.append(time.perf_counter() - begin_s)
    return 1e6 * min(took_s) / len(given[0])
