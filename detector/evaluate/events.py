"""Episodes against labelled events: what was found, after how long, and what was a false alarm.

The rules, once. An episode counts from when it is told: only from then on can anybody know of it. It
belongs to an event when it is open at some time from shortly before the event's onset (`Rules.before_s`) to
shortly after its end (`Rules.after_s`), on the labelled entity, on an interface of the labelled device, or
on its device.

A `fault` is found by an episode of its own that began in that time: one that was open already has told
nobody anything new. `restore` and `change` count neither way. An episode is false when it belongs to no
event at all, or to `bait` alone. Where entities are connected, what a fault does elsewhere at the same time
(the other end of a link that went down) is neither found nor false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from detector.stream.nouns import Alarm, Bools

KINDS = ("fault", "restore", "change", "bait")
AFTER_S = 120.0
"""How long after its end an event of a fabric still explains an episode: windows hold its traces, rates
recover."""
BEFORE_S = 30.0
"""How long before the onset of an event of a fabric an episode may begin and still find it: the last sample
before a silence, the begin of a step."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which episodes belong to an event. `connected`: what happens elsewhere meanwhile is its consequence."""

    before_s: float
    after_s: float
    connected: bool


FABRIC = Rules(BEFORE_S, AFTER_S, connected=True)


@dataclass(frozen=True, slots=True)
class Event:
    """One labelled row. `entity` has the labels that it names; a label left out covers all."""

    start_s: float
    end_s: float
    event: str
    kind: str
    entity: Mapping[str, str]
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """One alarm of an entity of a stream: `what` it says."""

    stream: str
    entity: Mapping[str, str]
    start_s: float
    end_s: float
    told_s: float
    score_max: float = float("nan")
    what: Alarm = Alarm.ANOMALY


Alarms = TypeVar("Alarms", bound=Episode)
"""What is judged: episodes, or what else is known of them."""


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Alarms]):
    """What became of an event: the episodes of its own that began with it, and all that were open then."""

    event: Event
    episodes: tuple[Alarms, ...]
    open_then: tuple[Alarms, ...]

    @property
    def found(self) -> bool:
        """Whether an episode of its own was there."""
        return bool(self.episodes)

    @property
    def first(self) -> Alarms | None:
        """The episode that told of it first."""
        return min(self.episodes, key=lambda episode: episode.told_s, default=None)

    @property
    def delay_s(self) -> float:
        """From the onset to the first time an operator was told; NaN if never."""
        return max(self.first.told_s - self.event.start_s, 0.0) if self.first else float("nan")


def judge(
    events: Sequence[Event], episodes: Sequence[Alarms], rules: Rules = FABRIC
) -> tuple[list[Verdict[Alarms]], list[Alarms]]:
    """Return what became of each event, and the episodes that nothing explains."""
    told_s = np.array([episode.told_s for episode in episodes])
    end_s = np.array([episode.end_s for episode in episodes])
    explained = np.zeros(len(episodes), bool)
    verdicts = []
    for event, own in zip(events, _owns(events, episodes), strict=True):
        first_s, last_s = event.start_s - rules.before_s, event.end_s + rules.after_s
        open_then = (told_s <= last_s) & (end_s >= first_s)
        mine = [episodes[index] for index in np.flatnonzero(own & open_then).tolist()]
        began = (episode for episode in mine if episode.told_s >= first_s)
        verdicts.append(Verdict(event, tuple(began), tuple(mine)))
        if event.kind != "bait":
            explained |= open_then if rules.connected else open_then & own
    return verdicts, [episodes[index] for index in np.flatnonzero(~explained).tolist()]


def _owns(events: Sequence[Event], episodes: Sequence[Episode]) -> Iterator[Bools]:
    """Yield for each event which episodes are on an entity of its, `(episodes,)`."""
    entities = {tuple(episode.entity.items()): episode.entity for episode in episodes}
    place = {entity: index for index, entity in enumerate(entities)}
    at = np.array([place[tuple(episode.entity.items())] for episode in episodes], np.int64)
    for event in events:
        yield np.array([covers(event, entity) for entity in entities.values()], bool)[at]


def covers(event: Event, entity: Mapping[str, str]) -> bool:
    """Say whether labels that both name are equal: a device's event covers its interfaces and the reverse.

    An event that names no label covers all.
    """
    shared = event.entity.keys() & entity.keys()
    return (bool(shared) or not event.entity) and all(event.entity[name] == entity[name] for name in shared)
