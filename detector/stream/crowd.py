"""Who is anomalous, in which groups, since when; and where that is more than chance.

An entity is anomalous while an episode of it is open, and while it is silent. It began when it began, not
when it was noticed: silence with the last word. So what one cause does to many begins together, however long
each takes to be noticed.
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
from detector.stream.nouns import Alarm, Entity, Outcome
from detector.stream.pipeline import StreamPipeline

TOGETHER_STEPS: Final = 3
"""Both ends of a link that goes down, and the devices, turn anomalous within two steps of each other,
whatever the delay until each is noticed; one more is for samples that come late."""
SLOWLY_STEPS: Final = 30
"""What spreads, such as heat or an upgrade, takes minutes at the usual step of ten seconds."""

Key = tuple[str, Entity]
"""A stream and one of its entities."""


class Group(NamedTuple):
    """The entities of all streams that have these values of the labels of a level."""

    level: Level
    values: Values


@dataclass(slots=True, eq=False)
class Anomalous:
    """An entity that is anomalous since `onset_s`, for some alarms, and the groups that it is in."""

    key: Key
    onset_s: float
    alarms: set[Alarm]
    seats: tuple[int, ...]


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
        """Learn who came to the streams and who left; return who was anomalous of those who left."""
        left = [
            self._end((name, entity), *Alarm)
            for name, place in self._place.items()
            for entity in self.census.sync(place)
        ]
        return [key for key in left if key is not None]

    def take(self, stream: StreamPipeline, outcome: Outcome) -> tuple[list[Anomalous], list[Key]]:
        """Take what a step came to; return who turned anomalous, and who is it no more.

        One may be both: its episode ends when it falls silent.
        """
        name = stream.definition.name
        over = [self._end((name, one.entity), Alarm.ANOMALY) for one in outcome.closures]
        over += [self._end((name, entity), Alarm.SILENCE) for entity in outcome.speaking_again]
        fresh = [self._begin(stream, *one) for one in _beginnings(stream, outcome)]
        return [one for one in fresh if one is not None], [key for key in over if key is not None]

    def _begin(
        self, stream: StreamPipeline, row: int, entity: Entity, onset_s: float, alarm: Alarm
    ) -> Anomalous | None:
        key = stream.definition.name, entity
        if (known := self._anomalous.get(key)) is not None:
            known.alarms.add(alarm)
            return None
        seats = self.census.seats(self._place[key[0]], row)
        self.census.hold(seats)
        self._anomalous[key] = one = Anomalous(key, onset_s, {alarm}, seats)
        for seat in seats:
            self._of.setdefault(seat, {})[key] = one
            self._onsets.setdefault(seat, Counter())[onset_s] += 1
        return one

    def _end(self, key: Key, *alarms: Alarm) -> Key | None:
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


def _beginnings(stream: StreamPipeline, outcome: Outcome) -> Iterator[tuple[int, Entity, float, Alarm]]:
    """Yield row, entity, onset and alarm of each that turned anomalous; who was never heard does so now."""
    spoken_s = stream.bench.silence.spoken_s
    for entity in outcome.silenced:
        row = stream.roster.get(entity)
        if row is not None:
            since_s = float(spoken_s[row])
            yield row, entity, outcome.time_s if isnan(since_s) else since_s, Alarm.SILENCE
    for onset in outcome.onsets:
        yield onset.row, onset.entity, onset.time_s, Alarm.ANOMALY
