"""Expectations without a network, in the same bundles: a network has to earn its place against them.

    ewma    a weighted mean of the steps before, newer ones more; each signal by itself pca     the principal
    components of the last steps of all signals together; the newest step is what they say
            of it, given the others (Tipping and Bishop, 1999): the linear form of an autoencoder that has to
            expect the newest step without having seen it

Both are linear in the past: `weights` `(lags, signals)` of each signal's own, or `(lags, signals, signals)`
from every signal to every signal, oldest lag first, and `bias` `(signals,)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.model.arrays import read_arrays
from detector.stream.nouns import Bools, Floats

OWN, ALL = 2, 3


@dataclass(frozen=True, slots=True)
class Baseline:
    """A linear expectation of the newest step; it can be called as a network's `Reconstruct`."""

    weights: Floats
    bias: Floats

    def __call__(self, value: Floats, seen: Bools) -> Floats:  # noqa: ARG002 -- what a network is asked with
        """Return the expected newest step `(windows, signals)` of scaled windows."""
        lags = len(self.weights)
        past = value[:, -1 - lags : -1]
        if self.weights.ndim == OWN:
            return np.asarray(np.einsum("nls,ls->ns", past, self.weights) + self.bias)
        signals = value.shape[2]
        return np.asarray(
            past.reshape(len(value), lags * signals) @ self.weights.reshape(lags * signals, signals)
            + self.bias
        )

    def save(self, path: Path) -> None:
        """Write it as an `.npz`, without pickle."""
        np.savez(path, weights=self.weights, bias=self.bias)


def read(path: Path, window_steps: int, signals: int) -> Baseline:
    """Return the baseline in a file.

    Raises:
        ValueError: The file is unreadable, or no baseline of such windows.
    """
    arrays = read_arrays(path, ("weights", "bias"))
    weights, bias = arrays["weights"], arrays["bias"]
    fits = weights.ndim in {OWN, ALL} and 1 <= len(weights) < window_steps
    if not fits or set(weights.shape[1:]) != {signals} or bias.shape != (signals,):
        raise ValueError(f"no baseline of windows of {window_steps} steps and {signals} signals")
    if any(array.dtype.kind != "f" or not np.isfinite(array).all() for array in (weights, bias)):
        raise ValueError("a weight is not a finite number")
    return Baseline(weights.astype(np.float32), bias.astype(np.float32))
