"""What is to be published and can wait: the newest payload of each topic, sent when there is a connection.

The thread that puts and the one that sends share an `OrderedDict`, of which each single step is atomic, so
nobody locks. With QoS 1 and 2 paho keeps what it has taken until the broker has acknowledged it, over
connections; so few are given to it at once that a newer payload still finds most others here.

A broker may end the connection of who publishes what he may not, as mosquitto 2.0.11 does with MQTT 5.
Telemetry is worth more than to tell of it: where that happens, nothing is published for an hour.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

from detector.edge.recollection import Recollection
from detector.edge.session import Presence
from detector.edge.snapshot_groups import EventsSnapshot

LOG = logging.getLogger("detector.mqtt")

TOPICS_MAX: Final = 100_000
"""Topics that may wait, some 100 MiB of payloads: one an entity of the largest fabric, all of which changes
while the broker is away. Beyond, the one that waits longest is dropped and counted; the recollection finds
what is untrue for that."""
UNACKNOWLEDGED_MAX: Final = 20
"""Messages that paho has and the broker has not acknowledged; mosquitto takes no more of one client."""
ANSWER_S: Final = 2.0
"""An end of the connection that comes sooner after a message, before any was acknowledged, is an answer."""
ENDINGS_MAX: Final = 3
"""So many in a row are no accident."""
PAUSE_S: Final = 3600.0
"""And so long nothing is published then; an operator may have allowed it meanwhile."""


class Outbox:
    """Retained messages on their way out.

    Args:
        qos: The quality of service of all of them.
        presence: Where to say that we are online.
        recollection: What the broker retains from before.
        monotonic: A clock.

    `published_total` counts what was handed to the connection, `dropped_total` what was not for want of room,
    `refused_total` what the broker said no to, as only MQTT 5 tells, or ended the connection for.
    """

    def __init__(
        self,
        qos: int,
        presence: Presence | None = None,
        recollection: Recollection | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.presence = presence
        self.recollection = recollection
        self._qos = qos
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._unacknowledged: dict[int, str] = {}
        self._monotonic = monotonic
        self._asked_s: float | None = None  # when the newest was published that nothing was said of yet
        self._endings = 0
        self._paused_until_s = 0.0
        self._anew = False
        self._online = True
        self.published_total = 0
        self.dropped_total = 0
        self.refused_total = 0

    def __len__(self) -> int:
        """How many topics wait, or are not acknowledged."""
        return len(self._waiting) + len(self._unacknowledged)

    def put(self, topic: str, payload: bytes) -> None:
        """Let a payload wait, instead of the one of its topic that may wait already."""
        self._waiting[topic] = payload
        if len(self._waiting) > TOPICS_MAX:
            self._pop()
            self.dropped_total += 1

    def greet(self, client: Client) -> None:
        """Say that we are online, and ask for what is retained; for a new connection."""
        if self._anew:  # the client is another one
            self._unacknowledged.clear()
            self._anew = False
        self._asked_s = self._monotonic() if self._unacknowledged else None  # which paho sends once more
        if self.presence:
            self._online = False
        if self.recollection:
            self.recollection.ask(client)

    def send(self, client: Client) -> None:
        """Publish what may go out now."""
        if self._monotonic() < self._paused_until_s:
            return
        if self.presence and not self._online:
            self._online = True
            self._publish(client, self.presence.topic, self.presence.online)
        while client.is_connected() and len(self._unacknowledged) < UNACKNOWLEDGED_MAX:
            if (next_one := self._pop()) is None:
                return
            self._publish(client, *next_one)
            self.published_total += 1

    def _publish(self, client: Client, topic: str, payload: bytes) -> None:
        self._asked_s = self._monotonic()
        published = client.publish(topic, payload, self._qos, retain=True)
        if self._qos:
            self._unacknowledged[published.mid] = topic

    def acknowledged(self, mid: int, reason: ReasonCode) -> None:
        """Take the broker's word on a message."""
        topic = self._unacknowledged.pop(mid, None)
        if topic is None:
            return
        if reason.is_failure:
            self._refused(topic, str(reason))
        else:
            self._asked_s, self._endings = None, 0

    def _refused(self, topic: str, reason: str) -> None:
        self.refused_total += 1
        if self.refused_total == 1:  # the counter tells the rest
            LOG.error("event refused topic=%r reason=%r", topic, reason)

    @property
    def doubted(self) -> bool:
        """Whether the newest connection has ended for what we published, as it seems."""
        return self._endings > 0

    def lost(self) -> bool:
        """Take the end of a connection; say whether what paho keeps for the next one has to be forgotten."""
        answered = self._asked_s is not None and self._monotonic() - self._asked_s < ANSWER_S
        self._endings = self._endings + 1 if answered else 0
        if self._endings < ENDINGS_MAX:
            return False
        self._refused(next(iter(self._unacknowledged.values()), ""), "the broker ends the connection")
        self._anew = True
        self._endings = ENDINGS_MAX - 1  # one more is enough after the pause
        self._paused_until_s = self._monotonic() + PAUSE_S
        LOG.error("no events are published for %.0f s", PAUSE_S)
        return True

    def granted(self, mid: int, reasons: Sequence[ReasonCode]) -> bool:
        """Take the broker's word on a subscription; say whether it was ours."""
        return self.recollection is not None and self.recollection.granted(mid, reasons)

    def takes(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Take a message that is ours by its topic; say whether it was."""
        return self.recollection is not None and self.recollection.takes(topic, payload, retained=retained)

    def snapshot(self) -> EventsSnapshot:
        """Return what became of the messages."""
        forgotten = self.recollection.dropped_total if self.recollection else 0
        return EventsSnapshot(
            self.published_total, self.dropped_total + forgotten, self.refused_total, len(self)
        )

    def _pop(self) -> tuple[str, bytes] | None:
        try:
            return self._waiting.popitem(last=False)
        except KeyError:  # empty, or the other thread was faster
            return None
