"""What is normal after the network: usual errors, levels and the tail of scores; see `scales` for before it.

Everything is learnt for each entity, with the pool of all as the prior where an entity has little data.
Baselines and scores are those of the scorer itself, run over the training data step by step: what is learnt
here is what a daemon would know that had run from the beginning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detector.stream.calibration import Calibration, Tail
from detector.stream.nouns import Bools, Doubles, Floats, Ints
from detector.stream.scaling import CLIP
from detector.stream.score import Scorer, past_errors
from detector.train.scales import Scaling
from detector.train.scored import Judged, of_each, raw_scores, scorer_of, steps_of
from detector.train.tails import tails
from detector.train.timeline import Timeline

TAIL = 0.999
TAIL_DEVIATIONS = 3.29
"""A normal distribution is beyond 3.29 deviations in 0.1 % of the cases. A signal's usual error is what makes
its own tail stand there too; by its mean square alone, a counter of rare errors is wild at each of them."""
ERROR_FLOOR = 0.3
"""The least usual error, in robust deviations: a signal predicted to perfection may still move that much."""
WHITENING_CLIP = 5.0
"""Usual errors beyond which an error says nothing of what usually goes together."""
WHITENING_RIDGE = 1.0
PEERS_PRIOR_S = 10 * 86400.0
"""A covariance of signals that was learnt from ten days is believed by half: what moved together for an hour
may not do so tomorrow. Deviations in a squared unit of one are added to its diagonal, as the time is shorter
more."""
PEERS_RIDGE_MIN, PEERS_RIDGE_MAX = 0.3, 100.0
PEERS_CELLS_MAX = 1 << 26
"""Entities times signals squared: 256 MiB. Where there are more, all share the pool's."""
LEAST = 0.2
"""The least baseline of an error: what was never there would else be infinitely surprising."""
LEAST_SHARE = 0.5
"""And this share of what it comes to by its mean square, which rare large ones make up."""
USUAL_PRIOR = 200.0
"""How many errors of an entity's own weigh as much as the pool's."""
CHUNK_WINDOWS = 4096
"""Windows whose matrices of peers are gathered at once: 24 MiB of 38 signals."""
INCIDENT = 3.0
"""The mean energy, twice that of `edges.SURE`, of which no tail is made: it would be an alarm at any edge."""
SETTLED_STEPS = 50
"""Scored steps of an entity until its smoothed energies have forgotten that they began with nothing."""


def calibrate(past: Timeline, judged: Judged, learnt: Scaling, teaches: Bools) -> tuple[Calibration, Doubles]:
    """Return the calibration that windows give, and how far each is above the usual, in log units.

    Args:
        past: The timeline.
        judged: Its windows, and what was expected.
        learnt: How they were scaled.
        teaches: Which of them may say what is usual, `(windows,)`.
    """
    before = prior(past, judged, learnt, teaches)
    scorer = scorer_of(past, before)
    raw = raw_scores(past, judged, scorer, teaches)
    return _told(past, judged, before, scorer, raw, teaches)


def prior(past: Timeline, judged: Judged, learnt: Scaling, teaches: Bools) -> Calibration:
    """Return what is known of errors before any is scored; there is no tail yet. Arguments as above."""
    entities, definition = len(past.entities), past.definition
    error = past_errors(judged.newest, judged.seen, judged.expected)
    counts = judged.seen & teaches[:, None]
    error_scale, pool_error_scale = error_scales(error, counts, judged.entity, entities)
    history_s = float(len(past.step)) * definition.step_s
    level, pool_level, peers, pool_peers = _peers(judged, entities, history_s)
    before = Calibration(
        entities=past.entities,
        center=learnt.center,
        scale=learnt.scale,
        error_scale=error_scale,
        level=level,
        usual_past=np.ones_like(level),
        usual_peers=np.ones_like(level),
        typical=np.zeros(entities, np.float32),
        known_steps=np.bincount(judged.entity, minlength=entities).astype(np.float32),
        peers=peers,
        whitening=_whitening((error / error_scale[judged.entity])[teaches]),
        least_past=np.full_like(pool_level, LEAST),
        least_peers=np.full_like(pool_level, LEAST),
        pool_center=learnt.pool.center,
        pool_scale=learnt.pool.scale,
        pool_growth=learnt.pool.growth,
        pool_error_scale=pool_error_scale,
        pool_level=pool_level,
        pool_usual_past=np.ones_like(pool_level),
        pool_usual_peers=np.ones_like(pool_level),
        pool_typical=0.0,
        pool_peers=pool_peers,
        tail=Tail(np.zeros(1), np.ones(1), np.ones(1), 0.0),
        history_s=history_s,
    )
    return _usual(past, judged, before, counts)


