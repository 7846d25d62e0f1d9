"""Alarms over MQTT: the state of each entity that had one, as a retained message on a topic of its own.

    open       an alarm begins, another one joins it, or one of several ends; its group is another one; and
               at most every `update_s` when its leading signals or its score are
    closed     nothing is wrong any more; the signals are those of the step that was worst
    unknown    the detector stops, or finds what an earlier life left open: nobody knows how it goes on

A message is headed by the episode of the entity, or its silence, or else by the oldest of its spells. When an
entity is forgotten, its topic is cleared. After a reconnect all open alarms are published again, for a broker
may forget what it retained; and what it retains that is not the last word on an entity is put right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import orjson

from detector.edge.explained import signals_of
from detector.edge.pages_spells import spells_json
from detector.edge.snapshot import episode
from detector.event_settings import EventSettings
from detector.leftovers import Leftovers
from detector.stream.crowd import Beginning, Key, What, beginnings, endings
from detector.stream.groups import Gathering, Groups
from detector.stream.identity import alarm_id, spell_id
from detector.stream.nouns import Alarm, Entity, Outcome, Scores, Spell
from detector.stream.pipeline import StreamPipeline

SHARE_MIN: Final = 0.05
"""Of the score; a signal with less explains nothing."""
GROWTH_MIN: Final = 1.5
"""A score that is so many times as high as was published is news."""
CLOSED: Final = b'{"state":"closed"'
"""How a message begins that may stay where it is for ever."""

UNEXPLAINED: Final[Mapping[str, Any]] = {"score": None, "score_max": None, "signals": []}

Published = list[tuple[str, bytes]]
Content = dict[str, Any]


@dataclass(slots=True)
class _Open:
    """What is wrong with an entity, what was published of it, and when that was last looked at (monotonic).

    `main` is its episode or its silence.
    """

    main: Content | None = None
    spells: dict[What, Spell] = field(default_factory=dict)
    told: Content = field(default_factory=dict)
    looked_s: float = 0.0


class Events:
    """What is to be published of the alarms of all streams.

    Args:
        settings: The table `[events]`, with a topic.
        streams: Whose alarms.
        groups: In which they are.
        run: Which detector this is, and which of its lives.
    """

    def __init__(
        self, settings: EventSettings, streams: Sequence[StreamPipeline], groups: Groups, run: str
    ) -> None:
        self._settings = settings
        self._streams = {stream.definition.name: stream for stream in streams}
        self._groups = groups
        self._run = run
        self._open: dict[Key, _Open] = {}
        self._last: dict[Key, bytes] = {}
        self._left = Leftovers(settings, streams)
        self._published: Published = []

    def take(
        self, stream: StreamPipeline, outcome: Outcome, gathering: Gathering, monotonic_s: float
    ) -> Published:
        """Take what a step came to; return what is to be published of it."""
        self._forget(gathering.left)
        name, time_s = stream.definition.name, outcome.time_s
        ended: dict[Key, Content] = {
            (name, one.entity): {
                "end_s": one.time_s,
                "score_max": one.score_max,
                "signals": self._leading(name, one.why),
            }
            for one in outcome.closures
        }
        touched = dict.fromkeys(
            (name, entity) for entity, what in endings(outcome) if self._end(name, entity, what)
        )
        for beginning in beginnings(stream, outcome):
            self._begin(name, beginning, monotonic_s)
            touched[name, beginning.entity] = None
        for key in touched:
            self._tell(key, time_s, ended.get(key))
        self._regroup(gathering)
        self._look(name, time_s, monotonic_s)
        for key, content in self._left.settle(stream, time_s):
            self._publish(key, content)
        return self._hand_out()

    def forget(self, gathering: Gathering) -> Published:
        """Clear the topics of those who were forgotten; return what is to be published."""
        self._forget(gathering.left)
        return self._hand_out()

    def recall(self, retained: Published) -> Published:
        """Take what the broker retains under our topics; return what is to be published to put it right."""
        for topic, payload in retained:
            found = self._left.read(topic, payload)
            if found is None:
                continue
            key, content = found
            if content is None:
                self._published.append((topic, b""))
            elif key not in self._last:
                self._publish(key, self._left.add(key, content | {"run": self._run}))
            elif self._last[key] != payload:
                self._published.append((topic, self._last[key]))
        return self._hand_out()

    def again(self) -> Published:
        """Return all open alarms, for a broker that may have forgotten them."""
        return [(self._topic(key), self._last[key]) for key in self._open]

    def stop(self) -> Published:
        """Return what is to be published in the end: of no open alarm it is known how it goes on."""
        return [
            (self._topic(key), _json({**one.told, "state": "unknown"})) for key, one in self._open.items()
        ]

    # What is wrong

    def _begin(self, name: str, beginning: Beginning, monotonic_s: float) -> None:
        key, (alarm, _) = (name, beginning.entity), beginning.what
        one = self._open.setdefault(key, _Open(looked_s=monotonic_s))
        if beginning.spell is not None:
            one.spells[beginning.what] = beginning.spell
            return
        id_ = alarm_id(alarm, name, beginning.entity, beginning.onset_s)
        why = self._explained(key) if alarm is Alarm.ANOMALY else UNEXPLAINED
        one.main = {"alarm": alarm, "id": id_, "onset_s": beginning.onset_s, **why}

    def _end(self, name: str, entity: Entity, what: What) -> bool:
        """Note that an alarm is over; say whether it was open."""
        one = self._open.get((name, entity))
        if one is None:
            return False
        if one.main is not None and one.main["alarm"] is what[0]:
            one.main = None
            return True
        return one.spells.pop(what, None) is not None

    def _regroup(self, gathering: Gathering) -> None:
        """Publish the alarms whose group is another one now."""
        changed = (gathering.begun, gathering.grown, gathering.absorbed)
        for group in {one.id: one for each in changed for one in each.values()}.values():
            for key in group.members:
                one = self._open.get(key)
                if one is not None and one.told["group"] != self._group(key):
                    self._tell(key, gathering.time_s)

    def _look(self, name: str, time_s: float, monotonic_s: float) -> None:
        """Publish the open episodes of a stream that say another thing now than when last looked at."""
        due_s = monotonic_s - self._settings.update_s
        due = [key for key, one in self._open.items() if key[0] == name and one.looked_s <= due_s]
        for key in due:
            one, now = self._open[key], self._explained(key)
            one.looked_s = monotonic_s
            if one.main and one.main["alarm"] is Alarm.ANOMALY and _is_news(one.main, now):
                one.main |= now
                self._tell(key, time_s)

    def _forget(self, left: Iterable[Key]) -> None:
        for key in left:
            self._open.pop(key, None)
            if self._last.pop(key, None) is not None:
                self._left.drop(key)
                self._published.append((self._topic(key), b""))

    # What it says

    def _tell(self, key: Key, time_s: float, ended: Content | None = None) -> None:
        """Publish how an entity is; `ended` says more of an episode that has just ended."""
        one = self._open[key]
        self._left.drop(key)
        if one.main is None and not one.spells:
            del self._open[key]
            over = {"state": "closed", "time_s": time_s, "end_s": time_s, "score": None}
            self._publish(key, one.told | over | {"spells": [], "spells_total": 0} | (ended or {}))
            return
        name, entity = key
        spells = list(islice(one.spells.values(), self._settings.signals_max))
        one.told = {
            "state": "open",
            "run": self._run,
            "status_topic": self._settings.status_topic,
            "stream": name,
            "labels": dict(zip(self._streams[name].definition.entity, entity, strict=True)),
            "group": self._group(key),
            "time_s": time_s,
            "end_s": None,
            **(one.main or _headed(name, one.spells.values())),
            "spells": spells_json(name, spells),
            "spells_total": len(one.spells),
        }
        self._publish(key, one.told)

    def _publish(self, key: Key, content: Content | None) -> None:
        """Publish the last word on an entity, or clear its topic."""
        if content is None:
            self._forget([key])
            return
        self._last[key] = _json(content)
        self._published.append((self._topic(key), self._last[key]))

    def _hand_out(self) -> Published:
        published, self._published = self._published, []
        return published

    def _topic(self, key: Key) -> str:
        return self._settings.topic_of(*key)

    def _group(self, key: Key) -> Content | None:
        found = self._groups.episode_of(key)
        if found is None:
            return None
        labels = dict(zip(found.group.level, found.group.values, strict=True))
        return {"id": found.id, "level": found.group.level, "labels": labels}

    def _explained(self, key: Key) -> Mapping[str, Any]:
        """Return score and leading signals of an episode."""
        bench, row = self._streams[key[0]].bench, self._streams[key[0]].roster.get(key[1])
        why = None if row is None else bench.why.get(row)
        if row is None or why is None:
            return UNEXPLAINED
        return {
            "score": float(why.score[0]),
            "score_max": float(bench.decider.score_max[row]),
            "signals": self._leading(key[0], why),
        }

    def _leading(self, name: str, why: Scores | None) -> list[Content]:
        """Return the signals that explain a score."""
        if why is None:
            return []
        definition = self._streams[name].definition
        units = [signal.unit for signal in definition.signals]
        signals = signals_of(definition.signal_names, units, episode((), np.nan, why))
        leading = (one for one in signals if one["breach"] or one["contribution"] >= SHARE_MIN)
        return list(islice(leading, self._settings.signals_max))


def _headed(name: str, spells: Iterable[Spell]) -> Content:
    """Return what a message says that is headed by the oldest of some spells."""
    oldest = min(spells, key=lambda spell: spell.onset_s)
    return {"alarm": oldest.what, "id": spell_id(name, oldest), "onset_s": oldest.onset_s, **UNEXPLAINED}


def _is_news(told: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Say whether other signals lead, or in another direction, or the score is much higher than was told."""
    if not now["signals"]:
        return False
    leading = [{(one["signal"], float(one["direction"])) for one in each["signals"]} for each in (told, now)]
    return leading[0] != leading[1] or now["score_max"] >= GROWTH_MIN * told["score_max"]


def _json(content: Content) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)  # which writes NaN as null
