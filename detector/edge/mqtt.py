"""The broker: subscriptions in, a bounded inbox of messages out.

One thread, named `mqtt`, owns the connection and lives as long as the daemon does. It connects, reads
until the connection ends, waits, and connects again, to the next broker of the list where one does not
answer; nothing that a broker or a payload does stops it. All that it does with a message is to refuse it or
to put it into the inbox. What came with QoS 1 or 2 is acknowledged when the pipeline has it, or when it is
refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from typing import Final

from detector.edge.conversation import Conversation
from detector.edge.inbox import Inbox
from detector.edge.outbox import Outbox
from detector.edge.reception import Reception, Subscription
from detector.edge.session import backoff_s
from detector.edge.snapshot import Example
from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.edge.wire import Bell
from detector.mqtt_settings import MqttSettings
from detector.stream.nouns import Drop, Message

LOG = logging.getLogger("detector.mqtt")

STOP_S: Final = 10.0
"""Twice what a TCP connection may take; then the thread is left behind, it is a daemon thread."""
LEAVE_S: Final = 2.0
"""How long an end may wait for the broker to take what is still to be published."""
LEAVE_POLL_S: Final = 0.01


class Subscriber:
    """Subscriptions that survive their broker.

    Unless `persistent` is set the session is clean: after a disconnect the backlog of a broker is old news
    to a detector that judges the newest step, and a session that nobody takes up again fills the broker's
    memory.

    Args:
        settings: The brokers, the limits.
        password: Goes with `settings.username`.
        subscriptions: At least one, no two filters equal.
        clock: Arrival times, seconds since the epoch.
        outbox: Retained messages that are to be published, and where it is that we are online.

    Raises:
        ValueError: There is no filter, or one twice.
    """

    def __init__(
        self,
        settings: MqttSettings,
        password: str | None,
        subscriptions: Sequence[Subscription],
        clock: Callable[[], float] = time.time,
        outbox: Outbox | None = None,
    ) -> None:
        filters = [subscription.filter for subscription in subscriptions]
        if not filters or len(set(filters)) < len(filters):
            raise ValueError(f"topic filters must be there and differ: {filters}")
        self._filters = tuple(filters)
        self._clock = clock
        self._counted = dict.fromkeys(filters, 0)
        self._heard_s: dict[str, float] = {}
        self._brokers = settings.brokers
        self._reconnect_max_s = settings.reconnect_max_s
        self._bell = Bell()
        lanes = {(one.priority, one.overload) for one in subscriptions}
        self._inbox = Inbox(settings.inbox_max, settings.inbox_bytes_max, lanes)
        self._outbox = Outbox(0) if outbox is None else outbox
        self._reception = Reception(
            subscriptions, self._inbox, settings.payload_bytes_max, clock, self._outbox.takes
        )
        self._conversation = Conversation(
            settings, password, filters, self._reception, self._inbox, self._bell, self._outbox
        )
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect, and keep at it until `stop`; returns at once. Once in a life."""
        self._bell.hang()
        self._thread.start()

    def stop_reading(self) -> None:
        """Take nothing more from the broker; what is in the inbox can still be taken, and acknowledged."""
        self._conversation.deaf.set()
        self._bell.ring()

    def stop(self) -> None:
        """Say goodbye to the broker and end the thread. What is in the inbox can still be taken."""
        self._conversation.stopping.set()
        self._bell.ring()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        self._bell.take_down()

    def take(self, messages_max: int, timeout_s: float) -> list[Message]:
        """Return what has arrived; see `Inbox.take`."""
        messages = self._inbox.take(messages_max, timeout_s)
        if messages and self._conversation.blocked:
            self._bell.ring()
        if self._reception.expiring:
            messages, expired = self._reception.unexpired(messages)
            self.acknowledge(expired)
        return messages

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these need not be kept any more; those of QoS 0 need no word."""
        packet_ids = [message.packet_id for message in messages if message.packet_id]
        if packet_ids:
            self._conversation.acknowledge(packet_ids)

    def publish(self, replies: Sequence[tuple[str, bytes]]) -> None:
        """Publish topics and payloads with QoS 0, while there is a connection."""
        self._conversation.publish(replies)

    def publish_retained(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish topics and payloads, retained, as soon as there is a connection; of a topic the newest."""
        for topic, payload in messages:
            self._outbox.put(topic, payload)
        if messages:
            self._bell.ring()

    def take_leave(self) -> None:
        """Say that we are online no more, after what is still to be published; after `stop_reading`.

        Nothing is taken in meanwhile; where there is no connection, or the broker is slow, it is left.
        """
        if self._outbox.presence:
            self._outbox.put(self._outbox.presence.topic, self._outbox.presence.offline)
        self._conversation.leaving.set()
        self._bell.ring()
        until_s = time.monotonic() + LEAVE_S
        while len(self._outbox) and self._conversation.connected and time.monotonic() < until_s:
            time.sleep(LEAVE_POLL_S)

    def dropped(self) -> Mapping[Drop, int]:
        """Return how many messages were refused since the start, by reason."""
        return dict(self._reception.dropped)

    def examples(self) -> dict[str, Example]:
        """Return by reason the last message that was refused."""
        return self._reception.examples()

    def snapshot(self) -> MqttSnapshot:
        """Return the state of the connection. `inbox_messages_max` is the size of the inbox."""
        conversation = self._conversation
        received = dict(zip(self._filters, self._reception.received[:-1], strict=True))
        # Compared here, for a time a message would be one more thing to do for each of them.
        heard = [name for name, count in received.items() if count != self._counted[name]]
        self._heard_s |= dict.fromkeys(heard, self._clock())
        self._counted = received
        return MqttSnapshot(
            connected=conversation.connected,
            thread_alive=self._thread.is_alive(),
            subscribed=conversation.subscribed,
            reconnects_total=max(conversation.connects_total - 1, 0),
            connect_failures=dict(conversation.attempts.failures),
            failure=conversation.attempts.failure,
            received=received,
            heard_s=self._heard_s.copy(),
            callback_errors_total=self._reception.errors_total,
            inbox_messages=len(self._inbox),
            inbox_messages_max=self._inbox.messages_max,
            inbox_bytes=self._inbox.bytes_waiting,
            inbox_bytes_max=self._inbox.bytes_max,
            unserved=conversation.unserved,
        )

    # The life of the thread

    def _run(self) -> None:
        failures = 0
        stopping = self._conversation.stopping
        while not stopping.is_set():
            begun_s = time.monotonic()
            self._hold_guarded(*self._brokers[failures % len(self._brokers)])
            # A connection that does not last is a failure too: a broker that throws us out at once, or
            # another client with our id, would otherwise be called on without a pause.
            lasted = time.monotonic() - begun_s > self._reconnect_max_s
            failures = 0 if lasted else failures + 1
            if failures % len(self._brokers) == 0:  # before that, the next of the list is tried at once
                stopping.wait(backoff_s(failures // len(self._brokers), self._reconnect_max_s))

    def _hold_guarded(self, host: str, port: int) -> None:
        try:
            self._conversation.hold(host, port)
        except OSError as error:
            LOG.warning("connection lost host=%s port=%d reason=%r", host, port, str(error))
        except Exception:
            # Such as UnicodeError, for a host that is no name, and struct.error from paho, for a malformed
            # packet. It costs the connection, and not the thread.
            LOG.exception("connection failed host=%s port=%d", host, port)
