"""What `check --capture` tells of a capture."""

import base64
import json
from dataclasses import replace
from math import nan

import pytest

from detector.cli import main
from detector.edge.reception import CANARY
from detector.stream.decode.sparkplug_b_pb2 import Payload
from detector.stream.definition import Definition, Maintenance, Signal
from detector.stream.nouns import Message
from detector.stream.switch import Switch
from detector.survey import Survey
from tests.benchmark.fuzz_decode import DBIRTH

SIGNALS = (Signal("in_octets", "counter"), Signal("in_errors", "counter"))
INTERFACES = Definition(
    "interfaces", ("device", "interface"), SIGNALS, 5.0, 60, "telegraf/{device}/interfaces", "telegraf-json"
)


def metric(interface, time_s, **fields):
    return json.dumps({"fields": fields, "tags": {"interface": interface}, "timestamp": time_s}).encode()


ARRIVAL_S = 1_760_000_020.0


def told(*messages, definitions=(INTERFACES,), arrival_s=ARRIVAL_S):
    survey = Survey(definitions, 1000)
    survey.take(Message(topic, payload, arrival_s) for topic, payload in messages)
    return survey.lines()


def spoken(*entities, times=1, **changed):
    definition = replace(INTERFACES, signals=(Signal("in_octets"), Signal("in_errors")), **changed)
    messages = [
        (f"telegraf/{device}/interfaces", metric(interface, ARRIVAL_S + k, in_octets=k, in_errors=k % 3))
        for k in range(times)
        for device, interface in entities
    ]
    return told(*messages, definitions=(definition,))


def test_of_a_stream_it_tells_who_speaks_how_often_and_what_is_never_there():
    lines = told(
        *[
            (f"telegraf/{device}/interfaces", metric("eth0", 1_760_000_000 + 10 * k, in_octets=k))
            for k in range(4)
            for device in ("r1", "r2")
        ]
    )
    looks = "looks like telegraf-json (8); format 'telegraf-json'"
    assert lines == [
        "8 messages, 0 on topics that no stream reads",
        f"stream interfaces: 8 of 8 messages taken, 8 samples; {looks}",
        "  entities (device, interface): 2: r1 eth0, r2 eth0",
        "  an entity speaks every 10 s; step_s is 5; step_s is shorter, and leaves gaps",
        "  never there: in_errors",
    ]


def test_what_is_refused_is_told_with_an_example():
    lines = told(("telegraf/r1/interfaces", b"{\n"), ("telegraf/r1/interfaces", b"{"))
    assert "  refused: 2 not_json, such as telegraf/r1/interfaces '{\\n'" in lines


@pytest.mark.parametrize(
    ("ahead_s", "arrival_s", "clock", "refused"),
    [
        (-7200, ARRIVAL_S, "wall", "time_old (7200 s old)"),
        (7200, ARRIVAL_S, "wall", "time_future (7200 s ahead)"),
        (-3000, ARRIVAL_S, "wall", ""),
        (-7200, ARRIVAL_S, "data", ""),  # it follows whatever comes
        (-7200, nan, "wall", ""),  # mosquitto_sub -v does not say when
    ],
)
def test_a_time_that_the_stream_would_not_believe_is_refused(ahead_s, arrival_s, clock, refused):
    message = "telegraf/r1/interfaces", metric("eth0", ARRIVAL_S + ahead_s, in_octets=1)
    lines = told(message, definitions=(replace(INTERFACES, clock=clock),), arrival_s=arrival_s)
    count = 0 if refused else 1
    assert lines[1].startswith(f"stream interfaces: {count} of 1 messages taken, {count} samples;")
    such = [f"  refused: 1 {refused}, such as {message[0]} {message[1].decode()}"] if refused else []
    assert [line for line in lines if "refused" in line] == such


@pytest.mark.parametrize(
    ("limits", "taken", "told_so", "reason"),
    [
        ({}, 6, [], ""),
        ({"entities_max": 3}, 6, [], ""),
        (
            {"entities_max": 1},
            2,
            ["  entities_max = 1 is too small: there is no room for 2 of them"],
            "4 entities_max",
        ),
        (
            {"device_entities_max": 1},
            4,
            ["  device_entities_max = 1 is too small: there is no room for 1 of them"],
            "2 device_entities_max",
        ),
    ],
)
def test_a_limit_that_is_too_small_for_what_was_captured_is_told(limits, taken, told_so, reason):
    lines = spoken(("r1", "e1"), ("r1", "e2"), ("r2", "e1"), times=2, **limits)
    assert lines[1].startswith(f"stream interfaces: {taken} of 6 messages taken, {2 * taken} samples;")
    assert lines[2] == "  entities (device, interface): 3: r1 e1, r1 e2, r2 e1"
    assert [line for line in lines if "too small" in line] == told_so
    assert [line.split(",")[0] for line in lines if "refused" in line] == [f"  refused: {reason}"] * bool(
        reason
    )


