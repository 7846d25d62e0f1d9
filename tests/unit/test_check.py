"""What `check --message` tells of births, deaths and other goodbyes."""

import re

import pytest

from detector import check
from detector.settings import SettingsError, load
from tests.benchmark.fuzz_decode import DBIRTH
from tests.unit.test_calendar import text

SETTINGS = """
[[streams]]
name = "pumps"
topic = "spBv1.0/#"
format = "sparkplug"
clock = "data"
entity = ["node", "device"]
signals = { temp = {}, flow = {} }
[[streams]]
name = "rooms"
topic = "homie/#"
format = "homie"
entity = ["device"]
signals = { temp = {} }
[[streams]]
name = "agents"
topic = "agents/{device}/load"
offline_topic = "agents/{device}/status"
entity = ["device"]
signals = { load = {} }
"""


@pytest.mark.parametrize(
    ("topic", "payload", "lines", "taken"),
    [
        (
            "spBv1.0/g/DBIRTH/n/d",
            DBIRTH,
            [
                "stream pumps: 1 samples",
                '  {node="n", device="d"} 2025-10-09T08:53:20.250000+00:00 temp = 21.5 (gauge)',
            ],
            True,
        ),
        (
            "spBv1.0/g/NBIRTH/n",
            DBIRTH,
            [
                "stream pumps: dropped, entity_missing",
                '  the topic gives: group="g", node="n"',
                "  wanted: one of temp, flow",
                "  the message has: temp, level, Ports/1/Octets, state, bdSeq",
            ],
            False,
        ),
        ("homie/a/$state", b"lost", ["stream rooms: 0 samples", '  a goodbye of {device="a"}'], True),
        ("agents/a/status", b"offline", ['stream agents: a goodbye of {device="a"}'], True),
        ("agents/a/status", b"online", ["stream agents: no goodbye: offline"], False),
    ],
)
def test_a_message_of_life_and_death_is_told_in_words(tmp_path, topic, payload, lines, taken):
    file = tmp_path / "detector.toml"
    file.write_text(SETTINGS)
    assert check.message(load(file), topic, payload) == (lines, taken)


OF_METRIC = ", ".join(
    f"metrics.0.{name}"
    for name in ("name", "tags.ifDescr", "fields.ifInOctets", "fields.up", "fields.s", "timestamp")
)
POLLED = """
[[streams]]
name = "interfaces"
topic = "{topic}"
format = "{format}"
entity = ["device", "ifName"]
{payload}
[streams.signals]
octets = {{ field = '{octets}' }}
errors = {{ field = "ifInErrors" }}
"""


@pytest.mark.parametrize(
    ("settings", "payload", "lines"),
    [
        (
            {"format": "influx", "octets": "ifInOctets"},
            b'interface,ifDescr=e0 ifInOctets=5i,up=T,s="a,b" 1760000000000000000\n',
            [
                "stream interfaces: dropped, entity_missing",
                '  the topic gives: device="r1"',
                "  missing of the entity: ifName",
                "  not in this message: ifInErrors",
                "  numbers that no signal uses: up",
                f"  the message has: {OF_METRIC}",
            ],
        ),
        (
            {"format": "prometheus", "octets": 'octets{direction="in"}'},
            b'octets{direction="out",ifName="e0"} 5\nup{ifName="e0"} 1\nmtu{ifName="e0"} 9',
            [
                "stream interfaces: dropped, no_signal",
                '  the topic gives: device="r1"',
                '  not in this message: octets{direction="in"}, ifInErrors',
                "  numbers that no signal uses: octets, up, mtu",
                "  the message has: metrics.0.tags.direction, metrics.0.tags.ifName, metrics.0.fields.octets",
            ],
        ),
        (
            {"format": "csv", "octets": "rx", "payload": '[streams.payload]\ndelimiter = ";"'},
            b"time;ifName;rx;tx\n1760000000;e0;;7",
            [
                "stream interfaces: dropped, no_signal",
                '  the topic gives: device="r1"',
                "  not in this message: rx, ifInErrors",
                "  numbers that no signal uses: tx",
                "  the message has: 0.time, 0.ifName, 0.tx",
            ],
        ),
        (
            {"format": "auto", "octets": "ifInOctets"},
            b"interface,ifName=e0 ifOut=5i",
            [
                "stream interfaces: dropped, no_signal; format influx",
                '  the topic gives: device="r1"',
                "  not in this message: ifInOctets, ifInErrors",
                "  numbers that no signal uses: ifOut",
                "  the message has: metrics.0.name, metrics.0.tags.ifName, metrics.0.fields.ifOut",
            ],
        ),
        (
            {"format": "influx", "octets": "ifInOctets", "topic": "polled/{device}/{signal}"},
            b"5",
            [
                "stream interfaces: dropped, no_signal",
                '  the topic gives: device="r1", signal="interface"',
                "  wanted: one of ifInOctets, ifInErrors",
            ],
        ),
    ],
    ids=["influx", "prometheus", "csv", "auto", "influx-field"],
)
def test_a_text_that_does_not_fit_is_told_in_words(tmp_path, settings, payload, lines):
    """What is not read, because the stream does not want it, is told as well."""
    file = tmp_path / "detector.toml"
    given = {"topic": "polled/{device}/interface", "payload": "", **settings}
    file.write_text(POLLED.format(**given))
    assert check.message(load(file), "polled/r1/interface", payload) == (lines, False)


