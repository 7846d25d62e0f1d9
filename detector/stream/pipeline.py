"""The order of the stages: the one place that knows it.

    add(batch)   decoded records -> samples, which wait in `align`
    tick(now)    close the steps that are due -> windows -> one call of the network -> scores -> verdicts

`streams` decodes, and hands each message to its streams. The same pipeline runs live and in `detector score`,
and training cuts the same windows; only who feeds it differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np

from detector.stream.align import Align
from detector.stream.bench import Bench, Closed, Judge
from detector.stream.clock import Clock
from detector.stream.definition import Definition, Maintenance
from detector.stream.nouns import (
    Batch,
    Doubles,
    Drop,
    Entity,
    Ints,
    Message,
    Outcome,
    Samples,
)
from detector.stream.roster import NO_ROW, Roster

WINDOWS_MAX = 16_384
"""Windows handed to the network at once when many steps close together (catching up, offline): enough
to fill its batches, and 64 steps of 8 signals are 32 MiB of them."""


class StreamPipeline:
    """One stream, from samples to verdicts. `maintenances` are those that are about it.

    `doubted` names an entity whose times are not believed, and how many seconds ahead of the clock they are.
    """

    def __init__(
        self, definition: Definition, judge: Judge | None, maintenances: Sequence[Maintenance] = ()
    ) -> None:
        self.definition = definition
        self.roster = Roster(definition.entities_max, definition.device_entities_max)
        self.clock = Clock(definition)
        self.align = Align(definition)
        self.bench = Bench(definition, judge, self.roster, maintenances)
        self.messages_missed_total = 0
        self.samples_total = 0
        self.samples_dropped: Counter[Drop] = Counter()
        self.doubted: dict[Drop, tuple[Entity, float]] = {}

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
            self.bench.silence.welcome(rows[rows >= 0])
            self.silence([labels for _, labels in leaving])
            parts.append(rows)
            start = end
        return np.concatenate(parts)

    def silence(self, leaving: Iterable[Mapping[str, str]]) -> None:
        """Take goodbyes: every entity that has the labels of one is silent until it speaks again."""
        names = self.definition.entity
        having = [row for labels in leaving for row in self.roster.having(names, labels)]
        rows = np.unique(having).astype(np.int64)
        if len(rows):
            self.bench.part(rows)

    def switch(self, name: str, labels: Mapping[str, str], message: Message, *, on: bool) -> bool:
        """Take a message that switches a maintenance; say whether there was room to remember it."""
        maintained = self.bench.maintained
        if not maintained.is_about(name):
            return True
        time_s = self.clock.now_s(message.arrival_s)
        return maintained.switch(name, labels, on=on, time_s=time_s, fresh=not message.retained)

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
            self.align.resize(self.roster.rows)
            self.bench.resize(self.roster.rows)
        if row >= 0:
            self.bench.admit(row, entity)
        return row

    # Verdicts out

    def listen(self, hears: bool, wall_s: float) -> None:  # noqa: FBT001 -- it is the subject
        """Note whether what is published reaches us; while it does not, nobody falls silent."""
        self.bench.silence.listen(hears, self.clock.now_s(wall_s))

    def due(self, now_s: float) -> bool:
        """Say whether `tick` would close a step."""
        return self.align.closable(now_s)

    def tick(self, now_s: float) -> Iterator[Outcome]:
        """Close the steps that are due at the stream's `now_s`, and judge them; consume it to the end."""
        closed: list[Closed] = []
        waiting = 0
        for steps in self.align.close(now_s):
            closed.append(self.bench.take(steps))
            waiting += len(steps.row)
            if waiting >= WINDOWS_MAX:
                yield from self.bench.judge(closed)
                closed, waiting = [], 0
        yield from self.bench.judge(closed)
        self._expire(now_s)

    def _expire(self, now_s: float) -> None:
        gone = self.roster.taken() & (now_s - self.align.newest_s > self.definition.expire_s)
        if gone.any():
            self.forget(np.flatnonzero(gone))

    def forget(self, rows: Ints) -> None:
        """Forget entities; their rows are free for others."""
        self.bench.forget(rows)
        self.align.forget(rows)
        self.roster.forget(rows)

    def restart(self) -> None:
        """Forget what was seen, as after a start: the clock went back."""
        self.forget(np.flatnonzero(self.roster.taken()))
        self.align.restart()
        self.bench.restart()
        self.bench.maintained.restart()

    def dropped(self) -> Counter[Drop]:
        """Return the refused samples by reason."""
        counted = Counter(self.samples_dropped)
        counted[Drop.LATE] += self.align.late_total
        counted[Drop.DUPLICATE] += self.align.duplicates_total
        return counted
