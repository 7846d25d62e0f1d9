"""Alarms that an earlier life of the detector left retained, and cannot end any more.

    open, unknown --[found]----------------------------------------------------------------> unknown
    unknown       --[an alarm of the entity begins]-----------------------------------------> open
    unknown       --[it is judged, and well as long as an episode would take to close;
                     but whether it is slow or stuck still, nobody can tell]----------------> closed
    unknown       --[it was not heard for `expire_s`, or its labels are others now]---------> cleared

Only what names our status topic is ours: another detector may publish beside us, of a stream with the same
name. Of what was said only what can be checked is kept, for whoever may publish may have said it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from detector.event_settings import EventSettings
from detector.stream.crowd import Key
from detector.stream.nouns import Alarm
from detector.stream.pipeline import StreamPipeline

ID_CHARS_MAX: Final = 64
"""An id has 17; a longer text is none."""
CHECKABLE: Final = (Alarm.ANOMALY, Alarm.SILENCE)
"""Alarms of which a new life can tell whether they are over, without a history of its own."""

Content = dict[str, Any]


class Leftovers:
    """What was left open, until it is known how its entities are.

    Args:
        settings: The table `[events]`.
        streams: Whose alarms may be ours.
    """

    def __init__(self, settings: EventSettings, streams: Sequence[StreamPipeline]) -> None:
        self._settings = settings
        self._streams = {stream.definition.name: stream for stream in streams}
        self._waiting: dict[str, dict[Key, Content]] = {name: {} for name in self._streams}
        self._since_s: dict[Key, float] = {}

    def read(self, topic: str, payload: bytes) -> tuple[Key, Content | None] | None:
        """Return whose alarm a retained message is, and it as unknown; None in its stead: of nobody any more.

        None where it is not ours.
        """
        try:
            said = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(said, dict) or said.get("status_topic") != self._settings.status_topic:
            return None
        stream, labels = self._streams.get(str(said.get("stream"))), said.get("labels")
        if stream is None or not isinstance(labels, dict):
            return None
        name, entity = stream.definition.name, tuple(labels.values())
        texts = all(isinstance(value, str) for value in entity)
        if not texts or topic != self._settings.topic_of(name, entity):
            return None
        if tuple(labels) != stream.definition.entity:
            return (name, entity), None
        content = _kept(said, self._settings.status_topic, name, labels)
        return None if content is None else ((name, entity), content)

    def add(self, key: Key, content: Content) -> Content:
        """Wait until it is known how an entity is; return what to say of it until then."""
        self._waiting[key[0]][key] = content
        return content

    def drop(self, key: Key) -> None:
        """Wait no more, for more is known of the entity."""
        self._waiting[key[0]].pop(key, None)
        self._since_s.pop(key, None)

    def settle(self, stream: StreamPipeline, time_s: float) -> list[tuple[Key, Content | None]]:
        """Return of whom it is known now how they are, and what to say of them; None: nothing any more."""
        waiting = self._waiting[stream.definition.name]
        settled = list(self._settled(stream, waiting, time_s)) if waiting else []
        for key, _ in settled:
            self.drop(key)
        return settled

    def _settled(
        self, stream: StreamPipeline, waiting: Mapping[Key, Content], time_s: float
    ) -> Iterator[tuple[Key, Content | None]]:
        calm = stream.bench.calm()
        for key, content in waiting.items():
            row = stream.roster.get(key[1])
            if row is None:
                if time_s - self._since_s.setdefault(key, time_s) > stream.definition.expire_s:
                    yield key, None
            elif calm[row] and content["alarm"] in CHECKABLE:
                yield key, content | {"state": "closed", "time_s": time_s}


def _kept(said: Content, status_topic: str, name: str, labels: Content) -> Content | None:
    """Return what is still worth saying of an alarm, None where it is none."""
    alarm, id_, onset_s = (said.get(key) for key in ("alarm", "id", "onset_s"))
    if alarm not in tuple(Alarm) or not isinstance(id_, str) or len(id_) > ID_CHARS_MAX:
        return None
    if not isinstance(onset_s, (int, float)) or not math.isfinite(onset_s):
        return None
    return {
        "state": "unknown",
        "run": None,
        "status_topic": status_topic,
        "stream": name,
        "labels": labels,
        "group": None,
        "time_s": None,
        "end_s": None,
        "alarm": alarm,
        "id": id_,
        "onset_s": onset_s,
        "score": None,
        "score_max": None,
        "signals": [],
        "spells": [],
        "spells_total": 0,
    }
