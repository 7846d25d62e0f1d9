"""Stage 4: windows become scores.

The formula, once. With `x` the newest step of a window and `x'` what the network expects of it, both scaled
to robust deviations of the entity's own signals, and clipped to `CLIP`:

    error          e_i = (x_i - x'_i) / error_scale_i     zero where unseen, or a policy does not count it
    raw score      r   = (weighted mean over seen i of |e_i| ** POWER) ** (1 / POWER)
    score          s   = r / edge

`error_scale` is what errors of this entity and signal usually are, `edge` the raw score that normal data
reaches no more often than the operator accepts; both come from the held-out part of the training data.
`|e_i| ** POWER`, weighted, over their sum is the contribution of a signal, so that contributions add up to
1 (where there is no error at all, each is 0). POWER lies between the mean (2), which loses one wild signal
among forty, and the maximum (infinity), which loses many signals that are each a little off.

An entity that the bundle does not know is scaled by its own first window, with the pool of all entities
as the prior, and judged with the pool's error scale and edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Entity, Floats, Ints, Scores, Windows
from detector.stream.policy import Policies

CLIP = 10.0
"""Robust deviations beyond which more is not more anomalous; it bounds what one wild value can do."""
POWER = 2.0
PRIOR_STEPS = 30.0
"""How many steps of an entity's own data weigh as much as the pool."""
TINY = 1e-6
CALIBRATED_MAX = 4096
"""New entities calibrated at once: the medians take ten times the memory of the windows."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What training learnt about the entities of a stream. Raw units unless said otherwise.

    `center`, `scale`, `error_scale` (in scaled units) are `(entities, signals)`, `edge` is `(entities,)`;
    the `pool_` twins are `(signals,)` and a number.
    """

    entities: tuple[Entity, ...]
    center: Floats
    scale: Floats
    error_scale: Floats
    edge: Floats
    pool_center: Floats
    pool_scale: Floats
    pool_error_scale: Floats
    pool_edge: float


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


def errors(newest: Floats, seen: Bools, expected: Floats, error_scale: Floats, side: Floats) -> Floats:
    """Return the signed error of the newest step `(windows, signals)`, in usual errors; 0 where unseen.

    Args:
        newest: The scaled newest step.
        seen: Which of its signals were seen.
        expected: What the network expects, scaled.
        error_scale: What is usual.
        side: As of `policy.sides`, or `(windows, signals)`.
    """
    error = (newest - np.clip(expected, -CLIP, CLIP)) / error_scale
    wrong_side = (side != 0) & (np.sign(error) == -side)
    return np.where(seen & ~wrong_side, error, np.float32(0.0)).astype(np.float32)


def raw_scores(error: Floats, weight: Bools | Floats) -> Floats:
    """Return the raw score `(windows,)` of errors `(windows, signals)`.

    A signal that is seen has its weight, one that is not has none.
    """
    power, total = (np.abs(error) ** POWER * weight).sum(axis=1), weight.sum(axis=1)
    mean = np.divide(power, total, out=np.zeros(len(error), np.float32), where=total > 0)
    return np.asarray(mean ** (1.0 / POWER), dtype=np.float32)


class Scorer:
    """Scores the windows of one stream. What it knows of a row is `(rows, signals)`."""

    def __init__(self, definition: Definition, calibration: Calibration, policies: Policies) -> None:
        self._calibration = calibration
        self._policies = policies
        self._known = {entity: index for index, entity in enumerate(calibration.entities)}
        self._floor = scale_floor(definition, calibration.pool_center)
        width = len(definition.signals)
        self._center = np.zeros((0, width), np.float32)
        self._scale = np.ones((0, width), np.float32)
        self._error_scale = np.ones((0, width), np.float32)
        self._edge = np.ones(0, np.float32)
        self._calibrated = np.zeros(0, bool)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        more = rows - len(self._edge)
        for name in ("_center", "_scale", "_error_scale"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.ones((more, array.shape[1]), np.float32)]))
        self._edge = np.concatenate([self._edge, np.ones(more, np.float32)])
        self._calibrated = np.concatenate([self._calibrated, np.zeros(more, bool)])

    def admit(self, row: int, entity: Entity) -> None:
        """Take a new entity in; one that the bundle does not know is calibrated by its first window."""
        index = self._known.get(entity)
        self._calibrated[row] = index is not None
        if index is not None:
            learnt = self._calibration
            self._center[row], self._scale[row] = learnt.center[index], learnt.scale[index]
            self._error_scale[row], self._edge[row] = learnt.error_scale[index], learnt.edge[index]

    def scaled(self, windows: Windows) -> Floats:
        """Return the windows as the network sees them, `(windows, steps, signals)`."""
        row = windows.row
        new = np.flatnonzero(~self._calibrated[row])
        for start in range(0, len(new), CALIBRATED_MAX):
            part = new[start : start + CALIBRATED_MAX]
            self._calibrate(row[part], windows.value[part], windows.seen[part])
        return scaled(windows.value, windows.seen, self._center[row], self._scale[row])

    def _calibrate(self, row: Ints, value: Floats, seen: Bools) -> None:
        pool = self._calibration
        own = robust_scaling(value, seen)
        self._center[row], self._scale[row] = blend_scaling(
            own, seen.sum(axis=1), (pool.pool_center, pool.pool_scale), self._floor
        )
        self._error_scale[row], self._edge[row] = pool.pool_error_scale, pool.pool_edge
        self._calibrated[row] = True

    def score(self, windows: Windows, newest: Floats, expected: Floats, *, learn: Bools) -> Scores:  # noqa: ARG002 -- nothing is learnt here yet
        """Return the scores of windows.

        Args:
            windows: The windows.
            newest: Their newest step, scaled.
            expected: What the network expects of it.
            learn: Whose errors may teach what is usual: not those of entities in maintenance, `(windows,)`.
        """
        row, seen, observed = windows.row, windows.seen[:, -1], windows.value[:, -1]
        expected_raw = expected * self._scale[row] + self._center[row]
        error = errors(newest, seen, expected, self._error_scale[row], self._policies.side(row))
        if (tolerated := self._policies.tolerated(row, observed, expected_raw)) is not None:
            error[tolerated] = 0.0
        weight = seen if (weights := self._policies.weight(row)) is None else seen * weights
        share = np.abs(error) ** POWER * weight
        total = share.sum(axis=1, keepdims=True)
        return Scores(
            step=windows.step,
            row=row,
            score=raw_scores(error, weight) / self._edge[row],
            contribution=np.divide(share, total, out=np.zeros_like(share), where=total > 0),
            direction=np.where(newest < expected, np.int8(-1), np.int8(1)),
            observed=np.where(seen, observed, np.float32(np.nan)),
            expected=expected_raw,
        )
