"""The byte stream of MQTT, split in bulk: the PUBLISH packets for us, all other packets for paho.

paho takes three or four system calls and some ten microseconds of Python for a packet, a hundred times what
there is to do for a short message. Here a read of many packets is cut in one pass. Only what is common
and plain is taken: PUBLISH with QoS 0 or 1 and a topic. Everything else, and everything that is malformed, is
paho's as it came: it keeps the state of QoS 2 and knows what to answer to a broker that breaks the rules.

Packets as of MQTT 3.1.1 section 3.3 and MQTT 5 section 3.3.
"""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple

READ_BYTES: Final = 1 << 18
"""How much is read at once: a thousand messages of a usual size, and a millisecond's work."""
PREFIX_BYTES: Final = 1024
"""What is kept of a payload that is too large: enough to show what it was."""

_PUBLISH: Final = 0x30
_LENGTH_BYTES_MAX: Final = 4
_TOPIC_BYTES_MAX: Final = 65_535


class Publish(NamedTuple):
    """One PUBLISH packet. Of a payload of more than the limit, only the beginning is here.

    `flags` is the first byte of the packet. `properties` are as they came, empty before MQTT 5.
    `payload_bytes` is how long the payload is.
    """

    flags: int
    topic: bytes
    packet_id: int
    properties: bytes
    payload: bytes
    payload_bytes: int


class Framing:
    """Splits the bytes of one connection.

    Args:
        five: The connection speaks MQTT 5, where a PUBLISH has properties.
        payload_bytes_max: A packet that is longer than this and its topic is not kept, only its beginning.
    """

    def __init__(self, *, five: bool, payload_bytes_max: int) -> None:
        self._five = five
        self._packet_bytes_max = payload_bytes_max + _TOPIC_BYTES_MAX
        self._rest = b""
        self._skip = 0
        self._given_up = False

    def split(self, data: bytes) -> tuple[list[Publish], bytes]:
        """Take bytes in; return the messages that are complete now, and the packets for paho, if any."""
        if self._given_up:
            return [], data
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        buffer = self._rest + data if self._rest else data
        messages: list[Publish] = []
        others: list[bytes] = []
        at = self._cut(buffer, messages, others)
        self._rest = buffer[at:]
        return messages, b"".join(others)

    def _cut(self, buffer: bytes, messages: list[Publish], others: list[bytes]) -> int:
        """Cut whole packets off the buffer; return where the first incomplete one begins."""
        at, size, five = 0, len(buffer), self._five
        new, add = tuple.__new__, messages.append  # half the time of `Publish(...)`
        while size - at >= 2:  # noqa: PLR2004 -- the shortest packet
            flags, length, body = buffer[at], buffer[at + 1], at + 2
            if length > 127:  # noqa: PLR2004 -- the length goes on in the next byte
                length, body = _length(buffer, at + 1)
                if length < 0:
                    return self._give_up(buffer, at, others) if size - at > _LENGTH_BYTES_MAX else at
            end = body + length
            if end > size:
                return self._begin(buffer, at, body, end, messages)
            if flags & 0xF6 == _PUBLISH and not five and length > 2:  # noqa: PLR2004 -- plain QoS 0
                topic = body + 2
                payload = topic + (buffer[body] << 8 | buffer[body + 1])
                if topic < payload <= end:
                    add(
                        new(
                            Publish,
                            (flags, buffer[topic:payload], 0, b"", buffer[payload:end], end - payload),
                        )
                    )
                    at = end
                    continue
            message = _parse(flags, buffer[body:end], five=five) if flags & 0xF4 == _PUBLISH else None
            if message is None:
                others.append(buffer[at:end])
            else:
                add(message)
            at = end
        return at

    def _begin(self, buffer: bytes, at: int, body: int, end: int, messages: list[Publish]) -> int:
        """Decide about a packet that is not complete: wait for the rest of it, or keep its beginning only."""
        flags = buffer[at]
        known = len(buffer) - body
        if flags & 0xF4 != _PUBLISH or end - body <= self._packet_bytes_max or known < PREFIX_BYTES:
            return at
        message = _parse(flags, buffer[body:], five=False)
        if message is None:  # the topic is not complete
            return at
        size = end - body - (len(buffer) - body - message.payload_bytes)
        messages.append(message._replace(payload=message.payload[:PREFIX_BYTES], payload_bytes=size))
        self._skip = end - len(buffer)
        return len(buffer)

    def _give_up(self, buffer: bytes, at: int, others: list[bytes]) -> int:
        """The stream cannot be cut any more: let paho say so, and end the connection."""
        self._given_up = True
        others.append(buffer[at:])
        return len(buffer)


def _length(buffer: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer and where it ends; -1 where it is incomplete or too long."""
    value = 0
    for index, byte in enumerate(buffer[at : at + _LENGTH_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 -- the last one has no continuation bit
            return value, at + index + 1
    return -1, at


def _parse(flags: int, body: bytes, *, five: bool) -> Publish | None:
    """Return a PUBLISH of QoS 0 or 1, None where it is malformed or has no topic."""
    topic_end = 2 + int.from_bytes(body[:2], "big")
    at = topic_end
    packet_id = 0
    if flags & 0x02:
        packet_id = int.from_bytes(body[at : at + 2], "big")
        at += 2
    if topic_end == 2 or at > len(body):  # noqa: PLR2004 -- no topic: of MQTT 5, an alias that we never allow
        return None
    properties = b""
    if five:
        length, begin = _length(body, at)
        at = begin + length
        if length < 0 or at > len(body):
            return None
        properties = body[begin:at]
    return Publish(flags, body[2:topic_end], packet_id, properties, body[at:], len(body) - at)


_PROPERTY_BYTES: Final = {0x01: 1, 0x02: 4, 0x23: 2}
_PROPERTY_EXPIRY: Final = 0x02
_PROPERTY_TEXTS: Final = {0x03: 1, 0x08: 1, 0x09: 1, 0x26: 2}
_PROPERTY_USER: Final = 0x26
_PROPERTY_SUBSCRIPTION: Final = 0x0B


class Properties(NamedTuple):
    """What is of use in the properties of a message: how long it is good for, and its user properties."""

    expiry_s: float = inf
    user: tuple[tuple[str, str], ...] = ()


def properties_of(given: object) -> Properties:
    """Return the properties of a message that paho has read."""
    expiry_s = getattr(given, "MessageExpiryInterval", inf)
    return Properties(float(expiry_s), tuple(getattr(given, "UserProperty", ())))


def parse_properties(data: bytes) -> Properties | None:
    """Return the properties of a PUBLISH of MQTT 5, None where they are malformed."""
    at, expiry_s = 0, inf
    user: list[tuple[str, str]] = []
    while at < len(data):
        kind = data[at]
        at += 1
        if kind in _PROPERTY_BYTES:
            if kind == _PROPERTY_EXPIRY:
                expiry_s = float(int.from_bytes(data[at : at + 4], "big"))
            at += _PROPERTY_BYTES[kind]
        elif kind in _PROPERTY_TEXTS:
            texts = []
            for _ in range(_PROPERTY_TEXTS[kind]):
                begin = at + 2
                at = begin + int.from_bytes(data[at:begin], "big")
                texts.append(data[begin:at].decode("utf-8", "replace"))
            if kind == _PROPERTY_USER:
                user.append((texts[0], texts[1]))
        elif kind == _PROPERTY_SUBSCRIPTION:
            length, at = _length(data, at)
            if length < 0:
                return None
        else:
            return None
    return Properties(expiry_s, tuple(user)) if at == len(data) else None