TIMED = """
[[streams]]
name = "timed"
topic = "t/{device}"
format = "%s"
entity = ["device"]
signals = { a = {} }
"""
HINT = '  payload.time says where the time is; with "none" that of arrival counts'


@pytest.mark.parametrize(
    ("name", "payload", "hint"),
    [
        ("json", b'{"a":1,"time":35}', [HINT]),
        ("json", b'{"a":1,"time":"soon"}', [HINT]),
        ("json", b'[{"a":1},{"a":1,"timestamp":"soon"}]', [HINT]),
        ("json", b'{"a":1,"time":9e9}', [HINT]),
        ("auto", b'{"a":1,"time":35}', [HINT]),
        ("influx", b"m a=1 35", [HINT]),
        ("senml", b'[{"n":"a","bn":"x","bt":3e8,"v":1}]', []),
        ("auto", b'[{"n":"a","bn":"x","bt":3e8,"v":1}]', []),
        ("json", b'{"a":1}', []),
    ],
)
def test_where_a_time_is_refused_the_way_out_is_told(tmp_path, name, payload, hint):
    file = tmp_path / "detector.toml"
    file.write_text(TIMED % name)
    lines, _ = check.message(load(file), "t/r1", payload)
    assert [line for line in lines if "payload.time" in line] == hint
    if hint:
        file.write_text(TIMED % name + '[streams.payload]\ntime = "none"\n')
    lines, taken = check.message(load(file), "t/r1", payload)
    assert taken
    assert ("dropped" in "".join(lines)) == (b'"bn"' in payload)
    assert not [line for line in lines if "payload.time" in line]


NAMED = """
[[streams]]
name = "named"
topic = "t/{device}/#"
format = "%s"
entity = ["device"]
signals = { wanted = {} }
"""


