"""How surprising errors are: against what errors of this entity and signal usually are, of late.

The formula, once. `e` is an error, `u` its slow running baseline, which an anomaly cannot teach, for it sees
no more than `TAUGHT_MAX` times itself:

    z = |e| / max(u, least)
    energy = min(log(1 + (z / KNEE) ** 2) ** 2, ENERGY_MAX)         nothing where unseen
    u <- u + rate * (min(|e|, TAUGHT_MAX * max(u, least)) - u)

`least` is of the signal: what is silent most of the time and speaks now and then, as a counter of errors
does, would else be a surprise each time, for its baseline sees silence.

Below the knee the energy falls with the fourth power, so that many signals that are each a little off come to
less than one that is far off; beyond, it grows as slowly as a squared logarithm, so that one signal that is
off by a thousand deviations is not worth more than three that are off by thirty.
"""

from __future__ import annotations

import numpy as np

from detector.stream.nouns import Bools, Floats

TAUGHT_MAX = 3.0
KNEE = 3.9
ENERGY_MAX = 40.0
"""Reached at five hundred times the baseline."""


def energies(error: Floats, usual: Floats, least: Floats, counts: Bools) -> Floats:
    """Return how surprising each error is, `(windows, signals)`; 0 where it does not count."""
    z = error / (KNEE * np.maximum(usual, least))
    surprise = np.log1p(z * z)
    surprise *= surprise
    return np.where(counts, np.minimum(surprise, ENERGY_MAX), np.float32(0.0))


def together(past: Floats, peers: Floats) -> Floats:
    """Return what the energies by both views come to: what surprises one of them is enough."""
    return past + peers


def taught(usual: Floats, error: Floats, least: Floats, seen: Bools, rate: Floats) -> Floats:
    """Return the baseline after an error, same shapes; unchanged where unseen. `rate` is `(windows, 1)`."""
    size = np.minimum(np.abs(error), TAUGHT_MAX * np.maximum(usual, least))
    return np.where(seen, usual + rate * (size - usual), usual)
