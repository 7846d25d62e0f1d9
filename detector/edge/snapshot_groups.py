"""What a scrape tells of groups, and of alarms on their way: the parts that go across streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from detector.stream.crowd import Group, Key
from detector.stream.groups import GroupEpisode, Groups, Standing

GROUPS_MAX: Final = 1_000
"""Groups of which anything is anomalous that are exported: those with an episode first, then those with most
anomalous entities. More than that only a broken network has at once, and then the larger groups tell."""
MEMBERS_MAX: Final = 100
"""Members of an episode that are named; nobody reads further."""


@dataclass(frozen=True, slots=True)
class OpenGroupEpisode:
    """An open alarm of a group: `anomalous` of its `entities` are, and `members` of all streams."""

    id: str
    group: Group
    onset_s: float
    anomalous: int
    entities: int
    members: tuple[Key, ...]
    members_total: int


@dataclass(frozen=True, slots=True)
class GroupsSnapshot:
    """All groups. `grouped` says of each anomalous entity in which episode of a group it is, if in any."""

    standings: tuple[Standing, ...] = ()
    left_out: int = 0
    episodes: tuple[OpenGroupEpisode, ...] = ()
    grouped: Mapping[Key, str] = field(default_factory=dict)
    episodes_total: int = 0


class EventsSnapshot(NamedTuple):
    """What was published of alarms, was not for want of room, was refused by the broker, and waits."""

    published_total: int
    dropped_total: int
    refused_total: int
    waiting: int


def groups_snapshot(groups: Groups) -> GroupsSnapshot:
    """Return what there is to know of groups now; nothing in it is shared with them."""
    standings = groups.standings()
    stands = {one.group: one for one in standings}
    episodes = groups.episodes.values()
    return GroupsSnapshot(
        standings=tuple(standings[:GROUPS_MAX]),
        left_out=max(len(standings) - GROUPS_MAX, 0),
        episodes=tuple(_open(one, stands[one.group]) for one in episodes),
        grouped={key: one.id for one in episodes for key in one.members},
        episodes_total=groups.episodes_total,
    )


def _open(episode: GroupEpisode, stands: Standing) -> OpenGroupEpisode:
    return OpenGroupEpisode(
        id=episode.id,
        group=episode.group,
        onset_s=episode.onset_s,
        anomalous=stands.anomalous,
        entities=stands.entities,
        members=tuple(islice(episode.members, MEMBERS_MAX)),
        members_total=len(episode.members),
    )
