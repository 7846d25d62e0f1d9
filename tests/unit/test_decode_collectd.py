"""Format `collectd`: what collectd 5.12 published of a Debian machine, and what its protocol also allows."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.collectd import NAME_CHARS_MAX, NAMES_MAX, PAYLOAD_BYTES_MAX, SOURCES
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message
from tests.support.programs import data

ARRIVAL_S = 1_795_444_704.5
TIME_S = 1_795_444_703.913

INTERFACES = Definition(
    "interfaces",
    ("device", "interface"),
    (
        Signal("in", "counter", field="if_octets.rx"),
        Signal("out", "counter", field="if_octets.tx"),
        Signal("in_errors", "counter", field="if_errors.0"),
        Signal("out_errors", "counter", field="if_errors.1"),
    ),
    1.0,
    60,
    "collectd/{device}/+/+",
    "collectd",
    Layout(labels=(("interface", "plugin_instance"),)),
)
HOSTS = Definition(
    "hosts",
    ("host",),
    (
        Signal("load.shortterm"),
        Signal("long", field="load.2"),
        Signal("memory-used"),
        Signal("cpu-idle", field="aggregation-cpu-average/cpu-idle"),
        Signal("root", field="df-root/df_complex-used.value"),
        Signal("faults", "counter", field="vmem/vmpage_faults.majflt"),
        Signal("ping", field="ping-192.0.2.1"),
        Signal("fork_rate", "counter"),
    ),
    1.0,
    60,
    "collectd/{host}/#",
    "collectd",
)


def decode(definition, topic, payload):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


@pytest.mark.parametrize(
    ("topic", "payload", "interface", "values"),
    [
        ("interface-eth0/if_octets", b":215961585:395391\0", "eth0", {0: 215961585.0, 1: 395391.0}),
        ("interface-lo/if_octets", b":74700524:74700524\0", "lo", {0: 74700524.0, 1: 74700524.0}),
        ("interface-eth0/if_errors", b":0:0\0", "eth0", {2: 0.0, 3: 0.0}),
        # StoreRates true: an octet counter's rate.
        ("interface-lo/if_octets", b":143571.014941019:0\0", "lo", {0: 143571.014941019, 1: 0.0}),
        # An instance with dashes; the plugin's name has none.
        ("interface-br-lan.7/if_octets", b":1:2\0", "br-lan.7", {0: 1.0, 1: 2.0}),
        ("snmp-Gi1_0_1/if_octets", b":18446744073709551615:0\0", "Gi1_0_1", {0: 2.0**64, 1: 0.0}),
    ],
)
def test_an_interface_gives_the_values_of_each_type(topic, payload, interface, values):
    drop, batch = decode(INTERFACES, f"collectd/r1/{topic}", b"1795444703.913" + payload)
    assert drop is None
    assert batch == Batch([("r1", interface)], [TIME_S], [0, 0], list(values), list(values.values()))


@pytest.mark.parametrize(
    ("topic", "values", "found"),
    [
        ("load/load", b"0.28759765625:0.2958984375:0.2373046875", {0: 0.28759765625, 1: 0.2373046875}),
        ("memory/memory-used", b"107544576", {2: 107544576.0}),
        ("aggregation-cpu-average/cpu-idle", b"98.9130435", {3: 98.9130435}),
        ("df-root/df_complex-used", b"5468659712", {4: 5468659712.0}),
        ("vmem/vmpage_faults", b"7360821:2241", {5: 2241.0}),
        ("ping/ping-192.0.2.1", b"0.614", {6: 0.614}),
        ("processes/fork_rate", b"13140", {7: 13140.0}),
    ],
)
def test_a_field_names_type_instance_and_source_as_collectd_does(topic, values, found):
    drop, batch = decode(HOSTS, f"collectd/srv-7/{topic}", b"1795444703.913:" + values + b"\0")
    assert drop is None
    assert batch.entities == [("srv-7",)]
    assert dict(zip(batch.signal, batch.value, strict=True)) == found


@pytest.mark.parametrize(
    "topic",
    [
        "memory/memory-free",
        "memory/memory",
        "cpu-0/cpu-idle",
        "aggregation-cpu-sum/cpu-idle",
        "df-boot/df_complex-used",
        "df/df_complex-used",
        "contextswitch/contextswitch",
        "ping/ping-192.0.2.10",
        "ping/ping-192.0.2",
        "load/load-1",
        "x" * (NAME_CHARS_MAX + 1) + "/fork_rate",
    ],
)
def test_what_no_field_names_is_no_signal(topic):
    assert decode(HOSTS, f"collectd/srv-7/{topic}", b"1795444703.913:1\0") == (Drop.NO_SIGNAL, Batch())


def test_the_instance_of_a_type_may_be_a_label_instead():
    disks = Definition(
        "memory", ("host", "type_instance"), (Signal("memory"), Signal("x", field="df/df_complex")), 1.0, 60,
        "collectd/{host}/+/+", "collectd",
    )  # fmt: skip
    assert decode(disks, "collectd/a/memory/memory-used", b"5.0:1\0")[1].entities == [("a", "used")]
    assert decode(disks, "collectd/a/df-root/df_complex-free", b"5.0:1\0")[1].signal == [1]
    renamed = replace(disks, entity=("host", "part"), layout=Layout(labels=(("part", "type_instance"),)))
    assert decode(renamed, "collectd/a/memory/memory-used", b"5.0:1\0")[1].entities == [("a", "used")]
    inside = replace(renamed, layout=Layout(patterns=(("type_instance", "(?P<part>[a-z]+)_.*"),)))
    assert decode(inside, "collectd/a/memory/memory-slab_recl", b"5.0:1\0")[1].entities == [("a", "slab")]
    assert decode(disks, "collectd/a/memory/memory", b"5.0:1\0") == (Drop.ENTITY_MISSING, Batch())


def test_a_level_of_the_template_is_a_label_as_it_is():
    whole = replace(INTERFACES, topic="collectd/{device}/{interface}/+", layout=Layout())
    _, batch = decode(whole, "collectd/r1/interface-eth0/if_octets", b"5.0:1:2\0")
    assert batch.entities == [("r1", "interface-eth0")]


@pytest.mark.parametrize("end", [b"\0", b"", b"\n", b"\0\0"])
def test_the_nul_that_ends_a_string_is_no_part_of_it(end):
    _, batch = decode(INTERFACES, "collectd/r1/interface-lo/if_octets", b"1795444703.913:1:2" + end)
    assert (batch.times_s, batch.value) == ([TIME_S], [1.0, 2.0])


def test_n_is_the_time_of_arrival():
    _, batch = decode(INTERFACES, "collectd/r1/interface-lo/if_octets", b"N:1:2\0")
    assert batch.times_s == [ARRIVAL_S]


@pytest.mark.parametrize(
    ("values", "seen", "dropped"),
    [
        (b"nan:2", [2.0], {Drop.NOT_FINITE: 1}),
        (b"U:2", [2.0], {Drop.NOT_FINITE: 1}),
        (b"1:-nan", [1.0], {Drop.NOT_FINITE: 1}),
        (b"1:inf", [1.0], {Drop.NOT_FINITE: 1}),
        (b"1:x", [1.0], {Drop.NOT_A_NUMBER: 1}),
        (b"1:", [1.0], {Drop.NOT_A_NUMBER: 1}),
        (b"1:0x10", [1.0], {Drop.NOT_A_NUMBER: 1}),
        (b"1:\xff", [1.0], {Drop.NOT_A_NUMBER: 1}),
        (b"1", [1.0], {}),
        (b"1:2:x", [1.0, 2.0], {}),
    ],
)
def test_a_value_that_is_no_number_costs_no_other(values, seen, dropped):
    drop, batch = decode(INTERFACES, "collectd/r1/interface-lo/if_octets", b"5.5:" + values + b"\0")
    assert drop is None
    assert (batch.value, batch.dropped) == (seen, Counter(dropped))


def test_the_first_rates_of_all_are_no_signal():
    drop, batch = decode(INTERFACES, "collectd/r1/interface-lo/if_octets", b"1795444703.914:nan:nan\0")
    assert (drop, batch) == (Drop.NO_SIGNAL, Batch(dropped=Counter({Drop.NOT_FINITE: 2})))


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b"\0", Drop.PAYLOAD_EMPTY), (b"\n", Drop.PAYLOAD_EMPTY),
        (b"12.5\0", Drop.MALFORMED), (b"5.0:1_0:2\0", Drop.MALFORMED), (b"\xff\xfe", Drop.MALFORMED),
        (b"1:" * PAYLOAD_BYTES_MAX, Drop.MALFORMED), (b"0:1:2", Drop.TIME_UNREADABLE),
        (b"-5:1:2", Drop.TIME_UNREADABLE), (b"nan:1:2", Drop.TIME_UNREADABLE),
        (b"U:1:2", Drop.TIME_UNREADABLE), (b"1e99:1:2", Drop.TIME_UNREADABLE), (b":1:2", Drop.MALFORMED),
        (b"2025-10-09T08:53:20Z", Drop.MALFORMED), (b'{"a":1}', Drop.MALFORMED),
    ],
    ids=lambda value: repr(value[:20]),
)  # fmt: skip
def test_what_is_no_value_list_is_dropped_with_its_reason(payload, drop):
    assert decode(INTERFACES, "collectd/r1/interface-lo/if_octets", payload)[0] is drop


def test_a_topic_without_the_entity_is_entity_missing():
    assert decode(INTERFACES, "collectd/r1/interface/if_octets", b"5:1:2") == (Drop.ENTITY_MISSING, Batch())


@pytest.mark.parametrize("topic", ["collectd", "a/b"])
def test_a_topic_of_too_few_levels_names_nothing(topic):
    anything = replace(INTERFACES, topic="#")
    assert decode(anything, topic, b"5:1:2") == (Drop.NO_SIGNAL, Batch())


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("if_octets", "'if_octets' is none of if_octets.rx, if_octets.tx"),
        ("if_octets.in", "'if_octets.in' is none of if_octets.rx, if_octets.tx"),
        ("if_octets.2", "is none of if_octets.rx"),
        ("interface/if_octets", "'interface/if_octets' is none of if_octets.rx"),
        ("load", "is none of load.shortterm, load.midterm, load.longterm"),
    ],
)
def test_a_field_that_leaves_open_which_value_it_means_is_refused(field, message):
    with pytest.raises(ValueError, match=message):
        decoder(replace(INTERFACES, signals=(Signal("x", field=field),)))


@pytest.mark.parametrize(
    ("field", "kind", "place"),
    [
        ("if_octets-eth0.100.rx", "if_octets-eth0.100", 1),
        ("vlan/if_octets-eth0.100.1", "if_octets-eth0.100", 2),
        ("smart_attribute-temperature-celsius.pretty", "smart_attribute-temperature-celsius", 4),
        ("mysql_qcache.hits", "mysql_qcache", 1),
        ("ping-192.0.2.1.value", "ping-192.0.2.1", 1),
    ],
)
def test_a_source_is_behind_the_last_dot(field, kind, place):
    stream = replace(INTERFACES, entity=("device",), signals=(Signal("x", field=field),), layout=Layout())
    assert decode(stream, f"collectd/r1/vlan/{kind}", b"5:1:2:3:4\0")[1].value == [place]


def test_the_sources_are_those_of_collectd():
    """Of every type in its types.db that has several; other versions of it may have more types."""
    lines = data("/usr/share/collectd/types.db").read_text().splitlines()
    # A source is name:type:min:max; between two stands a comma, or only white space.
    types = {
        line.split()[0]: tuple(re.findall(r"(\w+):[A-Z]{2}", line)) for line in lines if line[:1].isalpha()
    }
    several = {name: sources for name, sources in types.items() if len(sources) > 1}
    assert len(several) > 30
    assert several == {name: sources for name, sources in SOURCES.items() if name in types}


def test_a_flood_of_topics_is_forgotten():
    reader = decoder(INTERFACES)
    batch = Batch()
    for index in range(NAMES_MAX + 2):
        topic = f"collectd/r1/interface-eth{index % (NAMES_MAX + 1)}/if_octets"
        assert reader.decode(Message(topic, b"5:1:2\0", ARRIVAL_S), {"device": "r1"}, batch) is None
    assert batch.entities[0] == batch.entities[-1] == ("r1", "eth0")