@pytest.mark.parametrize("counts", [True, False])
def test_a_gauge_that_never_falls_is_told_with_what_to_write_instead(counts):
    lines = spoken(("r1", "e1"), ("r2", "e1"), times=6 if counts else 5)
    said = '  gauges that never fall: in_octets; counters? if so: in_octets = { kind = "counter" }'
    assert (said in lines) == counts
    assert not any("in_errors" in line for line in lines)


def test_a_wrap_is_no_fall_and_a_name_that_needs_quotes_gets_them():
    octets = Definition("s", ("device",), (Signal("in-octets 32"),), 5.0, 60, "t/{device}")
    values = [(2**32 - 5 * 10**8 + k * 10**8) % 2**32 for k in range(12)]
    messages = [("t/r1", b'{"in-octets 32": %d}' % value) for value in values]
    lines = told(*messages, definitions=(octets,))
    key = '"in-octets 32"'
    assert f'  gauges that never fall: in-octets 32; counters? if so: {key} = {{ kind = "counter" }}' in lines


def test_a_payload_that_is_too_large_reaches_no_stream():
    lines = told(("telegraf/r1/interfaces", b"{" + b" " * 1000), ("a", b" " * 1002))
    limit = "mqtt.payload_bytes_max is 1000"
    assert lines[1] == f"refused: 2 payload_too_large, such as a of 1002 bytes; {limit}"
    assert lines[2] == "stream interfaces: nothing in the capture is on telegraf/{device}/interfaces"


def test_the_canary_of_a_detector_that_ran_meanwhile_is_nobody_s_message():
    canaries = [f"telegraf/{CANARY}1827/interfaces", f"{CANARY}1827"]
    assert told(*[(topic, b"detector canary") for topic in canaries])[0].startswith("0 messages, 0 on topics")


def test_what_switches_maintenance_is_not_unread():
    switch = Switch(Maintenance("lab", topic="maintenance/{device}"))
    survey = Survey([], 1000, [switch])
    payloads = (b"on", b"off", b"on", b"soon")
    survey.take(Message("maintenance/r1", payload, ARRIVAL_S) for payload in payloads)
    assert survey.lines() == [
        "4 messages, 0 on topics that no stream reads",
        "maintenance lab: 2 times on, 1 off, 1 neither",
    ]


def test_what_no_stream_reads_is_told_by_its_shape():
    lines = told(
        *[("plain/r1/temp", b"20"), ("plain/r2/temp", b"21"), ("plain/r2/temp", b"19")],
        *[("influx/r1/cpu", b"cpu,host=a usage=%d,n=%di 1" % (5 - k, k)) for k in range(3)],
        *[
            ("prometheus/r1", b'# TYPE in counter\nin{port="e%d"} 5\nup{port="e%d"} 1' % (k, k))
            for k in (0, 1, 0)
        ],
        *[("csv/r1", b"device,load\nr1,%d" % k) for k in (1, 0, 1)],
        *[("json", b'{"host": "a", "load": %d, "since": 5}' % k) for k in (1, 0, 1)],
    )
    assert lines[2:] == [
        "unread: 3 messages on plain/{level1}/temp, look like value",
        "  could be labels: level1 (2)",
        "unread: 3 messages on influx/r1/cpu, look like influx",
        "  could be labels: host (1)",
        "  could be signals: usage, n (never falls)",
        "unread: 3 messages on prometheus/r1, look like prometheus",
        "  could be labels: port (2)",
        "  could be signals: in (never falls), up (never falls)",
        "unread: 3 messages on csv/r1, look like csv",
        "  could be labels: device (1)",
        "  could be signals: load",
        "unread: 3 messages on json, look like json",
        "  could be labels: host (1)",
        "  could be signals: load, since (never falls)",
    ]


