"""The tail of the raw scores: peaks over a threshold, for each entity, and what all of them share.

An episode opens when `open_steps` of `open_window_steps` scores are above the edge, or one is far above; so
what is looked at is, at every step, the level that would open one. Exceedances less than `close_steps` apart
are one episode, as they are live; its peak is what counts (runs declustering, Coles 2001).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import genpareto

from detector.stream.calibration import TYPICAL_SHARE, Tail
from detector.stream.definition import Definition
from detector.stream.nouns import Doubles

PEAKS = 40
"""Of the highest peaks, so many make the tail: fewer know too little of it, more are not tail any more."""
PEAKS_PRIOR = 20
"""How many peaks of an entity's own weigh as much as those of all."""
GROUP_STEPS = 5_000
"""Scored steps that have a tail; entities with fewer are looked at together, as many as it takes."""
SHAPE_MIN, SHAPE_MAX = -0.3, 0.1
"""Raw scores are bounded, so their logarithms have no heavy tail; what looks like one are incidents."""
SCALE_MIN = 0.05
LEVELS = 60


def opening(beyond: Doubles, definition: Definition) -> Doubles:
    """Return at every step the level that the edge must be below for an episode to open."""
    window = definition.open_window_steps
    if len(beyond) < window:
        return np.empty(0)
    views = np.lib.stride_tricks.sliding_window_view(beyond, window)
    enough = np.sort(views, axis=1)[:, -definition.open_steps]
    return np.asarray(np.maximum(enough, views[:, -1] - np.log(definition.open_at_once)))


def peaks_over(level: float, series: Doubles, apart: int) -> Doubles:
    """Return the highest value of every run above a level; runs less than `apart` steps apart are one."""
    above = np.flatnonzero(series > level)
    if not len(above):
        return np.empty(0)
    heads = np.flatnonzero(np.r_[True, np.diff(above) > apart])
    return np.asarray(np.maximum.reduceat(series[above], heads))


def tails(beyond: Sequence[Doubles], definition: Definition) -> Tail:
    """Return the tails of entities, each with the pool of all as its prior.

    Args:
        beyond: For each entity with any, how far its scores were above the usual, in log units, in order.
        definition: Whose episode rules count.
    """
    series = [opening(one, definition) for one in beyond]
    groups = _groups([one for one in series if len(one)])
    if not groups:
        return Tail(np.zeros(1), np.ones(1), np.ones(1), 0.0)
    apart = definition.close_steps
    found = [_level(group, apart) for group in groups]
    level = np.array([level for level, _ in found])
    counts = np.array([len(peaks) for _, peaks in found])
    excess = [peaks - level for level, peaks in found]
    # The median of an exponential is ln 2 of its mean, and some incidents among the peaks do not move it.
    own = np.array([np.median(one) / np.log(2.0) for one in excess])
    pool = float(np.quantile(own, TYPICAL_SHARE))
    weight = counts / (counts + PEAKS_PRIOR)
    scale = np.maximum(weight * own + (1.0 - weight) * pool, SCALE_MIN)
    rate = counts / np.array([sum(map(len, group)) for group in groups])
    return Tail(level, rate, scale, _shape(excess, own))


def _groups(series: Sequence[Doubles]) -> list[list[Doubles]]:
    """Return the series of entities, one a group; of short ones, as many as make a long one together."""
    groups: list[list[Doubles]] = []
    room = 0
    for one in series:
        if room <= 0:
            groups.append([])
            room = GROUP_STEPS
        groups[-1].append(one)
        room -= len(one)
    if len(groups) > 1 and room > 0:  # the last is too short: it goes with the one before
        rest = groups.pop()
        groups[-1] += rest
    return groups


def _level(group: Sequence[Doubles], apart: int) -> tuple[float, Doubles]:
    """Return the highest level with as many peaks over it as make a tail, and the peaks."""
    together = np.concatenate(group)
    for share in np.geomspace(1.0 / len(together), 0.5, LEVELS):
        level = float(np.quantile(together, 1.0 - share))
        peaks = np.concatenate([peaks_over(level, one, apart) for one in group])
        if len(peaks) >= PEAKS:
            return level, peaks
    level = float(np.median(together)) - SCALE_MIN
    return level, np.maximum(np.concatenate([peaks_over(level, one, apart) for one in group]), level)


def _shape(excess: Sequence[Doubles], own: Doubles) -> float:
    """Return the shape that the tails share: of those that are not heavier than the typical one."""
    bound = np.quantile(own, max(TYPICAL_SHARE, 1.0 / len(own)))
    light = [one / max(scale, SCALE_MIN) for one, scale in zip(excess, own, strict=True) if scale <= bound]
    pooled = np.concatenate(light)
    if len(pooled) < PEAKS:
        return 0.0
    shape, _, _ = genpareto.fit(pooled, floc=0.0)
    return float(np.clip(shape, SHAPE_MIN, SHAPE_MAX))
