"""What becomes of each message that arrives: refused and counted, or on its way into the inbox.

A topic is looked at once. From then on its bytes lead to its text, its subscription and its lane, and a
message costs one look-up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, NamedTuple

from paho.mqtt.client import MQTTMessage

from detector.edge.framing import Properties, Publish, parse_properties, properties_of
from detector.edge.inbox import Inbox, Overload
from detector.edge.redelivery import CONNECTION_BIT, PACKET_IDS, Redelivery
from detector.edge.snapshot import EXAMPLE_BYTES_MAX, Example, example
from detector.stream.filters import covers, first_match, narrowness
from detector.stream.nouns import Drop, Message

LOG = logging.getLogger("detector.mqtt")

TOPICS_MAX: Final = 200_000
"""Topics that are remembered, where the streams have room for so many: two an entity of the largest fabric.
Beyond, all are looked at anew."""
TOPIC_BYTES_MAX: Final = 512
"""Of a topic that is remembered; one that is longer is looked at each time."""
CANARY: Final = "detector-canary-"
"""How a level of a canary's topic begins; no detector takes such a message for telemetry."""
REASONS: Final = (
    Drop.INBOX_FULL,
    Drop.SHED,
    Drop.PAYLOAD_TOO_LARGE,
    Drop.NOT_UTF8,
    Drop.MALFORMED,
    Drop.REDELIVERED,
    Drop.EXPIRED,
)
"""Why a message is refused before anybody looks into it."""

# A packet id with the connection that it belongs to, and who has to acknowledge it.
_WAY_BIT: Final = 16
_BY_WIRE, _BY_PAHO_QOS_1, _BY_PAHO_QOS_2 = range(3)
_QOS_2: Final = 2
_FLAGS_QOS_1: Final = 0x02


class Subscription(NamedTuple):
    """A topic filter, and what happens to its messages under overload; see `inbox`.

    `topics_max` is how many of its topics are worth remembering.
    """

    filter: str
    priority: int = 0
    overload: Overload = "drop_oldest"
    topics_max: int = 10_000


class _Route(NamedTuple):
    """Where the messages of a topic go; `subscription` is an index."""

    topic: str
    subscription: int
    put: Callable[[Message], None]


