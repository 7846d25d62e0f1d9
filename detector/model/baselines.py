"""Expectations without a network, in the same bundles: a network has to earn its place against them.

    ewma        a weighted mean of the steps before, newer ones more; each signal by itself
    pca         the principal components of the last steps of all signals together; the newest step is what
                they say of it, given the others (Tipping and Bishop, 1999): the linear form of an autoencoder
                that has to expect the newest step without having seen it
    seasonal    ewma of what is left without the usual value of the time of day, or of the week

All are linear in the past: `weights` `(lags, signals)` of each signal's own, or `(lags, signals, signals)`
from every signal to every signal, oldest lag first, and `bias` `(signals,)`. A `profile` is what is usual at
which time, `(times, signals)`; with one, weights apply to what is left without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.model.arrays import read_arrays
from detector.stream.nouns import Bools, Doubles, Floats, Ints

OWN, ALL = 2, 3
PROFILE_S = 1800.0
"""How long a time of a profile is; 48 are a day, 336 a week."""
PROFILES = (48, 336)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A linear expectation of the newest step; it can be called as a network's `Reconstruct`.

    `step_s` counts with a profile alone: the time of a lag.
    """

    weights: Floats
    bias: Floats
    profile: Floats | None = None
    step_s: float = 0.0

    def __call__(self, value: Floats, seen: Bools, end_s: Doubles) -> Floats:  # noqa: ARG002 -- what a network is asked with
        """Return the expected newest step `(windows, signals)` of scaled windows."""
        lags = len(self.weights)
        past = value[:, -1 - lags : -1]
        if self.profile is not None:
            usual = self.profile[times_of(end_s, lags + 1, self.step_s, len(self.profile))]
            return self._linear(past - usual[:, :-1]) + usual[:, -1]
        return self._linear(past)

    def _linear(self, past: Floats) -> Floats:
        if self.weights.ndim == OWN:
            return np.asarray(np.einsum("nls,ls->ns", past, self.weights) + self.bias)
        windows, lags, signals = past.shape
        weights = self.weights.reshape(lags * signals, signals)
        return np.asarray(past.reshape(windows, lags * signals) @ weights + self.bias)

    def dense(self) -> tuple[Floats, Floats]:
        """Return weights from all past steps of all signals laid side by side, and bias: a dense layer's."""
        lags, signals = self.weights.shape[:2]
        weights = self.weights
        if weights.ndim == OWN:
            weights = weights[:, :, None] * np.eye(signals, dtype=np.float32)
        return weights.reshape(lags * signals, signals), self.bias

    def save(self, path: Path) -> None:
        """Write it as an `.npz`, without pickle."""
        profile = {} if self.profile is None else {"profile": self.profile}
        np.savez(path, weights=self.weights, bias=self.bias, **profile)  # type: ignore[arg-type]


def times_of(end_s: Doubles, steps: int, step_s: float, times: int) -> Ints:
    """Return which time of a profile each of the last steps of windows is of, `(windows, steps)`."""
    time_s = end_s[:, None] + np.arange(1 - steps, 1) * step_s
    return np.asarray((time_s // PROFILE_S).astype(np.int64) % times)


def read(path: Path, window_steps: int, signals: int, step_s: float) -> Baseline:
    """Return the baseline in a file.

    Raises:
        ValueError: The file is unreadable, or no baseline of such windows.
    """
    arrays = read_arrays(path, ("weights", "bias"), ("profile",))
    weights, bias, profile = arrays["weights"], arrays["bias"], arrays.get("profile")
    fits = weights.ndim in {OWN, ALL} and 1 <= len(weights) < window_steps
    if not fits or set(weights.shape[1:]) != {signals} or bias.shape != (signals,):
        raise ValueError(f"no baseline of windows of {window_steps} steps and {signals} signals")
    if profile is not None and profile.shape not in {(times, signals) for times in PROFILES}:
        raise ValueError(f"no profile of a day or a week of {signals} signals")
    if any(one.dtype.kind != "f" or not np.isfinite(one).all() for one in arrays.values()):
        raise ValueError("a weight is not a finite number")
    numbers = {name: array.astype(np.float32) for name, array in arrays.items()}
    return Baseline(**numbers, step_s=step_s)
