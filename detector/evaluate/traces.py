"""What the pipeline saw and expected at chosen times: the data of the pictures of a report.

Which times those are is known only when all has been judged, so the data goes through the pipeline once
more: it does the same again, and nothing has to be kept of the times that nobody looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from detector.evaluate.offline import outcomes
from detector.stream.bench import Judge
from detector.stream.definition import Definition
from detector.stream.nouns import Floats, Ints, Scores
from detector.train.dataset import Dataset


class Span(NamedTuple):
    """Steps of the entity at the place `at`, ends included."""

    at: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Every step of a span; NaN where nothing was scored.

    `score` is `(steps,)`, the others are `(steps, signals)`, `observed` and `expected` in the units of the
    signals.
    """

    step: Ints
    score: Floats
    contribution: Floats
    observed: Floats
    expected: Floats

    def put(self, step: int, place: int, scores: Scores) -> None:
        """Take one window of the scores of a step in."""
        index = step - int(self.step[0])
        self.score[index] = scores.score[place]
        self.contribution[index] = scores.contribution[place]
        self.observed[index] = scores.observed[place]
        self.expected[index] = scores.expected[place]


def traces(dataset: Dataset, definition: Definition, judge: Judge, spans: Sequence[Span]) -> list[Trace]:
    """Return a trace for each span."""
    found = [_empty(span, len(definition.signals)) for span in spans]
    waiting = sorted(range(len(spans)), key=lambda index: -spans[index].first)
    open_now: list[int] = []
    for stream, outcome in outcomes(dataset, definition, judge):
        step, scores = outcome.steps.step, outcome.scores
        while waiting and spans[waiting[-1]].first <= step:
            open_now.append(waiting.pop())
        open_now = [index for index in open_now if spans[index].last >= step]
        if scores is None:
            continue
        for index in open_now:
            row = stream.roster.get(dataset.entities[spans[index].at])
            for place in np.flatnonzero(scores.row == row).tolist():
                found[index].put(step, place, scores)
    return found


def _empty(span: Span, signals: int) -> Trace:
    step = np.arange(span.first, span.last + 1)
    score = np.full(len(step), np.nan, np.float32)
    wide = np.full((3, len(step), signals), np.nan, np.float32)
    return Trace(step, score, *wide)
