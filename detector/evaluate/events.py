"""Episodes against labelled events: what was found, after how long, and what was a false alarm.

The rules, once. An episode belongs to an event when it is open at some time from the event's onset to
`AFTER_S` after its end, on the labelled entity, on an interface of the labelled device, or on its device.
A `fault` is found by an episode of its own that began with it, and not long before; `restore` and `change`
count neither way. An episode is false when it belongs to no event at all, or to `bait` alone. What the
consequences of a fault do elsewhere at the same time (the other end of a link that went down) is neither
found nor false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

AFTER_S = 120.0
"""How long after its end an event still explains an episode: windows hold its traces, rates recover."""
BEFORE_S = 30.0
"""How long before its onset an episode may begin and still be found by: the last sample before a silence, the
begin of a step. One that was open already has told nobody anything new."""


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
    """One alarm, or one spell of silence (`silence`), of an entity of a stream."""

    stream: str
    entity: Mapping[str, str]
    start_s: float
    end_s: float
    told_s: float
    score_max: float = float("nan")
    silence: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event. `delay_s` runs from its onset to when it was told."""

    event: Event
    episodes: tuple[Episode, ...]

    @property
    def found(self) -> bool:
        """Whether an episode of its own was there."""
        return bool(self.episodes)

    @property
    def delay_s(self) -> float:
        """From the onset to the first time an operator was told; NaN if never."""
        told = [episode.told_s for episode in self.episodes]
        return max(min(told) - self.event.start_s, 0.0) if told else float("nan")


def judge(events: Sequence[Event], episodes: Sequence[Episode]) -> tuple[list[Verdict], list[Episode]]:
    """Return what became of each event, and the episodes that nothing explains."""
    verdicts = [
        Verdict(
            event,
            tuple(episode for episode in episodes if _began_with(event, episode) and _own(event, episode)),
        )
        for event in events
    ]
    false = [episode for episode in episodes if not any(_explains(event, episode) for event in events)]
    return verdicts, false


def _explains(event: Event, episode: Episode) -> bool:
    return event.kind != "bait" and _same_time(event, episode)


def _same_time(event: Event, episode: Episode) -> bool:
    return episode.start_s <= event.end_s + AFTER_S and episode.end_s >= event.start_s


def _began_with(event: Event, episode: Episode) -> bool:
    return event.start_s - BEFORE_S <= episode.start_s <= event.end_s + AFTER_S


def _own(event: Event, episode: Episode) -> bool:
    """Say whether labels that both name are equal: a device's event covers its interfaces and the reverse."""
    shared = event.entity.keys() & episode.entity.keys()
    return bool(shared) and all(event.entity[name] == episode.entity[name] for name in shared)
