"""The order of the stages: the one place that knows it.

    add(batch)   decoded records -> samples, which wait in `align`
    tick(now)    close the steps that are due -> windows -> one call of the network -> scores -> verdicts

`streams` decodes, and hands each message to its streams. The same pipeline runs live and in `detector score`,
and training cuts the same windows; only who feeds it differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np

from detector.stream.align import Align
from detector.stream.clock import Clock
from detector.stream.decide import Decider
from detector.stream.definition import Definition
from detector.stream.nouns import (
    Batch,
    Closure,
    Doubles,
    Drop,
    Entity,
    Floats,
    Ints,
    Onset,
    Outcome,
    Reconstruct,
    Samples,
    Scores,
    State,
    Steps,
    Windows,
)
from detector.stream.roster import NO_ROW, Roster
from detector.stream.score import Calibration, Scorer
from detector.stream.window import Ring

WINDOWS_MAX = 16_384
"""Windows handed to the network at once when many steps close together (catching up, offline): enough
to fill its batches, and 64 steps of 8 signals are 32 MiB of them."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What a bundle gives to a stream: a network and what was learnt about errors."""

    reconstruct: Reconstruct
    calibration: Calibration


@dataclass(slots=True)
class _Closed:
    """A closed step on its way to the verdicts."""

    steps: Steps
    windows: Windows | None = None
    scaled: Floats | None = field(default=None, repr=False)


