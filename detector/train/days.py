"""What the days of the training data tell of drift: the mean of each, of every entity and signal."""

from __future__ import annotations

import numpy as np

from detector.stream.calibration import Days
from detector.stream.drift import DAY_S, HOURS, HOURS_MIN, furthest
from detector.stream.nouns import Bools, Doubles, Floats, Ints
from detector.stream.scaling import few_counts, scaled
from detector.train.timeline import Timeline


def days(past: Timeline, center: Floats, scale: Floats) -> Days | None:
    """Return how the means of days moved, None where they are too few to tell.

    Args:
        past: The training data.
        center: Of each entity and signal, `(entities, signals)`.
        scale: The same.
    """
    if not len(past.step):
        return None
    # Whole days from the first step on: where a day begins is all one.
    since_s = (past.step - past.step[0]) * past.definition.step_s
    hour = (since_s * (HOURS / DAY_S)).astype(np.int64)
    few = few_counts(past.definition)
    parts = (slice(entity, entity + 1) for entity in range(len(past.entities)))
    moved = (scaled(past.value[one], past.seen[one], center[one], scale[one], few)[0] for one in parts)
    each = zip(past.seen, moved, strict=True)
    return furthest(np.array([_means(hour, seen, value) for seen, value in each]))


def _means(hour: Ints, seen: Bools, value: Floats) -> Doubles:
    """Return the mean of each day `(days, signals)`, NaN where too little of it was seen."""
    heads = np.flatnonzero(np.r_[True, np.diff(hour) > 0])
    at = hour[heads]
    total = np.add.reduceat(np.where(seen, value, np.float32(0.0)), heads, axis=0)
    count = np.add.reduceat(seen, heads, axis=0, dtype=np.float64)
    first = np.flatnonzero(np.r_[True, np.diff(at // HOURS) > 0])
    hours = np.add.reduceat(count.any(axis=1), first, dtype=np.int64)
    total, count = (np.add.reduceat(part, first, axis=0) for part in (total, count))
    known = (count > 0) & (hours >= HOURS_MIN)[:, None]
    return np.where(known, total / np.maximum(count, 1.0), np.nan)
