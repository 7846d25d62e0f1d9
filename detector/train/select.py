"""Choose among candidates: the network that found most, if it is proven better than the baselines.

A network is promoted if in the same folds it found more than each of the baselines that every network has to
be better than, by more than the standard error of the difference over the folds. Of several, those count that
found as much as the best one within its standard error, and the cheapest of them is taken (the
one-standard-error rule, Breiman et al. 1984). If there is none, the best baseline is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.model.design import Design
from detector.train.search import ALWAYS, Candidate


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen, why in words, and all that was there to choose from."""

    chosen: Candidate
    why: str
    candidates: Sequence[Candidate]

    @property
    def design(self) -> Design:
        """The design that was chosen."""
        return self.chosen.design


def select(candidates: Sequence[Candidate]) -> Selection:
    """Return the selection; the baselines that a network has to be better than are among the candidates."""
    finished = [one for one in candidates if one.finished]
    baselines = [one for one in finished if one.design.is_baseline]
    networks = [one for one in finished if not one.design.is_baseline]
    best_baseline = max(baselines, key=lambda one: one.found)
    if not networks:
        return Selection(best_baseline, f"{_told(best_baseline)}: the best baseline", candidates)
    rivals = [one for one in baselines if one.design.architecture in ALWAYS]
    better = [one for one in networks if not _lost(one, rivals)]
    if better:
        network = _best(better)
        others = " and ".join(_told(one) for one in rivals)
        return Selection(network, f"{_told(network)}; better than {others}", candidates)
    network = _best(networks)
    refused = f"{_told(network)}; {_lost(network, rivals)}"
    return Selection(best_baseline, f"{_told(best_baseline)}; no network: {refused}", candidates)


def _lost(network: Candidate, rivals: Sequence[Candidate]) -> str:
    """Return in words against which baseline a network is not proven better, and nothing if it is."""
    against = [(rival, *_difference(network, rival)) for rival in rivals]
    lost = [(rival, mean, error) for rival, mean, error in against if not mean > error]
    if not lost:
        return ""
    rival, mean, error = min(lost, key=lambda one: one[1])
    return (
        f"{rival.design.architecture} {rival.found:.1%}: the difference, {100 * mean:+.1f} points, is not "
        f"beyond its standard error over the folds, {100 * error:.1f}"
    )


def _best(networks: Sequence[Candidate]) -> Candidate:
    """Return the cheapest of those that found as much as the best one, within its standard error."""
    first = max(networks, key=lambda one: one.found)
    as_good = [one for one in networks if one.found >= first.found - first.spread]
    return min(as_good, key=lambda one: one.multiplications)


def _difference(one: Candidate, other: Candidate) -> tuple[float, float]:
    """Return how much more a candidate found in the same folds, and the standard error of that."""
    each = [a.found - b.found for a, b in zip(one.results, other.results, strict=True)]
    error = np.std(each, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else 0.0
    return float(np.mean(each)), float(error)


def _told(one: Candidate) -> str:
    return f"{one.design.architecture} finds {one.found:.1%} of the injected faults"
