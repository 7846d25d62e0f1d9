"""Format `homie`: topics and payloads of versions 3, 4 and 5 of the convention."""

import json
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message, State
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams

ARRIVAL_S = 1_760_000_003.5
ROOMS = Definition(
    "rooms",
    ("device", "node"),
    (
        Signal("temperature"),
        Signal("heating", words=(("on", 1.0), ("off", 0.0))),
        Signal("battery", field="power/level"),
        Signal("uptime"),
    ),
    10.0,
    60,
    "homie/#",
    "homie",
)


class Host:
    def __init__(self, definition=ROOMS):
        self.reader = decoder(definition)
        self.batch = Batch()

    def hear(self, topic, payload):
        """Decode a message into a batch of its own."""
        self.batch = Batch()
        text = payload if isinstance(payload, bytes) else payload.encode()
        return self.reader.decode(
            Message(topic, text, ARRIVAL_S), self.reader.template.match(topic), self.batch
        )

    @property
    def gone(self):
        assert all(count == 0 for count, _ in self.batch.silenced)
        return [labels for _, labels in self.batch.silenced]


@pytest.mark.parametrize("base", ["homie", "homie/5"])
@pytest.mark.parametrize(
    ("name", "payload", "signal", "value"),
    [
        ("climate/temperature", "21.5", 0, 21.5),
        ("climate/temperature", "-3", 0, -3.0),
        ("climate/heating", "true", 1, 1.0),
        ("climate/heating", "false", 1, 0.0),
        ("climate/heating", "on", 1, 1.0),
        ("climate/heating", "off\0", 1, 0.0),
        ("power/level", "99", 2, 99.0),
        ("system/uptime", "PT12H5M46S", 3, 43_546.0),
        ("system/uptime", "PT1.5S", 3, 1.5),
        ("system/uptime", "P2DT1M", 3, 172_860.0),
        ("system/uptime", "PT0S", 3, 0.0),
    ],
)
def test_a_property_is_one_sample_at_its_arrival(base, name, payload, signal, value):
    host = Host()
    assert host.hear(f"{base}/room-1/{name}", payload) is None
    assert host.batch == Batch([("room-1", name.split("/")[0])], [ARRIVAL_S], [0], [signal], [value])


@pytest.mark.parametrize(
    ("payload", "reason", "counted"),
    [
        (b"", Drop.PAYLOAD_EMPTY, {}),
        (b"\0", Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1}),  # the empty text of version 5
        (b"255,255,0", Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1}),
        (b"2025-10-09T08:53:20Z", Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1}),
        (b"P", Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1}),
        (b"PT", Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1}),
        (b"P1Y", Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1}),
        (b"nan", Drop.NO_SIGNAL, {Drop.NOT_FINITE: 1}),
        (b"PT" + b"9" * 400 + b"S", Drop.NO_SIGNAL, {Drop.NOT_FINITE: 1}),
        (b"\xff", Drop.NOT_UTF8, {}),
        (b"1" * 513, Drop.WRONG_SHAPE, {}),
    ],
)
def test_what_is_no_value_is_refused(payload, reason, counted):
    host = Host()
    assert host.hear("homie/room-1/climate/temperature", payload) is reason
    assert host.batch == Batch(dropped=host.batch.dropped)
    assert host.batch.dropped == counted


@pytest.mark.parametrize(
    "name",
    [
        "$homie", "$name", "$nodes", "$stats/uptime", "$fw/name", "$implementation/config", "climate/$name",
        "climate/$properties", "climate/temperature/$datatype", "climate/temperature/$unit",
        "climate/temperature/set", "climate/temperature/$target", "$log/warn", "$alert/battery", "climate",
        "climate/humidity", "climate/level",
    ],
)  # fmt: skip
@pytest.mark.parametrize("base", ["homie", "homie/5"])
def test_attributes_commands_and_other_properties_are_no_samples(base, name):
    host = Host()
    assert host.hear(f"{base}/room-1/{name}", "21.5") is Drop.NO_SIGNAL
    assert host.batch == Batch()


