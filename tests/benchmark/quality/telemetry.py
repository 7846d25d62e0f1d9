"""cisco: real routers and switches, with BGP clears and interface shutdowns.

A bundle a stream, trained on what is free of events in all sets, as `tests.benchmark.cisco` does, which also
replays the sets over MQTT; its rules say which events can be judged, and which alarms are false. The clears
of ds02 are looked for in `devices`. The shutdowns of ds11 and ds12 are judged where the device was recorded
for a minute after the onset, and looked for in both streams.

In the first place is who has the highest score from the onset on: of a clear among the devices that were not
cleared then, of a shutdown among all interfaces.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector import settings
from detector.evaluate.events import Event
from detector.evaluate.judged import Judged, run
from detector.train import dataset
from tests.benchmark.cisco_data import ENTITY, STEP_S, events, free, read, sets_of, write_config
from tests.benchmark.cisco_judge import BEFORE_S, Key, Seen, device_hours, false_episodes, findings
from tests.benchmark.quality.figures import (
    CLEARS_FALSE,
    CLEARS_FIRST,
    CLEARS_TOLD,
    DOWN_FALSE,
    DOWN_FIRST,
    DOWN_TOLD,
    Figure,
    rate,
)
from tests.benchmark.quality.work import judge_of

CLEARS = "ds02_bgpclear"
CLEAR, SHUTDOWN = "clear_bgp", "shutdown_interface"
CLEAR_TOLD_S = 3 * STEP_S
"""The step in which the onset lies, and two more."""
CLEAR_FIRST_S = 15.0
SHUTDOWN_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """An event, what it was done to, and what was seen of its set."""

    event: Event
    target: str
    seen: Seen

    @property
    def told_s(self) -> float:
        """How long after its onset an alarm of its own told of it; infinite if none did."""
        event = self.event
        told = [
            alarm.told_s - event.start_s
            for alarm in self.seen.episodes
            if alarm.entity["device"] == event.entity["device"]
            and event.start_s - BEFORE_S <= alarm.told_s <= event.end_s
        ]
        return min(told, default=inf)

    def place(self, within_s: float, who: Callable[[Key], str | None], named: str) -> tuple[int, int]:
        """Return before how many others the highest scores put who was hit, and among how many others.

        Args:
            within_s: How long after the onset is looked at.
            who: Whom a score is of; None: of nobody who counts.
            named: Who was hit.
        """
        highest: dict[str, float] = {}
        for key, (times_s, scores) in self.seen.scores.items():
            start_s = self.event.start_s
            inside = scores[(times_s >= start_s) & (times_s <= start_s + within_s)]
            if len(inside) and (name := who(key)) is not None:
                highest[name] = max(highest.get(name, 0.0), float(inside.max()))
        own = highest.pop(named, 0.0)
        return sum(score >= own for score in highest.values()), len(highest)


def telemetry(data: Path, architecture: str, work: Path) -> dict[str, Figure]:
    """Return the figures of all sets in a folder, by name."""
    sets = sets_of(data)
    seen: dict[str, Seen] = {name: Seen({}, []) for name in sets}
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        for stream in settings.load(write_config(place, data, sets), {}).streams:
            definition = stream.definition()
            quiet = [table for name in sets if (table := free(data, name, stream.name)) is not None]
            training = _dataset(place, pa.concat_tables(quiet, promote_options="permissive"), stream.name)
            known = judge_of(work, training, definition, architecture)
            for name in sets:
                judged = run(_dataset(place, read(data, name, stream.name), stream.name), definition, known)
                _see(judged, seen[name])
    faults = {name: list(_faults(data, name, seen[name])) for name in sets}
    labels = {name: events(data, name) for name in sets}
    others = [name for name in sets if name != CLEARS]
    return _clears(faults[CLEARS], labels[CLEARS], seen[CLEARS]) | _shutdowns(
        [fault for name in others for fault in faults[name]], [(labels[name], seen[name]) for name in others]
    )


def _dataset(place: Path, table: pa.Table, stream: str) -> dataset.Dataset:
    file = place / "records.parquet"
    pq.write_table(table, file)
    return dataset.read([file], ENTITY[stream])


def _see(judged: Judged, seen: Seen) -> None:
    """Add scores and alarms of a stream to what was seen."""
    for at, entity in enumerate(judged.entities):
        score = judged.score(at)
        known = np.flatnonzero(~np.isnan(score))
        if len(known):
            key = judged.definition.name, entity[0], "".join(entity[1:])
            seen.scores[key] = STEP_S * (judged.first[at] + known), score[known]
    seen.episodes.extend(judged.begun())


def _faults(data: Path, name: str, seen: Seen) -> Iterable[Fault]:
    """Yield the clears and shutdowns that can be judged."""
    with (data / name / "labels.csv").open(newline="", encoding="utf-8") as lines:
        target = {float(row["start"]): row["target"] for row in csv.DictReader(lines)}
    for finding in findings(events(data, name), seen):
        if finding.event.event in (CLEAR, SHUTDOWN):
            yield Fault(finding.event, target[finding.event.start_s], seen)


def _clears(faults: Sequence[Fault], labels: Sequence[Event], seen: Seen) -> dict[str, Figure]:
    devices = Seen(
        {key: value for key, value in seen.scores.items() if key[0] == "devices"},
        [alarm for alarm in seen.episodes if alarm.stream == "devices"],
    )
    alone = [replace(fault, seen=devices) for fault in faults]
    places = [_place_of_cleared(fault, labels) for fault in alone]
    told = [fault.told_s <= CLEAR_TOLD_S for fault in alone]
    false = false_episodes(labels, devices.episodes)
    return {
        CLEARS_TOLD: Figure(_mean(told)),
        CLEARS_FALSE: rate(len(false), device_hours(labels, devices, STEP_S)),
        CLEARS_FIRST: _first(places),
    }


def _place_of_cleared(fault: Fault, labels: Sequence[Event]) -> tuple[int, int]:
    event, own = fault.event, fault.event.entity["device"]
    cleared = {one.entity["device"] for one in labels if abs(one.start_s - event.start_s) <= SHUTDOWN_S}
    others = cleared - {own}
    return fault.place(CLEAR_FIRST_S, lambda key: None if key[1] in others else key[1], own)


def _shutdowns(faults: Sequence[Fault], sets: Sequence[tuple[Sequence[Event], Seen]]) -> dict[str, Figure]:
    places = [
        fault.place(SHUTDOWN_S, _interface, f"{fault.event.entity['device']} {fault.target}")
        for fault in faults
    ]
    false = sum(len(false_episodes(labels, seen.episodes)) for labels, seen in sets)
    hours = sum(device_hours(labels, seen, STEP_S) for labels, seen in sets)
    return {
        DOWN_TOLD: Figure(_mean(fault.told_s <= SHUTDOWN_S for fault in faults)),
        DOWN_FIRST: _first(places),
        DOWN_FALSE: rate(false, hours),
    }


def _interface(key: Key) -> str | None:
    return " ".join(key[1:]) if key[2] else None


def _first(places: Sequence[tuple[int, int]]) -> Figure:
    """Return how often who was hit is first, and how often chance would have it."""
    return Figure(_mean(before == 0 for before, _ in places), _mean(1 / (1 + others) for _, others in places))


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else float("nan")
