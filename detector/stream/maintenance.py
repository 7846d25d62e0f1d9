"""Who is in maintenance, step by step: scored, and neither alarmed of nor learnt from.

A maintenance means the entities that fit its selector, at times that are either planned, from outside, or
switched on and off by messages, whose topics may say more closely who is meant. A step is in maintenance
when any part of it is. What is switched while a clock of the data has seen nothing begins with the first
step; so does what was on, where the clock goes back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from detector.stream.definition import Definition, Maintenance
from detector.stream.nouns import Entity, Ints, Span, Turn
from detector.stream.roster import Roster
from detector.stream.selector import Selectors

Labels = tuple[tuple[str, str], ...]


class _Active(NamedTuple):
    """Something that is on: a maintenance by its place, of those who have some labels."""

    which: int
    labels: Labels


@dataclass(slots=True)
class _Switched:
    """What a message switched on. It stays known after it has ended by itself: it is not off."""

    span: Span
    off: bool = False


class Maintained:
    """Who of one stream is in maintenance.

    Args:
        definition: The stream.
        maintenances: Those that are about it; all of their labels are its own.
        roster: Who lives in which row.

    `active` says of each row whether the step that was last asked about is in maintenance, `(rows,)`.
    """

    def __init__(self, definition: Definition, maintenances: Sequence[Maintenance], roster: Roster) -> None:
        self._definition = definition
        self._roster = roster
        self._maintenances = tuple(maintenances)
        self._index = {one.name: index for index, one in enumerate(maintenances)}
        self._selectors = Selectors(definition.entity, [one.match for one in maintenances])
        self._fitting = [0]  # by line, which maintenances fit; the first is that of nobody
        self._line_of = {0: 0}
        self._line = np.zeros(0, np.int32)
        self._planned: dict[int, tuple[Span, ...]] = {}
        self._switched: dict[_Active, _Switched] = {}
        self._early: list[_Active] = []
        self._now: frozenset[_Active] = frozenset()
        self._stale = False
        self._asked_s = -inf
        self.active = np.zeros(0, bool)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        more = rows - len(self.active)
        self._line = np.concatenate([self._line, np.zeros(more, np.int32)])
        self.active = np.concatenate([self.active, np.zeros(more, bool)])

    def admit(self, row: int, entity: Entity) -> None:
        """Take a new entity in."""
        if self._maintenances:
            fitting = self._selectors.fitting(entity)
            if fitting not in self._line_of:
                self._line_of[fitting] = len(self._fitting)
                self._fitting.append(fitting)
            self._line[row] = self._line_of[fitting]
            self._stale = True

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self._line[rows] = 0
        self.active[rows] = False

    # When

    def plan(self, name: str, spans: Sequence[Span]) -> None:
        """Take the spans of a planned maintenance, in their order and apart; in place of those before."""
        self._planned[self._index[name]] = tuple(spans)

    def is_about(self, name: str) -> bool:
        """Say whether a maintenance is about this stream."""
        return name in self._index

    def switch(self, name: str, labels: Mapping[str, str], *, on: bool, time_s: float, fresh: bool) -> bool:
        """Take a message that switches a maintenance on or off; say whether there was room to remember it.

        Args:
            name: Of the maintenance.
            labels: Those that its topic gave.
            on: Whether it begins.
            time_s: When, on the clock of the stream; -inf while that has seen nothing.
            fresh: Whether it is no stored copy, which says again what was said before.
        """
        key = _Active(self._index[name], tuple(sorted(labels.items())))
        if time_s == -inf:
            self._early = [one for one in self._early if one != key] + [key] * on
            return True
        known = self._switched.get(key)
        max_s = self._maintenances[key.which].max_s
        if not on:
            if known is not None:
                known.off = True
                known.span = known.span._replace(end_s=min(known.span.end_s, time_s))
        elif known is None and len(self._switched) >= self._definition.entities_max:
            return False
        elif known is None or known.off or (fresh and known.span.end_s <= time_s):
            self._switched[key] = _Switched(Span(time_s, time_s + max_s))
        elif fresh:
            known.span = known.span._replace(end_s=time_s + max_s)
        return True

    def restart(self) -> None:
        """Take what is on with into another time: the clock went back."""
        on = (key for key, one in self._switched.items() if not one.off and one.span.end_s > self._asked_s)
        self._early += on
        self._switched.clear()

    # Who

    def at(self, step_s: float) -> Sequence[Turn]:
        """Find who is in maintenance in the step of a time; return what begins and ends with it."""
        if not (self._planned or self._switched or self._early):
            return ()
        self._asked_s = step_s
        begin_s = step_s - self._definition.step_s
        for key in self._early:
            name = self._maintenances[key.which].name
            self.switch(name, dict(key.labels), on=True, time_s=begin_s, fresh=True)
        self._early.clear()
        now = frozenset(self._on(begin_s, step_s))
        before, self._now = self._now, now
        if now == before and not self._stale:
            return ()
        self._stale = False
        self.active[:] = False
        for key in now:
            self.active[self._rows(key)] = True
        return [*self._turns(before - now, begins=False), *self._turns(now - before, begins=True)]

    def _on(self, begin_s: float, end_s: float) -> Iterator[_Active]:
        for index, spans in self._planned.items():
            last = bisect_left(spans, end_s, key=lambda span: span.begin_s) - 1
            if last >= 0 and spans[last].end_s > begin_s:
                yield _Active(index, ())
        for key, switched in list(self._switched.items()):
            if switched.span.begin_s < end_s and switched.span.end_s > begin_s:
                yield key
            elif switched.off and switched.span.end_s <= begin_s:
                del self._switched[key]

    def _rows(self, key: _Active) -> Ints:
        fits = np.array([bool(fitting >> key.which & 1) for fitting in self._fitting])
        if not key.labels:
            return np.flatnonzero(fits[self._line])
        having = self._roster.having(self._definition.entity, dict(key.labels))
        rows = np.fromiter(having, np.int64, len(having))
        meant: Ints = rows[fits[self._line[rows]]]
        return meant

    def _turns(self, keys: frozenset[_Active], *, begins: bool) -> Iterator[Turn]:
        for index in sorted({key.which for key in keys}):
            rows = np.unique(np.concatenate([self._rows(key) for key in keys if key.which == index]))
            entities = [self._roster.entities[row] or () for row in rows.tolist()]
            yield Turn(self._maintenances[index].name, begins, entities)
