"""What a report shows, as numbers: they stand in the manifest, and the page is drawn from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from detector.stream.calibration import WEEK_S, edge
from detector.stream.nouns import Doubles, Floats
from detector.stream.scaling import few_counts, unscaled
from detector.train.fit import Fitted
from detector.train.scored import of_each
from detector.train.select import Selection
from detector.train.tails import opening, peaks_over
from detector.train.timeline import Timeline

BINS = 300
"""Of the time: a screen shows no more."""
LEVELS = 40
WINDOWS_EACH = 2
"""Typical windows, and worst ones: each worst one of another entity."""
WINDOWS_LONG = 3
"""A picture is so many windows long, the judged step at the end of the second."""
LEADING = 3
"""Signals that a picture shows."""
DIGITS = 5


def figures(past: Timeline, fitted: Fitted, selection: Selection | None) -> dict[str, Any]:
    """Return the figures of a training, for JSON."""
    course = fitted.expectation.course
    level = edge(fitted.calibration.tail, past.definition.budget, past.definition.step_s)
    return {
        "course": {"loss": _told(course.loss), "held_out_loss": _told(course.held_out_loss)},
        "cases": _cases(selection),
        "signals": list(_signals(past, fitted)),
        "scores": _scores(past, fitted, level),
        "tail": _tail(past, fitted, level),
        "windows": list(_windows(past, fitted, level)),
    }


def _told(values: Sequence[float] | Floats | Doubles) -> list[float | None]:
    """Return numbers with some digits, None where there is none."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values]


def _cases(selection: Selection | None) -> list[dict[str, Any]]:
    """Return what the chosen one and the baselines found of each kind and size, over all folds."""
    if selection is None or not selection.candidates:
        return []
    shown = [one for one in selection.candidates if one.design.is_baseline and one.finished]
    shown = [selection.chosen, *(one for one in shown if one is not selection.chosen)]
    return [
        {
            "architecture": one.design.architecture,
            "cases": [
                [
                    case[0].kind,
                    case[0].size,
                    sum(part.found for part in case),
                    sum(part.faults for part in case),
                ]
                for case in zip(*(result.cases for result in one.results), strict=True)
            ],
        }
        for one in shown
    ]


def _signals(past: Timeline, fitted: Fitted) -> Iterator[dict[str, Any]]:
    """Yield how well each signal is expected, in robust deviations and in raw units."""
    judged, scale = fitted.judged, fitted.scaling.scale
    error = np.where(judged.seen, np.abs(judged.newest - judged.expected), np.nan)
    raw = error * scale[judged.entity]
    for index, signal in enumerate(past.definition.signals):
        known = np.isfinite(error[:, index])
        each = error[known, index] if known.any() else np.zeros(1)
        yield {
            "name": signal.name,
            "unit": signal.unit,
            "error_mean": _told([each.mean()])[0],
            "error_p99": _told([np.quantile(each, 0.99)])[0],
            "error_raw": _told([raw[known, index].mean() if known.any() else 0.0])[0],
        }


def _scores(past: Timeline, fitted: Fitted, level: float) -> dict[str, Any]:
    """Return the median and the highest score of all entities over the time."""
    end, score = fitted.judged.end, np.exp(fitted.beyond - level)
    heads = np.unique(np.searchsorted(end, np.linspace(end[0], end[-1], BINS)))
    step_s = past.definition.step_s
    parts = np.split(score, heads[1:])
    return {
        "time_s": [float(past.step[end[head]] * step_s) for head in heads],
        "median": _told([float(np.median(part)) for part in parts]),
        "highest": _told([float(part.max()) for part in parts]),
    }


def _tail(past: Timeline, fitted: Fitted, level: float) -> dict[str, Any]:
    """Return how many episodes a week begin beyond which level: as it was, and as the tail has it."""
    definition, tail = past.definition, fitted.calibration.tail
    series = [opening(fitted.beyond[mine], definition) for mine in of_each(fitted.judged.entity).values()]
    together = np.concatenate([*series, np.zeros(1)])
    levels = np.linspace(np.median(together), max(float(together.max()), level), LEVELS)
    weeks = max(sum(map(len, series)), 1) * definition.step_s / WEEK_S
    apart = definition.close_steps
    begun = [sum(len(peaks_over(one, each, apart)) for each in series) / weeks for one in levels]
    budgets = np.geomspace(0.01, 1000.0, LEVELS)
    return {
        "score": _told(np.exp(levels - level)),
        "episodes_a_week": _told(begun),
        "fitted_score": _told([float(np.exp(edge(tail, one, definition.step_s) - level)) for one in budgets]),
        "fitted_episodes_a_week": _told(budgets),
        "budget": definition.budget,
    }


def _windows(past: Timeline, fitted: Fitted, level: float) -> Iterator[dict[str, Any]]:
    """Yield typical and worst stretches of an entity, observed and expected in raw units."""
    order = np.argsort(fitted.beyond, kind="stable")
    middle = len(order) // 2
    typical = order[middle - WINDOWS_EACH // 2 : middle - WINDOWS_EACH // 2 + WINDOWS_EACH]
    _, first = np.unique(fitted.judged.entity[order[::-1]], return_index=True)
    worst = order[::-1][np.sort(first)[:WINDOWS_EACH]]
    for what, chosen in (("worst", worst), ("typical", typical)):
        for at in chosen.tolist():
            yield {"what": what, **_stretch(past, fitted, level, at)}


def _stretch(past: Timeline, fitted: Fitted, level: float, at: int) -> dict[str, Any]:
    """Return the judged steps around a window of an entity."""
    judged, definition = fitted.judged, past.definition
    entity, end = int(judged.entity[at]), int(judged.end[at])
    span = definition.window_steps
    near = (judged.end > end - (WINDOWS_LONG - 1) * span) & (judged.end <= end + span)
    mine = np.flatnonzero(near & (judged.entity == entity))
    center, scale = (array[entity : entity + 1] for array in (fitted.scaling.center, fitted.scaling.scale))
    few = few_counts(definition)
    observed = np.where(judged.seen[mine], unscaled(judged.newest[mine], center, scale, few), np.nan)
    expected = unscaled(judged.expected[mine], center, scale, few)
    error = np.abs(judged.newest[at] - judged.expected[at]) / fitted.calibration.error_scale[entity]
    leading = np.argsort(np.where(judged.seen[at], -error, np.inf), kind="stable")[:LEADING]
    return {
        "entity": list(past.entities[entity]),
        "time_s": [float(past.step[position] * definition.step_s) for position in judged.end[mine]],
        "judged_s": float(past.step[end] * definition.step_s),
        "score": _told(np.exp(fitted.beyond[mine] - level)),
        "signals": [
            {
                "name": definition.signal_names[index],
                "observed": _told(observed[:, index]),
                "expected": _told(expected[:, index]),
            }
            for index in leading.tolist()
        ],
    }
