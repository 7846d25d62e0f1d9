"""Publish messages at the pace of their times; for replays and for a live simulation.

One thread does it all, and paho never holds more than one message that is not on the wire (with QoS 1 and 2,
not acknowledged: a thousand). A slow broker slows the publisher down, and nothing grows.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from detector.stream.nouns import Message

PACE_S: Final = 0.02
"""Messages that are due within this go out at once. Sleeping for each would cost more than sending it."""
UNACKNOWLEDGED_MAX: Final = 1000
"""With QoS 1 and 2, how many messages may wait for the broker's word."""
ANSWER_S: Final = 30.0
"""How long a broker may take to accept the connection, or to acknowledge the next message."""

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
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
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
        tls: None for a connection without.
        server_name: What the broker's certificate has to be for; empty: the host.
        speed: 60 publishes an hour in a minute; 0 and infinity, as fast as the broker takes it.

    Raises:
        ValueError: The speed is not one.
        OSError: The broker cannot be reached, refuses, or leaves (ConnectionError).
    """
    if not speed >= 0:
        raise ValueError(f"speed is {speed}; want a speed of at least 0")
    five = protocol == "5"
    version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, protocol=version, reconnect_on_failure=False)
    client.max_inflight_messages_set(UNACKNOWLEDGED_MAX)
    client.max_queued_messages_set(UNACKNOWLEDGED_MAX)
    if username:
        client.username_pw_set(username, password)
    if tls is not None:
        client.tls_set_context(_Tls(tls, server_name))  # type: ignore[arg-type]  # it asks for `wrap_socket` alone
    try:
        _connect(client, host, port)
        return _publish_paced(client, messages, speed if 0 < speed < math.inf else math.inf, five=five)
    finally:
        client.disconnect()


class _Tls:
    """A context that asks for the certificate of a name, which need not be the host's."""

    check_hostname = True  # the context does; this keeps paho from doing the same again

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._context = context
        self._server_name = server_name

    def wrap_socket(
        self, sock: socket.socket, server_hostname: str, *, do_handshake_on_connect: bool
    ) -> ssl.SSLSocket:
        name = self._server_name or server_hostname
        return self._context.wrap_socket(
            sock, server_hostname=name, do_handshake_on_connect=do_handshake_on_connect
        )


def _publish_paced(client: Client, messages: Iterable[Message], speed: float, *, five: bool) -> int:
    count = expected = acknowledged = 0
    counting = False

    def on_publish(*_args: object) -> None:
        nonlocal acknowledged
        acknowledged += 1

    begun_s, first_s = time.monotonic(), math.nan
    for message in messages:
        # Without QoS, a message that was written is done with, and the callback would cost more than that.
        if message.qos and not counting:
            client.on_publish, counting = on_publish, True
        first_s = message.arrival_s if math.isnan(first_s) else first_s
        _sleep_until(client, begun_s + (message.arrival_s - first_s) / speed)
        _send(client, message, _properties(message) if five else None)
        count += 1
        expected += counting
    _loop_until(client, lambda: acknowledged == expected, "acknowledge the last messages")
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


def _sleep_until(client: Client, due_s: float) -> None:
    """Talk to the broker while waiting, so that the connection is kept alive."""
    while (ahead_s := due_s - time.monotonic()) > PACE_S:
        _loop(client, min(ahead_s, 1.0))


def _send(client: Client, message: Message, properties: Properties | None) -> None:
    deadline_s = time.monotonic() + ANSWER_S
    topic, payload, retain = message.topic, message.payload, message.retained

    def publish() -> MQTTErrorCode:
        return client.publish(topic, payload, message.qos, retain, properties).rc

    while (code := publish()) == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the broker did not acknowledge within {ANSWER_S:g} s")
        _loop(client, 1.0)
    _check(code)
    # Without a thread of its own paho writes at once. What the socket did not take waits here.
    if client.want_write():
        _loop_until(client, lambda: not client.want_write(), "take a message")


def _connect(client: Client, host: str, port: int) -> None:
    answers: list[ReasonCode] = []

    def on_connect(
        _client: Client, _userdata: None, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        answers.append(reason)
        if reason.is_failure:
            raise ConnectionRefusedError(f"the broker at {host}:{port} refuses: {reason}")

    client.on_connect = on_connect
    try:
        client.connect(host, port)
    except OSError as error:
        raise ConnectionError(
            f"the broker at {host}:{port} cannot be reached: {error}; is it running, and do mqtt.host and "
            "mqtt.port say where?"
        ) from None
    _loop_until(client, lambda: bool(answers), "accept the connection")


def _loop_until(client: Client, fact: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + ANSWER_S
    while not fact():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the broker did not {what} within {ANSWER_S:g} s")
        _loop(client, 0.1)


def _loop(client: Client, timeout_s: float) -> None:
    """Do what there is to do within `timeout_s`.

    Not with `client.loop`: it opens a pair of sockets to wake itself, and each message then costs a second
    system call.
    """
    connection = client.socket()
    if connection is None:
        raise ConnectionError("the connection to the broker is lost")
    writing = [connection] if client.want_write() else []
    # What TLS has taken off the socket, select does not see.
    unread = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
    readable, writable, _ = select.select([connection], writing, [], 0.0 if unread else timeout_s)
    if readable or unread:
        _check(client.loop_read())
    if writable:
        _check(client.loop_write())
    _check(client.loop_misc())


def _check(code: MQTTErrorCode) -> None:
    if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
        raise ConnectionError(f"the connection to the broker is lost: {code.name}")
