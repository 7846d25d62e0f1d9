"""`detector evaluate`: a dataset, a bundle and labels in, how good the scores and alarms are out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from detector.evaluate.control import draws
from detector.evaluate.events import Event, Verdict
from detector.evaluate.events import judge as judge_alarms
from detector.evaluate.explained import AMONG, explanations
from detector.evaluate.judged import Alarm, Judged, run
from detector.evaluate.quality import EntityQuality, Protocol, Quality, entity_quality, mean, total
from detector.evaluate.truth import Truth, to_judge, truths
from detector.planner import Planner
from detector.stream.bench import Judge
from detector.stream.definition import Definition
from detector.stream.policy import Policies
from detector.train.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    `verdicts` are of all events that were judged, on the grid, `false` the false alarms; `left_out` says
    why other events were not judged, and of how many. `control` is the same by chance (`control.py`).
    `entities` are in the order of those of `judged`.
    """

    protocol: Protocol
    judged: Judged
    verdicts: list[Verdict[Alarm]]
    false: list[Alarm]
    left_out: Counter[str]
    detector: Quality
    control: Quality
    entities: list[EntityQuality]
    control_entities: list[EntityQuality]

    @property
    def accepted(self) -> float:
        """How many false alarms an entity and week the budget accepts, on average over the entities."""
        judged = self.judged
        policies = Policies(judged.definition)
        policies.resize(len(judged.entities))
        for row, entity in enumerate(judged.entities):
            policies.admit(row, entity)
        return float(policies.budget.mean())

    @property
    def unscored(self) -> int:
        """How many judged steps have no score."""
        return int(np.isnan(self.judged.scores).sum())


def evaluate(
    dataset: Dataset,
    definition: Definition,
    judge: Judge,
    events: Iterable[Event],
    protocol: Protocol = Protocol(),  # noqa: B008 -- frozen
    planner: Planner | None = None,
) -> Evaluation:
    """Run a dataset through the pipeline, and hold what comes out against labels."""
    judged = run(dataset, definition, judge, planner)
    chosen, left_out = to_judge(events, judged)
    truth = truths(judged, chosen, protocol.rules(definition.step_s))
    ours = _measure(judged, truth, chosen, protocol)
    explained = list(explanations(ours.verdicts, definition))
    drawn = [_measure(one, truth, chosen, protocol) for one in draws(judged, protocol.seed)]
    return Evaluation(
        protocol=protocol,
        judged=judged,
        verdicts=ours.verdicts,
        false=ours.false,
        left_out=left_out,
        detector=replace(
            ours.quality,
            explained=len(explained),
            first=sum(one.place < 1 for one in explained),
            among=sum(one.place < AMONG for one in explained),
        ),
        control=replace(
            mean([one.quality for one in drawn]),
            explained=len(explained),
            first=sum(one.by_chance(1) for one in explained),
            among=sum(one.by_chance(AMONG) for one in explained),
        ),
        entities=ours.entities,
        control_entities=[mean(ones) for ones in zip(*(one.entities for one in drawn), strict=True)],
    )


class _Measured(NamedTuple):
    quality: Quality
    entities: list[EntityQuality]
    verdicts: list[Verdict[Alarm]]
    false: list[Alarm]


def _measure(
    judged: Judged, truth: Sequence[Truth], events: Sequence[Event], protocol: Protocol
) -> _Measured:
    spans: dict[int, list[tuple[int, int]]] = {}
    for alarm in judged.alarms:
        spans.setdefault(alarm.at, []).append((alarm.first, alarm.last))
    entities = [
        entity_quality(judged.score(at), judged.mask(at, spans.get(at, ())), one, protocol.vus_window_steps)
        for at, one in enumerate(truth)
    ]
    step_s, episodes = judged.definition.step_s, judged.begun()
    verdicts, false = judge_alarms(events, episodes, protocol.rules(step_s))
    return _Measured(total(entities, verdicts, false, len(episodes), step_s), entities, verdicts, false)
