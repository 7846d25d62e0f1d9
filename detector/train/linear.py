"""The linear expectations, fitted: baselines of their own, and the highway of a network."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from detector.model.baselines import Baseline
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

Parts = Iterable[tuple[Floats, Bools]]
"""Scaled windows `(windows, steps, signals)` and what of them was seen."""


def lags_of(window_steps: int, signals: int) -> int:
    """Return how many past steps a linear expectation looks at."""
    return max(1, min(LAGS_MAX, window_steps - 1, COLUMNS_MAX // signals - 1))


class _Moments:
    """Mean and covariance of the last steps of windows, laid side by side, the newest last."""

    def __init__(self, parts: Parts, steps: int) -> None:
        sums: list[Doubles] = []
        squares, count = np.zeros((1, 1)), 0
        for value, _ in parts:
            rows = value[:, -steps:].reshape(len(value), -1).astype(np.float64)
            count += len(rows)
            sums.append(rows.sum(axis=0))
            squares = squares + rows.T @ rows
        self.mean: Doubles = np.sum(sums, axis=0) / count
        self.covariance: Doubles = squares / count - np.outer(self.mean, self.mean)


def pca(training: Parts, held_out: Parts, lags: int) -> Baseline:
    """Return the expectation of probabilistic principal components.

    The newest step given the ones before, under the covariance of `k` components and a rest that
    is noise; `k` is what errs least on the held-out windows.
    """
    known, new = _Moments(training, lags + 1), _Moments(held_out, lags + 1)
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


def ewma(training: Parts) -> Baseline:
    """Return the expectation of an exponentially weighted mean; each signal has the rate that errs least."""
    parts = list(training)
    steps = parts[0][0].shape[1]
    age = np.arange(steps - 2, -1, -1)
    kernels = [rate * (1.0 - rate) ** age for rate in EWMA_RATES]
    kernels = [(kernel / kernel.sum()).astype(np.float32) for kernel in kernels]
    missed = np.zeros((len(kernels), parts[0][0].shape[2]))
    for value, seen in parts:
        for index, kernel in enumerate(kernels):
            error = value[:, -1] - np.einsum("nls,l->ns", value[:, :-1], kernel)
            missed[index] += np.where(seen[:, -1], np.abs(error), 0.0).sum(axis=0)
    weights = np.stack(kernels)[missed.argmin(axis=0)].T
    return Baseline(np.ascontiguousarray(weights), np.zeros(weights.shape[1], np.float32))
