"""Any cut of any byte stream gives the same messages, and they are those that paho reads."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from detector.edge.framing import PREFIX_BYTES, Framing, parse_properties

PINGRESP, SUBACK = b"\xd0\x00", b"\x90\x03\x00\x01\x00"


def length(value):
    data = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        data.append(low | (0x80 if value else 0))
        if not value:
            return bytes(data)


def packet(topic, payload, qos=0, packet_id=7, flags=0, properties=None):
    body = len(topic).to_bytes(2, "big") + topic + (packet_id.to_bytes(2, "big") if qos else b"")
    body += b"" if properties is None else length(len(properties)) + properties
    body += payload
    return bytes([0x30 | qos << 1 | flags]) + length(len(body)) + body


def split(data, cuts, *, five=False, limit=1 << 20):
    framing = Framing(five=five, payload_bytes_max=limit)
    messages, others, at = [], b"", 0
    for cut in [*sorted(cuts), len(data)]:
        found, other = framing.split(data[at : max(at, cut)])
        messages += found
        others += other
        at = max(at, cut)
    return messages, others


class Feed:
    """A socket that holds some bytes."""

    def __init__(self, data):
        self.data = data

    def recv(self, count):
        if not self.data:
            raise BlockingIOError
        data, self.data = self.data[:count], self.data[count:]
        return data

    def __getattr__(self, _name):
        return lambda *_args: 0


def read_by_paho(data, *, five=False):
    """What paho makes of the same bytes, one packet at a time."""
    protocol = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, protocol=protocol, manual_ack=True)
    messages = []
    client.on_message = lambda _client, _data, message: messages.append(message)
    client._sock = feed = Feed(data)
    while feed.data:
        client.loop_read()
    client._sock = None
    return messages


topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)
properties = st.builds(
    lambda user, expiry, subscription: (
        b"".join(b"\x26" + len(k).to_bytes(2, "big") + k + len(v).to_bytes(2, "big") + v for k, v in user)
        + (b"" if expiry is None else b"\x02" + expiry.to_bytes(4, "big"))
        + (b"" if subscription is None else b"\x0b" + length(subscription))
    ),
    st.lists(
        st.tuples(st.sampled_from([b"site", b"rack"]), st.sampled_from([b"", b"ber", b"x" * 200])), max_size=3
    ),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.integers(1, 268_435_455),
)


@st.composite
def streams(draw, five):
    parts = []
    for _ in range(draw(st.integers(0, 8))):
        if draw(st.integers(0, 5)) == 0:
            parts.append(draw(st.sampled_from([PINGRESP] if five else [PINGRESP, SUBACK])))
            continue
        qos = draw(st.integers(0, 1))
        parts.append(
            packet(
                draw(topics).encode(),
                draw(st.binary(max_size=300)),
                qos,
                draw(st.integers(1, 65535)),
                draw(st.sampled_from([0, 1, 8, 9] if qos else [0, 1])),
                draw(properties) if five else None,
            )
        )
    return parts


@pytest.mark.parametrize("five", [False, True])
@given(st.data())
def test_any_cut_gives_what_paho_reads(five, data):
    parts = data.draw(streams(five))
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    messages, others = split(stream, cuts, five=five)
    assert others == b"".join(part for part in parts if part[0] & 0xF0 != 0x30)
    theirs = read_by_paho(b"".join(part for part in parts if part[0] & 0xF0 == 0x30), five=five)
    assert len(messages) == len(theirs)
    for ours, other in zip(messages, theirs, strict=True):
        assert (ours.topic.decode(), ours.payload, ours.payload_bytes) == (
            other.topic,
            bytes(other.payload),
            len(other.payload),
        )
        assert (ours.flags & 1, ours.flags >> 3 & 1, ours.flags >> 1 & 3) == (
            other.retain,
            other.dup,
            other.qos,
        )
        assert not other.qos or ours.packet_id == other.mid
        if five:
            parsed = parse_properties(ours.properties)
            assert parsed.user == tuple(getattr(other.properties, "UserProperty", ()))
            assert parsed.expiry_s == getattr(other.properties, "MessageExpiryInterval", inf)


@pytest.mark.parametrize("five", [False, True])
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_are_cut_and_nothing_is_raised(five, data, cuts):
    whole = split(data, [], five=five)
    assert split(data, cuts, five=five) == whole


@given(st.binary(max_size=60))
def test_any_properties_are_parsed_or_malformed(data):
    assert parse_properties(data) is None or parse_properties(data).expiry_s >= 0


def test_properties_of_paho_are_read():
    given_ = PahoProperties(PacketTypes.PUBLISH)
    given_.UserProperty = [("site", "ber"), ("rack", "7")]
    given_.MessageExpiryInterval = 30
    given_.ContentType = "json"
    given_.ResponseTopic = "answer"
    given_.CorrelationData = b"\x00\x01"
    given_.PayloadFormatIndicator = 1
    data = given_.pack()[1:]
    assert parse_properties(data) == (30.0, (("site", "ber"), ("rack", "7")))


@given(st.lists(st.integers(0, 30_000), max_size=6), st.sampled_from([0, 1]))
def test_of_what_is_too_large_only_the_beginning_is_kept(cuts, qos):
    ahead, behind = packet(b"a", b"ahead"), packet(b"a", b"behind")
    large = packet(b"net/a", b"x" * 100_000, qos)
    messages, _ = split(ahead + large + behind, cuts, limit=1000)
    assert [message.payload_bytes for message in messages] == [5, 100_000, 6]
    assert messages[1].payload == b"x" * PREFIX_BYTES or len(messages[1].payload) >= 900
    assert messages[1].packet_id == (7 if qos else 0)


def test_a_flood_of_one_large_packet_holds_little_memory():
    framing = Framing(five=False, payload_bytes_max=1000)
    head = packet(b"net/a", b"")[:1] + length(200_000_000) + b"\x00\x05net/a"
    framing.split(head)
    for _ in range(100):
        assert framing.split(b"x" * 100_000)[1] == b""
        assert len(framing._rest) <= 200_000


def test_qos_2_and_what_has_no_topic_is_left_to_paho():
    for data in (packet(b"a", b"1", qos=2), packet(b"", b"1"), b"\x36\x05\x00\x01a\x00\x01"):
        assert split(data, []) == ([], data)
