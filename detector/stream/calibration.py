"""What training learnt about the entities of a stream; the core evaluates it and learns on from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.stream.nouns import Doubles, Entity, Floats


@dataclass(frozen=True, slots=True)
class Tail:
    """How often raw scores were how high in the training data: peaks over a level, of each entity.

    `level` is in log units above the entity's usual score, `rate` how many episodes a scored step went beyond
    it, `scale` and the common `shape` those of the generalised Pareto distribution of how far (Pickands 1975;
    Davison and Smith 1990). `(entities,)`; at least one.
    """

    level: Doubles
    rate: Doubles
    scale: Doubles
    shape: float


@dataclass(frozen=True, slots=True)
class Days:
    """How the means of days moved in the training data, in robust deviations of each entity's own signals.

    `level` `(entities, signals)` is the mean of the days, NaN of whom too few were seen; `furthest`
    `(signals,)` how far from it a day was at most, of a quarter of the entities.
    """

    level: Floats
    furthest: Floats


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scaling in raw units; everything else in scaled units, and raw scores as logarithms.

    `(entities, signals)`: `center` and `scale` before the network; `error_scale`, the usual error; `level`,
    what the signal usually is; `usual_past` and `usual_peers`, the running baselines of the two errors.
    `typical` `(entities,)`: the usual raw score; `known_steps` `(entities,)`: how many scored steps that
    was learnt from. `peers` `(entities, signals, signals)`: takes the deviations of all signals to what of
    each the others do not explain; no rows where the pool's does for all. `whitening` `(signals, signals)`,
    the least baselines `least_past` and `least_peers` `(signals,)`, and `tail` are the stream's. The
    `pool_` twins have no axis for entities: they are the prior of an entity that training did not know;
    `pool_growth` `(signals,)` says how its scale grows with its center, see `scaling.Pool`.
    `history_s` is the time that was learnt from; `days` is None where that was too short to know how days
    differ.
    """

    entities: tuple[Entity, ...]
    center: Floats
    scale: Floats
    error_scale: Floats
    level: Floats
    usual_past: Floats
    usual_peers: Floats
    typical: Floats
    known_steps: Floats
    peers: Floats
    whitening: Floats
    least_past: Floats
    least_peers: Floats
    pool_center: Floats
    pool_scale: Floats
    pool_growth: Floats
    pool_error_scale: Floats
    pool_level: Floats
    pool_usual_past: Floats
    pool_usual_peers: Floats
    pool_typical: float
    pool_peers: Floats
    tail: Tail
    history_s: float
    days: Days | None = None


TYPICAL_SHARE = 0.15
"""Incidents in the training data only ever make a tail heavier, and most of the machines of a real fleet had
some. So the edge is that of an entity near the light end: below it, one in seven."""
WEEK_S = 604_800.0
SHAPE_TINY = 1e-6
"""A shape that is as good as 0, which has a formula of its own."""


def edge(tail: Tail, budget: float, step_s: float) -> float:
    """Return the edge of normal, in log units above an entity's usual score.

    Args:
        tail: Of the training data.
        budget: How many episodes may begin per entity and week.
        step_s: The time of a step.
    """
    accepted = budget * step_s / WEEK_S
    # Below the level there is no tail: a budget as large as that is answered by the exponential that it
    # would go on with downwards.
    ratio = np.log(tail.rate / accepted)
    if abs(tail.shape) < SHAPE_TINY:
        beyond = ratio
    else:
        beyond = np.where(ratio > 0, np.expm1(tail.shape * np.maximum(ratio, 0)) / tail.shape, ratio)
    return float(np.quantile(tail.level + tail.scale * beyond, TYPICAL_SHARE))
