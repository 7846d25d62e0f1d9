"""What is normal: scaling before the network, usual errors and the edge of normal after it.

Everything is learnt for each entity, with the pool of all as the prior where an entity has little data.
"""

from __future__ import annotations

import warnings

import numpy as np

from detector.stream.nouns import Bools, Floats, Ints
from detector.stream.policy import sides
from detector.stream.score import (
    Calibration,
    blend_scaling,
    errors,
    raw_scores,
    robust_scaling,
    scale_floor,
)
from detector.train.timeline import Timeline

TAIL = 0.999
TAIL_DEVIATIONS = 3.29
"""A normal distribution is beyond 3.29 deviations in 0.1 % of the cases. A signal's usual error is what makes
its own tail stand there too; by its mean square alone, a counter of rare errors is wild at each of them."""
QUANTILE = 0.98
"""Of the held-out raw scores; normal data is above it once in fifty steps, and in four of six, which is what
opens an episode, hardly ever."""
MARGIN_FEW = 3.0
"""The edge is that quantile times `1 + MARGIN_FEW / sqrt(held-out windows an entity)`: the tail of what comes
is longer than that of what was, and five minutes of history have hardly a tail at all."""
EDGE_FLOOR = 1.0
"""The least raw score at the edge: one usual error, or data that never moved would be judged by rounding."""
ERROR_FLOOR = 0.2
"""The least usual error, in robust deviations: a signal predicted to perfection may still move that much."""


def scaling(past: Timeline, until: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return center and scale of each entity `(entities, signals)`, and those of the pool `(signals,)`.

    Args:
        past: The timeline.
        until: Only positions before this count.
    """
    definition = past.definition
    own = [
        robust_scaling(value[:until], seen[:until]) for value, seen in zip(past.value, past.seen, strict=True)
    ]
    centers, scales = np.array([center for center, _ in own]), np.array([scale for _, scale in own])
    pool_center = _pool_median(centers)
    floor = scale_floor(definition, pool_center)
    pool_scale = np.maximum(_pool_median(scales), floor)
    counts = past.seen[:, :until].sum(axis=1)
    blended = [
        blend_scaling(one, count, (pool_center, pool_scale), floor)
        for one, count in zip(own, counts, strict=True)
    ]
    return (
        np.array([center for center, _ in blended]),
        np.array([scale for _, scale in blended]),
        pool_center,
        pool_scale,
    )


def error_scales(error: Floats, seen: Bools, entity: Ints, entities: int) -> tuple[Floats, Floats]:
    """Return the usual error of each entity and signal, and of the pool.

    Args:
        error: Signed errors of held-out windows `(windows, signals)`, in robust deviations.
        seen: Which of them stand for something.
        entity: Whose they are, `(windows,)`.
        entities: How many there are.
    """
    pool = np.maximum(_usual(error, seen), ERROR_FLOOR)
    own = np.tile(pool, (entities, 1))
    for index in np.unique(entity):
        mine = entity == index
        count = seen[mine].sum(axis=0)
        # A tail needs that many errors to be one; until then the pool's counts.
        weight = count / (count + 1.0 / (1.0 - TAIL))
        own[index] = weight * _usual(error[mine], seen[mine]) + (1.0 - weight) * pool
    return np.maximum(own, ERROR_FLOOR).astype(np.float32), pool.astype(np.float32)


def edges(raw: Floats, entity: Ints, entities: int) -> tuple[Floats, float]:
    """Return the edge of normal of each entity, and of the pool, from raw held-out scores `(windows,)`."""
    margin = 1.0 + MARGIN_FEW / float(np.sqrt(np.median(np.unique(entity, return_counts=True)[1])))
    pool = margin * float(np.quantile(raw, QUANTILE))
    own = np.full(entities, pool, np.float32)
    for index in np.unique(entity):
        mine = raw[entity == index]
        # An entity's own quantile needs 1 / (1 - QUANTILE) windows to be one; until then the pool's counts.
        weight = len(mine) / (len(mine) + 1.0 / (1.0 - QUANTILE))
        own[index] = weight * margin * np.quantile(mine, QUANTILE) + (1.0 - weight) * pool
    least = max(EDGE_FLOOR, 0.5 * pool)
    return np.maximum(own, least), max(EDGE_FLOOR, pool)


def calibrate(
    past: Timeline,
    scaled_newest: Floats,
    seen: Bools,
    expected: Floats,
    entity: Ints,
    learnt: tuple[Floats, Floats, Floats, Floats],
) -> Calibration:
    """Return the calibration that held-out windows give.

    Args:
        past: The timeline that they were cut from.
        scaled_newest: Their newest step `(windows, signals)`.
        seen: Which of its signals were seen.
        expected: What the network expected.
        entity: Whose they are.
        learnt: What `scaling` returned.
    """
    # Where only a fall counts, how far a signal rises says nothing of what is usual. Whoever widens a
    # direction later has to train again, or gets the alarms of a scale that knows one side.
    side = sides(past.definition)
    plain = errors(scaled_newest, seen, expected, np.ones_like(side), side)
    error_scale, pool_error_scale = error_scales(plain, seen, entity, len(past.entities))
    usual = errors(scaled_newest, seen, expected, error_scale[entity], side)
    edge, pool_edge = edges(raw_scores(usual, seen), entity, len(past.entities))
    center, scale, pool_center, pool_scale = learnt
    return Calibration(
        entities=past.entities,
        center=center,
        scale=scale,
        error_scale=error_scale,
        edge=edge,
        pool_center=pool_center,
        pool_scale=pool_scale,
        pool_error_scale=pool_error_scale,
        pool_edge=pool_edge,
    )


def _pool_median(rows: Floats) -> Floats:
    """Return the median over entities, 0 for a signal that nobody reports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN only
        return np.nan_to_num(np.nanmedian(rows, axis=0)).astype(np.float32)


def _usual(error: Floats, seen: Bools) -> Floats:
    """Return the usual error of each signal `(signals,)`, 0 where it was never seen."""
    size = np.where(seen, np.abs(error), np.nan)
    size[:, ~seen.any(axis=0)] = 0.0
    tail = np.nanquantile(size, TAIL, axis=0) / TAIL_DEVIATIONS
    return np.asarray(np.maximum(tail, np.sqrt(np.nanmean(size**2, axis=0))))
