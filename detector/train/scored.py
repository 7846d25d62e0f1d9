"""Windows run through the product's own scorer, step by step, as a daemon would have had them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detector.stream.calibration import Calibration
from detector.stream.nouns import Bools, Floats, Ints
from detector.stream.policy import Policies
from detector.stream.scaling import few_counts, unscaled
from detector.stream.score import Scorer
from detector.train.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Judged:
    """The newest step of windows, scaled, and what was expected of it. `(windows, signals)` or `(windows,)`.

    `reported` says which signals were seen in the window; `end` is its position in the timeline, ascending.
    """

    entity: Ints
    end: Ints
    newest: Floats
    seen: Bools
    expected: Floats
    reported: Bools


def scorer_of(past: Timeline, calibration: Calibration) -> Scorer:
    """Return a scorer that has the entities of a timeline in its rows."""
    policies = Policies(past.definition)
    scorer = Scorer(past.definition, calibration, policies)
    for stage in (policies, scorer):
        stage.resize(len(past.entities))
        for row, entity in enumerate(past.entities):
            stage.admit(row, entity)
    return scorer


def raw_steps(
    past: Timeline, judged: Judged, scorer: Scorer, learns: Bools
) -> Iterator[tuple[slice, Floats]]:
    """Yield step by step where its windows are, and the logarithm of their raw scores.

    `learns` `(windows,)` says from which the scorer learns.
    """
    few = few_counts(past.definition)
    for part in steps_of(judged):
        row, newest = judged.entity[part], judged.newest[part]
        observed = unscaled(newest, scorer.center[row], scorer.scale[row], few)
        seen, expected, reported = judged.seen[part], judged.expected[part], judged.reported[part]
        yield part, scorer.raw(row, observed, newest, seen, expected, reported, learns[part]).log


def raw_scores(past: Timeline, judged: Judged, scorer: Scorer, learns: Bools) -> Floats:
    """Return the logarithm of the raw scores of all windows, `(windows,)`; see `raw_steps`."""
    raw = np.empty(len(judged.end), np.float32)
    for part, log in raw_steps(past, judged, scorer, learns):
        raw[part] = log
    return raw


def steps_of(judged: Judged) -> list[slice]:
    """Return where the windows of each step are."""
    heads = np.flatnonzero(np.r_[True, np.diff(judged.end) > 0])
    return [slice(start, end) for start, end in zip(heads, np.r_[heads[1:], len(judged.end)], strict=True)]


def of_each(entity: Ints) -> dict[int, Ints]:
    """Return where the windows of each entity are, in their order."""
    order = np.argsort(entity, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(entity[order])) + 1) if len(order) else []
    return {int(entity[mine[0]]): mine for mine in parts}
