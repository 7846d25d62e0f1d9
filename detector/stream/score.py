"""Stage 4: windows become scores.

The newest step of a window is looked at from two sides, both in robust deviations of the entity's own
signals:

    past     e = x - x'       what the network did not expect from the steps before, over the usual error of
                              each signal, and whitened: what all signals do together counts once
    peers    d = P (x - l)    what the other signals of the same step do not explain of each; l is where a
                              signal usually is, P the conditional deviation under their covariance

Each error becomes an energy against its own slow baseline (`energy`). Of a signal the two energies add up;
they are smoothed at two rates (a spike of one step, and what lasts some minutes); the rate at which the mean
over the signals is higher counts:

    raw score    r = max over rates of mean over reported signals of smoothed energy
    score        s = r / exp(typical + edge + habit + doubt)

`typical` is the entity's running median of log r; `edge` what the budget accepts beyond it, from the tail of
the training data; `habit` grows with each weak alarm of the entity and is forgotten within days, so that what
alarms again and again has to be more to alarm again; `doubt` is of an entity that the bundle does not know,
and goes as it is known. A signal's smoothed energy over the sum of all is its contribution, so that
contributions add up to 1 (where there is no energy at all, each is 0).

All of it is causal, and learns on: baselines and levels follow what lasts within about `normal_after_s`. An
entity that the bundle does not know begins with the pool's, and learns faster at first.
"""

from __future__ import annotations

from math import exp, isinf
from typing import NamedTuple

import numpy as np

from detector.stream.acquaintance import Acquaintance
from detector.stream.calibration import Calibration
from detector.stream.definition import Definition
from detector.stream.edges import Edges
from detector.stream.energy import TAUGHT_MAX, energies, taught, together
from detector.stream.nouns import Bools, Entity, Floats, Ints, Scores, Windows
from detector.stream.policy import Policies, share_aside
from detector.stream.scaling import (
    CLIP,
    Pool,
    blend_scaling,
    few_counts,
    robust_scaling,
    scale_floor,
    scaled,
    unscaled,
)

RATES = (0.33, 0.05)
"""Of the smoothing, a step: a spike, and what lasts for twenty steps."""
LINGER_MAX = 3.0
"""How many times the quick energy of a signal its slow one counts at most: it gathers what is small and
lasts, and is not to hold an alarm long after what was large has ended."""
RAW_TINY = 1e-6
LEVEL_SHARE = 1.0 / 3.0
"""Where a signal usually is may wander within a third of the time that was learnt from,"""
LEVEL_MAX = 3.5
"""and of that many `normal_after_s`: slower than the errors' baselines, or a slow fault would never be
one."""
TYPICAL_DRIFT = 0.375
"""Log units that the usual raw score may move in `normal_after_s`."""
TYPICAL_BELOW = 0.7
"""Log units below the pool's that it may be: an entity at rest would else alarm at its first stir."""
CALIBRATED_MAX = 4096
"""New entities calibrated at once: the medians take ten times the memory of the windows."""

_PER_SIGNAL = ("center", "scale", "error_scale", "level", "usual_past", "usual_peers")


def past_errors(newest: Floats, seen: Bools, expected: Floats) -> Floats:
    """Return what the past did not tell of the newest step `(windows, signals)`, scaled; 0 where unseen."""
    return np.where(seen, newest - np.clip(expected, -CLIP, CLIP), np.float32(0.0))


class Raw(NamedTuple):
    """Raw scores of windows.

    `log` `(windows,)` is their logarithm; `energy` `(windows, signals)` what they are the sum of; `foreseen`
    the scaled newest step as the past, or the peers if they are more surprised, would have it.
    """

    log: Floats
    energy: Floats
    foreseen: Floats