@pytest.mark.parametrize(
    "topic",
    [
        "homie/$broadcast/alert",
        "homie/5/$broadcast/alert",
        "homie",
        "homie/5",
        "homie/5/x",
        "homie/x/temperature",
    ],
)
def test_what_is_no_device_is_no_sample(topic):
    assert Host().hear(topic, "1") is Drop.NO_SIGNAL


# States


@pytest.mark.parametrize("base", ["homie", "homie/5"])
def test_a_device_may_be_called_as_the_version_is(base):
    host = Host()
    assert host.hear(f"{base}/5/climate/temperature", "21.5") is None
    assert host.batch.entities == [("5", "climate")]
    assert host.hear(f"{base}/5/climate/$name", "21.5") is Drop.NO_SIGNAL
    assert host.hear(f"{base}/5/climate/temperature/$unit", "21.5") is Drop.NO_SIGNAL
    assert host.hear(f"{base}/5/$state", "lost") is None
    assert host.gone == [{"device": "5"}]


@pytest.mark.parametrize("base", ["homie", "homie/5"])
@pytest.mark.parametrize("state", ["lost", "disconnected", ""])
def test_a_device_that_is_gone_falls_silent(base, state):
    host = Host()
    assert host.hear(f"{base}/room-1/$state", state) is None
    assert host.gone == [{"device": "room-1"}]


@pytest.mark.parametrize("state", ["init", "ready", "sleeping", "alert", "LOST?", "{}"])
def test_a_device_in_another_state_does_not(state):
    host = Host()
    assert host.hear("homie/room-1/$state", state) is Drop.NO_SIGNAL
    assert host.gone == []


def test_where_devices_are_no_entities_nobody_falls_silent():
    host = Host(Definition("x", ("node",), ROOMS.signals, 10.0, 60, "homie/#", "homie"))
    assert host.hear("homie/room-1/$state", "lost") is Drop.NO_SIGNAL


def described(host, device, payload, base="homie/5"):
    text = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
    return host.hear(f"{base}/{device}/$description", text)


def lost(host, device, base="homie/5"):
    host.hear(f"{base}/{device}/$state", "lost")
    return [labels["device"] for labels in host.gone]


def test_children_fall_silent_with_their_root():
    host = Host()
    for child in ("lamp-2", "lamp-1"):
        assert (
            described(host, child, {"homie": "5.0", "root": "bridge", "parent": "bridge"}) is Drop.NO_SIGNAL
        )
    described(host, "bridge", {"homie": "5.0", "children": ["lamp-1", "lamp-2"]})
    described(host, "lamp-9", {"root": "bridge"}, base="homie")
    assert lost(host, "bridge") == ["bridge", "lamp-1", "lamp-2", "lamp-9"]
    assert lost(host, "lamp-1") == ["lamp-1"]


def test_a_child_that_moves_falls_silent_with_its_new_root_only():
    host = Host()
    described(host, "lamp", {"root": "bridge"})
    described(host, "lamp", {"root": "other"})
    assert (lost(host, "bridge"), lost(host, "other")) == (["bridge"], ["other", "lamp"])
    described(host, "lamp", {})
    assert lost(host, "other") == ["other"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", Drop.NOT_JSON),
        (b"", Drop.PAYLOAD_EMPTY),
        (b"[]", Drop.NO_SIGNAL),
        (b'{"root":1}', Drop.NO_SIGNAL),
        (b'{"root":null}', Drop.NO_SIGNAL),
        (b'{"root":"%s"}' % (b"r" * 300), Drop.NO_SIGNAL),
    ],
)
def test_a_description_that_names_no_root_is_none(payload, reason):
    host = Host()
    assert described(host, "lamp", payload) is reason
    assert host.reader.decode.__self__._roots == {}


