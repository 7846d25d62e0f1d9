"""Scores and episodes of one set against its labels; the pure half of `cisco.py`.

An event is found when an episode begins on its device, or on an interface of it, from `BEFORE_S` before the
onset until the label ends, the next fault of the same device begins or `FOUND_S` have passed, whichever is
first: of an episode that is open since before, an operator learns nothing new. Faults that nobody can see are
not judged: on a device without telemetry, or less than `PEAK_S` before the end of it.

An episode is false when its onset lies in no labelled interval, `BEFORE_S` before the start to `AFTER_S`
after the end; whatever begins elsewhere meanwhile is neither found nor false. One that began with an event
and never ends is not false either, hence the share of the time outside of the labels spent in alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detector.evaluate.events import AFTER_S, Episode, Event
from detector.stream.nouns import Bools, Doubles

BEFORE_S = 10.0
"""Labels are seconds off, and a step is stamped with its end."""
FOUND_S = 120.0
"""An episode later than this is not an alarm about the onset."""
PEAK_S = 60.0
"""How long after the onset the highest score is looked for."""

Key = tuple[str, str, str]
"""Stream, device, interface; the interface of a device is empty."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one observer saw of a set: `(times_s, scores)` by entity, ascending, and the episodes."""

    scores: Mapping[Key, tuple[Doubles, Doubles]]
    episodes: Sequence[Episode]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a fault. NaN where there was no score, none above 1, or no open episode.

    `rank` is the place of the device among all devices by the highest score in `PEAK_S`; 1 is the first.
    `score_before` is the highest of the `BEFORE_S` before the onset. `open_for_s` is for how long an episode
    of the device or its interfaces had been open at the onset.
    """

    event: Event
    score_max: float
    delay_s: float
    found: bool
    rank: int
    score_before: float
    open_for_s: float


def findings(events: Sequence[Event], seen: Seen) -> list[Finding]:
    """Return what became of each fault that can be judged."""
    last_s: dict[str, float] = {}
    for (_, device, _), (times_s, _) in seen.scores.items():
        last_s[device] = max(last_s.get(device, -np.inf), float(times_s[-1]))
    devices = set(last_s)
    faults = [
        event
        for event in events
        if event.kind == "fault" and last_s.get(event.entity["device"], -np.inf) >= event.start_s + PEAK_S
    ]
    return [_finding(event, _until_s(event, faults), devices, seen) for event in faults]


def _until_s(event: Event, faults: Sequence[Event]) -> float:
    later = [one.start_s - BEFORE_S for one in faults if one.entity == event.entity]
    return min([event.end_s, event.start_s + FOUND_S, *(one for one in later if one > event.start_s)])


def _finding(event: Event, until_s: float, devices: set[str], seen: Seen) -> Finding:
    device = event.entity["device"]
    peaks = {one: _highest(seen, one, event.start_s, event.start_s + PEAK_S) for one in devices}
    own = peaks[device]
    above = [
        times_s[(scores > 1.0) & (times_s >= event.start_s) & (times_s <= until_s)]
        for (_, name, _), (times_s, scores) in seen.scores.items()
        if name == device
    ]
    first_s = min((times_s[0] for times_s in above if len(times_s)), default=np.nan)
    found = any(
        episode.entity["device"] == device and event.start_s - BEFORE_S <= episode.start_s <= until_s
        for episode in seen.episodes
    )
    rank = 1 + sum(peak > own for peak in peaks.values())
    before_s = event.start_s - BEFORE_S
    opened_s = [
        episode.start_s
        for episode in seen.episodes
        if episode.entity["device"] == device and episode.start_s < before_s <= episode.end_s
    ]
    return Finding(
        event=event,
        score_max=own,
        delay_s=float(first_s - event.start_s),
        found=found,
        rank=rank,
        score_before=_highest(seen, device, before_s, event.start_s),
        open_for_s=event.start_s - min(opened_s, default=np.nan),
    )


def _highest(seen: Seen, device: str, start_s: float, end_s: float) -> float:
    """Return the highest score of a device and its interfaces in a time; NaN if there is none."""
    parts = [
        scores[(times_s >= start_s) & (times_s <= end_s)]
        for (_, name, _), (times_s, scores) in seen.scores.items()
        if name == device
    ]
    return float(max((part.max() for part in parts if len(part)), default=np.nan))


def false_episodes(events: Sequence[Event], episodes: Iterable[Episode]) -> list[Episode]:
    """Return the episodes that begin in no labelled interval, in order."""
    false = [episode for episode in episodes if not labelled(events, np.array([episode.start_s]))[0]]
    return sorted(false, key=lambda episode: (episode.start_s, episode.stream, *episode.entity.values()))


def labelled(events: Sequence[Event], times_s: Doubles) -> Bools:
    """Say which times some label explains, `(times,)`."""
    inside = np.zeros(len(times_s), bool)
    for event in events:
        inside |= (times_s >= event.start_s - BEFORE_S) & (times_s <= event.end_s + AFTER_S)
    return inside


def device_hours(events: Sequence[Event], seen: Seen, step_s: float) -> float:
    """Return for how long devices were scored outside of the labels; interfaces count with their device.

    Args:
        events: The labels.
        seen: What `detector score` saw: one score a step.
        step_s: The step.
    """
    steps: dict[str, set[float]] = {}
    for (_, device, _), (times_s, _) in seen.scores.items():
        steps.setdefault(device, set()).update(times_s[~labelled(events, times_s)].tolist())
    return sum(map(len, steps.values())) * step_s / 3600.0


def alarm_share(events: Sequence[Event], seen: Seen, stream: str) -> float:
    """Return the share of the scored time of a stream, outside of the labels, that is spent in alarm."""
    spells: dict[tuple[str, ...], list[Episode]] = {}
    for episode in seen.episodes:
        spells.setdefault((episode.stream, *episode.entity.values()), []).append(episode)
    active, total = 0, 0
    for key, (times_s, _) in seen.scores.items():
        if key[0] == stream:
            free_s = times_s[~labelled(events, times_s)]
            total += len(free_s)
            inside = np.zeros(len(free_s), bool)
            for one in spells.get((stream, *entity_of(key).values()), []):
                inside |= (free_s >= one.told_s) & (free_s <= one.end_s)
            active += int(inside.sum())
    return active / total if total else float("nan")


def episodes_of(
    key: Key, times_s: Doubles, scores: Doubles, active: Bools, open_window_steps: int
) -> Iterator[Episode]:
    """Yield the episodes of one entity from what `detector score` wrote of it, `(steps,)` each.

    The onset is the first of the scores above 1 that opened it, as in `detector.stream.decide`.
    """
    edges = np.diff(np.r_[False, active, False].astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()
    for start, end in zip(begins, ends, strict=True):
        first = max(0, start + 1 - open_window_steps)
        above = first + np.flatnonzero(scores[first : start + 1] > 1.0)
        onset = above[0] if len(above) else start
        yield Episode(
            key[0],
            entity_of(key),
            float(times_s[onset]),
            float(times_s[end - 1]),
            float(times_s[start]),
            float(scores[onset:end].max()),
        )


def entity_of(key: Key) -> dict[str, str]:
    """Return the labels of an entity."""
    return {"device": key[1]} | ({"interface": key[2]} if key[2] else {})