class Scorer:
    """Scores the windows of one stream. What it knows of a row is `(rows, signals)` or `(rows,)`."""

    def __init__(self, definition: Definition, calibration: Calibration, policies: Policies) -> None:
        self._learnt = calibration
        self._policies = policies
        self.known = {entity: index for index, entity in enumerate(calibration.entities)}
        step_s = definition.step_s
        self._signals = len(definition.signals)
        self._floor = scale_floor(definition, calibration.pool_center)
        self._pool = Pool(calibration.pool_center, calibration.pool_scale, calibration.pool_growth)
        self._few = few_counts(definition)
        self._peers = np.concatenate([calibration.peers, calibration.pool_peers[None]])
        after_s = definition.normal_after_s
        wander_s = max(calibration.history_s * LEVEL_SHARE, definition.window_s)
        self._usual_rate = 1.0 - exp(-step_s / after_s)
        level_after_s = min(wander_s, LEVEL_MAX * after_s)
        self._level_rate = 0.0 if isinf(after_s) else 1.0 - exp(-step_s / level_after_s)
        self._typical_step = TYPICAL_DRIFT * step_s / after_s
        self.edges = Edges(definition, calibration, policies)
        self._acquaintance = Acquaintance(never=isinf(after_s))
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        shape = rows, self._signals
        self.center, self.scale = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        self.error_scale = np.ones(shape, np.float32)
        self.level = np.zeros(shape, np.float32)
        self.usual_past, self.usual_peers = np.ones(shape, np.float32), np.ones(shape, np.float32)
        self.energy = np.zeros((len(RATES), *shape), np.float32)
        self.direction = np.ones(shape, np.int8)
        self.typical = np.zeros(rows, np.float32)
        self._peers_of = np.full(rows, len(self._peers) - 1)
        self._calibrated = np.zeros(rows, bool)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        self.edges.resize(rows)
        self._acquaintance.resize(rows)
        old = {name: array for name, array in vars(self).items() if name in _ROWS}
        self._allocate(rows)
        for name, array in old.items():
            if name == "energy":
                self.energy[:, : array.shape[1]] = array
            else:
                getattr(self, name)[: len(array)] = array

    def admit(self, row: int, entity: Entity) -> None:
        """Take a new entity in; one that the bundle does not know is calibrated by its first window."""
        learnt, index = self._learnt, self.known.get(entity)
        self._calibrated[row] = index is not None
        self.energy[:, row], self.direction[row] = 0.0, 1
        self.edges.admit(row)
        self._acquaintance.admit(row, None if index is None else float(learnt.known_steps[index]))
        if index is None:
            return
        for name in (*_PER_SIGNAL, "typical"):
            getattr(self, name)[row] = getattr(learnt, name)[index]
        self._peers_of[row] = index if len(learnt.peers) else len(self._peers) - 1

    def scaled(self, windows: Windows) -> Floats:
        """Return the windows as the network sees them, `(windows, steps, signals)`."""
        row = windows.row
        new = np.flatnonzero(~self._calibrated[row])
        for start in range(0, len(new), CALIBRATED_MAX):
            part = new[start : start + CALIBRATED_MAX]
            self._calibrate(row[part], windows.value[part], windows.seen[part])
        return scaled(windows.value, windows.seen, self.center[row], self.scale[row], self._few)

    def _calibrate(self, row: Ints, value: Floats, seen: Bools) -> None:
        """Begin with the pool's, scaled and levelled by the first window."""
        pool = self._learnt
        own = robust_scaling(value, seen)
        center, scale = blend_scaling(own, seen.sum(axis=1), self._pool, self._floor)
        self.center[row], self.scale[row] = center, np.maximum(scale, self._pool.scale_of(center))
        first = scaled(value, seen, self.center[row], self.scale[row], self._few)
        self.level[row] = first.mean(axis=1)
        self.error_scale[row] = pool.pool_error_scale
        self.usual_past[row], self.usual_peers[row] = pool.pool_usual_past, pool.pool_usual_peers
        self.typical[row] = pool.pool_typical
        self._peers_of[row] = len(self._peers) - 1
        self._calibrated[row] = True

    def score(self, windows: Windows, newest: Floats, expected: Floats, *, learn: Bools) -> Scores:
        """Return the scores of windows.

        Args:
            windows: The windows.
            newest: Their newest step, scaled.
            expected: What the network expects of it.
            learn: Whose errors may teach what is usual: not those of entities in maintenance, `(windows,)`.
        """
        row, observed = windows.row, windows.value[:, -1]
        reported: Bools = np.logical_or.reduce(windows.seen, axis=1)
        seen = windows.seen[:, -1]
        raw = self.raw(row, observed, newest, seen, expected, reported, learn)
        beyond = self.beyond(row, raw.log, learn)
        edge = self.edges.of(row) + self._acquaintance.doubt(row)
        score = np.exp(beyond - edge).astype(np.float32)
        self._acquaintance.note(row, score <= 1.0)
        total = raw.energy.sum(axis=1, keepdims=True)
        # What is unseen stays on its side, as its energy stays.
        told = seen & (newest != raw.foreseen)
        self.direction[row] = np.where(told, np.sign(newest - raw.foreseen), self.direction[row])
        return Scores(
            step=windows.step,
            row=row,
            score=score,
            contribution=np.divide(raw.energy, total, out=np.zeros_like(raw.energy), where=total > 0),
            direction=self.direction[row],
            observed=np.where(seen, observed, np.float32(np.nan)),
            expected=unscaled(raw.foreseen, self.center[row], self.scale[row], self._few),
        )

    def raw(
        self,
        row: Ints,
        observed: Floats,
        newest: Floats,
        seen: Bools,
        expected: Floats,
        reported: Bools,
        learn: Bools,
    ) -> Raw:
        """Return the raw scores of the newest step of windows; baselines and levels learn from it.

        Args:
            row: Whose windows they are; `(windows,)`.
            observed: The newest step in raw units, `(windows, signals)`.
            newest: The same, scaled.
            seen: What of it was seen.
            expected: What the network expects of it, scaled.
            reported: Which signals were seen in the window.
            learn: From whose windows, `(windows,)`.
        """
        surprise, alone = self.errors(row, newest, seen, expected)
        past = newest - np.clip(expected, -CLIP, CLIP)
        usual_past, usual_peers = self.usual_past[row], self.usual_peers[row]
        learnt = self._learnt
        aside = newest - self.level[row]
        share_past = self._share(row, observed, newest, aside, past)
        share_peers = self._share(row, observed, newest, aside, alone)
        by_past = energies(surprise * share_past, usual_past, learnt.least_past, seen)
        by_peers = energies(alone * share_peers, usual_peers, learnt.least_peers, seen)
        self._learn(row, surprise, alone, seen & learn[:, None])
        weight = self._policies.weight(row)
        energy, weights = together(by_past, by_peers), reported.astype(np.float32)
        if weight is not None:
            energy, weights = energy * weight, weights * weight
        smooth = self._smoothed(row, energy, seen)
        smooth[1] = np.minimum(smooth[1], LINGER_MAX * smooth[0])
        total = smooth.sum(axis=2)
        rate_of = total.argmax(axis=0)
        each = np.arange(len(row))
        mean = total[rate_of, each] / np.maximum(weights.sum(axis=1), 1.0)
        foreseen = newest - np.where(by_peers > by_past, alone, past)
        return Raw(np.log(mean + RAW_TINY).astype(np.float32), smooth[rate_of, each], foreseen)

    def errors(self, row: Ints, newest: Floats, seen: Bools, expected: Floats) -> tuple[Floats, Floats]:
        """Return what the past, and what the peers do not tell of the newest step; 0 where unseen."""
        surprise = (past_errors(newest, seen, expected) / self.error_scale[row]) @ self._learnt.whitening
        deviation = newest - self.level[row]
        alone = np.matmul(self._peers[self._peers_of[row]], deviation[:, :, None])[:, :, 0]
        return np.asarray(surprise, np.float32), np.where(seen, alone, np.float32(0.0))

    def beyond(self, row: Ints, log: Floats, learn: Bools) -> Floats:
        """Return how far raw scores are above the usual ones, in log units; the usual learns from it."""
        typical = self.typical[row]
        beyond = log - np.maximum(typical, self._learnt.pool_typical - TYPICAL_BELOW)
        newly = self._acquaintance.rate(row)
        step = np.where(learn, np.maximum(np.float32(self._typical_step), newly), np.float32(0.0))
        self.typical[row] = typical + np.where(log > typical, step, -step)
        return np.asarray(beyond, dtype=np.float32)

    def _share(self, row: Ints, observed: Floats, newest: Floats, aside: Floats, error: Floats) -> Floats:
        """Return how much of each error the policies count, `(windows, signals)`, from 0 to 1."""
        share = share_aside(self._policies.side(row), aside, error)
        if not self._policies.tolerates:
            return share
        expected = unscaled(newest - error, self.center[row], self.scale[row], self._few)
        return np.where(self._policies.tolerated(row, observed, expected), np.float32(0.0), share)

    def _learn(self, row: Ints, surprise: Floats, alone: Floats, counts: Bools) -> None:
        """Let baselines and levels learn from errors; `counts` says from which."""
        newly = self._acquaintance.rate(row)[:, None]
        rate = np.maximum(np.float32(self._usual_rate), newly)
        usual_peers, learnt = self.usual_peers[row], self._learnt
        bound = TAUGHT_MAX * np.maximum(usual_peers, learnt.least_peers)
        wander = np.maximum(np.float32(self._level_rate), newly)
        self.usual_past[row] = taught(self.usual_past[row], surprise, learnt.least_past, counts, rate)
        self.usual_peers[row] = taught(usual_peers, alone, learnt.least_peers, counts, rate)
        self.level[row] += np.where(counts, wander * np.clip(alone, -bound, bound), np.float32(0.0))
        self._acquaintance.grow(row, np.logical_or.reduce(counts, axis=1))

    def _smoothed(self, row: Ints, energy: Floats, seen: Bools) -> Floats:
        """Return the energies of signals `(rates, windows, signals)`; what is unseen stays as it was."""
        smooth = self.energy[:, row]
        change = np.where(seen, energy - smooth, np.float32(0.0))
        smooth += np.array(RATES, np.float32)[:, None, None] * change
        self.energy[:, row] = smooth
        return smooth


_ROWS = {*_PER_SIGNAL, "energy", "direction", "typical", "_peers_of", "_calibrated"}
