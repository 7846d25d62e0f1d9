"""MQTT on a raw socket, for benchmarks: PUBLISH packets that are made beforehand and sent in large pieces.

A publisher in Python that makes one packet a message is slower than what it shall measure. A `Train` is one
message of every entity in one block of bytes; from step to step only digits in it change. `Publisher` sends
blocks to a broker; `Stub` is a broker for one subscriber, so that nothing else is in the way.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from detector.stream.nouns import Ints

STEP_S = 10
FIRST_S = 1_760_000_000
"""The data's time of the first step."""
SIGNALS = ("ifHCInOctets", "ifHCOutOctets", "ifInErrors", "ifOutDiscards")
PACKET_IDS = 65_535
"""What can be under way at once with QoS 1."""
STEPS_MAX = 5_000
"""Then the counters have no digit left."""

CONNECT, CONNACK, PUBLISH, PUBACK = 0x10, 0x20, 0x30, 0x40
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 0x80, 0x90, 0xC0, 0xD0, 0xE0
QOS_1, RETAIN = 0x02, 0x01

SYS_INTERVAL = "sys_interval 1"
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"

_DIGITS = (12, 12, 9, 9, 10)  # of each signal, and of the time
_FIRST = np.array([10**11, 10**11, 10**8, 10**8])
_RATES = np.array([1_250_000, 830_000, 1, 2])
_PAYLOAD = (
    '{{"fields":{{"ifHCInOctets":{0},"ifHCOutOctets":{1},"ifInErrors":{2},"ifOutDiscards":{3}}},'
    '"name":"interface","tags":{{"agent_host":"10.20.{device}.1","host":"telegraf-1",'
    '"ifAlias":"to spine{spine} Ethernet{interface}","ifIndex":"{interface}",'
    '"ifName":"Ethernet{interface}"}},"timestamp":{4}}}'
)
"""What `inputs.snmp` of Telegraf publishes for an interface."""


def packet(head: int, body: bytes) -> bytes:
    """Return one MQTT control packet of a type with its flags, and of a body."""
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((head,)) + bytes(digits) + body


