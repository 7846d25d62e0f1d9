"""The linear expectations, fitted: baselines of their own, and the highway of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from detector.model.baselines import PROFILES, Baseline, times_of
from detector.stream.nouns import Bools, Doubles, Floats

LAGS_MAX = 10
"""Past steps that a linear expectation looks at: more found nothing more on servers' telemetry."""
COLUMNS_MAX = 2048
"""Lags times signals: the components of as many take a few seconds."""
VARIANCE_SHARES = (0.8, 0.9, 0.95, 0.99, 0.999)
"""How much of the variance the principal components may explain; the held-out windows choose."""
EWMA_RATES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
RIDGE = 0.01
"""The least variance that is left to chance, in squared robust deviations."""

PROFILE_PRIOR = 50.0
"""Windows of a time of the day that make what is usual at it half believed."""

Parts = Iterable[tuple[Floats, Bools, Doubles]]
"""Scaled windows `(windows, steps, signals)`, what of them was seen, and the time of their newest step."""


def lags_of(window_steps: int, signals: int, ahead: int = 1) -> int:
    """Return how many past steps a linear expectation looks at, of a step that is so many ahead of them."""
    return max(1, min(LAGS_MAX, window_steps - ahead, COLUMNS_MAX // signals - 1))


class _Moments:
    """Mean and covariance of the last steps of windows, laid side by side, the newest last.

    Of the newest `ahead` only the last counts.
    """

    def __init__(self, parts: Parts, lags: int, ahead: int) -> None:
        sums: list[Doubles] = []
        squares, count = np.zeros((1, 1)), 0
        for value, _, _ in parts:
            steps = np.r_[-ahead - lags : -ahead, -1]
            rows = value[:, steps].reshape(len(value), -1).astype(np.float64)
            count += len(rows)
            sums.append(rows.sum(axis=0))
            squares = squares + rows.T @ rows
        self.mean: Doubles = np.sum(sums, axis=0) / count
        self.covariance: Doubles = squares / count - np.outer(self.mean, self.mean)


def pca(training: Parts, held_out: Parts, lags: int, ahead: int = 1) -> Baseline:
    """Return the expectation of probabilistic principal components.

    The newest step given those that are `ahead` and more steps before it, under the covariance of `k`
    components and a rest that is noise; `k` is what errs least on the held-out windows.
    """
    known, new = _Moments(training, lags, ahead), _Moments(held_out, lags, ahead)
    value, vector = np.linalg.eigh(known.covariance)
    explained = np.cumsum(value[::-1]) / max(float(value.sum()), RIDGE)
    width = len(value)
    past = width - width // (lags + 1)
    drift = new.covariance + np.outer(new.mean - known.mean, new.mean - known.mean)
    best, weights = np.inf, np.zeros((past, width - past))
    for share in VARIANCE_SHARES:
        components = min(int(np.searchsorted(explained, share)) + 1, width - 1)
        rest = max(float(value[:-components].mean()), RIDGE)
        kept = vector[:, -components:]
        model = (kept * np.maximum(value[-components:] - rest, 0.0)) @ kept.T + rest * np.eye(width)
        tried = np.linalg.solve(model[:past, :past], model[:past, past:])
        missed = (
            drift[past:, past:] - 2 * tried.T @ drift[:past, past:] + tried.T @ drift[:past, :past] @ tried
        )
        if np.trace(missed) < best:
            best, weights = float(np.trace(missed)), tried
    # What never moved says nothing of how it moves: it is expected to stay where it is, not where it was.
    signals = width - past
    still = np.flatnonzero(np.diag(known.covariance)[past:] < RIDGE)
    weights[:, still] = 0.0
    weights[past - signals + still, still] = 1.0
    bias = known.mean[past:] - known.mean[:past] @ weights
    return Baseline(weights.reshape(lags, -1, width - past).astype(np.float32), bias.astype(np.float32))


def ewma(training: Parts, ahead: int = 1) -> Baseline:
    """Return the expectation of an exponentially weighted mean; each signal has the rate that errs least.

    Of the steps that are `ahead` and more before the newest.
    """
    return _rated(((value, seen) for value, seen, _ in training), ahead)


def seasonal(training: Callable[[], Parts], times: int, step_s: float) -> Baseline:
    """Return the expectation of what is usual at the time of day or week, and of a mean of what is left.

    Args:
        training: Gives the windows, as often as it is asked.
        times: How many times the profile has, see `baselines.PROFILES`.
        step_s: The time of a step.
    """
    assert times in PROFILES
    total: Doubles = np.zeros((0, 0))
    count = total
    for value, seen, end_s in training():
        if not len(total):
            total, count = np.zeros((2, times, value.shape[2]))
        time = times_of(end_s, 1, step_s, times)[:, 0]
        np.add.at(total, time, np.where(seen[:, -1], value[:, -1], np.float32(0.0)))
        np.add.at(count, time, seen[:, -1])
    mean = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    usual = (total - count * mean) / (count + PROFILE_PRIOR)
    profile = usual.astype(np.float32)

    def left() -> Iterator[tuple[Floats, Bools]]:
        for value, seen, end_s in training():
            yield value - profile[times_of(end_s, value.shape[1], step_s, times)], seen

    return replace(_rated(left()), profile=profile, step_s=step_s)


def _rated(training: Iterable[tuple[Floats, Bools]], ahead: int = 1) -> Baseline:
    """Return the weighted mean, with the rate of each signal that errs least."""
    missed: Doubles | float = 0.0
    kernels: list[Floats] = []
    for value, seen in training:
        kernels = kernels or _kernels(value.shape[1] - ahead)
        errors = [value[:, -1] - np.einsum("nls,l->ns", value[:, :-ahead], kernel) for kernel in kernels]
        missed = missed + np.array([np.where(seen[:, -1], np.abs(one), 0.0).sum(axis=0) for one in errors])
    weights = np.stack(kernels)[np.argmin(missed, axis=0)].T
    return Baseline(np.ascontiguousarray(weights), np.zeros(weights.shape[1], np.float32))


def _kernels(lags: int) -> list[Floats]:
    age = np.arange(lags - 1, -1, -1)
    kernels = [rate * (1.0 - rate) ** age for rate in EWMA_RATES]
    return [(kernel / kernel.sum()).astype(np.float32) for kernel in kernels]