def test_roots_are_remembered_of_as_many_devices_as_there_may_be_entities():
    host = Host(Definition("x", ("device",), ROOMS.signals, 10.0, 60, "homie/#", "homie", entities_max=3))
    for index in range(9):
        described(host, f"lamp-{index}", {"root": "bridge"})
    assert lost(host, "bridge") == ["bridge", "lamp-0", "lamp-1", "lamp-2"]


# Topics and labels


def test_the_base_may_have_labels_and_keeps_devices_of_one_name_apart():
    definition = Definition("x", ("site", "device"), ROOMS.signals, 10.0, 60, "{site}/homie/#", "homie")
    host = Host(definition)
    assert host.hear("s1/homie/5/room-1/climate/temperature", "1") is None
    assert host.batch.entities == [("s1", "room-1")]
    described(host, "lamp", {"root": "bridge"}, base="s1/homie/5")
    assert lost(host, "bridge", base="s2/homie/5") == ["bridge"]
    assert lost(host, "bridge", base="s1/homie/5") == ["bridge", "lamp"]
    assert host.gone[1] == {"site": "s1", "device": "lamp"}


def test_a_label_may_have_another_name():
    layout = Layout(labels=(("room", "device"),))
    host = Host(Definition("x", ("room",), ROOMS.signals, 10.0, 60, "homie/#", "homie", layout))
    host.hear("homie/room-1/climate/temperature", "1")
    assert host.batch.entities == [("room-1",)]


@pytest.mark.parametrize("topic", ["homie/{device}/#", "homie/+/{node}/#", "homie/+/+/+", "#", "homie"])
def test_a_topic_that_is_not_the_base_of_all_devices_is_refused(topic):
    with pytest.raises(ValueError, match="stream 'x': the topic of format homie is the base of all devices"):
        Host(Definition("x", ("device",), ROOMS.signals, 10.0, 60, topic, "homie"))


# In the pipeline


@pytest.mark.parametrize("name", ["homie", "auto"])
def test_what_the_broker_stores_is_no_sample_and_tells_who_belongs_to_whom(name):
    streams = Streams([StreamPipeline(replace(ROOMS, format=name), None)])
    stored = [
        Message("homie/5/lamp/$description", b'{"root":"bridge"}', ARRIVAL_S, retained=True),
        Message("homie/5/lamp/climate/temperature", b"20", ARRIVAL_S, retained=True),
        Message("homie/5/lamp/$state", b"lost", ARRIVAL_S, retained=True),
    ]
    streams.feed(stored)
    assert streams.messages_dropped == {Drop.RETAINED: 3}
    assert streams.streams[0].samples_total == 0
    streams.feed([Message("homie/5/lamp/climate/temperature", b"20", ARRIVAL_S)])
    streams.feed([Message("homie/5/bridge/$state", b"lost", ARRIVAL_S)])
    assert streams.streams[0].bench.states()[0] is State.SILENT


def test_whom_auto_knows_falls_silent_as_whom_homie_knows():
    host = Host(replace(ROOMS, format="auto"))
    described(host, "lamp", {"root": "bridge"})
    assert lost(host, "bridge") == ["bridge", "lamp"]
    assert host.hear("homie/room-1/$state", "") is None
    assert host.gone == [{"device": "room-1"}]


@pytest.mark.parametrize(
    ("stream", "topic", "reminded"),
    [
        (ROOMS, "homie/5/lamp/$description", True),
        (replace(ROOMS, format="auto"), "homie/5/lamp/$description", True),
        (replace(ROOMS, format="auto", topic="home/#"), "home/lamp", False),
        (replace(ROOMS, format="auto", topic="homie/{device}/{node}/+"), "homie/5/lamp/$description", False),
        (replace(ROOMS, format="json"), "homie/5/lamp/$description", False),
    ],
)
def test_stored_copies_are_shown_to_homie_alone(stream, topic, reminded):
    assert decoder(stream).is_reminded_by(topic) is reminded
