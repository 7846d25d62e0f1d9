"""Whatever the format: what tells of restarts, and of the speed of a line, is read beside the signals."""

import pytest

from detector.stream.decode import FORMATS, decoder
from detector.stream.definition import Definition, Layout, Signal, Witness
from detector.stream.nouns import Batch, Message

ARRIVAL_S = 1_760_000_000.5
OCTETS = Signal("octets", kind="counter", rate_max_field="speed")
PAYLOADS = {
    "json": ("t/r1", b'{"octets":5,"boot":"%s","speed":1000}'),
    "telegraf-json": ("t/r1", b'{"name":"m","tags":{},"fields":{"octets":5,"boot":"%s","speed":1000}}'),
    "influx": ("t/r1", b'm,device=r1 octets=5i,boot="%s",speed=1000i'),
    "openconfig": (
        "t/r1",
        b'{"name":"s","tags":{},"values":{"/a/octets":5,"/a/boot":"%s","/a/speed":"1000"}}',
    ),
    "csv": ("t/r1", b"octets,boot,speed\n5,%s,1000"),
    "senml": ("t/r1", b'[{"bn":"r1/","n":"octets","v":5},{"n":"boot","vs":"%s"},{"n":"speed","v":1000}]'),
}
"""Formats that have all of a record in a message, and text."""


def columns(stream, *messages):
    """Return what messages (topic, payload) give, by column."""
    reader, batch = decoder(stream), Batch()
    for topic, payload in messages:
        labels = reader.template.match(topic)
        assert reader.decode(Message(topic, payload, ARRIVAL_S), labels, batch) is None, payload
    assert set(batch.entities) == {("r1",)}
    return dict(zip(batch.signal, batch.value, strict=True))


def stream(name, topic="t/{device}", *witnesses, octets=OCTETS):
    return Definition("x", ("device",), (octets,), 10.0, 60, topic, name, Layout(), witnesses)


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_boot_id_is_text_in_a_record_of_its_entity(name):
    told = stream(name, "t/{device}", Witness("boot", "boot_id"))
    topic, payload = PAYLOADS[name]
    one, same, other = (columns(told, (topic, payload % boot)) for boot in (b"8f1c", b"8f1c", b"8f1d"))
    assert (one[0], one[2]) == (5, 1000)
    assert one[1] == same[1] != other[1]


@pytest.mark.parametrize("name", ["value", "homie", "collectd", "prometheus"])
def test_a_witness_may_come_in_a_message_of_its_own(name):
    told = stream(name, "t/{device}/{signal}", Witness("up", "uptime"))
    messages = [("t/r1/octets", b"5"), ("t/r1/up", b"7"), ("t/r1/speed", b"1000")]
    if name == "homie":
        told = stream(name, "homie/#", Witness("up", "uptime"))
        messages = [("homie/r1/n/octets", b"5"), ("homie/r1/n/up", b"PT7S"), ("homie/r1/n/speed", b"1000")]
    if name == "collectd":
        octets = Signal("octets", "counter", field="if_octets.rx", rate_max_field="speed")
        told = stream(name, "collectd/{device}/+/+", Witness("uptime", "uptime"), octets=octets)
        messages = [
            ("collectd/r1/interface-e0/if_octets", b"N:5:6\0"),
            ("collectd/r1/uptime/uptime", b"N:7\0"),
            ("collectd/r1/link/speed", b"N:1000\0"),
        ]
    if name == "prometheus":
        told = stream(name, "t/{device}", Witness("up", "uptime"))
        messages = [("t/r1", b"octets 5\nspeed 1000\n"), ("t/r1", b"up 7\n")]
    assert columns(told, *messages) == {0: 5, 1: 7, 2: 1000}


def test_every_format_is_tried():
    """Sparkplug reads its records as these do, by the names of a birth; auto is one of the others."""
    assert {*PAYLOADS, "value", "homie", "collectd", "prometheus"} == set(FORMATS) - {"sparkplug", "auto"}
