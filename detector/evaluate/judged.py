"""What the pipeline made of the judged part of a dataset: a score a step, and the alarms.

Judged is, of each entity, the time from its first to its last record that is not marked `train`; where no
record is marked, or all are, the whole. What comes before runs through the pipeline too, so that its state
is warm.

A step costs four bytes, whatever its signals; contributions are kept of the steps of an alarm alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from detector.evaluate.events import Episode
from detector.evaluate.offline import outcomes
from detector.planner import Planner
from detector.stream.align import ON_GRID
from detector.stream.bench import Judge
from detector.stream.definition import Definition
from detector.stream.nouns import Alarm as What
from detector.stream.nouns import Bools, Doubles, Entity, Floats, Ints, Onset, Outcome, Scores, Spell
from detector.stream.pipeline import StreamPipeline
from detector.train.dataset import CHUNK_RECORDS, Dataset

CONTRIBUTIONS_MAX = 10_000
"""Steps of an alarm whose contributions are kept: whatever lasts for longer has been explained by then."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Alarm(Episode):
    """An episode of the entity at the place `at`, or another spell: it is silent, slow, or a signal stuck.

    It was told at the step `first`, and `last` is the last one at which it was open. `contribution` is
    `(steps, signals)`: of each scored step since the onset, those of `step`; where a signal is stuck, its own
    at the step in which that was told.
    """

    at: int
    first: int
    last: int
    step: Ints
    contribution: Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """The judged part. `first` and `last` are the steps of each entity, none of it where `last < first`.

    `scores` has the scores of one entity after the other, NaN where there is none; `begin` says where each
    has its own. Alarms are those that were open in the judged part.
    """

    definition: Definition
    entities: tuple[Entity, ...]
    first: Ints
    last: Ints
    begin: Ints
    scores: Floats
    alarms: list[Alarm]

    def score(self, at: int) -> Floats:
        """Return the scores of an entity, `(steps,)`."""
        return self.scores[self.begin[at] : self.begin[at + 1]]

    def mask(self, at: int, spans: Iterable[tuple[int, int]]) -> Bools:
        """Return which steps of an entity lie in spans of steps, ends included."""
        first, steps = int(self.first[at]), int(self.begin[at + 1] - self.begin[at])
        inside = np.zeros(steps, bool)
        for start, end in spans:
            inside[min(max(start - first, 0), steps) : max(end - first + 1, 0)] = True
        return inside

    def begun(self) -> list[Alarm]:
        """Return the alarms that began in the judged part."""
        return [alarm for alarm in self.alarms if alarm.first >= self.first[alarm.at]]

    def has(self, at: int, start: int, end: int) -> bool:
        """Say whether any step of an entity in a span is judged."""
        return max(int(self.first[at]), start) <= min(int(self.last[at]), end)

    def labels(self, at: int) -> dict[str, str]:
        """Return the labels of an entity."""
        return dict(zip(self.definition.entity, self.entities[at], strict=True))


def run(dataset: Dataset, definition: Definition, judge: Judge, planner: Planner | None = None) -> Judged:
    """Run a dataset through the pipeline; keep what is judged."""
    recorder = _Recorder(dataset, definition)
    for stream, outcome in outcomes(dataset, definition, judge, planner):
        recorder.take(stream, outcome)
    return recorder.judged()


def steps_of(time_s: Doubles, step_s: float) -> Ints:
    """Return the steps that cover times."""
    return np.asarray(np.ceil(time_s / step_s - ON_GRID), np.int64)


def split(dataset: Dataset) -> Bools:
    """Return which records are judged."""
    return np.ones_like(dataset.train) if dataset.train.all() else ~dataset.train


def _spans(dataset: Dataset, step_s: float) -> tuple[Ints, Ints]:
    """Return the first and the last judged step of each entity."""
    first = np.full(len(dataset.entities), np.iinfo(np.int64).max)
    last = np.full(len(dataset.entities), np.iinfo(np.int64).min)
    chosen = split(dataset)
    for start in range(0, len(chosen), CHUNK_RECORDS):
        part = slice(start, start + CHUNK_RECORDS)
        entity = dataset.entity[part][chosen[part]]
        step = steps_of(dataset.time_s[part][chosen[part]], step_s)
        np.minimum.at(first, entity, step)
        np.maximum.at(last, entity, step)
    nothing = last < first
    first[nothing], last[nothing] = 0, -1
    return first, last


@dataclass(slots=True)
class _Open:
    """An alarm that is not over yet."""

    what: What
    at: int
    onset_s: float
    first: int
    step: list[int] = field(default_factory=list)
    contribution: list[Floats] = field(default_factory=list)

    def explain(self, step: int, contribution: Floats) -> None:
        """Keep the contributions of a step."""
        if len(self.step) < CONTRIBUTIONS_MAX:
            self.step.append(step)
            self.contribution.append(contribution.copy())


