"""Entities that turn anomalous together are one alarm: the episode of a group.

Each time that an entity turns anomalous, its groups are asked how many others did so within a few steps of
it, or within some more. Where those are too many for chance, they are members of one episode, which goes by
the group that surprises most:

    none   --[too many of a group, none of them a member]--------------------------------> open
    open   --[too many of a group, some of them members]---------------------------------> all are members
    open   --[too many of a group, members of several]-----------------------------------> one: the oldest
    open   --[who was a member is anomalous again; one of the group is, within
              `SLOWLY_STEPS` of the newest member; one is where half of the group is]----> it is a member
    open   --[no member is anomalous any more]-------------------------------------------> none

What comes later in a group of which most is well is another matter: a link that is down for days must not
hide what else breaks at its site. The group by which an episode goes may become a larger one, never a
smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Final, NamedTuple

from detector.stream.census import Count
from detector.stream.crowd import Anomalous, Cluster, Crowd, Group, Key
from detector.stream.identity import episode_id
from detector.stream.nouns import Outcome
from detector.stream.pipeline import StreamPipeline

HALF: Final = 0.5


@dataclass(slots=True, eq=False)
class GroupEpisode:
    """An open alarm of a group. `members` are anomalous now, first come first; those in `ever` are or were.

    A member need not be of the group: the neighbours of a device that dies lose a link each, and are members.
    """

    id: str
    group: Group
    seat: int
    onset_s: float
    newest_s: float
    members: dict[Key, None] = field(default_factory=dict)
    ever: set[Key] = field(default_factory=set)


@dataclass(slots=True)
class Gathering:
    """What one outcome meant to the groups: which episodes began and ended, by their ids.

    `time_s` is that of the newest step. `left` are all entities that were forgotten, `parted` those that are
    members no more, and of what. Those in `grown` go by a larger group now. Those in `absorbed` are part of
    another one now.
    """

    time_s: float
    left: list[Key] = field(default_factory=list)
    parted: dict[Key, GroupEpisode] = field(default_factory=dict)
    begun: dict[str, GroupEpisode] = field(default_factory=dict)
    grown: dict[str, GroupEpisode] = field(default_factory=dict)
    absorbed: dict[str, GroupEpisode] = field(default_factory=dict)
    ended: dict[str, GroupEpisode] = field(default_factory=dict)


class Standing(NamedTuple):
    """How many entities of a group are anomalous, of how many. `onset_s` is that of its newest episode."""

    group: Group
    anomalous: int
    entities: int
    onset_s: float | None


class Groups:
    """The episodes of groups of all streams; one `take` for each outcome, in the order in which they come."""

    def __init__(self, streams: Sequence[StreamPipeline]) -> None:
        self._crowd = Crowd(streams)
        self._led: dict[int, list[GroupEpisode]] = {}
        self._was_in: dict[Key, GroupEpisode] = {}
        self.episodes: dict[str, GroupEpisode] = {}
        self.episodes_total = 0
        self._time_s = nan

    def take(self, stream: StreamPipeline, outcome: Outcome) -> Gathering:
        """Take what a step of a stream came to; return what that meant to the groups."""
        self._time_s = outcome.time_s
        gathering = self.sync()
        fresh, over = self._crowd.take(stream, outcome)
        self._part(over, gathering)
        if fresh and self._crowd.census.levels:
            self._gather(fresh, gathering)
        self._close_empty(gathering)
        return gathering

    def sync(self) -> Gathering:
        """Let go of entities that were forgotten; return what that meant to the groups."""
        gathering = Gathering(self._time_s, self._crowd.sync())
        self._part(gathering.left, gathering)
        self._close_empty(gathering)
        return gathering

    def _part(self, over: Iterable[Key], gathering: Gathering) -> None:
        """Take out who is anomalous no more."""
        for key in over:
            if episode := self.episode_of(key):
                del episode.members[key]
                gathering.parted[key] = episode

    def _close_empty(self, gathering: Gathering) -> None:
        for episode in gathering.parted.values():
            if episode.id in self.episodes and not episode.members:
                self._close(episode)
                gathering.ended[episode.id] = episode

    def episode_of(self, key: Key) -> GroupEpisode | None:
        """Return the episode that an anomalous entity is a member of."""
        episode = self._was_in.get(key)
        return episode if episode and key in episode.members else None

    def standing(self, episode: GroupEpisode) -> Standing:
        """Return how the group stands by which an episode goes."""
        return self._standing(episode.seat, self._crowd.census.count())

    def standings(self) -> list[Standing]:
        """Return the groups with an episode, and then, by how many, those of which anything is anomalous.

        One entity alone is no group.
        """
        seats = {*self._crowd.seats(), *self._led}
        if not seats:
            return []
        count = self._crowd.census.count()
        found = [self._standing(seat, count) for seat in seats]
        groups = [one for one in found if one.entities > 1 or one.onset_s is not None]
        return sorted(groups, key=lambda one: (one.onset_s is None, -one.anomalous, one.group))

    def _standing(self, seat: int, count: Count) -> Standing:
        anomalous = self._crowd.anomalous(seat)
        onset_s = max((episode.onset_s for episode in self._led.get(seat, ())), default=None)
        return Standing(
            self._crowd.group(seat), anomalous, max(int(count.entities[seat]), anomalous), onset_s
        )

    # Who belongs together

    def _gather(self, fresh: Sequence[Anomalous], gathering: Gathering) -> None:
        count = self._crowd.census.count()
        for one in fresh:
            if (before := self._was_in.get(one.key)) is not None:
                self._enter(one, before)
        for cluster in self._crowd.clusters(fresh, count):
            members = self._crowd.members(cluster)
            episodes = {self.episode_of(one.key) for one in members}
            if None in episodes or len(episodes) > 1:
                self._unite(members, cluster, count, gathering)
        for one in fresh:
            if self.episode_of(one.key) is None and (episode := self._open_for(one, count)):
                self._enter(one, episode)

    def _unite(
        self, members: Sequence[Anomalous], cluster: Cluster, count: Count, gathering: Gathering
    ) -> None:
        """Make a cluster members of one episode: of the oldest that any of them is in, or of a new one."""
        met = {episode.id: episode for one in members if (episode := self.episode_of(one.key))}
        if not met:
            episode = self._open(members, cluster.seat)
            gathering.begun[episode.id] = met[episode.id] = episode
        episode, *others = [met[id_] for id_ in sorted(met)]
        for other in others:
            self._absorb(other, episode)
            if gathering.begun.pop(other.id, None) is None:
                gathering.absorbed[other.id] = episode
            gathering.grown.pop(other.id, None)
        for one in members:
            self._enter(one, episode)
        if self._is_larger(cluster, episode, count):
            self._lead(episode, cluster.seat)
            if episode.id not in gathering.begun:
                gathering.grown[episode.id] = episode

    def _is_larger(self, cluster: Cluster, episode: GroupEpisode, count: Count) -> bool:
        """Say whether the group of a cluster tells better where the cause is, and more than was known."""
        if count.entities[cluster.seat] <= count.entities[episode.seat]:
            return False
        return cluster.surprise > self._crowd.surprise(episode.seat, cluster.time_s, count)

    def _open_for(self, one: Anomalous, count: Count) -> GroupEpisode | None:
        """Return the open episode that one belongs to that turned anomalous by itself."""
        for seat in one.seats:
            slowly_s = self._crowd.within_s[self._crowd.census.level(seat)][-1]
            most = self._crowd.anomalous(seat) >= HALF * count.entities[seat]
            for episode in reversed(self._led.get(seat, ())):
                if most or episode.onset_s - slowly_s <= one.onset_s <= episode.newest_s + slowly_s:
                    return episode
        return None

    # The life of an episode

    def _open(self, members: Sequence[Anomalous], seat: int) -> GroupEpisode:
        group = self._crowd.group(seat)
        onset_s = min(one.onset_s for one in members)
        id_ = episode_id(onset_s, "group", *group.level, *group.values)
        episode = GroupEpisode(id_, group, seat, onset_s, onset_s)
        self.episodes[id_] = episode
        self.episodes_total += 1
        self._follow(episode)
        return episode

    def _enter(self, one: Anomalous, episode: GroupEpisode) -> None:
        episode.members[one.key] = None
        episode.ever.add(one.key)
        episode.newest_s = max(episode.newest_s, one.onset_s)
        self._was_in[one.key] = episode

    def _absorb(self, other: GroupEpisode, episode: GroupEpisode) -> None:
        episode.members |= other.members
        episode.ever |= other.ever
        episode.newest_s = max(episode.newest_s, other.newest_s)
        self._was_in.update(dict.fromkeys(other.ever, episode))
        self._retire(other)

    def _lead(self, episode: GroupEpisode, seat: int) -> None:
        """Let an episode go by another group."""
        self._leave(episode)
        episode.seat, episode.group = seat, self._crowd.group(seat)
        self._follow(episode)

    def _close(self, episode: GroupEpisode) -> None:
        for key in episode.ever:
            if self._was_in.get(key) is episode:
                del self._was_in[key]
        self._retire(episode)

    def _retire(self, episode: GroupEpisode) -> None:
        del self.episodes[episode.id]
        self._leave(episode)

    def _follow(self, episode: GroupEpisode) -> None:
        self._crowd.census.hold([episode.seat])
        self._led.setdefault(episode.seat, []).append(episode)

    def _leave(self, episode: GroupEpisode) -> None:
        self._led[episode.seat].remove(episode)
        if not self._led[episode.seat]:
            del self._led[episode.seat]
        self._crowd.census.release([episode.seat])
