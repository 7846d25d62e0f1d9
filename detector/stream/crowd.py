"""Who is anomalous, in which groups, since when; and where that is more than chance.

An entity is anomalous while any alarm of it is open: an episode, silence, a slow pace, a stuck signal. It
began when it began, not when it was noticed: silence with the last word. So what one cause does to many
begins together, however long each takes to be noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, NamedTuple

from detector.stream.census import Census, Count
from detector.stream.chance import beyond_chance, surprise
from detector.stream.levels import Level, Values
from detector.stream.nouns import Alarm, Entity, Outcome, Spell
from detector.stream.pipeline import StreamPipeline

TOGETHER_STEPS: Final = 3
"""Both ends of a link that goes down, and the devices, turn anomalous within two steps of each other,
whatever the delay until each is noticed; one more is for samples that come late."""
SLOWLY_STEPS: Final = 30
"""What spreads, such as heat or an upgrade, takes minutes at the usual step of ten seconds."""

Key = tuple[str, Entity]
"""A stream and one of its entities."""
What = tuple[Alarm, str]
"""An alarm, and of which signal; empty where it is of the whole entity."""


class Group(NamedTuple):
    """The entities of all streams that have these values of the labels of a level."""

    level: Level
    values: Values


@dataclass(slots=True, eq=False)
class Anomalous:
    """An entity that is anomalous since `onset_s`, for some alarms, and the groups that it is in."""

    key: Key
    onset_s: float
    alarms: set[What]
    seats: tuple[int, ...]


class Beginning(NamedTuple):
    """An alarm of the entity of a row that begins; `spell` where it is one."""

    row: int
    entity: Entity
    onset_s: float
    what: What
    spell: Spell | None = None


class Cluster(NamedTuple):
    """Entities of a group that turned anomalous at most `within_s` before or after `time_s`."""

    surprise: float
    seat: int
    time_s: float
    within_s: float


class Crowd:
    """The anomalous entities of all streams."""

    def __init__(self, streams: Sequence[StreamPipeline]) -> None:
        self._place = {stream.definition.name: place for place, stream in enumerate(streams)}
        self.census = Census(streams)
        self.within_s = [
            sorted({steps * step_s for step_s in both for steps in (TOGETHER_STEPS, SLOWLY_STEPS)})
            for both in self.census.steps_s
        ]
        self._anomalous: dict[Key, Anomalous] = {}
        self._of: dict[int, dict[Key, Anomalous]] = {}
        self._onsets: dict[int, Counter[float]] = {}

    def __len__(self) -> int:
        return len(self._anomalous)

    # Who comes and goes

    def sync(self) -> list[Key]:
        """Learn who came to the streams and who left, and is anomalous no more; return who left."""
        left = [(name, entity) for name, place in self._place.items() for entity in self.census.sync(place)]
        for key in left:
            if one := self._anomalous.get(key):
                self._end(key, *one.alarms)
        return left

    def take(self, stream: StreamPipeline, outcome: Outcome) -> tuple[list[Anomalous], list[Key]]:
        """Take what a step came to; return who turned anomalous, and who is it no more.

        One may be both: its episode ends when it falls silent.
        """
        name = stream.definition.name
        over = [self._end((name, entity), what) for entity, what in endings(outcome)]
        fresh = [self._begin(stream, one) for one in beginnings(stream, outcome)]
        return [one for one in fresh if one is not None], [key for key in over if key is not None]

    def _begin(self, stream: StreamPipeline, beginning: Beginning) -> Anomalous | None:
        row, entity, onset_s, what, _ = beginning
        key = stream.definition.name, entity
        if (known := self._anomalous.get(key)) is not None:
            known.alarms.add(what)
            return None
        seats = self.census.seats(self._place[key[0]], row)
        self.census.hold(seats)
        self._anomalous[key] = one = Anomalous(key, onset_s, {what}, seats)
        for seat in seats:
            self._of.setdefault(seat, {})[key] = one
            self._onsets.setdefault(seat, Counter())[onset_s] += 1
        return one

    def _end(self, key: Key, *alarms: What) -> Key | None:
        one = self._anomalous.get(key)
        if one is None:
            return None
        one.alarms.difference_update(alarms)
        if one.alarms:
            return None
        del self._anomalous[key]
        for seat in one.seats:
            del self._of[seat][key]
            onsets = self._onsets[seat]
            onsets[one.onset_s] -= 1
            if not onsets[one.onset_s]:
                del onsets[one.onset_s]
            if not onsets:
                del self._of[seat], self._onsets[seat]
        self.census.release(one.seats)
        return key

    # Where they are too many

    def group(self, seat: int) -> Group:
        """Return a group by its index."""
        return Group(*self.census.group(seat))

    def anomalous(self, seat: int) -> int:
        """Return how many entities of a group are anomalous."""
        return len(self._of.get(seat, ()))

    def seats(self) -> Iterable[int]:
        """Return the groups of which anybody is anomalous."""
        return self._of.keys()

    def members(self, cluster: Cluster) -> list[Anomalous]:
        """Return who makes up a cluster."""
        near = cluster.within_s
        return [one for one in self._of[cluster.seat].values() if abs(one.onset_s - cluster.time_s) <= near]

    def clusters(self, fresh: Sequence[Anomalous], count: Count) -> list[Cluster]:
        """Return where the fresh ones are among too many for chance, the most surprising first."""
        tests = sum(len(self.within_s[self.census.level(seat)]) for seat in count.groups())
        asked = {(seat, one.onset_s) for one in fresh for seat in one.seats}
        found = [
            cluster
            for seat, time_s in asked
            for within_s in self.within_s[self.census.level(seat)]
            if (cluster := self._cluster(seat, time_s, within_s, count, tests))
        ]
        return sorted(found, key=lambda one: (-one.surprise, self.group(one.seat), one.time_s, one.within_s))

    def _cluster(self, seat: int, time_s: float, within_s: float, count: Count, tests: int) -> Cluster | None:
        together = self._together(seat, time_s, within_s)
        entities, expected = max(int(count.entities[seat]), together), count.expected(seat, within_s)
        if not beyond_chance(together, entities, expected, tests):
            return None
        return Cluster(surprise(together, expected), seat, time_s, within_s)

    def surprise(self, seat: int, time_s: float, count: Count) -> float:
        """Return how surprising a group is around a time."""
        return max(
            surprise(self._together(seat, time_s, within_s), count.expected(seat, within_s))
            for within_s in self.within_s[self.census.level(seat)]
        )

    def _together(self, seat: int, time_s: float, within_s: float) -> int:
        onsets = self._onsets.get(seat, Counter[float]())
        return sum([many for onset_s, many in onsets.items() if abs(onset_s - time_s) <= within_s])


def beginnings(stream: StreamPipeline, outcome: Outcome) -> Iterator[Beginning]:
    """Yield the alarms that begin with a step; who was never heard is silent since now."""
    spoken_s = stream.bench.silence.spoken_s
    for entity in outcome.silenced:
        row = stream.roster.get(entity)
        if row is not None:
            since_s = float(spoken_s[row])
            onset_s = outcome.time_s if isnan(since_s) else since_s
            yield Beginning(row, entity, onset_s, (Alarm.SILENCE, ""))
    for onset in outcome.onsets:
        yield Beginning(onset.row, onset.entity, onset.time_s, (Alarm.ANOMALY, ""))
    for spell in outcome.begun:
        yield Beginning(spell.row, spell.entity, spell.onset_s, (spell.what, spell.signal), spell)


def endings(outcome: Outcome) -> Iterator[tuple[Entity, What]]:
    """Yield whose alarms end with a step, and which."""
    for closure in outcome.closures:
        yield closure.entity, (Alarm.ANOMALY, "")
    for entity in outcome.speaking_again:
        yield entity, (Alarm.SILENCE, "")
    for spell in outcome.over:
        yield spell.entity, (spell.what, spell.signal)
