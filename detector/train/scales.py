"""Scaling, learnt: center and deviation of each entity's signals, and of the pool that is their prior."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from detector.stream.definition import COUNTED, Definition
from detector.stream.nouns import Floats
from detector.stream.scaling import Pool, blend_scaling, robust_scaling, scale_floor
from detector.train.timeline import Timeline

SIZES_MIN, SIZES_APART = 4, 4.0
"""How many entities tell how the scale of a signal grows with its center, and how many times as large the
largest is. Of fewer, rates are taken to grow with it, and gauges not."""
SIZES_MAX = 1000
"""Entities that are asked, evenly spread: half a million pairs."""
SIZED = 0.1
"""The least center of a pool that has a size, in deviations: where most count no errors, one that has some is
not a million times as large."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Center and scale of each entity, `(entities, signals)`, and their pool."""

    center: Floats
    scale: Floats
    pool: Pool


def scaling(past: Timeline, until: int) -> Scaling:
    """Return the scaling that the positions before `until` give."""
    definition = past.definition
    own = [
        robust_scaling(value[:until], seen[:until]) for value, seen in zip(past.value, past.seen, strict=True)
    ]
    centers, scales = np.array([center for center, _ in own]), np.array([scale for _, scale in own])
    center = _pool_median(centers)
    floor = scale_floor(definition, center)
    scale = np.maximum(_pool_median(scales), floor)
    growth = np.where(np.abs(center) < SIZED * scale, np.float32(0.0), _growth(definition, centers, scales))
    pool = Pool(center, scale, growth)
    counts = past.seen[:, :until].sum(axis=1)
    blended = [blend_scaling(one, count, pool, floor) for one, count in zip(own, counts, strict=True)]
    return Scaling(
        np.array([center for center, _ in blended]), np.array([scale for _, scale in blended]), pool
    )


def _growth(definition: Definition, centers: Floats, scales: Floats) -> Floats:
    """Return with which power of its center the scale of an entity grows, `(signals,)`.

    The median slope of the logarithms (Theil 1950; Sen 1968), where entities differ enough in size to have
    one.
    """
    unknown = [float(signal.kind in COUNTED) for signal in definition.signals]
    each = zip(np.abs(centers.T), scales.T, unknown, strict=True)
    return np.array([_slope(center, scale, otherwise) for center, scale, otherwise in each], np.float32)


def _slope(center: Floats, scale: Floats, otherwise: float) -> float:
    told = np.flatnonzero((center > 0) & (scale > 0))
    told = told[:: -(-len(told) // SIZES_MAX) or 1]
    center, scale = center[told], scale[told]
    if len(center) < SIZES_MIN or center.max() < SIZES_APART * center.min():
        return otherwise
    slope, *_ = theilslopes(np.log(scale.astype(np.float64)), np.log(center.astype(np.float64)))
    return float(np.clip(slope, 0.0, 1.0))


def _pool_median(rows: Floats) -> Floats:
    """Return the median over entities, 0 for a signal that nobody reports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN only
        return np.nan_to_num(np.nanmedian(rows, axis=0)).astype(np.float32)
