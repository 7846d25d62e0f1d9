"""One connection after the other, with whichever broker we are told to hold it: from CONNECT to its end.

All of paho runs here, on one thread, so no lock matters. paho's own thread is not used: an exception in a
callback kills it silently while `is_connected()` goes on to say True, and its reconnect delay has no jitter.
Nor does paho see the messages, see `wire`.
"""

from __future__ import annotations

import logging
import select
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from threading import Event
from typing import Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from detector.edge.attempts import Attempts
from detector.edge.canary import Canary
from detector.edge.failures import Failure, explain_refusal
from detector.edge.framing import Framing
from detector.edge.inbox import Inbox
from detector.edge.outbox import Outbox
from detector.edge.reception import Reception
from detector.edge.session import build_client, connect_options
from detector.edge.wire import Bell, Wire, Wires
from detector.mqtt_settings import MqttSettings
from detector.settings import SettingsError
from detector.stream.filters import outermost

LOG = logging.getLogger("detector.mqtt")

LOOP_S: Final = 0.2
"""How long the thread sleeps on a silent socket; bounds how long an end waits on a healthy connection."""
ANSWER_S: Final = 30.0
"""How long a broker may take to accept us: longer, and it is as good as away; the next may be there."""
CONNACK: Final = b"\x20"
MISC_S: Final = 1.0
"""How often paho looks after its keep-alive."""
REPLIES_MAX: Final = 1000
"""Messages to publish that may wait for a connection; they answer what has just come, so more are no use."""
PACKETS_MAX: Final = 100
"""Packets that paho reads in one go where it reads alone."""


