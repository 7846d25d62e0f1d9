"""Format `prometheus`: the text format and OpenMetrics as they document themselves, and real exporters."""

from collections import Counter

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message
from tests.support.growth import growth

ARRIVAL_S = 1_760_000_003.5

# The documentation of the text format, version 0.0.4.
DOCUMENTED = rb"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="0.1"} 33444
http_request_duration_seconds_bucket{le="1"} 133988
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} 76656
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"""
# The specification of OpenMetrics 1.0: exemplars, a created time, times in seconds, the end.
OPENMETRICS = b"""# TYPE foo histogram
foo_bucket{le="0.01"} 0
foo_bucket{le="0.1"} 8 # {} 0.054
foo_bucket{le="1.0"} 11 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67
foo_bucket{le="10"} 17 # {trace_id="oHg5SJYRHA0"} 9.8 1520879607.789
foo_bucket{le="+Inf"} 17
foo_count{} 17
foo_sum 324789.3
foo_created  1520430000.123
# EOF
"""
# node_exporter, its own end-to-end fixture.
NODE = b"""# HELP node_boot_time Node boot time, in unixtime.
# TYPE node_boot_time gauge
node_boot_time 1.418183276e+09
# HELP node_cpu Seconds the cpus spent in each mode.
# TYPE node_cpu counter
node_cpu{cpu="cpu0",mode="guest"} 0
node_cpu{cpu="cpu0",mode="idle"} 10870.69
node_cpu{cpu="cpu0",mode="user"} 444.9
node_cpu{cpu="cpu1",mode="guest"} 0
node_cpu{cpu="cpu1",mode="idle"} 11107.87
node_cpu{cpu="cpu1",mode="user"} 478.69
# HELP node_disk_bytes_read The total number of bytes read successfully.
# TYPE node_disk_bytes_read counter
node_disk_bytes_read{device="dm-0"} 5.13708655616e+11
node_disk_bytes_read{device="sda"} 5.13713216512e+11
# HELP http_request_size_bytes The HTTP request sizes in bytes.
# TYPE http_request_size_bytes summary
http_request_size_bytes{handler="prometheus",quantile="0.5"} NaN
http_request_size_bytes_sum{handler="prometheus"} 0
http_request_size_bytes_count{handler="prometheus"} 0
"""
# snmp_exporter, module if_mib.
SNMP = b"""# HELP ifHCInOctets The total number of octets received on the interface - 1.3.6.1.2.1.31.1.1.1.6
# TYPE ifHCInOctets counter
ifHCInOctets{ifAlias="",ifDescr="enp1s0",ifIndex="2",ifName="enp1s0"} 1.310822e+07
ifHCInOctets{ifAlias="to \\"core\\", {x} # 1",ifDescr="ge1",ifIndex="3",ifName="ge1"} 123456
# HELP ifOperStatus The current operational state of the interface - 1.3.6.1.2.1.2.2.1.8
# TYPE ifOperStatus gauge
ifOperStatus{ifAlias="",ifDescr="enp1s0",ifIndex="2",ifName="enp1s0"} 1
ifOperStatus{ifAlias="to \\"core\\", {x} # 1",ifDescr="ge1",ifIndex="3",ifName="ge1"} 2
snmp_scrape_pdus_returned{module="if_mib"} 211
"""


def stream(*signals, entity=("device",), **layout):
    return Definition(
        "x",
        entity,
        tuple(Signal(name) if isinstance(name, str) else name for name in signals),
        10.0,
        60,
        "metrics/{device}",
        "prometheus",
        Layout(**layout),
    )


def decode(definition, payload, topic="metrics/r1"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


def one(payload, *fields):
    """Return the values that the fields have in the records of a payload, by the place of the field."""
    drop, batch = decode(stream(*(Signal(f"s{at}", field=field) for at, field in enumerate(fields))), payload)
    assert drop is None
    assert set(batch.entities) == {("r1",)}
    return dict(zip(batch.signal, batch.value, strict=True))


def test_samples_that_share_the_labels_of_the_entity_are_one_record():
    interfaces = stream("ifHCInOctets", "ifOperStatus", entity=("device", "ifName"))
    drop, batch = decode(interfaces, SNMP)
    assert drop is None
    assert batch == Batch(
        [("r1", "enp1s0"), ("r1", "ge1")],
        [ARRIVAL_S] * 2,
        [0, 0, 1, 1],
        [0, 1, 0, 1],
        [13108220.0, 1.0, 123456.0, 2.0],
    )


def test_a_field_picks_the_series_that_has_its_labels():
    cpus = stream(
        Signal("idle", field='node_cpu{mode="idle"}'),
        Signal("user", field='node_cpu{ mode = "user" , }'),
        entity=("device", "cpu"),
    )
    drop, batch = decode(cpus, NODE)
    assert drop is None
    assert batch.entities == [("r1", "cpu0"), ("r1", "cpu1")]
    assert (batch.signal, batch.value) == ([0, 1, 0, 1], [10870.69, 444.9, 11107.87, 478.69])


def test_a_field_may_leave_open_and_ask_for_any_labels():
    picked = one(
        DOCUMENTED,
        "metric_without_timestamp_and_labels",
        'metric_without_timestamp_and_labels{job=""}',
        'metric_without_timestamp_and_labels{job="x"}',
        "http_request_duration_seconds_count",
        'http_request_duration_seconds_bucket{le="0.10"}',
        'http_request_duration_seconds_bucket{le="1.0"}',
        'http_request_duration_seconds_bucket{le="inf"}',
        'rpc_duration_seconds{quantile="0.99"}',
        "rpc_duration_seconds_sum",
        r'msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""}',
    )
    assert picked == {
        0: 12.47, 1: 12.47, 3: 144320.0, 4: 33444.0, 5: 133988.0, 6: 144320.0, 7: 76656.0, 8: 17560473.0,
        9: 1458255915.0,
    }  # fmt: skip


def test_samples_of_one_entity_with_other_times_are_other_records():
    fields = (
        'foo_bucket{le="0.1"}',
        'foo_bucket{le="1"}',
        'foo_bucket{le="10"}',
        "foo_created",
        "foo_count",
        "foo_sum",
    )
    definition = stream(*(Signal(field, field=field) for field in fields))
    drop, batch = decode(definition, OPENMETRICS)
    assert drop is None
    assert batch.times_s == [ARRIVAL_S, 1_520_879_607.789]
    assert batch.record == [0, 0, 0, 0, 0, 1]
    assert (batch.signal, batch.value) == (
        [0, 2, 3, 4, 5, 1],
        [8.0, 17.0, 1520430000.123, 17.0, 324789.3, 11.0],
    )


@pytest.mark.parametrize(
    ("stamp", "time_s"),
    [
        (b"1395066363000", 1_395_066_363.0),
        (b"1520879607.789", 1_520_879_607.789),
        (b"1520879607", 1_520_879_607.0),
    ],
)
def test_a_time_is_read_in_milliseconds_and_in_seconds(stamp, time_s):
    assert decode(stream("a"), b"a 1 " + stamp)[1].times_s == [time_s]


def test_of_several_samples_for_one_signal_the_first_counts_and_the_others_are_counted():
    drop, batch = decode(stream("node_cpu"), NODE)
    assert (drop, batch.value, batch.dropped) == (None, [0.0], {Drop.DUPLICATE: 5})


def test_one_metric_can_be_two_signals():
    assert one(b"a 7", "a", "a") == {0: 7.0, 1: 7.0}


def test_the_label_of_the_topic_wins_over_the_one_of_the_sample():
    assert decode(stream("node_disk_bytes_read"), NODE)[1].entities == [("r1",)]


def test_a_label_of_another_name_is_found_by_the_settings():
    disks = stream("node_disk_bytes_read", entity=("device", "disk"), labels=(("disk", "device"),))
    assert decode(disks, NODE)[1].entities == [("r1", "dm-0"), ("r1", "sda")]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (rb'disk="C:\\a"', "C:\\a"),
        (rb'disk="\"q\""', '"q"'),
        (b'disk="a}b{c,d=1"', "a}b{c,d=1"),
        (b'disk="a # b"', "a # b"),
        (b'disk="x,mode=",b="y"', "x,mode="),
        (rb'a="\",disk=\"no\"",disk="x"', "x"),
        (b' disk = "x" , ', "x"),
        (b'"disk"="x","other.label"="y"', "x"),
        ('disk="Zürich"'.encode(), "Zürich"),
        (b'disk="Z\xfcrich"', "Z\ufffdrich"),
        (rb'disk="\a\\n"', "\\a\\n"),
    ],
)
def test_a_label_is_what_is_written(labels, text):
    drop, batch = decode(stream("a", entity=("disk",)), b"a{%s} 1\n" % labels)
    assert (drop, batch.entities, batch.value) == (None, [(text,)], [1.0])


@pytest.mark.parametrize(
    "line",
    [
        b"a 7", b"  a\t7  ", b"a{}7", b"a {} 7", b"a 7\r\n", b"\xef\xbb\xbfa 7\n", b"a 7 # EOF", b"a 7\n\0",
        b"a 0.7e1", b"a +7.", b"ab 1\naa 2\na 7\na_total 3", b"# a 1\n#a 2\n\n \n# TYPE a gauge\na 7\n# EOF",
        b'{"a"} 7', b'{ "a" , } 7', b'b{a="a 8"} 9\na 7',
    ],
)  # fmt: skip
def test_a_sample_is_found_however_it_is_written(line):
    assert one(line, "a") == {0: 7.0}


def test_a_name_may_have_other_characters_than_before():
    payload = b'{"http.requests",code="200"} 7\n{"http.requests",code="500"} 1\nhttp_requests{code="200"} 9'
    assert one(payload, 'http.requests{code="500"}', 'http.requests{code="200"}') == {0: 1.0, 1: 7.0}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"NaN", Drop.NOT_FINITE), (b"nan", Drop.NOT_FINITE), (b"+Inf", Drop.NOT_FINITE),
        (b"-Inf", Drop.NOT_FINITE), (b"1e999", Drop.NOT_FINITE), (b"x", Drop.NOT_A_NUMBER),
        (b"1_0", Drop.NOT_A_NUMBER), (b'"1"x', Drop.NOT_A_NUMBER), (b"\xd9\xa7", Drop.NOT_A_NUMBER),
    ],
)  # fmt: skip
def test_a_refused_value_is_counted_and_the_others_go_on(value, reason):
    assert decode(stream("a"), b"a " + value) == (Drop.NO_SIGNAL, Batch(dropped=Counter({reason: 1})))
    drop, batch = decode(stream("a", "b"), b"a %s\nb 2" % value)
    assert (drop, batch.value, batch.dropped) == (None, [2.0], {reason: 1})


@pytest.mark.parametrize(
    "line",
    [
        b"a", b"a ", b"a{", b"a{} ", b'a{b="c} 1', b'a{b="c"', b"a{b=c} 1", b'a{b="c" d="e"} 1', b'a{"b"} 1',
        b"a 1 2 3", b'a{b="\n"} 1', b'a{b="c"} {} 1', b'a{1b="c"} 1', b"a{,} 1", b"a # 1",
    ],
)  # fmt: skip
def test_a_line_that_does_not_follow_the_format_is_malformed_and_the_others_go_on(line):
    assert decode(stream("a"), line) == (Drop.MALFORMED, Batch())
    drop, batch = decode(stream("a", "c"), b"c 2\n%s\n" % line)
    assert (drop, batch.value, batch.dropped) == (None, [2.0], {Drop.MALFORMED: 1})


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b"\n \n", Drop.PAYLOAD_EMPTY),
        (b"# EOF\n", Drop.NO_SIGNAL), (b"# TYPE a gauge\n\n# EOF", Drop.NO_SIGNAL),
        (NODE, Drop.NO_SIGNAL), (b"aa 1", Drop.NO_SIGNAL), (b'b{a="1"} 1', Drop.NO_SIGNAL),
        (b'{"a.b"} 1', Drop.NO_SIGNAL), (b"{}", Drop.MALFORMED), (b'{"a": 1}', Drop.MALFORMED),
        (b"[1, 2]", Drop.MALFORMED), (b"12.5", Drop.MALFORMED), (b"\x00\xff\x01", Drop.MALFORMED),
        (b"cpu,host=a value=1 1760000000", Drop.MALFORMED), (b"a,b\n1,2", Drop.MALFORMED),
        (b"a 1 soon", Drop.TIME_UNREADABLE), (b"a 1 -3982045", Drop.TIME_UNREADABLE),
        (b"a 1 0", Drop.TIME_UNREADABLE),
        (b"".join(b"a 1 %d\n" % (1_760_000_000 + at) for at in range(RECORDS_MAX + 1)), Drop.RECORDS_MAX),
    ],
    ids=lambda value: repr(value[:30]),
)  # fmt: skip
def test_a_bad_message_is_dropped_as_a_whole_with_its_reason(payload, drop):
    assert decode(stream("a"), payload) == (drop, Batch())


@pytest.mark.parametrize("payload", [b"a 1", b'a{disk=""} 1'])
def test_a_sample_without_the_label_of_the_entity_is_refused(payload):
    definition = stream("a", entity=("device", "disk"))
    assert decode(definition, payload) == (Drop.ENTITY_MISSING, Batch())
    drop, batch = decode(definition, payload + b'\na{disk="sda"} 2')
    assert (drop, batch.value, batch.dropped) == (None, [2.0], {Drop.ENTITY_MISSING: 1})


@pytest.mark.parametrize(
    "field", ["", "a{", "a{b}", "a{b=c}", 'a{b="c"', 'a{b!="c"}', 'a{b=~"c"}', '{b="c"}', "a\nb", "#a"]
)
def test_a_field_that_is_no_name_with_labels_is_refused(field):
    with pytest.raises(ValueError, match="is no name of a metric") as caught:
        decoder(stream(Signal("\n", field=field)))
    assert repr(field or "\n") in str(caught.value)


@pytest.mark.parametrize(
    "line", [b'a{b="', b"a{", b'a{b="c",', b"\\", b'"', b"a ", b'a{b="\\', b'{"', b'\n{"a', b"a 1 ", b" "]
)
def test_the_time_is_linear_whatever_comes(line):
    definition = stream("a", Signal("b", field='a{b="1"}'))
    assert growth(lambda times: decode(definition, line * times)) < 32  # the square would be 64
    assert growth(lambda times: decode(definition, line.replace(b"a", b"\na") * times)) < 32
