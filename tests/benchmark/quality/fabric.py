"""simulate: a fabric of a hundred entities for thirty days, with every kind of fault and the bait.

It learns from six days before that, without faults, as `Scenario` has it; what is normal in a fabric happens
there, too. Both streams are judged together: a fault is found by an alarm of its device or its interface, of
either stream. As links connect them, what happens elsewhere during a fault is its consequence. An alarm on
bait is false: it counts against the budget, and where baits are counted.

The bundle is the same for all budgets: a budget is chosen where it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path

import numpy as np

from detector import settings
from detector.evaluate import labels
from detector.evaluate.control import draws
from detector.evaluate.events import Event, Rules, Verdict, judge
from detector.evaluate.explained import AMONG, explanations, telling
from detector.evaluate.judged import Alarm, Judged, run
from detector.evaluate.quality import DAY_S
from detector.evaluate.truth import on_grid, truths
from detector.simulate.fabric import simulate
from detector.simulate.output import stream_settings, write
from detector.simulate.scenario import Scenario
from detector.train import dataset
from tests.benchmark.quality.figures import (
    BAITED,
    BUDGETS,
    DELAY,
    EXPLAINED,
    FOUND,
    KEPT,
    KINDS,
    Figure,
    at,
    of_kind,
    rate,
)
from tests.benchmark.quality.work import judge_of, kept

START_S = 1_750_032_000.0
"""A midnight, and a time of the grid."""
SCENARIO = Scenario(
    seed=11, start_s=START_S, duration_s=36 * DAY_S, train_s=6 * DAY_S, cadence_s=30.0, faults_per_hour=2.0
)
"""The default fabric, 96 interfaces and 8 devices: 1,440 faults and 540 baits. Faults last from a minute on:
once a minute would show many of them in two steps only; every ten seconds, as devices do, takes hours."""
WINDOW_STEPS = 60
ENTITY = ("device", "interface")
BEFORE_STEPS, AFTER_STEPS = 1, 2
"""A step is stamped with its end; rates need two steps to recover."""
TELLING_BUDGET = 1.0
"""Of the rows that do not name one."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the events, and which alarms were false."""

    verdicts: list[Verdict[Alarm]]
    false: list[Alarm]

    def found(self, kind: str = "") -> float:
        """Return the share of the faults that were found; of a kind, if one is named."""
        faults = [one for one in self.verdicts if one.event.kind == "fault"]
        return _mean(one.found for one in faults if kind in ("", one.event.event))

    def baited(self) -> float:
        """Return the share of the baits with an alarm of their own."""
        return _mean(one.found for one in self.verdicts if one.event.kind == "bait")

    def delay_s(self) -> float:
        """Return the median delay of the faults that were found."""
        delays = [one.delay_s for one in self.verdicts if one.event.kind == "fault" and one.found]
        return float(np.median(delays)) if delays else nan


def fabric(scenario: Scenario, architecture: str, work: Path) -> dict[str, Figure]:
    """Return the figures of a scenario, by name."""
    place = simulated(scenario, work)
    events = [on_grid(event, scenario.cadence_s) for event in labels.read(place / "labels.csv", ENTITY)]
    judged: dict[float, list[Judged]] = {budget: [] for budget in BUDGETS}
    for stream in settings.load(place / "detector.toml", {}).streams:
        definition = stream.definition()
        records = dataset.read([place / f"{definition.name}.parquet"], definition.entity)
        known = judge_of(work, records, definition, architecture)
        for budget, streams in judged.items():
            streams.append(run(records, replace(definition, budget=budget), known))
    figures: dict[str, Figure] = {}
    for budget, streams in judged.items():
        figures |= _figures(events, streams, budget)
    return figures


def simulated(scenario: Scenario, work: Path) -> Path:
    """Return where the datasets, the labels and the settings of the streams are."""

    def make(place: Path) -> None:
        write(simulate(scenario), place)
        written = stream_settings(Path("bundles"), scenario.cadence_s, WINDOW_STEPS)
        (place / "detector.toml").write_text(written, "utf-8")

    return kept(work, "simulated", f"{scenario} {WINDOW_STEPS}", make)


def _figures(events: Sequence[Event], streams: Sequence[Judged], budget: float) -> dict[str, Figure]:
    step_s = streams[0].definition.step_s
    rules = Rules(BEFORE_STEPS * step_s, AFTER_STEPS * step_s, connected=True)
    ours = _told(events, streams, rules)
    drawn = zip(*(draws(stream, seed=0) for stream in streams), strict=True)
    chance = [_told(events, one, rules) for one in drawn]

    def beside(measure: Callable[[Told], float]) -> Figure:
        return Figure(measure(ours), _mean(map(measure, chance)))

    free = sum(one.free.sum() for stream in streams for one in truths(stream, events, rules))
    accepted = free * step_s / DAY_S / 7 * budget
    figures = {
        at(budget, FOUND): beside(Told.found),
        at(budget, KEPT): rate(len(ours.false), accepted, _mean(len(one.false) for one in chance)),
        at(budget, BAITED): beside(Told.baited),
    }
    if budget == TELLING_BUDGET:
        figures |= {of_kind(kind): beside(lambda told, kind=kind: told.found(kind)) for kind in KINDS}
        figures[DELAY] = beside(lambda told: told.delay_s() / step_s)
        figures[EXPLAINED] = _explained(ours, streams)
    return figures


def _told(events: Sequence[Event], streams: Sequence[Judged], rules: Rules) -> Told:
    return Told(*judge(events, [alarm for stream in streams for alarm in stream.begun()], rules))


def _explained(ours: Told, streams: Sequence[Judged]) -> Figure:
    """Return how often the alarm that told of a fault led with a signal of it."""
    found = []
    for stream in streams:
        name = stream.definition.name
        mine = [one for one in ours.verdicts if (alarm := telling(one)) and alarm.stream == name]
        found += explanations(mine, stream.definition)
    return Figure(_mean(one.place < AMONG for one in found), _mean(one.by_chance(AMONG) for one in found))


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return float(np.mean(known)) if known else nan
