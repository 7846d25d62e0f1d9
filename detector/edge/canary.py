"""Does the broker deliver what it has granted? A message to ourselves under each subscription tells.

Some brokers grant a subscription that they do not serve, `$share` above all, and nothing ever comes. So
after each grant a canary is published: the filter's wildcards are filled with a level that no device has. It
comes back, or any other message does, or the filter is told. A filter without wildcards is the topic of a
device; no canary is published there, its first message is the proof.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from paho.mqtt.client import Client

from detector.edge.reception import CANARY, Reception

LOG = logging.getLogger("detector.mqtt")

WAIT_S: Final = 10.0
"""How long a canary may take: a broker that is busy with the backlog of a session answers within seconds."""
ANSWER_S: Final = 2.0
"""An end of the connection that comes sooner after a canary has to do with it."""
ENDINGS_MAX: Final = 2
"""So many in a row are no accident."""
PAYLOAD: Final = b"detector canary: a subscriber proves that its subscription is served; ignore it"


class Canary:
    """Watches over the subscriptions of one subscriber.

    Args:
        filters: The topic filters.
        monotonic: A clock for `WAIT_S`.

    `unserved` are the filters under which nothing has come, though it should have.
    """

    def __init__(self, filters: Sequence[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._name = CANARY + secrets.token_hex(8)
        self._topics = {text: topic for text in filters if (topic := self._topic(text))}
        self._monotonic = monotonic
        self._waiting: dict[str, int] = {}
        self._due_s = 0.0
        self._endings = 0
        self.unserved: tuple[str, ...] = ()

    def _topic(self, text: str) -> str:
        """Return a topic under a filter; empty where no wildcard can be filled, or it is the broker's own."""
        levels = text.split("/")
        if text.startswith("$") or not {"+", "#"} & set(levels):
            return ""
        return "/".join(self._name if level in ("+", "#") else level for level in levels)

    def send(self, client: Client, reception: Reception) -> None:
        """Publish the canaries; for when the subscriptions are granted."""
        if self._endings >= ENDINGS_MAX:
            return
        self._waiting = {text: reception.received_under(text) for text in self._topics}
        self._due_s = self._monotonic() + WAIT_S
        for topic in self._topics.values():
            client.publish(topic, PAYLOAD, qos=0)

    def lost(self, where: str) -> None:
        """The connection has ended; if that is the answer to each canary, publish none any more.

        A broker may throw out who publishes where they may not, as mosquitto 2.0.11 does. A detector that may
        only read has to be let in all the same.
        """
        at_once = self._waiting and self._monotonic() < self._due_s - WAIT_S + ANSWER_S
        self._endings = self._endings + 1 if at_once else 0
        if self._endings == ENDINGS_MAX:
            LOG.warning(
                "canary unwelcome %s reason=%r",
                where,
                "the broker ended the connection when it was published, so it is not tried again: this user "
                "may not publish there (then set mqtt.canary = false); whether the subscription is served "
                "shows with the first message",
            )
        self._waiting = {}

    def watch(self, reception: Reception, where: str) -> None:
        """See what has come back; once the time is over, say what has not."""
        self._waiting = {
            text: before
            for text, before in self._waiting.items()
            if reception.received_under(text) == before and self._topics[text] not in reception.canaries
        }
        self.unserved = tuple(text for text in self.unserved if text in self._waiting)
        if self._monotonic() < self._due_s:
            return
        for text in sorted(set(self._waiting) - set(self.unserved)):
            LOG.error(
                "subscription unserved %s filter=%r reason=%r",
                where,
                text,
                f"granted, and in {WAIT_S:g} s neither a message nor our own canary came: the broker does "
                "not serve this filter, or this user may not publish there (then set mqtt.canary = false)",
            )
            self.unserved += (text,)