class StreamPipeline:
    """One stream, from samples to verdicts.

    `why` has the newest scored step of each open episode. `doubted` names an entity whose times are not
    believed, and how many seconds ahead of the clock they are.
    """

    def __init__(self, definition: Definition, judge: Judge | None) -> None:
        self.definition = definition
        self.roster = Roster(definition.entities_max, definition.device_entities_max)
        self.clock = Clock(definition)
        self.align = Align(definition)
        self.ring = Ring(definition)
        self.decider = Decider(definition)
        self._scorer = Scorer(definition, judge.calibration) if judge else None
        self._reconstruct = judge.reconstruct if judge else None
        self._ended: list[Closure] = []  # episodes that ended between steps, to be told with the next one
        self.why: dict[int, Scores] = {}
        self.messages_missed_total = 0
        self.samples_total = 0
        self.samples_dropped: Counter[Drop] = Counter()
        self.doubted: dict[Drop, tuple[Entity, float]] = {}
        self.windows_scored_total = 0
        self.episodes_total = 0

    # Samples in

    def add(self, batch: Batch, arrival_s: Doubles) -> Samples:
        """Take decoded records in; return their samples. `arrival_s` is `(records,)`."""
        self.messages_missed_total += batch.missed
        self.samples_dropped.update(batch.dropped)
        time_s = np.array(batch.times_s)
        now_s, believed, went_back = self.clock.believe(time_s, arrival_s)
        if went_back:
            self.restart()
        record = np.array(batch.record, np.int64)
        if not believed.all():
            for index in np.flatnonzero(~believed[record]):
                at = record[index]
                reason = self.clock.refusal(time_s[at], now_s[at])
                self.samples_dropped[reason] += 1
                self.doubted[reason] = batch.entities[at], float(time_s[at] - now_s[at])
        entities: list[Entity | None] = list(batch.entities)
        for unbelieved in np.flatnonzero(~believed).tolist():
            entities[unbelieved] = None
        row = self._rows_in_order(entities, batch.silenced)[record]
        for full, no_row in NO_ROW.items():
            self.samples_dropped[full] += int((row == no_row).sum())
        good = row >= 0
        signal, value = np.array(batch.signal, np.int64), np.array(batch.value, np.float64)
        samples = Samples(row[good], signal[good], time_s[record[good]], value[good])
        self.add_samples(samples)
        return samples

    def _rows_in_order(
        self, entities: Sequence[Entity | None], silenced: Sequence[tuple[int, Mapping[str, str]]]
    ) -> Ints:
        """Return the row of each record's entity, and take the goodbyes between the records."""
        parts, start = [], 0
        for end, leaving in groupby([*silenced, (len(entities), {})], itemgetter(0)):
            rows = self.rows_of(entities[start:end])
            self.decider.welcome(rows[rows >= 0])
            self.silence([labels for _, labels in leaving])
            parts.append(rows)
            start = end
        return np.concatenate(parts)

    def silence(self, leaving: Iterable[Mapping[str, str]]) -> None:
        """Take goodbyes: every entity that has the labels of one is silent until it speaks again."""
        rows = np.unique([row for labels in leaving for row in self._rows_having(labels)]).astype(np.int64)
        if len(rows):
            self._ended += self.decider.part(rows, self.roster.entities)
            for row in self.why.keys() & set(rows.tolist()):
                del self.why[row]

    def _rows_having(self, labels: Mapping[str, str]) -> Collection[int]:
        names = self.definition.entity
        if not labels or not labels.keys() <= set(names):
            return ()
        places = tuple([index for index, name in enumerate(names) if name in labels])
        texts = tuple([labels[names[place]] for place in places])
        if len(places) < len(names):
            return self.roster.sharing(places, texts)
        row = self.roster.get(texts)
        return () if row is None else (row,)

    def rows_of(self, entities: Sequence[Entity | None]) -> Ints:
        """Return the row of each entity, admitting new ones; -1 for None, `NO_ROW` where there is no room."""
        rows = self.roster.find(entities)
        for index in np.flatnonzero(rows < 0).tolist():
            entity = entities[index]
            if entity is not None:
                row = self.roster.get(entity)  # two of its records may be among these
                rows[index] = self._admit(entity) if row is None else row
        return rows

    def add_samples(self, samples: Samples) -> None:
        """Take samples of known rows in."""
        self.samples_total += len(samples.row)
        if len(samples.row):
            self.align.add(samples)

    def _admit(self, entity: Entity) -> int:
        rows = self.roster.rows
        row = self.roster.admit(entity)
        if self.roster.rows > rows:
            for stage in (self.align, self.ring, self.decider):
                stage.resize(self.roster.rows)
            if self._scorer:
                self._scorer.resize(self.roster.rows)
        if row >= 0 and self._scorer:
            self._scorer.admit(row, entity)
        return row

    # Verdicts out

    def due(self, now_s: float) -> bool:
        """Say whether `tick` would close a step."""
        return self.align.closable(now_s)

    def tick(self, now_s: float) -> Iterator[Outcome]:
        """Close the steps that are due at the stream's `now_s`, and judge them; consume it to the end."""
        closed: list[_Closed] = []
        waiting = 0
        for steps in self.align.close(now_s):
            closed.append(self._window(steps))
            waiting += len(steps.row)
            if waiting >= WINDOWS_MAX:
                yield from self._judge(closed)
                closed, waiting = [], 0
        yield from self._judge(closed)
        self._expire(now_s)

    def _window(self, steps: Steps) -> _Closed:
        self.ring.push(steps)
        if self._scorer is None or not len(steps.row):
            return _Closed(steps)
        full, enough = self.ring.states()
        row = np.flatnonzero(full & enough & self.ring.newest_seen() & ~self.decider.gone)
        if not len(row):
            return _Closed(steps)
        windows = self.ring.windows(steps.step, row)
        return _Closed(steps, windows, self._scorer.scaled(windows))

    def _judge(self, closed: list[_Closed]) -> Iterator[Outcome]:
        expected = self._expect(closed)
        for part in closed:
            step_s = part.steps.step * self.definition.step_s
            self.decider.hear(part.steps.row, step_s)
            scores, onsets, closures = None, list[Onset](), self._ended
            self._ended = []
            if part.windows is not None and part.scaled is not None and self._scorer is not None:
                scores = self._scorer.score(part.windows, part.scaled[:, -1], next(expected))
                onsets, ended = self.decider.judge(scores, self.roster.entities)
                closures += ended
            closures += self.decider.fall_silent(step_s, self.roster.entities)
            self.windows_scored_total += 0 if scores is None else len(scores.row)
            self.episodes_total += len(onsets)
            self._explain(scores)
            entities = self.roster.entities
            silenced, speaking = ([entities[row] or () for row in rows] for rows in self.decider.turns())
            yield Outcome(step_s, part.steps, scores, onsets, closures, silenced, speaking)

    def _expect(self, closed: list[_Closed]) -> Iterator[Floats]:
        """Ask the network once for all windows; return the answer step by step."""
        asked = [part for part in closed if part.windows is not None]
        if not asked or self._reconstruct is None:
            return iter(())
        expected = self._reconstruct(
            np.concatenate([part.scaled for part in asked if part.scaled is not None]),
            np.concatenate([part.windows.seen for part in asked if part.windows is not None]),
        )
        ends = np.cumsum([len(part.windows.row) for part in asked if part.windows is not None])
        return iter(np.split(expected, ends[:-1]))

    def _explain(self, scores: Scores | None) -> None:
        """Keep the newest scored step of each open episode."""
        self.why = {row: why for row, why in self.why.items() if self.decider.active[row]}
        if scores is None:
            return
        for index in np.flatnonzero(self.decider.active[scores.row]):
            self.why[int(scores.row[index])] = scores.take(slice(index, index + 1))

    def _expire(self, now_s: float) -> None:
        gone = self.roster.taken() & (now_s - self.align.newest_s > self.definition.expire_s)
        if gone.any():
            self.forget(np.flatnonzero(gone))

    def forget(self, rows: Ints) -> None:
        """Forget entities; their rows are free for others."""
        self._ended += self.decider.forget(rows, self.roster.entities)
        self.align.forget(rows)
        self.ring.forget(rows)
        self.roster.forget(rows)
        for row in rows.tolist():
            self.why.pop(row, None)

    def restart(self) -> None:
        """Forget what was seen, as after a start: the clock went back."""
        self.forget(np.flatnonzero(self.roster.taken()))
        self.align.restart()

    def states(self) -> list[State | None]:
        """Return the state of every row, None where nobody lives."""
        full, enough = self.ring.states()
        taken = self.roster.taken()
        names = np.empty(len(taken), object)
        names[:] = State.SPARSE
        names[enough] = State.READY if self._scorer else State.UNSCORED
        names[~full] = State.WARMING
        names[self.decider.silent] = State.SILENT
        names[~taken] = None
        return list(names)

    def dropped(self) -> Counter[Drop]:
        """Return the refused samples by reason."""
        counted = Counter(self.samples_dropped)
        counted[Drop.LATE] += self.align.late_total
        counted[Drop.DUPLICATE] += self.align.duplicates_total
        return counted
