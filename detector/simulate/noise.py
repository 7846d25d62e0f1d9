"""Random sequences. Every component draws from a generator of its own.

Hence an incident that is removed changes nothing that it did not touch: no other component's draws
shift. For the same reason counts are drawn by inversion, which takes one uniform number a cell
whatever the mean is.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from detector.stream.nouns import Doubles


def generator(seed: int, *component: object) -> np.random.Generator:
    """Return the generator of one component of one simulation."""
    return np.random.default_rng([seed, *(crc32(str(part).encode()) for part in component)])


def decayed(impulses: Doubles, tau_steps: float, start: Doubles | float = 0.0) -> Doubles:
    """Return `impulses` `(steps, width)` where each lives on and falls by 1/e every `tau_steps`.

    Args:
        impulses: What is added at each step.
        tau_steps: The time constant.
        start: The level before the first step, `(width,)`.
    """
    keep = np.exp(-1.0 / tau_steps)
    levels = np.empty_like(impulses)
    level = np.broadcast_to(start, impulses.shape[1:])
    for step, impulse in enumerate(impulses):
        level = keep * level + impulse
        levels[step] = level
    return levels


def wander(rng: np.random.Generator, shape: tuple[int, ...], tau_steps: float) -> Doubles:
    """Return stationary autoregressive noise of unit variance; `shape` is (steps, width)."""
    gain = np.sqrt(1.0 - np.exp(-2.0 / tau_steps))
    return decayed(gain * rng.standard_normal(shape), tau_steps, rng.standard_normal(shape[1:]))


def shots(rng: np.random.Generator, shape: tuple[int, ...], every_steps: float, tau_steps: float) -> Doubles:
    """Return bursts that begin about `every_steps`, have exponential heights of mean 1 and decay."""
    begin = rng.random(shape) < 1.0 / every_steps
    return decayed(begin * rng.exponential(size=shape), tau_steps)


def counts(uniform: Doubles, mean: Doubles) -> Doubles:
    """Return Poisson counts by inversion: the smallest whose distribution reaches `uniform`."""
    probability = np.exp(-mean)
    reached = probability.copy()
    count = np.zeros_like(mean)
    # Beyond twelve deviations only rounding of `reached` could keep a cell going.
    for value in range(1, int(mean.max(initial=0) + 12 * np.sqrt(mean.max(initial=0))) + 12):
        open_cells = reached < uniform
        if not open_cells.any():
            break
        count += open_cells
        probability *= mean / value
        reached += probability
    return count


def robust_deviation(values: Doubles) -> float:
    """Return the scaled median absolute deviation; of rare events, where it is 0, the standard deviation."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) or float(values.std())
