"""How good scores and alarms are: the numbers of one row of every table.

The rules by which alarms belong to events are in `events.py`, the formulas in `metrics.py`. A step without
a score ranks below all scores of its entity: what was not judged has not been found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf, isnan, nan
from typing import TypeVar

import numpy as np

from detector.evaluate.events import Alarms, Rules, Verdict
from detector.evaluate.metrics import (
    WINDOW_STEPS,
    affiliation,
    average_precision,
    poisson_interval,
    vus_pr,
)
from detector.evaluate.truth import Truth
from detector.stream.nouns import Bools, Doubles, Floats

DAY_S = 86_400.0
SCORED = ("vus_pr", "average_precision", "affiliation_precision", "affiliation_recall")
"""What is measured of each entity that has a fault; of many, the mean."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is asked of an evaluation.

    An episode that begins `before_steps` before an event still finds it, one that is open `after_steps` after
    its end still belongs to it. `connected`: what happens elsewhere during an event is its consequence.
    """

    vus_window_steps: int = WINDOW_STEPS
    before_steps: int = 10
    after_steps: int = 0
    connected: bool = False
    seed: int = 0

    def rules(self, step_s: float) -> Rules:
        """Return the rules for a step."""
        return Rules(self.before_steps * step_s, self.after_steps * step_s, self.connected)


@dataclass(frozen=True, slots=True)
class EntityQuality:
    """How one entity was judged. NaN where there is no event.

    Of the steps that are `free` of labels, `free_in_alarm` were spent in alarm.
    """

    vus_pr: float
    average_precision: float
    affiliation_precision: float
    affiliation_recall: float
    free_steps: float
    free_in_alarm_steps: float


def entity_quality(
    score: Floats | Doubles, alarm: Bools, truth: Truth, vus_window_steps: int
) -> EntityQuality:
    """Measure the scores of an entity and the steps in which it was in alarm, `(steps,)` each."""
    counted = truth.counted
    label, scores = truth.label[counted], ranked(score[counted])
    precision, recall = affiliation(label, alarm[counted])
    return EntityQuality(
        vus_pr=vus_pr(label, scores, vus_window_steps),
        average_precision=average_precision(label, scores),
        affiliation_precision=precision,
        affiliation_recall=recall,
        free_steps=int(truth.free.sum()),
        free_in_alarm_steps=int((alarm & truth.free).sum()),
    )


def ranked(score: Floats | Doubles) -> Doubles:
    """Return scores with one below all others where there is none."""
    missing = np.isnan(score)
    lowest = 0.0 if missing.all() else float(np.nanmin(score)) - 1.0
    return np.where(missing, lowest, score.astype(np.float64))


Measured = TypeVar("Measured", "Quality", EntityQuality)


@dataclass(frozen=True, slots=True)
class Quality:
    """How good scores and alarms are. NaN is what cannot be said.

    The first four are means over the entities that have a fault. Of the `faults`, those with an episode
    that began with them are `found`, those in which any was open `alarmed`; `delay_s` is the median of the
    found. Of the `episodes`, `right` are on a fault and `false` on nothing, or on bait. `free_days` are the
    entity-days without a label, `alarm_share` is how much of them was spent in alarm. Of the found faults
    whose signals are known and whose alarm has contributions, `explained`, one of the signals was the
    `first`, or `among` the leading ones.
    """

    vus_pr: float
    average_precision: float
    affiliation_precision: float
    affiliation_recall: float
    faults: float
    found: float
    alarmed: float
    delay_s: float
    baits: float
    baits_alarmed: float
    episodes: float
    right: float
    false: float
    free_days: float
    alarm_share: float
    explained: float = 0
    first: float = 0
    among: float = 0

    @property
    def precision(self) -> float:
        """The share of the episodes that are right, of those that are right or false."""
        total = self.right + self.false
        return self.right / total if total else nan

    @property
    def false_a_day(self) -> float:
        """False alarms an entity and day."""
        return self.false / self.free_days if self.free_days else nan

    @property
    def false_a_day_interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the rate that this many false alarms come from."""
        low, high = poisson_interval(round(self.false))
        return (low / self.free_days, high / self.free_days) if self.free_days else (nan, inf)


def total(
    entities: Sequence[EntityQuality],
    verdicts: Sequence[Verdict[Alarms]],
    false: Sequence[Alarms],
    episodes: int,
    step_s: float,
) -> Quality:
    """Put together what was measured of entities, and what became of events and of so many episodes."""
    faults = [verdict for verdict in verdicts if verdict.event.kind == "fault"]
    baits = [verdict for verdict in verdicts if verdict.event.kind == "bait"]
    delays_s = [verdict.delay_s for verdict in faults if verdict.found]
    free_steps = sum(one.free_steps for one in entities)
    return Quality(
        **{name: _mean([getattr(one, name) for one in entities]) for name in SCORED},
        faults=len(faults),
        found=len(delays_s),
        alarmed=sum(bool(verdict.open_then) for verdict in faults),
        delay_s=float(np.median(delays_s)) if delays_s else nan,
        baits=len(baits),
        baits_alarmed=sum(bool(verdict.open_then) for verdict in baits),
        episodes=episodes,
        right=len({id(episode) for verdict in faults for episode in verdict.open_then}),
        false=len(false),
        free_days=free_steps * step_s / DAY_S,
        alarm_share=sum(one.free_in_alarm_steps for one in entities) / free_steps if free_steps else nan,
    )


def mean(of: Sequence[Measured]) -> Measured:
    """Return the means of all numbers, of those that have a value."""
    values = {field.name: _mean([getattr(one, field.name) for one in of]) for field in fields(of[0])}
    return type(of[0])(**values)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return float(np.mean(known)) if known else nan
