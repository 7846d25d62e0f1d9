"""Faults that are put into held-out data, to see without labels who would find them.

    kind        what happens to the signals                                         lasts
    spike       they are off by the size, each up or down                           3 steps
    level       the same, for longer                                                30
    ramp        they leave slowly, until they are off by the size                   60
    burst       noise of the size is added to them                                  20
    foreign     they show what another entity, or another time, does; the larger    40
                the size the more of it
    flat        they stand still, off by the size: neither their noise nor what     40
                they usually do together is left

Sizes are in robust deviations of the entity's own signals. From one signal to half of them are hit, few more
often than many: incidents differ in how much of an entity they reach. Faults are put into copies of entities,
at the same times for every candidate, with rest between them: enough for scores to calm down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.stream.nouns import Bools, Floats
from detector.stream.scaling import CLIP

LASTS = {"spike": 3, "level": 30, "ramp": 60, "burst": 20, "foreign": 40, "flat": 40}
KINDS = tuple(LASTS)
SIZES = (1.5, 3.0, 6.0, 10.0)
REST_STEPS = 60
"""Between the end of a fault and the next one, at least; twice as long on average."""
APART_STEPS = 2 * REST_STEPS + sum(LASTS.values()) / len(LASTS)
"""From the beginning of one fault to that of the next, on average."""
FOREIGN_FULL = 10.0
"""The size at which nothing is left of the signal's own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in the row `row`, from step `first` to `last`, ends included."""

    row: int
    kind: str
    size: float
    first: int
    last: int


def inject(value: Floats, seen: Bools, begin: int, rng: np.random.Generator) -> list[Fault]:
    """Put faults into scaled rows `(rows, steps, signals)`, in place; return them.

    Args:
        value: The rows; every signal that was ever seen of a row can be hit.
        seen: What of them was seen.
        begin: The first step that may be hit.
        rng: Decides on everything; the same one makes the same faults.
    """
    faults = []
    cases = [(kind, size) for kind in KINDS for size in SIZES]
    queue: list[tuple[str, float]] = []
    original = value.copy()
    for row in range(len(value)):
        signals = np.flatnonzero(seen[row].any(axis=0))
        at = begin + int(rng.integers(REST_STEPS))
        while len(signals):
            # Every case comes as often as any other, in an order of chance.
            queue = queue or [cases[index] for index in rng.permutation(len(cases))]
            kind, size = queue[-1]
            last = at + LASTS[kind] - 1
            if last >= value.shape[1]:
                break
            queue.pop()
            _hit(value[row], original, signals, (kind, size, at, last), rng)
            faults.append(Fault(row, kind, size, at, last))
            at = last + 1 + REST_STEPS + int(rng.integers(2 * REST_STEPS))
    np.clip(value, -CLIP, CLIP, out=value)
    return faults


def _hit(
    row: Floats,
    others: Floats,
    signals: np.ndarray,
    case: tuple[str, float, int, int],
    rng: np.random.Generator,
) -> None:
    """Put one fault into a row `(steps, signals)`."""
    kind, size, first, last = case
    steps = last - first + 1
    part = slice(first, last + 1)
    half = (len(signals) + 1) // 2
    hit = rng.permutation(signals)[: round(np.exp(rng.uniform(0.0, np.log(half))))]
    off = size * rng.choice([-1.0, 1.0], len(hit)).astype(np.float32)
    if kind in {"spike", "level"}:
        row[part, hit] += off
    elif kind == "ramp":
        row[part, hit] += off * np.linspace(1.0 / steps, 1.0, steps, dtype=np.float32)[:, None]
    elif kind == "burst":
        row[part, hit] += size * rng.normal(size=(steps, len(hit))).astype(np.float32)
    elif kind == "flat":
        row[part, hit] = row[first, hit] + off
    else:
        start = int(rng.integers(others.shape[1] - steps + 1))
        shown = others[int(rng.integers(len(others))), start : start + steps][:, hit]
        row[part, hit] += min(size / FOREIGN_FULL, 1.0) * (shown - row[part, hit])
