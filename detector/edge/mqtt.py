"""The broker: topic filters in, a bounded inbox of messages out.

One thread, named `mqtt`, owns the connection and lives as long as the daemon does. It connects, reads
until the connection ends, waits, and connects again; nothing that a broker or a payload does stops it.
All that it does with a message is to refuse it or to put it into the inbox.

paho's own thread is not used. An exception in a callback kills it silently while `is_connected()` goes
on to say True, before 2.2 a malformed packet does the same, and its reconnect delay has no jitter.
"""

from __future__ import annotations

import logging
import random
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from detector.edge.snapshot import Example, MqttSnapshot, example
from detector.settings import MqttSettings
from detector.stream.nouns import Drop, Message

LOG = logging.getLogger("detector.mqtt")

RECONNECT_FIRST_S: Final = 1.0
"""The back-off before the second attempt is drawn from 0 to this, then doubles up to `reconnect_max_s`."""
LOOP_S: Final = 0.2
"""How long the thread sleeps on a silent socket; bounds how long `stop` waits on a healthy connection."""
STOP_S: Final = 10.0
"""paho gives a TCP connection 5 s; twice that and the thread is left behind, it is a daemon thread."""


class Subscriber:
    """A subscription to topic filters that survives its broker.

    The session is clean: after a disconnect the backlog of a broker is old news to a detector that
    judges the newest step, and a session that nobody takes up again fills the broker's memory.

    Args:
        settings: The broker, the limits.
        password: Goes with `settings.username`.
        filters: Topic filters, at least one, no two equal.
        clock: Arrival times, seconds since the epoch.

    Raises:
        ValueError: There is no filter, or one twice.
    """

    def __init__(
        self,
        settings: MqttSettings,
        password: str | None,
        filters: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not filters or len(set(filters)) < len(filters):
            raise ValueError(f"topic filters must be there and differ: {list(filters)}")
        self._settings = settings
        self._filters = tuple(filters)
        self._clock = clock
        self._first_filter = _matcher(self._filters)
        self._payload_bytes_max = settings.payload_bytes_max
        self._inbox_max = settings.inbox_max
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._received = [0] * len(self._filters)
        self._dropped = dict.fromkeys(
            (Drop.INBOX_FULL, Drop.RETAINED, Drop.PAYLOAD_TOO_LARGE, Drop.NOT_UTF8), 0
        )
        self._examples: dict[Drop, Example] = {}
        self._callback_errors_total = 0
        self._connects_total = 0
        self._connected = False
        self._subscribed = False
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)
        self._client = self._build_client(password)

    def start(self) -> None:
        """Begin to connect, and keep at it until `stop`; returns at once. Once in a life."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye to the broker and end the thread. What is in the inbox can still be taken."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def take(self, messages_max: int, timeout_s: float) -> list[Message]:
        """Return what has arrived, oldest first.

        Args:
            messages_max: How many at most.
            timeout_s: How long to wait for the first one; after that the list is empty.
        """
        messages: list[Message] = []
        try:
            messages.append(self._inbox.get(timeout=max(timeout_s, 0.0)))
            while len(messages) < messages_max:
                messages.append(self._inbox.get_nowait())
        except Empty:
            pass
        return messages

    def dropped(self) -> Mapping[Drop, int]:
        """Return how many messages were refused since the start, by reason."""
        return dict(self._dropped)

    def examples(self) -> dict[Drop, Example]:
        """Return the first message that was refused for each reason; none for a topic that is no text."""
        return dict(self._examples)

    def snapshot(self) -> MqttSnapshot:
        """Return the state of the connection. `inbox_messages_max` is the size of the inbox."""
        return MqttSnapshot(
            connected=self._connected,
            thread_alive=self._thread.is_alive(),
            subscribed=self._subscribed,
            reconnects_total=max(self._connects_total - 1, 0),
            received=dict(zip(self._filters, self._received, strict=True)),
            callback_errors_total=self._callback_errors_total,
            inbox_messages=self._inbox.qsize(),
            inbox_messages_max=self._inbox_max,
        )

    def _build_client(self, password: str | None) -> Client:
        five = self._settings.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id or _client_id(),
            clean_session=None if five else True,  # MQTT 5 starts clean unless it is told otherwise
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        if self._settings.username:
            client.username_pw_set(self._settings.username, password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            begun_s = time.monotonic()
            self._converse_guarded()
            # A connection that does not last is a failure too: a broker that throws us out at once, or
            # another client with our id, would otherwise be called on without a pause.
            lasted = time.monotonic() - begun_s > self._settings.reconnect_max_s
            failures = 0 if lasted else failures + 1
            self._stopping.wait(backoff_s(failures, self._settings.reconnect_max_s))

    def _converse_guarded(self) -> None:
        try:
            self._converse()
        except OSError as error:
            LOG.warning("unreachable %s reason=%r", self._where(), str(error))
        except Exception:
            # Such as UnicodeError, for a host that is no name, and struct.error from paho before 2.2, for a
            # malformed packet. It costs the connection, and not the thread.
            LOG.exception("connection failed %s", self._where())
        finally:
            self._connected = self._subscribed = False

    def _converse(self) -> None:
        """One connection, from CONNECT to its end. All of paho runs on this thread, so no lock matters."""
        self._client.connect(self._settings.host, self._settings.port, self._settings.keepalive_s)
        try:
            code = MQTTErrorCode.MQTT_ERR_SUCCESS
            while code == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._stopping.is_set():
                code = self._client.loop(LOOP_S)
        finally:
            self._client.disconnect()

    def _on_connect(
        self, client: Client, _userdata: None, _flags: ConnectFlags, reason: ReasonCode, *_more: object
    ) -> None:
        if reason.is_failure:
            LOG.error("refused %s username=%r reason=%r", self._where(), self._settings.username, str(reason))
            return
        self._connected = True
        self._connects_total += 1
        LOG.info("connected %s reconnects_total=%d", self._where(), self._connects_total - 1)
        # Here and nowhere else, so that every reconnect subscribes anew.
        qos: int = self._settings.qos
        client.subscribe([(text, qos) for text in self._filters])

    def _on_subscribe(
        self, _client: Client, _userdata: None, _mid: int, reasons: list[ReasonCode], *_more: object
    ) -> None:
        refused = [
            (text, reason) for text, reason in zip(self._filters, reasons, strict=False) if reason.is_failure
        ]
        for text, reason in refused:
            LOG.error("subscription refused filter=%r reason=%r", text, str(reason))
        self._subscribed = not refused and len(reasons) == len(self._filters)
        if self._subscribed:
            LOG.info("subscribed filters=%s", ",".join(self._filters))

    def _on_disconnect(
        self, _client: Client, _userdata: None, _flags: DisconnectFlags, reason: ReasonCode, *_more: object
    ) -> None:
        if self._connected:
            level = logging.INFO if self._stopping.is_set() else logging.WARNING
            LOG.log(level, "disconnected %s reason=%r", self._where(), str(reason))
        self._connected = self._subscribed = False

    def _on_message(self, _client: Client, _userdata: None, message: MQTTMessage) -> None:
        try:
            self._accept(message)
        except UnicodeDecodeError:  # paho decodes the topic when it is asked for
            self._dropped[Drop.NOT_UTF8] += 1
        except Exception:
            self._callback_errors_total += 1
            if self._callback_errors_total == 1:  # one trace tells the bug; the counter tells the rest
                LOG.exception("message lost")

    def _accept(self, message: MQTTMessage) -> None:
        topic = message.topic
        match = self._first_filter(topic)
        if match is not None and match.lastindex is not None:
            self._received[match.lastindex - 1] += 1
        if len(message.payload) > self._payload_bytes_max:
            self._drop(Drop.PAYLOAD_TOO_LARGE, topic, message.payload)
        elif message.retain:
            self._drop(Drop.RETAINED, topic, message.payload)
        elif self._inbox.qsize() >= self._inbox_max:
            self._drop(Drop.INBOX_FULL, topic, message.payload)
        else:
            payload, qos, duplicate = bytes(message.payload), message.qos, message.dup
            self._inbox.put(Message(topic, payload, self._clock(), qos=qos, duplicate=duplicate))

    def _drop(self, reason: Drop, topic: str, payload: bytes | bytearray) -> None:
        self._dropped[reason] += 1
        if reason not in self._examples:  # the first one will do: a flood must cost no more than a count
            self._examples[reason] = example(topic, payload)

    def _where(self) -> str:
        return f"host={self._settings.host} port={self._settings.port}"


def backoff_s(failures: int, max_s: float) -> float:
    """Return a pause after `failures` failed connections in a row: full jitter under a doubling cap.

    A thousand detectors that lost one broker together must not come back together, see
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    cap_s = RECONNECT_FIRST_S * 2.0 ** min(max(failures - 1, 0), 30)
    return random.uniform(0.0, min(max_s, cap_s))  # noqa: S311  # spreads load, hides nothing


def _client_id() -> str:
    """A name that no other client has: two clients with one id throw each other out for ever.

    Host and process would not do, for containers share the first with `--net=host` and are all
    process 1. It need not be stable, for there is no session to come back to.
    """
    return f"detector-{socket.gethostname()}-{secrets.token_hex(4)}"


def _matcher(filters: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    """Return what finds the first filter of a topic: `lastindex - 1` of the match is its index.

    The broker has done the real matching; one regular expression costs 0.3 us where paho's
    `topic_matches_sub` costs several for every filter.
    """
    return re.compile("|".join(f"({_expression(text)})" for text in filters), re.DOTALL).fullmatch


def _expression(text: str) -> str:
    if text == "#":
        return ".*"
    open_ended = text.endswith("/#")
    levels = text.removesuffix("/#").split("/")
    expression = "/".join("[^/]*" if level == "+" else re.escape(level) for level in levels)
    return f"{expression}(?:/.*)?" if open_ended else expression
