"""Where a stream is judged: closed steps become windows, scores and verdicts.

take(steps)     a closed step -> the windows of it that may be judged, scaled
judge(closed)   one call of the network for many steps -> scores -> verdicts, step by step
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from detector.stream.calibration import Calibration
from detector.stream.decide import Decider
from detector.stream.definition import Definition, Maintenance
from detector.stream.drift import Drift
from detector.stream.ledger import Ledger
from detector.stream.maintenance import Maintained
from detector.stream.nouns import (
    Alarm,
    Bools,
    Closure,
    Entity,
    Floats,
    Ints,
    Onset,
    Outcome,
    Reconstruct,
    Scores,
    Spell,
    State,
    Steps,
    Windows,
)
from detector.stream.policy import Policies, lifted
from detector.stream.roster import Roster
from detector.stream.score import Scorer
from detector.stream.silence import Silence
from detector.stream.spells import Spells
from detector.stream.window import Ring


@dataclass(frozen=True, slots=True)
class Judge:
    """What a bundle gives to a stream: a network and what was learnt about errors."""

    reconstruct: Reconstruct
    calibration: Calibration


@dataclass(slots=True)
class Closed:
    """A closed step on its way to the verdicts."""

    steps: Steps
    windows: Windows | None = None
    scaled: Floats | None = field(default=None, repr=False)


class Bench:
    """The windows, scores and verdicts of one stream; without a `Judge` nothing is scored.

    `why` has the newest scored step of each open episode, `worst` the one with its highest score.
    """

    def __init__(
        self,
        definition: Definition,
        judge: Judge | None,
        roster: Roster,
        maintenances: Sequence[Maintenance] = (),
    ) -> None:
        self._definition = definition
        self._roster = roster
        self._ring = Ring(definition)
        self.policies = Policies(definition)
        self._scorer = Scorer(definition, judge.calibration, self.policies) if judge else None
        self._reconstruct = judge.reconstruct if judge else None
        self.drift = Drift(definition, judge.calibration.days if judge else None)
        self.ledger = Ledger(definition.step_s)
        self.maintained = Maintained(definition, maintenances, roster)
        self.decider = Decider(definition)
        self.silence = Silence(definition)
        self.spells = Spells(definition, self.silence)
        self._ended: list[Closure] = []  # episodes that ended between steps, to be told with the next one
        self._over: list[Spell] = []  # and spells
        self.why: dict[int, Scores] = {}
        self.worst: dict[int, Scores] = {}
        self.windows_scored_total = 0
        self.episodes_total = 0

    # Who is judged

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        self._ring.resize(rows)
        self.policies.resize(rows)
        self.maintained.resize(rows)
        self.decider.resize(rows)
        self.silence.resize(rows)
        self.spells.resize(rows)
        self.drift.resize(rows)
        if self._scorer:
            self._scorer.resize(rows)

    def admit(self, row: int, entity: Entity) -> None:
        """Take a new entity in."""
        self.policies.admit(row, entity)
        self.maintained.admit(row, entity)
        if self._scorer:
            self._scorer.admit(row, entity)
            self.drift.admit(row, self._scorer.known.get(entity))

    def part(self, rows: Ints) -> None:
        """Take the goodbye of entities; their episodes end with the last that was heard of them."""
        self.silence.part(rows)
        closures = self.decider.hush(rows, self.silence.spoken_s[rows], self._roster.entities)
        self._ended += self._finished(closures)
        for row in self.why.keys() & set(rows.tolist()):
            del self.why[row]

    def forget(self, rows: Ints) -> None:
        """Forget entities, while the roster still knows them."""
        closures = self.decider.forget(rows, self.silence.spoken_s[rows], self._roster.entities)
        self._ended += self._finished(closures)
        self._over += self.spells.forget(rows)
        self.silence.forget(rows)
        self._ring.forget(rows)
        self.policies.forget(rows)
        self.maintained.forget(rows)
        for row in rows.tolist():
            self.why.pop(row, None)

    @property
    def in_maintenance(self) -> Bools:
        """Who is in maintenance in the newest step, `(rows,)`: not alarmed of, and not learnt from."""
        return self.maintained.active

    def restart(self) -> None:
        """Forget what time it was, after all entities: the clock went back."""
        self.silence.restart()

    def states(self) -> list[State | None]:
        """Return the state of every row, None where nobody lives."""
        full, enough = self._ring.states()
        taken = self._roster.taken()
        names = np.empty(len(taken), object)
        names[:] = State.SPARSE
        names[enough] = State.READY if self._scorer else State.UNSCORED
        names[~full] = State.WARMING
        names[self.silence.overdue()] = State.UNHEARD
        names[self.silence.silent] = State.SILENT
        names[~taken] = None
        return list(names)

    def judged(self) -> Bools:
        """Return of which rows it is known whether they are well, and told; without a `Judge`: they speak."""
        if self._scorer is None:
            return self._roster.taken() & ~self.policies.muted
        full, enough = self._ring.states()
        known = (full & enough) | self.decider.active | self.silence.silent
        return np.asarray(known & ~self.policies.muted)

    def calm(self) -> Bools:
        """Return who is known to be well for as long as an episode would take to close; see `judged`."""
        calm = self.judged() & ~self.decider.active & ~self.silence.silent
        return calm & (self.decider.calm_steps >= self._definition.close_steps) if self._scorer else calm

    # Verdicts

    def take(self, steps: Steps) -> Closed:
        """Take a closed step in; its windows wait for `judge`."""
        self._ring.push(steps)
        if self._scorer is None or not len(steps.row):
            return Closed(steps)
        full, enough = self._ring.states()
        row = np.flatnonzero(full & enough & self._ring.newest_seen() & ~self.silence.gone)
        if not len(row):
            return Closed(steps)
        windows = self._ring.windows(steps.step, row)
        return Closed(steps, windows, self._scorer.scaled(windows))

    def judge(self, closed: list[Closed]) -> Iterator[Outcome]:
        """Judge steps in their order, all that were taken since the last time; consume it to the end."""
        expected = self._expect(closed)
        for part in closed:
            step_s = part.steps.step * self._definition.step_s
            self.silence.hear(part.steps.row, step_s)
            turns = self.maintained.at(step_s)
            scores, onsets, closures = None, list[Onset](), self._ended
            self._ended = []
            entities, held = self._roster.entities, self.in_maintenance | self.policies.muted
            if part.windows is not None and part.scaled is not None and self._scorer is not None:
                row = part.windows.row
                learn = ~self.in_maintenance[row]
                scores = self._scorer.score(part.windows, part.scaled[:, -1], next(expected), learn=learn)
                scores = lifted(scores, self.policies.broken(part.windows))
                onsets, ended = self.decider.judge(scores, held[row], entities)
                closures += self._finished(ended)
                self._keep_books(part.windows, part.scaled[:, -1], learn, len(onsets))
            closures += self._finished(self.decider.hush(*self.silence.fall(step_s), entities))
            self.windows_scored_total += 0 if scores is None else len(scores.row)
            self.episodes_total += len(onsets)
            self._explain(scores)
            spells = self._spells(part.steps, step_s, held)
            yield Outcome(step_s, part.steps, scores, onsets, closures, *spells, turns)

    def _spells(
        self, steps: Steps, time_s: float, held: Bools
    ) -> tuple[list[Entity], list[Entity], list[Spell], list[Spell]]:
        """Return who falls silent and who speaks again, and the other spells that begin and are over."""
        entities = self._roster.entities
        self.silence.excuse(self.in_maintenance)
        silenced, speaking = ([entities[row] or () for row in rows] for rows in self.silence.turns(held))
        self.spells.totals[Alarm.SILENCE] += len(silenced)
        begun, over = self.spells.take(
            steps, time_s, self.in_maintenance, held, self.policies.weight, entities
        )
        over = self._over + over
        self._over = []
        return silenced, speaking, begun, over

    def _keep_books(self, windows: Windows, newest: Floats, learn: Bools, alarms: int) -> None:
        """Note how far the input has moved, and what the alarms have used of the budget."""
        step, row = windows.step, windows.row
        self.drift.take(step, row, newest, windows.seen[:, -1] & learn[:, None])
        heard = row[learn & ~self.policies.muted[row]]
        budget = float(self.policies.budget[heard].sum())
        self.ledger.take(step * self._definition.step_s, budget, alarms)

    def _expect(self, closed: list[Closed]) -> Iterator[Floats]:
        """Ask the network once for all windows; return the answer step by step."""
        asked = [(part.windows, part.scaled) for part in closed if part.windows is not None]
        if not asked or self._reconstruct is None:
            return iter(())
        counts = [len(windows.row) for windows, _ in asked]
        step_s = self._definition.step_s
        expected = self._reconstruct(
            np.concatenate([scaled for _, scaled in asked if scaled is not None]),
            np.concatenate([windows.seen for windows, _ in asked]),
            np.repeat([windows.step * step_s for windows, _ in asked], counts),
        )
        return iter(np.split(expected, np.cumsum(counts)[:-1]))

    def _explain(self, scores: Scores | None) -> None:
        """Keep the newest scored step of each open episode, and the worst one."""
        self.why = {row: why for row, why in self.why.items() if self.decider.active[row]}
        if scores is None:
            return
        for index in np.flatnonzero(self.decider.active[scores.row]):
            row = int(scores.row[index])
            self.why[row] = why = scores.take(slice(index, index + 1))
            if row not in self.worst or why.score[0] > self.worst[row].score[0]:
                self.worst[row] = why

    def _finished(self, closures: list[Closure]) -> list[Closure]:
        """Return episodes that end with what they were at their worst; edges learn from them."""
        if closures and self._scorer is not None:
            rows = np.array([one.row for one in closures], np.int64)
            self._scorer.edges.alarmed(rows, np.array([one.score_max for one in closures]))
        return [one._replace(why=self.worst.pop(one.row, None)) for one in closures]