def error_scales(error: Floats, seen: Bools, entity: Ints, entities: int) -> tuple[Floats, Floats]:
    """Return the usual error of each entity and signal, and of the pool.

    Args:
        error: Signed errors of windows `(windows, signals)`, in robust deviations.
        seen: Which of them stand for something.
        entity: Whose they are, `(windows,)`.
        entities: How many there are.
    """
    pool = np.maximum(_tail_scale(error, seen), ERROR_FLOOR)
    own = np.tile(pool, (entities, 1))
    for index, mine in of_each(entity).items():
        count = seen[mine].sum(axis=0)
        # A tail needs that many errors to be one; until then the pool's counts.
        weight = count / (count + 1.0 / (1.0 - TAIL))
        own[index] = weight * _tail_scale(error[mine], seen[mine]) + (1.0 - weight) * pool
    return np.maximum(own, ERROR_FLOOR).astype(np.float32), pool.astype(np.float32)


def _whitening(error: Floats) -> Floats:
    """Return the matrix `(signals, signals)` that makes errors independent and leaves each with its signal.

    ZCA (Bell and Sejnowski 1997) with a ridge, of the pool of all entities.
    """
    clipped = np.clip(error, -WHITENING_CLIP, WHITENING_CLIP).astype(np.float64)
    value, vector = np.linalg.eigh(np.cov(clipped.T).reshape(error.shape[1], -1))
    kept = vector / np.sqrt(np.maximum(value, 0.0) + WHITENING_RIDGE)
    return np.asarray(kept @ vector.T * np.sqrt(1.0 + WHITENING_RIDGE), dtype=np.float32)


