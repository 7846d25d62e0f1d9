"""Values become robust deviations of an entity's own signals: what networks see and errors are told in.

An entity that the bundle does not know is scaled by its own first window, with the pool of all entities as
the prior.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Floats, Ints

CLIP = 10.0
"""Robust deviations beyond which more is not more anomalous; it bounds what one wild value can do."""
PRIOR_STEPS = 30.0
"""How many steps of an entity's own data weigh as much as the pool."""
TINY = 1e-6


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


def blend_scaling(
    own: tuple[Floats, Floats], seen_steps: Ints, pool: tuple[Floats, Floats], floor: Floats
) -> tuple[Floats, Floats]:
    """Return the scaling of an entity: its own, with the pool as the prior.

    Args:
        own: What `robust_scaling` says of it, `(signals,)` each, or `(entities, signals)`.
        seen_steps: How many steps of each signal that stands on, same shape.
        pool: Center and deviation of the pool.
        floor: The least deviation of each signal.
    """
    never = np.isnan(own[0])
    center = np.where(never, pool[0], own[0])
    weight = seen_steps / (seen_steps + PRIOR_STEPS)
    deviation = np.where(never, pool[1], weight * np.nan_to_num(own[1]) + (1.0 - weight) * pool[1])
    least = np.maximum(floor, np.maximum(0.1 * pool[1], 1e-3 * np.abs(center)))
    return center.astype(np.float32), np.maximum(deviation, least).astype(np.float32)


def scale_floor(definition: Definition, pool_center: Floats) -> Floats:
    """Return the least deviation of each signal: a hundredth of its level, and one count a step."""
    one_count = [
        1.0 / definition.step_s if signal.kind == "counter" else TINY for signal in definition.signals
    ]
    least: Floats = np.maximum(np.array(one_count), 0.01 * np.abs(pool_center)).astype(np.float32)
    return least


def scaled(value: Floats, seen: Bools, center: Floats, scale: Floats) -> Floats:
    """Scale windows `(windows, steps, signals)` by `(windows, signals)`.

    A signal is 0, its center, until it is first seen in the window: what was carried on into a window
    tells no more than that, and what was never seen nothing.
    """
    with np.errstate(over="ignore"):
        result = (value - center[:, None]) / scale[:, None]
    np.clip(result, -CLIP, CLIP, out=result)
    result[~np.logical_or.accumulate(seen, axis=1)] = 0.0
    return np.asarray(result, dtype=np.float32)