def test_names_of_sparkplug_could_be_signals():
    lines = told(*[(f"spBv1.0/g/NBIRTH/n{node}", DBIRTH) for node in (1, 2)])
    assert lines[2:] == [
        "unread: 2 messages on spBv1.0/g/NBIRTH/{level3}, look like sparkplug",
        "  could be labels: level3 (2)",
        "  could be signals: temp, level, Ports/1/Octets, bdSeq",
    ]


def test_names_of_gnmi_senml_and_collectd_could_be_labels_and_signals():
    lines = told(
        ("gnmi", b'[{"name":"s","timestamp":1,"tags":{"interface_name":"e1"},"values":{"/a/in-octets":1}}]'),
        ("sensors", b'[{"bn":"d:","n":"temp","v":1}]'),
        ("collectd/r1/load/load", b"1760000000.250:0.5:0.4:0.3\0"),
    )
    assert lines[2:] == [
        "unread: 1 messages on gnmi, look like openconfig",
        "  could be labels: interface_name (1)",
        "  could be signals: a/in-octets",
        "unread: 1 messages on sensors, look like senml",
        "  could be labels: name (1)",
        "  could be signals: temp",
        "unread: 1 messages on collectd/r1/load/load, look like collectd",
        "  could be signals: load.shortterm, load.midterm, load.longterm",
    ]


def test_deaths_that_a_format_tells_of_are_goodbyes():
    rooms = Definition("rooms", ("device",), (Signal("temperature"),), 5.0, 60, "homie/#", "homie")
    lines = told(("homie/a/climate/temperature", b"20"), ("homie/a/$state", b"lost"), definitions=(rooms,))
    assert "  goodbyes: 1" in lines


def test_lines_without_a_time_are_read_and_ask_for_nothing(tmp_path, capsys):
    """As of Sparkplug data whose birth is not in the capture, which the daemon would ask for."""
    settings, capture = tmp_path / "detector.toml", tmp_path / "messages"
    stream = '[[streams]]\nname = "%s"\ntopic = "%s/#"\nformat = "%s"\nentity = ["%s"]\nsignals.x = {}\n'
    settings.write_text(
        stream % ("s", "spBv1.0", "sparkplug", "node") + stream % ("v", "v/{d}", "value", "d")
    )
    ddata = base64.b64encode(Payload(metrics=[{"alias": 5, "long_value": 7}]).SerializeToString()).decode()
    lines = [{"topic": "v/a", "payload": "1", **when} for when in ({}, {"tst": 1.76e9}, {"tst": 1.76e9 + 20})]
    lines += [
        {"topic": "spBv1.0/g/DDATA/n/d", "payload_base64": ddata, "tst": tst} for tst in (None, 1e308, -1)
    ]
    capture.write_text("".join(json.dumps(line) + "\n" for line in lines) + "v/a 3\n")
    assert main(["check", "--config", str(settings), "--capture", str(capture)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "  refused: 3 alias_unknown, such as spBv1.0/g/DDATA/n/d '\\x12\\x04\\x10\\x05X\\x07'" in said
    assert "  an entity speaks every 20 s; step_s is 10; step_s is shorter, and leaves gaps" in said


def test_a_stream_that_nothing_is_on_is_told_with_its_topic():
    assert told(("other", b"1"))[1] == (
        "stream interfaces: nothing in the capture is on telegraf/{device}/interfaces"
    )


@pytest.mark.parametrize(("topic", "code"), [("telegraf/r1/interfaces", 0), ("telegraf/r1/other", 1)])
def test_the_verb_reads_a_file_and_says_whether_each_stream_takes_something(tmp_path, capsys, topic, code):
    config = tmp_path / "detector.toml"
    config.write_text(
        '[[streams]]\nname = "interfaces"\ntopic = "telegraf/{device}/interfaces"\nformat = "auto"\n'
        'entity = ["device", "interface"]\n[streams.signals]\nin_octets = {}\n'
    )
    capture = tmp_path / "capture.ndjson"
    payload = metric("eth0", 1_760_000_000, in_octets=1)
    capture.write_bytes(topic.encode() + b" " + payload + b'\n{"tst": 1, "top')
    assert main(["check", "--config", str(config), "--capture", str(capture)]) == code
    out, err = capsys.readouterr()
    assert out.startswith(f"1 messages, {code} on topics that no stream reads")
    assert "1 lines of the capture are torn" in err
