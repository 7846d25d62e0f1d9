"""Publish messages at the pace of their times; for replays and for a live simulation.

One thread does it all, and paho never holds more than one message that is not on the wire (with QoS 1 and 2,
not acknowledged: a thousand). A slow broker slows the publisher down, and nothing grows.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from detector.edge.failures import explain_refusal
from detector.edge.framing import Framing
from detector.edge.wire import Wires
from detector.stream.nouns import Message
from detector.transport_settings import TransportSettings

PACE_S: Final = 0.02
"""Messages that are due within this go out at once. Sleeping for each would cost more than sending it."""
UNACKNOWLEDGED_MAX: Final = 1000
"""With QoS 1 and 2, how many messages may wait for the broker's word."""
ANSWER_S: Final = 30.0
"""How long a broker may take to accept the connection, or to acknowledge the next message."""

PAYLOAD_BYTES_MAX: Final = 1 << 10
"""A publisher subscribes to nothing; a message that comes all the same is left out."""

Published = tuple[float, str, bytes]
"""A message to publish: its time in the data, its topic, its payload."""


def publish_messages(published: Iterable[Published], *, qos: int = 0, **broker: Any) -> int:
    """Publish messages at the pace of their times; return how many went out (with QoS 1: were acknowledged).

    Args:
        published: In time order. Taken one by one, so it may be made while it is published, and never end.
        qos: 0, 1 or 2.
        broker: As of `publish_as_they_came`.

    Raises:
        ValueError: The speed or the quality of service is not one.
        OSError: As of `publish_as_they_came`.
    """
    if qos not in (0, 1, 2):
        raise ValueError(f"qos is {qos}; want 0, 1 or 2")
    messages = (Message(topic, payload, time_s, qos=qos) for time_s, topic, payload in published)
    return publish_as_they_came(messages, **broker)


def publish_as_they_came(
    messages: Iterable[Message],
    *,
    host: str = "localhost",
    port: int = 1883,
    username: str = "",
    password: str | None = None,
    protocol: str = "3.1.1",
    transport: TransportSettings | None = None,
    speed: float = 1.0,
) -> int:
    """Publish messages each with its own QoS and retain flag, at the pace of their arrival; return how many.

    Args:
        messages: In order of arrival; one without a time (NaN) goes out at once. Taken one by one, as of
            `publish_messages`.
        host: The broker's.
        port: The broker's.
        username: None where empty.
        password: Goes with the username.
        protocol: `3.1.1`, or `5`, which has a place for user properties and for when a message expires.
        transport: TLS and WebSocket; None is plain TCP.
        speed: 60 publishes an hour in a minute; 0 and infinity, as fast as the broker takes it.

    Raises:
        ValueError: The speed is not one.
        SettingsError: A certificate or a secret cannot be used.
        OSError: The broker cannot be reached, refuses, or leaves (ConnectionError).
    """
    if not speed >= 0:
        raise ValueError(f"speed is {speed}; want a speed of at least 0")
    five = protocol == "5"
    version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, protocol=version, reconnect_on_failure=False)
    line = _Line(client, transport or TransportSettings(), five=five)
    client.max_inflight_messages_set(UNACKNOWLEDGED_MAX)
    client.max_queued_messages_set(UNACKNOWLEDGED_MAX)
    if username:
        client.username_pw_set(username, password)
    try:
        line.connect(host, port)
        return _publish_paced(line, messages, speed if 0 < speed < math.inf else math.inf, five=five)
    finally:
        client.disconnect()


def _publish_paced(line: _Line, messages: Iterable[Message], speed: float, *, five: bool) -> int:
    count = expected = acknowledged = 0
    counting = False

    def on_publish(*_args: object) -> None:
        nonlocal acknowledged
        acknowledged += 1

    begun_s, first_s = time.monotonic(), math.nan
    for message in messages:
        # Without QoS, a message that was written is done with, and the callback would cost more than that.
        if message.qos and not counting:
            line.client.on_publish, counting = on_publish, True
        first_s = message.arrival_s if math.isnan(first_s) else first_s
        line.sleep_until(begun_s + (message.arrival_s - first_s) / speed)
        _send(line, message, _properties(message) if five else None)
        count += 1
        expected += counting
    line.work_until(lambda: acknowledged == expected, "acknowledge the last messages")
    return count


def _properties(message: Message) -> Properties | None:
    if not message.properties and message.expires_s == math.inf:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.properties:
        properties.UserProperty = list(message.properties)
    if message.expires_s != math.inf:
        properties.MessageExpiryInterval = max(round(message.expires_s - message.arrival_s), 0)
    return properties


def _send(line: _Line, message: Message, properties: Properties | None) -> None:
    deadline_s = time.monotonic() + ANSWER_S
    topic, payload, retain = message.topic, message.payload, message.retained

    def publish() -> MQTTErrorCode:
        return line.client.publish(topic, payload, message.qos, retain, properties).rc

    while (code := publish()) == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the broker did not acknowledge within {ANSWER_S:g} s")
        line.work(1.0)
    line.check(code)
    # Without a thread of its own paho writes at once. What the socket did not take waits in the wire.
    if line.wants_write():
        line.work_until(lambda: not line.wants_write(), "take a message")


class _Line:
    """A client and its connection.

    Not paho's `loop`: it opens a pair of sockets to wake itself, and each message then costs a second call of
    the system.
    """

    def __init__(self, client: Client, transport: TransportSettings, *, five: bool) -> None:
        self.client = client
        self._wires = Wires(transport, lambda: Framing(five=five, payload_bytes_max=PAYLOAD_BYTES_MAX))
        client.tls_set_context(self._wires)  # type: ignore[arg-type]  # it asks for `wrap_socket` alone

    def connect(self, host: str, port: int) -> None:
        answers: list[ReasonCode] = []

        def on_connect(
            _client: Client, _data: None, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
        ) -> None:
            answers.append(reason)

        self.client.on_connect = on_connect
        try:
            self.client.connect(host, port)
            self.work_until(lambda: bool(answers), "accept the connection")
        except (OSError, UnicodeError) as error:
            failure = explain_refusal(answers[0]) if answers else self._wires.explain(error)
            raise ConnectionError(f"no connection to the broker at {host}:{port}: {failure.line}") from None

    def sleep_until(self, due_s: float) -> None:
        """Talk to the broker while waiting, so that the connection is kept alive."""
        while (ahead_s := due_s - time.monotonic()) > PACE_S:
            self.work(min(ahead_s, 1.0))

    def work_until(self, fact: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + ANSWER_S
        while not fact():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"the broker did not {what} within {ANSWER_S:g} s")
            self.work(0.1)

    def work(self, timeout_s: float) -> None:
        """Do what there is to do within `timeout_s`."""
        wire = self._wires.newest
        if wire is None or self.client.socket() is None:
            raise ConnectionError(self._lost("closed"))
        writing = [wire] if wire.wants_write() else []
        at_once = wire.unread()
        readable, writable, _ = select.select([wire], writing, [], 0.0 if at_once else timeout_s)
        if readable or at_once:
            wire.read()
            while wire.speaks_to_paho():
                self.check(self.client.loop_read())
        if writable:
            wire.flush()
        self.check(self.client.loop_misc())

    def wants_write(self) -> bool:
        return self._wires.newest is not None and self._wires.newest.wants_write()

    def check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError(self._lost(code.name))

    def _lost(self, how: str) -> str:
        error = self._wires.newest.error if self._wires.newest else None
        return f"the connection to the broker is lost: {error or how}"
