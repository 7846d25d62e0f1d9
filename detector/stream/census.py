"""Which groups there are, and who is in them: one seat for each entity and level, `(levels, rows)` a stream.

A group has an index as long as anybody is in it or holds it; then the next one may have it. Who is judged is
counted when somebody wants to know, over all rows at once: a millisecond for a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from detector.stream.levels import Level, Values, levels, reader
from detector.stream.nouns import Doubles, Entity, Ints
from detector.stream.pipeline import StreamPipeline

NOBODY: Final = -1
"""The seat of who has no group at a level."""
WEEK_S: Final = 7 * 86400.0


class Count(NamedTuple):
    """Of every group: how many entities are judged, and what they may have of false alarms, all together.

    `a_second`, and `a_step`, each in a step of its own stream.
    """

    entities: Ints
    a_second: Doubles
    a_step: Doubles

    def groups(self) -> list[int]:
        """Return which of them are groups: one entity alone is none."""
        return np.flatnonzero(self.entities > 1).tolist()

    def expected(self, seat: int, within_s: float) -> float:
        """Return how many false alarms of a group are at most `within_s` apart from one, to one side of it.

        Onsets are on a grid, so those at both ends of that time count.
        """
        return float(self.a_second[seat] * within_s + self.a_step[seat])


class Census:
    """The groups of all streams.

    `levels` go from the one with the most labels to the one with the fewest. `steps_s` has for each the
    shortest and the longest step of its streams.
    """

    def __init__(self, streams: Sequence[StreamPipeline]) -> None:
        self._streams = streams
        definitions = [stream.definition for stream in streams]
        self.levels = tuple(sorted(levels(definitions), key=lambda level: -len(level)))
        self._read = [[reader(one, level) for level in self.levels] for one in definitions]
        self.steps_s = [self._steps_s(level) for level in range(len(self.levels))]
        self._seats: list[Ints] = [np.full((len(self.levels), 0), NOBODY) for _ in streams]
        self._known: list[list[Entity | None]] = [[] for _ in streams]
        self._index: dict[tuple[int, Values], int] = {}
        self._groups: list[tuple[int, Values] | None] = []
        self._holders: list[int] = []
        self._free: list[int] = []

    def _steps_s(self, level: int) -> tuple[float, float]:
        pairs = zip(self._streams, self._read, strict=True)
        steps_s = [stream.definition.step_s for stream, read in pairs if read[level]]
        return min(steps_s), max(steps_s)

    def group(self, seat: int) -> tuple[Level, Values]:
        """Return the labels of a group and their values."""
        level, values = self._groups[seat] or (0, ())
        return self.levels[level], values

    def level(self, seat: int) -> int:
        """Return the index of a group's level."""
        return (self._groups[seat] or (0, ()))[0]

    def seats(self, stream: int, row: int) -> tuple[int, ...]:
        """Return the groups that the entity of a row is in."""
        return tuple(seat for seat in self._seats[stream][:, row].tolist() if seat != NOBODY)

    def sync(self, stream: int) -> list[Entity]:
        """Learn who came to a stream and who left it since the last time; return who left."""
        roster = self._streams[stream].roster
        rows = roster.turnover()
        known = self._known[stream]
        if roster.rows > len(known):
            more = roster.rows - len(known)
            wider = np.full((len(self.levels), more), NOBODY)
            self._seats[stream] = np.concatenate([self._seats[stream], wider], axis=1)
            known += [None] * more
        left = [entity for row in rows if (entity := known[row]) is not None]
        for row in rows:
            self.release(self.seats(stream, row))
            known[row] = entity = roster.entities[row]
            self._seats[stream][:, row] = NOBODY
            if entity is not None:
                self._seats[stream][:, row] = self._enter(self._read[stream], entity)
        return left

    def hold(self, seats: Iterable[int]) -> None:
        """Keep groups, though everybody may leave them."""
        for seat in seats:
            self._holders[seat] += 1

    def release(self, seats: Iterable[int]) -> None:
        """Hold groups no more; who has nobody left is no group."""
        for seat in seats:
            self._holders[seat] -= 1
            group = self._groups[seat]
            if not self._holders[seat] and group is not None:
                del self._index[group]
                self._groups[seat] = None
                self._free.append(seat)

    def _enter(self, reads: Sequence[Callable[[Entity], Values | None] | None], entity: Entity) -> list[int]:
        seats = []
        for level, read in enumerate(reads):
            values = read(entity) if read else None
            seats.append(NOBODY if values is None else self._seat(level, values))
        return seats

    def _seat(self, level: int, values: Values) -> int:
        seat = self._index.get((level, values))
        if seat is None:
            seat = self._free.pop() if self._free else len(self._groups)
            if seat == len(self._groups):
                self._groups.append(None)
                self._holders.append(0)
            self._index[level, values] = seat
            self._groups[seat] = level, values
        self._holders[seat] += 1
        return seat

    def count(self) -> Count:
        """Count who is judged now."""
        size = len(self._groups)
        entities, a_second, a_step = np.zeros(size, np.int64), np.zeros(size), np.zeros(size)
        for stream, seats in zip(self._streams, self._seats, strict=True):
            judged = np.flatnonzero(stream.bench.judged()[: seats.shape[1]])
            false = stream.bench.policies.budget[judged] / WEEK_S
            for level in seats[:, judged]:
                seated = level != NOBODY
                entities += np.bincount(level[seated], minlength=size)
                rate = np.bincount(level[seated], false[seated], minlength=size)
                a_second += rate
                a_step += rate * stream.definition.step_s
        return Count(entities, a_second, a_step)
