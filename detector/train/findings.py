"""What there is to say of training data before anything is learnt from it: holes, drift, signals alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detector.stream.nouns import Bools, Floats
from detector.stream.scaling import robust_scaling
from detector.train.timeline import Timeline
from detector.train.windows import evenly

ENTITIES_MAX = 200
"""Entities that are looked at, evenly spread: a minute of the largest fleet."""
UNSEEN_TOLD = 0.05
"""A signal that lacks a larger share of its cells is told of."""
DRIFT_TOLD = 1.0
"""Deviations by which the center of a signal moves from the first third of the time to the last."""
ALIKE = 0.9999
"""Signals whose steps correlate more are one and the same to a network."""
NAMED_MAX = 8


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    `unseen` is the share of cells of each signal that were never seen, `hole_s` the longest time in which an
    entity said nothing, `drift` how many deviations the center of a signal has moved, of the median entity.
    `constant` signals never change, `alike` are groups of signals that say the same.
    """

    unseen: dict[str, float]
    hole_s: float
    drift: dict[str, float]
    constant: list[str]
    alike: list[list[str]]

    def told(self) -> dict[str, Any]:
        """Return it as an entry of a manifest."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield what an operator should know of."""
        unseen = {name: f"{share:.0%}" for name, share in self.unseen.items() if share > UNSEEN_TOLD}
        if unseen:
            yield f"not seen, of all steps: {_named(unseen)}"
        if self.constant:
            yield f"never changes in this data, any change will be news: {', '.join(self.constant)}"
        for group in self.alike:
            yield f"say the same: {', '.join(group)}"
        if self.drift:
            moved = {name: f"{by:+.1f}" for name, by in self.drift.items()}
            yield f"moved from the first third of the time to the last, in deviations: {_named(moved)}"


def _named(of: dict[str, str]) -> str:
    most = [f"{name} {value}" for name, value in list(of.items())[:NAMED_MAX]]
    more = [f"and {len(of) - NAMED_MAX} more"] if len(of) > NAMED_MAX else []
    return ", ".join([*most, *more])


def findings(past: Timeline) -> Findings:
    """Return what there is to say of a timeline."""
    names = past.definition.signal_names
    entities = evenly(len(past.value), ENTITIES_MAX)
    value, seen = past.value[entities], past.seen[entities]
    born: Bools = np.arange(len(past.step)) >= past.born[entities, None]
    unseen = 1.0 - seen.sum(axis=(0, 1)) / max(int(born.sum()), 1)
    constant = [name for name, still in zip(names, _constant(value, seen), strict=True) if still]
    return Findings(
        unseen={name: round(float(share), 4) for name, share in zip(names, unseen, strict=True)},
        hole_s=_hole_steps(np.logical_or.reduce(seen, axis=2), born) * past.definition.step_s,
        drift=_drift(value, seen, names),
        constant=constant,
        alike=_alike(value, seen, names, set(constant)),
    )


def _constant(value: Floats, seen: Bools) -> Bools:
    """Return which signals have one value of each entity, `(signals,)`."""
    low = np.where(seen, value, np.inf).min(axis=1)
    high = np.where(seen, value, -np.inf).max(axis=1)
    return np.asarray((seen.any(axis=1) <= (low == high)).all(axis=0))


def _hole_steps(spoke: Bools, born: Bools) -> int:
    """Return the longest run of steps in which an entity that was there said nothing."""
    longest = 0
    for said, there in zip(spoke, born, strict=True):
        ends = np.flatnonzero(np.r_[True, said[there], True])
        longest = max(longest, int(np.diff(ends).max()) - 1)
    return longest


def _drift(value: Floats, seen: Bools, names: tuple[str, ...]) -> dict[str, float]:
    """Return by how many deviations signals have moved, the farthest first."""
    third = value.shape[1] // 3
    if third == 0:
        return {}
    with np.errstate(invalid="ignore", divide="ignore"):
        first, scale = robust_scaling(value[:, :third], seen[:, :third])
        last, _ = robust_scaling(value[:, -third:], seen[:, -third:])
        moved = (last - first) / np.maximum(scale, 1e-9 + 0.01 * np.abs(first))
    known = {name: by[np.isfinite(by)] for name, by in zip(names, moved.T, strict=True)}
    medians = {name: float(np.median(by)) for name, by in known.items() if len(by)}
    far = {name: round(by, 2) for name, by in medians.items() if abs(by) > DRIFT_TOLD}
    return dict(sorted(far.items(), key=lambda one: -abs(one[1])))


def _alike(value: Floats, seen: Bools, names: tuple[str, ...], constant: set[str]) -> list[list[str]]:
    """Return groups of signals whose changes from step to step correlate as if they were one."""
    both = (seen[:, 1:] & seen[:, :-1]).all(axis=2)
    change = (value[:, 1:].astype(np.float64) - value[:, :-1])[both]
    if len(change) < 2:  # noqa: PLR2004 -- nothing correlates
        return []
    with np.errstate(invalid="ignore", divide="ignore"):
        same = np.abs(np.corrcoef(change.T).reshape(len(names), -1)) > ALIKE
    groups: list[list[str]] = []
    grouped: set[str] = set(constant)
    for index, name in enumerate(names):
        group = [other for other in np.array(names)[same[index]].tolist() if other not in grouped]
        if name not in grouped and len(group) > 1:
            groups.append(group)
            grouped |= set(group)
    return groups