def text(words: str) -> bytes:
    """Return a string as MQTT writes it."""
    encoded = words.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def publish(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """Return a PUBLISH packet of MQTT 3.1.1 with QoS 0."""
    return packet(PUBLISH | (RETAIN if retain else 0), text(topic) + payload)


class Train:
    """One message of every interface of a fabric, in the order of the devices, as one block of bytes.

    Args:
        site: The first level of the topics.
        devices: How many; at most 250.
        interfaces: Of each device.
        qos: 0 or 1.
        five: As MQTT 5 writes it: with properties, none.
    """

    def __init__(self, site: str, devices: int, interfaces: int, *, qos: int = 0, five: bool = False) -> None:
        self.messages = devices * interfaces
        self.filter = f"{site}/+/interface"
        parts, id_at, digits_at, start = [], [], [], 0
        for device in range(1, devices + 1):
            for interface in range(1, interfaces + 1):
                topic, payload = f"{site}/leaf{device:03}/interface", _payload(device, interface)
                head = text(topic) + bytes(2 if qos else 0) + bytes(1 if five else 0)
                whole = packet(PUBLISH | (QOS_1 if qos else 0), head + payload)
                payload_at = start + len(whole) - len(payload)
                id_at.append(payload_at - (1 if five else 0) - 2)
                digits_at.append([payload_at + at for at in _digits_at(payload)])
                parts.append(whole)
                start += len(whole)
        self._block = np.frombuffer(bytearray(b"".join(parts)), np.uint8)
        self._id_at: Ints | None = np.array(id_at) if qos else None
        self._digits_at = np.array(digits_at)
        message = np.arange(self.messages)
        # In whole seconds over the step, in the order in which they are sent, as agents poll one by one.
        self._second = 1 + message * STEP_S // self.messages
        self._factor = 1 + message % 97
        self.steps = 0

    @property
    def sent(self) -> int:
        """How many messages its blocks have had."""
        return self.steps * self.messages

    def block(self) -> bytes:
        """Return the messages of the next step."""
        assert self.steps < STEPS_MAX
        growth = self._factor[:, None] * self.steps * _RATES
        numbers = [*(_FIRST + growth).T, FIRST_S + self.steps * STEP_S + self._second]
        for at, number, width in zip(self._digits_at.T, numbers, _DIGITS, strict=True):
            _write_digits(self._block, at, number, width)
        if self._id_at is not None:
            packet_id = (self.sent + np.arange(self.messages)) % PACKET_IDS + 1
            self._block[self._id_at] = packet_id >> 8
            self._block[self._id_at + 1] = packet_id & 0xFF
        self.steps += 1
        return self._block.tobytes()


def _payload(device: int, interface: int) -> bytes:
    zeros = ("0" * width for width in _DIGITS)
    return _PAYLOAD.format(*zeros, device=device, interface=interface, spine=1 + interface % 4).encode()


def _digits_at(payload: bytes) -> Iterator[int]:
    at = 0
    for name in (*SIGNALS, "timestamp"):
        at = payload.index(b'"%s":' % name.encode(), at) + len(name) + 3
        yield at


def _write_digits(block: NDArray[np.uint8], at: Ints, number: Ints, width: int) -> None:
    for place in range(width - 1, -1, -1):
        number, digit = np.divmod(number, 10)
        block[at + place] = digit + ord("0")


class Link:
    """A connection that reads while it writes, so that neither side waits for the other for ever."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self._socket = peer
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        self.acknowledged = 0

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def send(self, block: bytes) -> None:
        """Send, and return when the kernel has it all."""
        self._out.append(memoryview(block))
        self.wait_for(lambda: not self._out)

    def attend(self, seconds: float) -> None:
        """Answer what comes in so many seconds."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._turn(left_s)

    def wait_for(self, fact: Callable[[], bool], timeout_s: float = 120.0) -> None:
        """Read and write until a fact holds."""
        deadline_s = time.monotonic() + timeout_s
        while not fact():
            assert time.monotonic() < deadline_s, f"nothing of that within {timeout_s:g} s"
            self._turn(0.1)

    def _turn(self, wait_s: float) -> None:
        writing = [self._socket] if self._out else []
        readable, writable, _ = select.select([self._socket], writing, [], wait_s)
        if readable:
            piece = self._socket.recv(1 << 18)
            assert piece, "the other side hung up"
            self._in += piece
            self._read()
        if writable and self._out:
            written = self._socket.send(self._out[0][: 1 << 20])
            self._out[0] = self._out[0][written:]
            if not self._out[0]:
                self._out.popleft()

    def _read(self) -> None:
        start = 0
        while (found := _split(self._in, start)) is not None:
            body_at, end = found
            self._take(self._in[start] & 0xF0, self._in[body_at:end])
            start = end
        del self._in[:start]

    def _take(self, kind: int, body: bytearray) -> None:
        raise NotImplementedError


def _split(buffer: bytearray, start: int) -> tuple[int, int] | None:
    """Return where the body of the packet at `start` begins and ends; None while it is not all there."""
    length, shift = 0, 0
    for at in range(start + 1, len(buffer)):
        length |= (buffer[at] & 0x7F) << shift
        shift += 7
        if not buffer[at] & 0x80:
            return (at + 1, at + 1 + length) if at + 1 + length <= len(buffer) else None
    return None


class Publisher(Link):
    """A client of MQTT 3.1.1 that publishes blocks, to a mosquitto with `SYS_INTERVAL`."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.create_connection(("127.0.0.1", port)))
        self._answers = 0
        self._dropped = 0
        self.send(packet(CONNECT, text("MQTT") + bytes((4, 0x02, 0, 0)) + text("benchmark")))
        self._await_answer()
        self.send(packet(SUBSCRIBE | 0x02, bytes((0, 1)) + text(DROPPED_TOPIC) + b"\0"))

    def barrier(self) -> None:
        """Return when the broker has taken in all that was sent: it answers in order."""
        self.send(packet(PINGREQ, b""))
        self._await_answer()

    def dropped(self) -> int:
        """Return how many messages the broker has dropped, as it says where that has changed."""
        self.attend(2.0)
        return self._dropped

    def _await_answer(self) -> None:
        expected = self._answers + 1
        self.wait_for(lambda: self._answers == expected)

    def _take(self, kind: int, body: bytearray) -> None:
        if kind in (CONNACK, PINGRESP):
            self._answers += 1
        elif kind == PUBACK:
            self.acknowledged += 1
        elif kind == PUBLISH:
            self._dropped = int(body[2 + len(DROPPED_TOPIC) :])


class Stub(Link):
    """The broker's side for one subscriber: it grants everything, answers pings and sends what it is given.

    `subscribed` becomes true with the first subscription. What the subscriber itself publishes comes back to
    it, as it would under its own subscription.
    """

    def __init__(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        super().__init__(peer)
        self._five = False
        self.subscribed = False

    def _take(self, kind: int, body: bytearray) -> None:
        if kind == CONNECT:
            self._five = body[6] == 5  # after the name of the protocol
            self._answer(CONNACK, bytes((0, 0, 0) if self._five else (0, 0)))
        elif kind == SUBSCRIBE:
            granted = bytes(self._asked(body))
            self._answer(SUBACK, bytes(body[:2]) + (b"\0" if self._five else b"") + granted)
            self.subscribed = True
        elif kind == PUBLISH:
            self._answer(PUBLISH, bytes(body))
        elif kind == PINGREQ:
            self._answer(PINGRESP, b"")
        elif kind == PUBACK:
            self.acknowledged += 1

    def _answer(self, head: int, body: bytes) -> None:
        self._out.append(memoryview(packet(head, body)))

    def _asked(self, body: bytearray) -> Iterator[int]:
        """Yield the QoS that is asked for, filter by filter."""
        at = 3 + body[2] if self._five else 2
        while at < len(body):
            at += 2 + int.from_bytes(body[at : at + 2], "big") + 1
            yield body[at - 1] & 0x03