class Conversation:
    """A client and its connections.

    Args:
        settings: Who we are, what we ask for.
        password: Goes with `settings.username`.
        filters: Topic filters whose messages are wanted. One that another covers is not subscribed to: the
            broker may deliver a message once for each subscription that matches.
        reception: Takes the messages in.
        inbox: Says when nothing may be read.
        bell: Wakes the thread up, for what is to be sent.
        outbox: What is to be published beside replies.

    `stopping` ends a conversation, `deaf` ends its reading, `leaving` lets it read again what the broker says
    of our own messages, and take in nothing; all are set from outside. `blocked` says that messages stay with
    the broker for want of room.
    """

    def __init__(
        self,
        settings: MqttSettings,
        password: str | None,
        filters: Sequence[str],
        reception: Reception,
        inbox: Inbox,
        bell: Bell,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._filters = tuple(outermost(filters))
        self._covered = [text for text in filters if text not in self._filters]
        self._reception = reception
        self._inbox = inbox
        self._bell = bell
        self._canary = Canary(self._filters) if settings.canary else None
        self._where = ""
        self._acknowledged: deque[list[int]] = deque()
        self._replies: deque[tuple[str, bytes]] = deque(maxlen=REPLIES_MAX)
        self._wires = Wires(settings, self._framing)
        self._build = partial(build_client, settings, password, outbox.presence)
        self._client = self._build()
        self._listen()
        self._forgets = False
        self._refusal: Failure | None = None
        self._accepted = False
        self.attempts = Attempts(settings.username)
        self.stopping = Event()
        self.deaf = Event()
        self.leaving = Event()
        self.blocked = False
        self.connects_total = 0
        self.connected = False
        self.subscribed = False

    @property
    def unserved(self) -> tuple[str, ...]:
        """The filters that the broker has granted and does not serve."""
        return self._canary.unserved if self._canary else ()

    def acknowledge(self, packet_ids: list[int]) -> None:
        """Send acknowledgements; from any thread."""
        self._acknowledged.append(packet_ids)
        self._bell.ring()

    def publish(self, replies: Sequence[tuple[str, bytes]]) -> None:
        """Publish topics and payloads with QoS 0, while there is a connection; from any thread."""
        if replies and self.connected:
            self._replies.extend(replies)
            self._bell.ring()

    def hold(self, host: str, port: int) -> None:
        """Connect, and talk until the connection ends, or we are told to. `attempts` has why there was none.

        Raises:
            OSError: The connection broke.
            Exception: paho met something that it cannot parse.
        """
        self._where = f"host={host} port={port}"
        self._wires.newest = None
        self._accepted, self._refusal = False, None
        if self._forgets:  # or paho would send again what has cost us the connection
            self._client, self._forgets = self._build(), False
            self._listen()
        self._reception.begin()
        failure = None
        try:
            self._client.connect(host, port, self._settings.keepalive_s, **connect_options(self._settings))
            self._talk()
        except Exception as error:
            failure = self._wires.explain(error)
            if self._accepted or not isinstance(error, (OSError, UnicodeError, SettingsError)):
                raise
        finally:
            self.connected = self.subscribed = False
            if not self._accepted and not self.stopping.is_set():
                closed = ConnectionError("closed")
                self.attempts.failed(
                    f"{host}:{port}", failure or self._refusal or self._wires.explain(closed)
                )

    def _talk(self) -> None:
        wire = self._wires.newest
        assert wire is not None
        misc_s = heard_s = time.monotonic()
        try:
            while self._client.socket() is not None and not self.stopping.is_set():
                drained = self._wait_and_read(wire)
                self._send(wire)
                now_s = time.monotonic()
                if now_s - misc_s >= MISC_S:
                    misc_s = now_s
                    self._look_after(wire, drained=drained)
                if self._accepted or self.blocked:
                    heard_s = now_s
                elif now_s - heard_s > ANSWER_S:
                    raise TimeoutError("no CONNACK")
        finally:
            self._client.disconnect()
            wire.flush()

    def _wait_and_read(self, wire: Wire) -> bool:
        """Sleep until there is something to do; read. Return whether all that had arrived was read."""
        self.blocked = not self.leaving.is_set() and (self.deaf.is_set() or self._inbox.blocked())
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        writes = select.POLLOUT if wire.wants_write() or self._client.want_write() else 0
        poll.register(wire, writes | (0 if self.blocked else select.POLLIN))
        at_once = wire.unread() and not self.blocked
        events = dict(poll.poll(0 if at_once else LOOP_S * 1000))
        if self._bell.fileno() in events:
            self._bell.silence()
        if self.blocked or not (at_once or events.get(wire.fileno(), 0) & ~select.POLLOUT):
            return not self.blocked
        messages = wire.read()
        if not self._accepted and wire.first[:1] not in (b"", CONNACK):
            raise ConnectionError("no CONNACK")  # paho might wait for the rest of what is no packet
        if messages and not self.leaving.is_set():
            self._acknowledged.append(self._reception.receive(messages))
        self._let_paho_read(wire)
        return not wire.unread()

    def _let_paho_read(self, wire: Wire) -> None:
        for _ in range(PACKETS_MAX):
            if not wire.speaks_to_paho() or self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    def _send(self, wire: Wire) -> None:
        """Send acknowledgements, replies, and what the socket did not take before."""
        while self._acknowledged:
            plain, others = self._reception.current(self._acknowledged.popleft())
            wire.acknowledge(plain)
            for packet_id, qos in others:
                self._client.ack(packet_id, qos)
        while self._replies and self.connected:
            self._client.publish(*self._replies.popleft())
        if self.connected:
            self._outbox.send(self._client)
        if self._client.want_write():
            self._client.loop_write()
        wire.flush()

    def _look_after(self, wire: Wire, *, drained: bool) -> None:
        """Keep the connection alive.

        paho waits for the answer to its ping, which stands behind the backlog where there is one; it is not
        asked until the backlog is read. The broker still wants to hear of us.
        """
        if drained:
            self._client.loop_misc()
        else:
            wire.ping()
        if self._canary and self.subscribed:
            self._canary.watch(self._reception, self._where)

    # What paho tells

    def _listen(self) -> None:
        self._client.tls_set_context(self._wires)  # type: ignore[arg-type]  # paho asks for `wrap_socket` alone
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    def _framing(self) -> Framing:
        return Framing(
            five=self._settings.protocol == "5", payload_bytes_max=self._settings.payload_bytes_max
        )

    def _on_connect(
        self, client: Client, _userdata: None, flags: ConnectFlags, reason: ReasonCode, *_more: object
    ) -> None:
        if reason.is_failure:
            self._refusal = explain_refusal(reason)
            return
        self.connected = self._accepted = True
        self.attempts.succeeded()
        self.connects_total += 1
        kept = " session=resumed" if flags.session_present else ""
        LOG.info("connected %s reconnects_total=%d%s", self._where, self.connects_total - 1, kept)
        if not self.leaving.is_set():
            self._outbox.greet(client)
        if flags.session_present and self._covered:  # by a detector with fewer streams, perhaps
            client.unsubscribe(self._covered)
        # Here and nowhere else, so that every reconnect subscribes anew.
        qos: int = self._settings.qos
        client.subscribe([(text, qos) for text in self._filters])

    def _on_subscribe(
        self, client: Client, _userdata: None, mid: int, reasons: list[ReasonCode], *_more: object
    ) -> None:
        if self._outbox.granted(mid, reasons):
            return
        refused = [
            (text, reason) for text, reason in zip(self._filters, reasons, strict=False) if reason.is_failure
        ]
        for text, reason in refused:
            LOG.error("subscription refused filter=%r reason=%r", text, str(reason))
        self.subscribed = not refused and len(reasons) == len(self._filters)
        if self.subscribed:
            LOG.info("subscribed filters=%s", ",".join(self._filters))
            if self._canary:
                self._canary.send(client, self._reception)

    def _on_disconnect(
        self, _client: Client, _userdata: None, _flags: DisconnectFlags, reason: ReasonCode, *_more: object
    ) -> None:
        if self.connected:
            level = logging.INFO if self.stopping.is_set() else logging.WARNING
            LOG.log(level, "disconnected %s reason=%r", self._where, str(reason))
            if not self.stopping.is_set():
                self._forgets = self._outbox.lost()
                if self._canary and not self._outbox.doubted:
                    self._canary.lost(self._where)
        self.connected = self.subscribed = False

    def _on_message(self, _client: Client, _userdata: None, message: MQTTMessage) -> None:
        """Take what `wire` leaves to paho: QoS 2, and everything over WebSocket."""
        if not self.leaving.is_set():
            self._acknowledged.append(self._reception.receive_from_paho(message))

    def _on_publish(
        self, _client: Client, _userdata: None, mid: int, reason: ReasonCode, *_more: object
    ) -> None:
        self._outbox.acknowledged(mid, reason)