class _Recorder:
    """Takes outcomes in, in order."""

    def __init__(self, dataset: Dataset, definition: Definition) -> None:
        self._definition = definition
        self._entities = dataset.entities
        self._at = {entity: at for at, entity in enumerate(dataset.entities)}
        self._first, self._last = _spans(dataset, definition.step_s)
        self._begin = np.concatenate([[0], np.cumsum(self._last - self._first + 1)])
        self._scores = np.full(self._begin[-1], np.nan, np.float32)
        self._open: dict[int, _Open] = {}
        self._spells: dict[tuple[What, int, str], _Open] = {}
        self._alarms: list[Alarm] = []
        # An onset is dated back by so many scored steps at most.
        self._recent: deque[tuple[int, Ints, Floats]] = deque(maxlen=definition.open_window_steps)

    def take(self, stream: StreamPipeline, outcome: Outcome) -> None:
        """Take an outcome in."""
        step = outcome.steps.step
        for closure in outcome.closures:
            end = int(steps_of(np.array(closure.time_s), self._definition.step_s)) - 1
            self._end(self._open.pop(self._at[closure.entity], None), end)
        for entity in outcome.speaking_again:
            self._end(self._spells.pop((What.SILENCE, self._at[entity], ""), None), step - 1)
        for spell in outcome.over:
            self._end(self._spells.pop(self._key(spell), None), step - 1)
        for onset in outcome.onsets:
            self._begin_alarm(onset, step)
        for entity in outcome.silenced:
            at = self._at[entity]
            self._spells[What.SILENCE, at, ""] = _Open(What.SILENCE, at, outcome.time_s, step)
        for spell in outcome.begun:
            self._begin_spell(spell, step)
        if outcome.scores is not None:
            self._score(stream, outcome.scores)

    def _key(self, spell: Spell) -> tuple[What, int, str]:
        return spell.what, self._at[spell.entity], spell.signal

    def _begin_spell(self, spell: Spell, step: int) -> None:
        at, names = self._at[spell.entity], self._definition.signal_names
        alarm = self._spells[self._key(spell)] = _Open(spell.what, at, spell.onset_s, step)
        if spell.signal:
            alarm.explain(step, np.array([name == spell.signal for name in names], np.float32))

    def _begin_alarm(self, onset: Onset, step: int) -> None:
        at = self._at[onset.entity]
        alarm = self._open[at] = _Open(What.ANOMALY, at, onset.time_s, step)
        for past, entity, contribution in self._recent:
            if past * self._definition.step_s >= onset.time_s:
                for place in np.flatnonzero(entity == at):
                    alarm.explain(past, contribution[place])

    def _score(self, stream: StreamPipeline, scores: Scores) -> None:
        step, entities = scores.step, stream.roster.entities
        at = np.array([self._at[entities[row] or ()] for row in scores.row.tolist()], np.int64)
        inside = (self._first[at] <= step) & (step <= self._last[at])
        chosen = at[inside]
        self._scores[self._begin[chosen] + step - self._first[chosen]] = scores.score[inside]
        for place in np.flatnonzero(np.isin(at, list(self._open))) if self._open else ():
            self._open[int(at[place])].explain(step, scores.contribution[place])
        self._recent.append((step, at, scores.contribution))

    def _end(self, alarm: _Open | None, last: int) -> None:
        if alarm is None:
            return
        last = min(max(last, alarm.first), int(self._last[alarm.at]))
        if alarm.first <= last and last >= self._first[alarm.at]:
            self._alarms.append(self._alarm(alarm, last))

    def _alarm(self, spell: _Open, last: int) -> Alarm:
        step_s, at, first = self._definition.step_s, spell.at, int(self._first[spell.at])
        start = self._begin[at] + max(int(spell.onset_s / step_s) - first, 0)
        scores = self._scores[start : self._begin[at] + last - first + 1]
        return Alarm(
            stream=self._definition.name,
            entity=dict(zip(self._definition.entity, self._entities[at], strict=True)),
            start_s=spell.onset_s,
            end_s=last * step_s,
            told_s=spell.first * step_s,
            score_max=float(np.fmax.reduce(scores, initial=np.nan)),
            what=spell.what,
            at=at,
            first=spell.first,
            last=last,
            step=np.array(spell.step, np.int64),
            contribution=np.array(spell.contribution, np.float32),
        )

    def judged(self) -> Judged:
        """Return the judged part; what is open still lasts until its end."""
        for alarm in (*self._open.values(), *self._spells.values()):
            self._end(alarm, int(self._last[alarm.at]))
        alarms = sorted(self._alarms, key=lambda alarm: (alarm.first, alarm.at))
        spans = self._first, self._last, self._begin
        return Judged(self._definition, self._entities, *spans, self._scores, alarms)
