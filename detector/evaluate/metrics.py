"""How good scores and alarms are, against labels; no threshold is chosen by looking at them.

`label` is what was said of each step, `score` what was made of it, both `(steps,)`. Higher scores are more
anomalous. Point-adjusted measures are left out on purpose: by them, a random score is a good one
(Kim et al., AAAI 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf

import numpy as np
from scipy.special import gammaincinv

from detector.stream.nouns import Bools, Doubles, Ints

WINDOW_STEPS = 100
"""The widest margin of VUS, as TSB-AD takes it where it does not look for a period."""
THRESHOLDS = 250


def average_precision(label: Bools, score: Doubles) -> float:
    """Return the mean precision over the recall that each distinct score reaches; NaN without a label."""
    if not label.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(label[order])
    last_of_a_score = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    hits, taken = hits[last_of_a_score], last_of_a_score + 1
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / taken).sum() / hits[-1])


def vus_pr(
    label: Bools, score: Doubles, window_steps: int = WINDOW_STEPS, thresholds: int = THRESHOLDS
) -> float:
    """Return the volume under the surface of precision and recall; NaN without a label.

    Labels are widened by up to half of `window_steps` on both sides, with weights that fall off; precision
    and recall at `thresholds` of the scores, evenly spaced by rank, give an area for each width, and the mean
    of the areas is the volume (Paparrizos et al., VLDB 2022; the numbers are those of TSB-AD).
    """
    if not label.any():
        return float("nan")
    events = spells(label) - np.array([0, 1])
    descending = np.sort(score)[::-1]
    threshold = descending[np.linspace(0, len(score) - 1, thresholds).astype(np.int64)]
    predicted = np.searchsorted(-descending, -threshold, side="right")
    rank = np.searchsorted(-threshold, -score, side="left")  # the first threshold that takes a step in
    inside = _taken(rank[label], None, thresholds)
    areas = [_area(events, width, label, rank, inside, predicted) for width in range(window_steps + 1)]
    return float(np.mean(areas))


def _area(events: Ints, width: int, label: Bools, rank: Ints, inside: Doubles, predicted: Ints) -> float:
    step, weight = _margin(events, width, label)
    thresholds = len(predicted)
    outside = _taken(rank[step], weight, thresholds)
    hit = inside + outside
    recall = np.minimum(hit / (label.sum() + outside / 2.0), 1.0)
    starts, ends = _merged(events, width // 2, len(label))
    first = np.array([rank[start : end + 1].min() for start, end in zip(starts, ends, strict=True)])
    recall *= _taken(first, None, thresholds) / len(first)
    return float((np.diff(recall, prepend=0.0) * hit / predicted).sum())


def spells(label: Bools) -> Ints:
    """Return the first step of each spell of labelled steps, and the one after its last, `(spells, 2)`."""
    edges = np.diff(label.astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def _taken(rank: Ints, weight: Doubles | None, thresholds: int) -> Doubles:
    """Return how much is taken in at each threshold and those before it, `(thresholds,)`."""
    return np.cumsum(np.bincount(rank, weights=weight, minlength=thresholds)[:thresholds]).astype(np.float64)


def _margin(events: Ints, width: int, label: Bools) -> tuple[Ints, Doubles]:
    """Return the unlabelled steps beside the events, and their weights of at most 1."""
    distance = np.arange(1, width // 2 + 1)
    step = np.concatenate([events[:, :1] - distance, events[:, 1:] + distance], axis=1).ravel()
    weight = np.tile(np.sqrt(1.0 - distance / max(width, 1)), 2 * len(events))
    known = (step >= 0) & (step < len(label))
    step, weight = step[known], weight[known]
    beside, place = np.unique(step, return_inverse=True)  # between two events a step has the weights of both
    total = np.minimum(np.bincount(place, weights=weight, minlength=len(beside)), 1.0)
    outside = ~label[beside]
    return beside[outside], total[outside]


def _merged(events: Ints, half_steps: int, steps: int) -> tuple[Ints, Ints]:
    """Return the ends of the widened events, those that touch each other as one."""
    starts, ends = events[:, 0] - half_steps, events[:, 1] + half_steps
    apart = ends[:-1] < starts[1:]
    return (
        np.maximum(starts[np.append(True, apart)], 0),
        np.minimum(ends[np.append(apart, True)], steps - 1),
    )


def affiliation(label: Bools, alarm: Bools) -> tuple[float, float]:
    """Return the affiliation precision and recall of alarms (Huet et al., KDD 2022).

    The time is divided among the events, each moment to its nearest. In each zone, a moment of an alarm is as
    good as it is nearer to the event than a random moment of the zone, and a moment of the event as well
    found as it is nearer to an alarm. The means over the zones are precision (of zones with an alarm; NaN if
    there is none) and recall. A random alarm gets about one half of either.
    """
    events, alarms = spells(label), spells(alarm)
    if not len(events):
        return float("nan"), float("nan")
    middles = (events[:-1, 1] + events[1:, 0]) / 2
    borders = np.concatenate([[0.0], middles, [float(len(label))]])
    precisions, recalls = [], []
    for event, zone in zip(events.tolist(), pairwise(borders.tolist()), strict=True):
        inside = np.clip(alarms, *zone)
        inside = inside[inside[:, 0] < inside[:, 1]]
        if len(inside):
            precisions.append(_nearness_of_alarms(inside, event, zone))
        recalls.append(_nearness_of_event(inside, event, zone) if len(inside) else 0.0)
    return float(np.mean(precisions)) if precisions else float("nan"), float(np.mean(recalls))


def _nearness_of_alarms(alarms: Ints | Doubles, event: list[int], zone: tuple[float, float]) -> float:
    """Return the chance that a random moment of the zone is further from the event than one of the alarms."""
    start, end = event
    first, last = zone
    nearer = min(start - first, last - end)  # beyond this distance a side of the zone is left behind

    def further(time: Doubles) -> Doubles:
        distance = np.maximum(start - time, time - end)
        return 1.0 - (end - start + np.minimum(distance, nearer) + distance) / (last - first)

    total = 0.0
    for alarm_start, alarm_end in alarms.tolist():
        total += max(min(alarm_end, end) - max(alarm_start, start), 0.0)  # in the event, none is nearer
        total += _integral(further, alarm_start, min(alarm_end, start), [start - nearer])
        total += _integral(further, max(alarm_start, end), alarm_end, [end + nearer])
    return float(total / np.diff(alarms, axis=1).sum())


def _nearness_of_event(alarms: Ints | Doubles, event: list[int], zone: tuple[float, float]) -> float:
    """Return the chance that a random moment of the zone is further from one of the event than an alarm."""
    start, end = event
    first, last = zone
    edges = alarms.ravel()

    def further(time: Doubles) -> Doubles:
        # The alarms are apart and in order: an even place among their edges is outside of them.
        place = np.searchsorted(edges, time)
        before = np.where(place > 0, time - edges[place - 1], inf)
        after = np.where(place < len(edges), edges[np.minimum(place, len(edges) - 1)] - time, inf)
        distance = np.where(place % 2 == 1, 0.0, np.minimum(before, after))
        side = np.minimum(time - first, last - time)
        return 1.0 - (np.minimum(distance, side) + distance) / (last - first)

    middles = (edges[1:-1:2] + edges[2::2]) / 2
    breaks = np.concatenate([edges, middles, (edges + first) / 2, (edges + last) / 2])
    return _integral(further, start, end, np.append(breaks, (first + last) / 2)) / (end - start)


def _integral(
    function: Callable[[Doubles], Doubles], start: float, end: float, breaks: Doubles | list[float]
) -> float:
    """Return the integral of a function that is straight between its breaks: the trapezoids are exact."""
    if start >= end:
        return 0.0
    time = np.unique(np.clip(np.append(breaks, [start, end]), start, end))
    return float(np.trapezoid(function(time), time))


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean of what was counted (Garwood 1936)."""
    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low, float(gammaincinv(count + 1, 0.975))
