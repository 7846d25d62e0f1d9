"""Who we are to a broker: the client, what it asks for when it connects, when it calls again."""

from __future__ import annotations

import random
import secrets
import socket
from typing import Any, Final, NamedTuple

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from detector.mqtt_settings import MqttSettings

CONNECT_S: Final = 5.0
"""How long the other side may take for TCP, and as long again for TLS and for WebSocket."""
RECONNECT_FIRST_S: Final = 1.0
"""The back-off before the second attempt is drawn from 0 to this, then doubles up to `reconnect_max_s`."""


class Presence(NamedTuple):
    """Where it is published, retained, that we are online, and, also by our last will, that we are not."""

    topic: str
    online: bytes
    offline: bytes
    qos: int


def build_client(settings: MqttSettings, password: str | None, presence: Presence | None = None) -> Client:
    """Return the client of the settings; one for all connections, for it keeps the state of QoS 1 and 2."""
    five = settings.protocol == "5"
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id or _client_id(),
        clean_session=None if five else not settings.persistent,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_S
    if settings.username:
        client.username_pw_set(settings.username, password)
    if presence:
        client.will_set(presence.topic, presence.offline, presence.qos, retain=True)
    return client


def connect_options(settings: MqttSettings) -> dict[str, Any]:
    """Return what MQTT 5 says when it connects: how long the session is kept, how much may be under way."""
    if settings.protocol != "5":
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = settings.receive_max
    if settings.persistent:
        properties.SessionExpiryInterval = settings.session_s
    return {"clean_start": not settings.persistent, "properties": properties}


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
