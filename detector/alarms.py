"""What becomes of alarms in the daemon: their groups are found, the log tells them, MQTT carries them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from detector.edge.outbox import Outbox
from detector.edge.recollection import Recollection
from detector.edge.session import Presence
from detector.edge.snapshot_groups import EventsSnapshot, GroupsSnapshot, groups_snapshot
from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.event_settings import EventSettings
from detector.events import CLOSED, Events, Published
from detector.journal import tell, tell_groups
from detector.stream.groups import Gathering, Groups
from detector.stream.nouns import Outcome
from detector.stream.pipeline import StreamPipeline

RECALLED_MAX: Final = 5_000
"""Retained alarms that are looked at in one go: some 50 ms. The next are looked at in a second."""


class Alarms:
    """The alarms of all streams, from `begin` on.

    Args:
        settings: Where they are published; without a topic, nowhere.
        labels: How many labels the entities of each stream have.

    `outbox` is for the connection, None where nothing is published.
    """

    def __init__(self, settings: EventSettings, labels: Mapping[str, int]) -> None:
        self._settings = settings
        self._run = secrets.token_hex(4)
        self.outbox = outbox(settings, labels, self._run) if settings.topic else None
        self._events: Events | None = None
        self._reconnects = 0
        self.begin([])

    def begin(self, streams: Sequence[StreamPipeline]) -> None:
        """Take over the alarms of streams that are loaded."""
        self._streams, self._groups = tuple(streams), Groups(streams)
        if self.outbox is not None:
            self._events = Events(self._settings, streams, self._groups, self._run)

    def take(self, stream: StreamPipeline, outcome: Outcome) -> Published:
        """Tell what a step came to; return what is to be published of it."""
        gathering = self._groups.take(stream, outcome)
        tell_groups(self._streams, self._groups, gathering)
        tell(stream, outcome, self._groups, gathering)
        return [] if self._events is None else self._events.take(stream, outcome, gathering, time.monotonic())

    def forget(self) -> Published:
        """Tell what it means that entities were forgotten; for after a tick."""
        gathering: Gathering = self._groups.sync()
        tell_groups(self._streams, self._groups, gathering)
        return [] if self._events is None else self._events.forget(gathering)

    def look(self, mqtt: MqttSnapshot) -> Published:
        """Return what is to be published because the broker may have forgotten it, or has what is old."""
        if self._events is None or self.outbox is None:
            return []
        recollection = self.outbox.recollection
        published = self._events.recall(recollection.take(RECALLED_MAX)) if recollection else []
        if mqtt.reconnects_total != self._reconnects:
            self._reconnects = mqtt.reconnects_total
            published += self._events.again()
        return published

    def stop(self) -> Published:
        """Return what is to be published in the end."""
        return [] if self._events is None else self._events.stop()

    def groups(self) -> GroupsSnapshot:
        """Return how the groups stand."""
        return groups_snapshot(self._groups)

    def events(self) -> EventsSnapshot | None:
        """Return what became of what was to be published; None: nothing is."""
        return None if self.outbox is None else self.outbox.snapshot()


def outbox(settings: EventSettings, labels: Mapping[str, int], run: str) -> Outbox:
    """Return what publishes; where there is no status topic, nobody could tell whose a retained alarm is."""
    if not settings.status_topic:
        return Outbox(settings.qos)
    online, offline = (orjson.dumps({"state": state, "run": run}) for state in ("online", "offline"))
    presence = Presence(settings.status_topic, online, offline, settings.qos)
    return Outbox(settings.qos, presence, Recollection(settings.filters(labels), CLOSED))