def _peers(judged: Judged, entities: int, history_s: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return levels and matrices of peers, of each entity and of the pool."""
    signals = judged.newest.shape[1]
    ridge = float(np.clip(PEERS_PRIOR_S / history_s, PEERS_RIDGE_MIN, PEERS_RIDGE_MAX))
    own = entities * signals * signals <= PEERS_CELLS_MAX
    total, count = np.zeros((signals, signals)), 0
    means: dict[int, Floats] = {}
    matrices: dict[int, Doubles] = {}
    for index, mine in of_each(judged.entity).items():
        rows = judged.newest[mine].astype(np.float64)
        means[index] = rows.mean(axis=0).astype(np.float32)
        covariance = np.cov(np.clip(rows - means[index], -CLIP, CLIP).T, bias=True).reshape(signals, signals)
        total += len(rows) * covariance
        count += len(rows)
        if own:
            matrices[index] = covariance
    pooled = total / max(count, 1)
    pool_level = np.median(np.stack(list(means.values())), axis=0).astype(np.float32)
    level = np.stack([means.get(index, pool_level) for index in range(entities)])
    each = [_conditional(matrices.get(index, pooled), ridge) for index in range(entities if own else 0)]
    peers = np.stack(each) if each else np.empty((0, signals, signals), np.float32)
    return level, pool_level, peers, _conditional(pooled, ridge)


def _conditional(covariance: Doubles, ridge: float) -> Floats:
    """Return the matrix that takes deviations to what the other signals do not explain of each."""
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    return np.asarray(precision / np.diag(precision)[:, None], dtype=np.float32)


def _usual(past: Timeline, judged: Judged, before: Calibration, counts: Bools) -> Calibration:
    """Return the calibration with the mean size of both errors, where the running baselines begin."""
    surprise, alone = _errors(scorer_of(past, before), judged)
    usual_past, pool_usual_past = _sizes(judged, surprise, counts, len(past.entities))
    usual_peers, pool_usual_peers = _sizes(judged, alone, counts, len(past.entities))
    return replace(
        before,
        usual_past=usual_past,
        usual_peers=usual_peers,
        pool_usual_past=pool_usual_past,
        pool_usual_peers=pool_usual_peers,
        least_past=_least(surprise, counts),
        least_peers=_least(alone, counts),
    )


def _sizes(judged: Judged, error: Floats, seen: Bools, entities: int) -> tuple[Floats, Floats]:
    """Return the mean size of an error `(entities, signals)`, and of the pool `(signals,)`."""
    size = np.abs(error)
    pool = np.maximum(_mean(size, seen), LEAST)
    own = np.tile(pool, (entities, 1))
    for index, mine in of_each(judged.entity).items():
        count = seen[mine].sum(axis=0)
        weight = count / (count + USUAL_PRIOR)
        own[index] = weight * _mean(size[mine], seen[mine]) + (1.0 - weight) * pool
    return own.astype(np.float32), pool.astype(np.float32)


def _least(error: Floats, seen: Bools) -> Floats:
    """Return the least baseline of each signal, `(signals,)`."""
    return np.maximum(LEAST_SHARE * np.sqrt(_mean(error**2, seen)), LEAST).astype(np.float32)


def _errors(scorer: Scorer, judged: Judged) -> tuple[Floats, Floats]:
    both = np.empty((2, *judged.newest.shape), np.float32)
    for start in range(0, len(judged.end), CHUNK_WINDOWS):
        part = slice(start, start + CHUNK_WINDOWS)
        both[:, part] = scorer.errors(
            judged.entity[part], judged.newest[part], judged.seen[part], judged.expected[part]
        )
    return both[0], both[1]


def _told(
    past: Timeline, judged: Judged, before: Calibration, scorer: Scorer, raw: Floats, teaches: Bools
) -> tuple[Calibration, Doubles]:
    """Return the calibration with what a scorer learnt, and how far windows are above the usual raw score."""
    calm = raw <= np.log(INCIDENT)
    settled = {index: mine[SETTLED_STEPS:] for index, mine in of_each(judged.entity).items()}
    settled = {index: mine[calm[mine]] for index, mine in settled.items()}
    medians = {index: float(np.median(raw[mine])) for index, mine in settled.items() if len(mine)}
    pool_typical = float(np.median(list(medians.values()))) if medians else float(np.median(raw))
    typical = np.array([medians.get(index, pool_typical) for index in range(len(past.entities))], np.float32)
    learnt = replace(
        before,
        level=scorer.level[: len(typical)],
        usual_past=scorer.usual_past[: len(typical)],
        usual_peers=scorer.usual_peers[: len(typical)],
        typical=typical,
        pool_typical=pool_typical,
    )
    judge = scorer_of(past, learnt)
    beyond = np.empty(len(raw))
    for part in steps_of(judged):
        beyond[part] = judge.beyond(judged.entity[part], raw[part], teaches[part])
    series = [beyond[mine] for mine in settled.values() if len(mine)]
    tail = tails(series, past.definition)
    return replace(learnt, typical=judge.typical[: len(typical)], tail=tail), beyond


def _mean(size: Floats, seen: Bools) -> Floats:
    total = np.where(seen, size, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(seen.sum(axis=0), 1))


def _tail_scale(error: Floats, seen: Bools) -> Floats:
    """Return the usual error of each signal `(signals,)`, 0 where it was never seen."""
    size = np.where(seen, np.abs(error), np.nan)
    size[:, ~seen.any(axis=0)] = 0.0
    tail = np.nanquantile(size, TAIL, axis=0) / TAIL_DEVIATIONS
    return np.asarray(np.maximum(tail, np.sqrt(np.nanmean(size**2, axis=0))))