class Reception:
    """Takes messages in, and remembers what was refused.

    Of several subscriptions that match a topic one has the message: that of the highest priority, and of
    equals a narrow one before one that covers it. `received` counts by subscription, each message once, and
    behind them what none of them matches.
    """

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        inbox: Inbox,
        payload_bytes_max: int,
        clock: Callable[[], float],
        takes: Callable[..., bool] | None = None,
    ) -> None:
        ranked = sorted(
            enumerate(subscriptions), key=lambda pair: (-pair[1].priority, narrowness(pair[1].filter))
        )
        self._ranked = [index for index, _ in ranked]
        self._first_filter = first_match([one.filter for _, one in ranked])
        self._filters = [one.filter for one in subscriptions]
        self._put = [inbox.putter(one.priority, one.overload) for one in subscriptions]
        self._inbox = inbox
        self._payload_bytes_max = payload_bytes_max
        self._clock = clock
        self._takes = takes  # what we have published ourselves, and is no telemetry
        self._routes: dict[bytes, _Route] = {}
        self._topics_max = min(TOPICS_MAX, sum(one.topics_max for one in subscriptions))
        self._connection = 0
        self._arrived = 0  # bytes of payload that are put and not yet announced
        self._redelivery = Redelivery()
        self.received = [0] * (len(subscriptions) + 1)
        self.dropped = dict.fromkeys(REASONS, 0)
        self._struck: dict[Drop, tuple[str, bytes]] = {}
        self.errors_total = 0
        self.canaries: set[str] = set()
        self.expiring = False

    def begin(self) -> None:
        """A new connection: packet ids of the old one mean nothing to it."""
        self._connection += 1
        self._redelivery.begin()
        self.canaries.clear()

    def examples(self) -> dict[str, Example]:
        """Return by reason the last message that was refused; from any thread.

        None for a topic that is no text.
        """
        # Copied in one go: the thread that reads the broker may add a reason meanwhile.
        return {reason.value: example(*struck) for reason, struck in self._struck.copy().items()}

    def received_under(self, wide: str) -> int:
        """Return how many messages came under a filter: its own, and those of filters that it covers."""
        counts = zip(self._filters, self.received, strict=False)
        return sum(count for text, count in counts if covers(wide, text))

    # Messages in

    def receive(self, messages: Sequence[Publish]) -> list[int]:
        """Take messages in; return what is to be acknowledged at once, because it was refused."""
        refused: list[int] = []
        arrival_s = self._clock()
        routes, size_max, received = self._routes, self._payload_bytes_max, self.received
        stamp = self._stamp(_BY_WIRE)
        taken, digest = self._redelivery.taken, self._redelivery.digest
        arrived = 0
        new = tuple.__new__  # half the time of `Message(...)`
        for publish in messages:
            flags, topic, packet_id, properties, payload, size = publish
            route = routes.get(topic)
            qos = flags >> 1 & 0x03
            if qos:
                packet_id |= stamp
            if route is None or flags & 0x09 or properties or size > size_max:
                self._accept_guarded(publish, packet_id, parse_properties(properties), arrival_s, refused)
            else:
                received[route.subscription] += 1
                arrived += size
                if qos:  # `Redelivery.take`, without the call
                    taken[packet_id % PACKET_IDS] = packet_id
                    digest[packet_id % PACKET_IDS] = hash(topic) ^ hash(payload)
                route.put(
                    new(Message, (route.topic, payload, arrival_s, False, (), packet_id, qos, False, inf))
                )
        self._arrived += arrived
        return self._announced(refused)

    def receive_from_paho(self, message: MQTTMessage) -> list[int]:
        """Take a message in that paho has read; return what is to be acknowledged at once."""
        refused: list[int] = []
        way = _BY_PAHO_QOS_2 if message.qos == _QOS_2 else _BY_PAHO_QOS_1
        packet_id = self._stamp(way) | message.mid if message.qos else 0
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            self.dropped[Drop.NOT_UTF8] += 1
            return [packet_id] if packet_id else []
        payload = bytes(message.payload)
        flags = message.dup << 3 | message.qos << 1 | message.retain
        publish = Publish(flags, topic, message.mid, b"", payload, len(payload))
        self._accept_guarded(publish, packet_id, properties_of(message.properties), self._clock(), refused)
        return self._announced(refused)

    def current(self, packet_ids: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Return those of this connection: what the wire has to acknowledge, and what paho, with its QoS."""
        wire: list[int] = []
        paho: list[tuple[int, int]] = []
        for given in packet_ids:
            stamped = self._redelivery.word_for(given)
            packet_id, way = stamped & 0xFFFF, stamped >> _WAY_BIT & 0x03
            if stamped >> CONNECTION_BIT != self._connection:
                continue
            if way == _BY_WIRE:
                wire.append(packet_id)
            else:
                paho.append((packet_id, way))
        return wire, paho

    def unexpired(self, messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
        """Part messages into those that somebody still wants and the rest; for the thread that takes them."""
        now_s = self._clock()
        good = [message for message in messages if now_s < message.expires_s]
        expired = [message for message in messages if now_s >= message.expires_s]
        if expired:
            self.dropped[Drop.EXPIRED] += len(expired)
            self._struck[Drop.EXPIRED] = expired[-1].topic, expired[-1].payload[:EXAMPLE_BYTES_MAX]
        return good, expired

    # What becomes of one

    def _stamp(self, way: int) -> int:
        return self._connection << CONNECTION_BIT | way << _WAY_BIT

    def _accept_guarded(
        self,
        publish: Publish,
        packet_id: int,
        properties: Properties | None,
        arrival_s: float,
        refused: list[int],
    ) -> None:
        try:
            taken = self._accept(publish, packet_id, properties, arrival_s)
        except Exception:
            taken = False
            self.errors_total += 1
            if self.errors_total == 1:  # one trace tells the bug; the counter tells the rest
                LOG.exception("message lost")
        if not taken and packet_id:
            refused.append(packet_id)

    def _accept(
        self, publish: Publish, packet_id: int, properties: Properties | None, arrival_s: float
    ) -> bool:
        """Put a message into the inbox, or say that it was refused."""
        try:
            topic = publish.topic.decode()
        except UnicodeDecodeError:
            self.dropped[Drop.NOT_UTF8] += 1
            return False
        if self._is_ours(topic, publish):
            return False
        route = self._route(publish.topic, topic)
        self.received[route.subscription] += 1
        if publish.payload_bytes > self._payload_bytes_max:
            return self._refuse(Drop.PAYLOAD_TOO_LARGE, topic, publish.payload)
        if properties is None:
            return self._refuse(Drop.MALFORMED, topic, publish.payload)
        flags, name, payload = publish.flags, publish.topic, publish.payload
        if flags & 0x06 == _FLAGS_QOS_1:
            if flags & 0x08 and self._redelivery.came_before(packet_id, name, payload):
                self._refuse(Drop.REDELIVERED, topic, payload)
                return not self._redelivery.is_done(packet_id)
            self._redelivery.take(packet_id, name, payload)
        expires_s = arrival_s + properties.expiry_s
        self.expiring = self.expiring or expires_s < inf
        self._arrived += len(payload)
        route.put(
            Message(
                topic,
                payload,
                arrival_s,
                retained=bool(flags & 0x01),
                properties=properties.user,
                packet_id=packet_id,
                qos=flags >> 1 & 0x03,
                duplicate=bool(flags & 0x08),
                expires_s=expires_s,
            )
        )
        return True

    def _is_ours(self, topic: str, publish: Publish) -> bool:
        if CANARY in topic:
            self.canaries.add(topic)
            return True
        retained = bool(publish.flags & 0x01)
        return self._takes is not None and self._takes(topic, publish.payload, retained=retained)

    def _route(self, name: bytes, topic: str) -> _Route:
        route = self._routes.get(name)
        if route is None:
            first = self._first_filter(topic)
            if first is None:  # of a session from before: to be counted as unknown, and after all others
                route = _Route(topic, len(self._put), self._put[self._ranked[-1]])
            else:
                index = self._ranked[first]
                route = _Route(topic, index, self._put[index])
            if len(name) <= TOPIC_BYTES_MAX:
                if len(self._routes) >= self._topics_max:
                    self._routes.clear()
                self._routes[name] = route
        return route

    def _refuse(self, reason: Drop, topic: str, payload: bytes) -> bool:
        self.dropped[reason] += 1
        # By reference where it is short, and made readable when somebody asks: it may be one of a flood.
        self._struck[reason] = topic, payload[:EXAMPLE_BYTES_MAX]
        return False

    def _announced(self, refused: list[int]) -> list[int]:
        """Tell the reader of the inbox, and refuse what is too much for it."""
        self._inbox.announce(self._arrived)
        self._arrived = 0
        for reason, message in self._inbox.shed():
            self._refuse(reason, message.topic, message.payload)
            if message.packet_id:
                refused.append(message.packet_id)
        return refused
