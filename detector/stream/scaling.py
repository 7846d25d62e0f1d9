"""Values become robust deviations of an entity's own signals: what networks see and errors are told in.

    z = (x - center) / scale

of gauges, and of rates above their center. Below it a rate falls by factors, for that is how traffic varies:
it may double and double again, but where it was never 0, 0 is further off than any burst:

    z = m log((x + few) / (center + few))       m = (center + few) / scale, so that the slope is one

An entity that the bundle does not know is centered by its own first window. That says little of how far its
signals move in a day, so its scale is at least what the pool of all entities has for one of its size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detector.stream.definition import COUNTED, Definition
from detector.stream.nouns import Bools, Floats, Ints

CLIP = 10.0
"""Robust deviations beyond which more is not more anomalous; it bounds what one wild value can do."""
PRIOR_STEPS = 30.0
"""How many steps of an entity's own data weigh as much as the pool."""
SIZE_MIN = 0.1
"""The least size, beside the pool's, that a prior is made for: who is at 0 now may not stay there."""
TINY = 1e-6
FEW_COUNTS = 4.0
"""A step. None where four are usual is two deviations of chance (Poisson), and no more is made of it."""
FALL_MAX = 1e-3
"""Of the usual rate; what fell further fell as far."""


def robust_scaling(value: Floats, seen: Bools) -> tuple[Floats, Floats]:
    """Return the center and the deviation of each signal of an entity, NaN where it was never seen.

    The center is the median; the deviation is the median absolute deviation, or, for a signal that mostly
    stands still, the mean one, bounded by three times the former where there is one.

    Args:
        value: `(steps, signals)`, or `(entities, steps, signals)`.
        seen: Same shape.
    """
    cells = np.where(seen, value.astype(np.float64), np.nan)
    never = ~seen.any(axis=-2)
    cells[..., 0, :][never] = 0.0
    center = np.nanmedian(cells, axis=-2)
    distance = np.abs(cells - center[..., None, :])
    median_deviation = 1.4826 * np.nanmedian(distance, axis=-2)
    mean_deviation = 1.2533 * np.nanmean(distance, axis=-2)
    bound = np.where(median_deviation > 0, 3.0 * median_deviation, np.inf)
    deviation = np.maximum(median_deviation, np.minimum(mean_deviation, bound))
    center[never] = np.nan
    deviation[never] = np.nan
    return center.astype(np.float32), deviation.astype(np.float32)


class Pool(NamedTuple):
    """The pool of all entities, the prior of each; `(signals,)`.

    The deviation of an entity of another center than the pool's is `scale` times how many times as large that
    is, to the power of `growth`: of a load in percent 0, of bytes a second about 1.
    """

    center: Floats
    scale: Floats
    growth: Floats

    def scale_of(self, center: Floats) -> Floats:
        """Return the deviation of entities with a center, `(signals,)` or `(entities, signals)`."""
        size = np.abs(center) / np.maximum(np.abs(self.center), TINY)
        return np.asarray(self.scale * np.maximum(size, SIZE_MIN) ** self.growth, np.float32)


def blend_scaling(
    own: tuple[Floats, Floats], seen_steps: Ints, pool: Pool, floor: Floats
) -> tuple[Floats, Floats]:
    """Return the scaling of an entity: its own, with the pool as the prior.

    Args:
        own: What `robust_scaling` says of it, `(signals,)` each, or `(entities, signals)`.
        seen_steps: How many steps of each signal that stands on, same shape.
        pool: The prior.
        floor: The least deviation of each signal.
    """
    never = np.isnan(own[0])
    center = np.where(never, pool.center, own[0])
    prior = pool.scale_of(center)
    weight = seen_steps / (seen_steps + PRIOR_STEPS)
    deviation = np.where(never, prior, weight * np.nan_to_num(own[1]) + (1.0 - weight) * prior)
    least = np.maximum(floor, np.maximum(0.1 * pool.scale, 1e-3 * np.abs(center)))
    return center.astype(np.float32), np.maximum(deviation, least).astype(np.float32)


def scale_floor(definition: Definition, pool_center: Floats) -> Floats:
    """Return the least deviation of each signal: a hundredth of its level, and one count a step."""
    one_count = [1.0 / definition.step_s if signal.kind in COUNTED else TINY for signal in definition.signals]
    least: Floats = np.maximum(np.array(one_count), 0.01 * np.abs(pool_center)).astype(np.float32)
    return least


def few_counts(definition: Definition) -> Floats:
    """Return what is few of each signal, `(signals,)`: a second, of counters; 0 for gauges."""
    few = FEW_COUNTS / definition.step_s
    return np.array([few * (signal.kind in COUNTED) for signal in definition.signals], np.float32)


def scaled(value: Floats, seen: Bools, center: Floats, scale: Floats, few: Floats) -> Floats:
    """Scale windows `(windows, steps, signals)` by `(windows, signals)`; `few` is of `few_counts`.

    A signal is 0, its center, until it is first seen in the window: what was carried on into a window
    tells no more than that, and what was never seen nothing.
    """
    with np.errstate(over="ignore"):
        result = (value - center[:, None]) / scale[:, None]
    counted = np.flatnonzero(few)
    if len(counted) == len(few):
        _fall(result, _factor(center, scale, few)[:, None])
    elif len(counted):
        rates = result[..., counted]
        _fall(rates, _factor(center, scale, few)[:, None])
        result[..., counted] = rates
    np.clip(result, -CLIP, CLIP, out=result)
    result[~np.logical_or.accumulate(seen, axis=1)] = 0.0
    return np.asarray(result, dtype=np.float32)


def unscaled(value: Floats, center: Floats, scale: Floats, few: Floats) -> Floats:
    """Return scaled values in raw units, all `(windows, signals)`; `few` is of `few_counts`."""
    result = value * scale + center
    counted = np.flatnonzero(few)
    if len(counted):
        factor = _factor(center, scale, few)
        below = np.expm1(np.minimum(value[:, counted] / factor, 0.0)) * factor
        low = below * scale[:, counted] + center[:, counted]
        result[:, counted] = np.where(below < 0.0, low, result[:, counted])
    return np.asarray(result, dtype=np.float32)


def _fall(z: Floats, factor: Floats) -> None:
    """Make factors of deviations below the center, in place: no copy of the windows more than it takes."""
    below = z / factor
    np.clip(below, FALL_MAX - 1.0, 0.0, out=below)
    np.log1p(below, out=below)
    below *= factor
    np.maximum(z, 0.0, out=z)
    z += below


def _factor(center: Floats, scale: Floats, few: Floats) -> Floats:
    """Return how many deviations a fall by the factor e comes to, `(windows, counted signals)`."""
    counted = np.flatnonzero(few)
    return np.asarray((np.maximum(center[:, counted], 0.0) + few[counted]) / scale[:, counted])