@pytest.mark.parametrize(
    ("name", "topic", "payload", "lines"),
    [
        (
            "collectd",
            "t/r1/interface-e0/if_octets",
            b"N:1:2:3\0",
            [
                '  the topic gives: device="r1", plugin="interface", plugin_instance="e0", type="if_octets"',
                "  the message has: if_octets.rx, if_octets.tx, if_octets.2",
            ],
        ),
        (
            "senml",
            "t/r1",
            b'[{"bn":"d:","n":"temp","v":1},{"n":"power","s":2},{"bn":"e","u":"Cel","v":3}]',
            [
                '  the topic gives: device="r1"',
                "  the message has: temp, power.sum, e",
                '  and the labels: name="d"',
            ],
        ),
        (
            "senml",
            "t/r1",
            b"[]",
            ['  the topic gives: device="r1"', "  the message has: nothing with a name"],
        ),
        (
            "openconfig",
            "t/r1",
            b'{"source":"r1","updates":[{"Path":"m:a[k=1]/b","values":{"x":{"c":1,"d":"UP"}}}]}',
            [
                '  the topic gives: device="r1"',
                "  the message has: a/b/c, a/b/d",
                '  and the labels: source="r1", a_k="1"',
            ],
        ),
        (
            "openconfig",
            "t/r1",
            b'{"name":"s","tags":{"a_k":"1"},"values":{"/a/b/c":1}}',
            [
                '  the topic gives: device="r1"',
                "  the message has: a/b/c",
                '  and the labels: a_k="1"',
            ],
        ),
    ],
)
def test_a_message_that_names_its_values_shows_their_names(tmp_path, name, topic, payload, lines):
    file = tmp_path / "detector.toml"
    file.write_text(NAMED % name)
    told, taken = check.message(load(file), topic, payload)
    head = ["stream named: dropped, no_signal", lines[0], "  wanted: one of wanted"]
    assert (told, taken) == ([*head, *lines[1:]], False)


MAINTAINED = """
[[streams]]
name = "agents"
topic = "agents/{{device}}/load"
entity = ["device", "core"]
signals = {{ load = {{}} }}
[[streams.policies]]
mute = true
match = {{ device = "lab*" }}
[[maintenance]]
name = "by hand"
topic = "maintenance/{{device}}"
match = {{ core = "0" }}
[[maintenance]]
name = "yearly"
cron = "{cron}"
duration_s = {duration_s}
streams = ["agents"]
[[maintenance]]
name = "core"
calendar = "{calendar}"
"""


@pytest.fixture
def maintained(tmp_path):
    """Return a function that loads settings with maintenance."""
    (tmp_path / "core.ics").write_text(text())

    def settings(cron="0 2 29 2 *", duration_s=60, calendar="core.ics"):
        file = tmp_path / "detector.toml"
        file.write_text(MAINTAINED.format(cron=cron, duration_s=duration_s, calendar=tmp_path / calendar))
        return load(file)

    return settings


def test_policies_are_counted_and_maintenance_is_told_with_when_it_is_next(maintained):
    lines = check.everything(maintained())
    assert "agents/+/load (json), no bundle: recorded, not scored, 1 policy" in lines[0]
    assert lines[1] == "maintenance by hand: of agents, by maintenance/+"
    assert lines[2] == "maintenance yearly: of agents, not in the next year" or "-02-29 02:00" in lines[2]
    assert lines[3] == "maintenance core: of agents, not in the next year"
    assert re.fullmatch(
        r"maintenance yearly: of agents, next from 20\d\d-01-01 00:00:00 UTC to 20\d\d-01-01 00:01:00 UTC",
        check.everything(maintained(cron="0 0 1 1 *"))[2],
    )
    always = check.everything(maintained(cron="* * * * *", duration_s=86400))[2]
    assert always.startswith("maintenance yearly: of agents, now, until 2")


def test_a_calendar_that_cannot_be_used_is_refused(maintained):
    with pytest.raises(SettingsError, match=r"maintenance.2.calendar: .*none.ics: No such file"):
        check.everything(maintained(calendar="none.ics"))


@pytest.mark.parametrize(
    ("topic", "payload", "lines", "taken"),
    [
        ("maintenance/r1", b"ON", ['maintenance by hand: on of {core="0", device="r1"}'], True),
        ("maintenance/r1", b"", ['maintenance by hand: off of {core="0", device="r1"}'], True),
        ("maintenance/r1", b"soon", ["maintenance by hand: neither on nor off"], False),
        (
            "other",
            b"on",
            ["dropped, topic_unknown: no stream reads 'other'; subscribed: agents/+/load, maintenance/+"],
            False,
        ),
    ],
)
def test_a_message_that_switches_maintenance_is_told_in_words(maintained, topic, payload, lines, taken):
    assert check.message(maintained(), topic, payload) == (lines, taken)
