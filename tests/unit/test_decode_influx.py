"""Format `influx`: the line protocol as Telegraf documents it, in every layout of `outputs.mqtt`."""

from collections import Counter
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message
from tests.support.growth import growth

ARRIVAL_S = 1_760_000_003.5

# The documentation of inputs.snmp: the table of the interfaces, strings among the numbers.
SNMP = (
    b"snmp,agent_host=127.0.0.1,source=loaner uptime=11331974i 1575509815000000000\n"
    b"interface,agent_host=127.0.0.1,ifDescr=wlan0,ifIndex=3,source=example.org ifAdminStatus=1i,"
    b"ifInDiscards=0i,ifInErrors=0i,ifInNUcastPkts=0i,ifInOctets=3436617431i,ifInUcastPkts=2717778i,ifInUnknownProtos=0i,"
    b"ifLastChange=0i,ifMtu=1500i,ifOperStatus=1i,ifOutDiscards=0i,ifOutErrors=0i,ifOutNUcastPkts=0i,"
    b'ifOutOctets=581368041i,ifOutQLen=0i,ifOutUcastPkts=1354338i,ifPhysAddress="c8:5b:76:c9:e6:8c",'
    b'ifSpecific=".0.0",ifSpeed=0i,ifType=6i 1575509815000000000\n'
    b"interface,agent_host=127.0.0.1,ifDescr=eth0,ifIndex=2,source=example.org ifAdminStatus=1i,"
    b"ifInDiscards=0i,ifInErrors=0i,ifInNUcastPkts=21i,ifInOctets=3852386380i,ifInUcastPkts=3634004i,ifInUnknownProtos=0i,"
    b"ifLastChange=9088763i,ifMtu=1500i,ifOperStatus=1i,ifOutDiscards=0i,ifOutErrors=0i,ifOutNUcastPkts=0i,"
    b'ifOutOctets=434865441i,ifOutQLen=0i,ifOutUcastPkts=2110394i,ifPhysAddress="c8:5b:76:c9:e6:8c",'
    b'ifSpecific=".0.0",ifSpeed=1000000000i,ifType=6i 1575509815000000000\n'
)
# inputs.netflow, sFlow v5: no tag for the interface, a string that has a number.
SFLOW = (
    b'netflow,source=127.0.0.1,version=sFlowV5 out_errors=0i,out_bytes=3946i,status="up",'
    b'in_unknown_protocol=4294967295i,agent_ip="192.168.119.184",in_bytes=3910i,in_errors=0i,interface=3i,'
    b"sys_uptime=12414i,speed=1000000000i"
)
CPU = b"cpu,cpu=cpu-total,host=srv-7 usage_idle=91.25,usage_user=6.25 1760000000250000000"


def stream(*signals, entity=("host",), topic="telegraf/#", **layout):
    return Definition(
        "x",
        entity,
        tuple(Signal(name) if isinstance(name, str) else name for name in signals),
        10.0,
        60,
        topic,
        "influx",
        Layout(**layout),
    )


SERVERS = stream("usage_idle", "usage_user", entity=("host", "cpu"))
VALUE = stream("value", entity=("cpu",))


def decode(definition, payload, topic="telegraf/any"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


def values(line):
    """Return the values of the field `value` of a line, and what was refused."""
    drop, batch = decode(stream("value", entity=("h",)), b"cpu,h=a %s" % line)
    return batch.value if drop is None else drop, dict(batch.dropped)


# Layouts of outputs.mqtt


def test_a_line_is_one_record_of_the_signals_that_the_stream_has():
    drop, batch = decode(SERVERS, CPU + b"\n")
    assert drop is None
    assert batch == Batch([("srv-7", "cpu-total")], [1_760_000_000.25], [0, 0], [0, 1], [91.25, 6.25])


def test_a_batch_gives_a_record_for_every_line_that_is_the_streams():
    interfaces = stream(
        Signal("in", field="ifInOctets"), Signal("out", field="ifOutOctets"), entity=("source", "ifDescr")
    )
    drop, batch = decode(interfaces, SNMP)
    assert drop is None
    assert batch.entities == [("example.org", "wlan0"), ("example.org", "eth0")]
    assert batch.times_s == [1_575_509_815.0] * 2
    assert batch.record == [0, 0, 1, 1]
    assert dict(zip(batch.signal[:2], batch.value[:2], strict=True)) == {0: 3436617431.0, 1: 581368041.0}
    assert dict(zip(batch.signal[2:], batch.value[2:], strict=True)) == {0: 3852386380.0, 1: 434865441.0}
    assert batch.dropped == {Drop.NO_SIGNAL: 1}


@pytest.mark.parametrize(
    ("topic", "payload", "signal", "value"),
    [
        ("telegraf/srv-7/cpu/usage_idle", b"91.25", 0, 91.25),
        ("telegraf/srv-7/cpu/usage_user", b"6", 1, 6.0),
        ("telegraf/srv-7/cpu/usage_user", b"true", 1, 1.0),
    ],
)
def test_with_a_topic_for_each_field_the_payload_is_the_bare_value(topic, payload, signal, value):
    fields = stream("usage_idle", "usage_user", topic="telegraf/{host}/cpu/{signal}")
    drop, batch = decode(fields, payload, topic)
    assert drop is None
    assert batch == Batch([("srv-7",)], [ARRIVAL_S], [0], [signal], [value])
    assert decode(fields, b"x86", "telegraf/srv-7/cpu/model")[0] is Drop.NO_SIGNAL


def test_a_bare_value_has_no_name_of_a_metric():
    with pytest.raises(ValueError, match="stream 'x': a bare value is of no metric that has a name"):
        decoder(stream("a", topic="telegraf/{host}/cpu/{signal}", metric="cpu"))


def test_the_label_of_the_topic_wins_over_the_tag():
    device = stream("usage_idle", entity=("host",), topic="telegraf/{host}/cpu")
    assert decode(device, CPU, "telegraf/r1/cpu")[1].entities == [("r1",)]


def test_metrics_of_another_name_are_not_the_streams():
    payload = CPU + b"\n" + CPU.replace(b"cpu,cpu=cpu-total", b"procstat,cpu=cpu0")
    drop, batch = decode(replace(SERVERS, layout=Layout(metric="cpu")), payload)
    assert (drop, batch.entities, batch.dropped) == (None, [("srv-7", "cpu-total")], {Drop.NO_SIGNAL: 1})
    spaced = replace(SERVERS, layout=Layout(metric="my cpu, all"))
    assert decode(spaced, CPU)[0] is Drop.NO_SIGNAL
    assert decode(spaced, CPU.replace(b"cpu,", b"my\\ cpu\\,\\ all,", 1))[0] is None


# Values


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (b"42", 42.0), (b"42.", 42.0), (b".42", 0.42), (b"-.42", -0.42), (b"00.42", 0.42), (b"42.2", 42.2),
        (b"42e0", 42.0), (b"-42e0", -42.0), (b"42E+1", 420.0), (b"42e-1", 4.2), (b"6.0+e5", None),
        (b"42i", 42.0), (b"-42i", -42.0), (b"0i", 0.0), (b"-0i", 0.0), (b"9223372036854775808i", 2.0**63),
        (b"42u", 42.0), (b"18446744073709551615u", 2.0**64),
        (b"true", 1.0), (b"True", 1.0), (b"TRUE", 1.0), (b"t", 1.0), (b"T", 1.0),
        (b"false", 0.0), (b"False", 0.0), (b"FALSE", 0.0), (b"f", 0.0), (b"F", 0.0),
        (b'"42"', 42.0), (b'"howdy"', None), (b'""', None), (b"howdy", None), (b"", None), (b".", None),
        (b"42E", None), (b"1_0", None), (b"0x2a", None), (b"1-2", None), ("٤٢".encode(), None), (b"i", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "line", [b"value=%s", b"a=1,value=%s,b=2 1760000000", b'a="b c",value=%s', b"a\\ =1,value=%s"]
)
def test_a_value_is_a_number_or_refused(written, number, line):
    expected = ([number], {}) if number is not None else (Drop.NO_SIGNAL, {Drop.NOT_A_NUMBER: 1})
    assert values(line % written) == expected


@pytest.mark.parametrize(
    "written", [b"NaN", b"nan", b"Inf", b"-inf", b"1e999", b"9" * 400, b"9" * 400 + b"i"]
)
def test_what_is_not_finite_is_refused(written):
    assert values(b"value=" + written) == (Drop.NO_SIGNAL, {Drop.NOT_FINITE: 1})


def test_a_word_is_what_the_settings_say():
    status = Signal("status", words=(("up", 1.0), ('a "b" \\, c=d', 2.0)))
    definition = stream(status, "in_bytes", entity=("source",))
    assert decode(definition, SFLOW)[1].value == [1.0, 3910.0]
    odd = SFLOW.replace(b'"up"', b'"a \\"b\\" \\\\, c=d"')
    assert decode(definition, odd)[1].value == [2.0, 3910.0]


def test_what_a_text_says_is_never_a_field():
    definition = stream("in_errors", entity=("source",))
    for text in (
        b",in_errors=9",
        b"x,in_errors=9,y",
        b'\\",in_errors=9',
        b"a\nnetflow,source=127.0.0.1 in_errors=9\n",
    ):
        _, batch = decode(definition, SFLOW.replace(b'"up"', b'"%s"' % text))
        assert batch.value == [0.0], text
        assert batch.entities == [("127.0.0.1",)]


def test_of_a_field_that_stands_twice_the_last_counts():
    assert values(b"value=1,value=2") == ([2.0], {})


def test_one_field_can_be_two_signals():
    both = stream(Signal("a", field="usage_idle"), "usage_idle")
    assert decode(both, CPU)[1].value == [91.25, 91.25]


# Names and tags


@pytest.mark.parametrize(
    ("tags", "label"),
    [
        (b"cpu=two\\ words", "two words"),
        (b"cpu=two\\\\ words", "two\\ words"),
        (b"cpu=a\\,b\\=c", "a,b=c"),
        (b"cpu=C:\\windows", "C:\\windows"),
        (b'cpu="quoted"', '"quoted"'),
        (b'cpu=19"', '19"'),
        ("cpu=Zürich".encode(), "Zürich"),
        (b"cpu=Z\xfcrich", "Z\ufffdrich"),
        (b"other=1,cpu=x", "x"),
        (b"broken,cpu=x", "x"),
        (b"a\\,cpu=1,cpu=x", "x"),
        (b"cpu\\ =1,cpu=x", "x"),
    ],
)
def test_a_tag_is_a_label(tags, label):
    drop, batch = decode(VALUE, b'm,%s value=1,s="5" 1760000000000000000\n' % tags)
    assert (drop, batch.entities, batch.value) == (None, [(label,)], [1.0])


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a b", b"a\\ b"),
        ("a,b", b"a\\,b"),
        ("a=b", b"a\\=b"),
        ("a\\b", b"a\\b"),
        ("☺", "☺".encode()),
        ("a.b", b"a.b"),
    ],
)
def test_a_field_may_have_any_name(name, written):
    assert decode(stream(name, entity=("h",)), b"m,h=x q=1,%s=7i" % written)[1].value == [7.0]


def test_a_pattern_finds_labels_in_any_tag():
    definition = stream("v", entity=("site", "host"), patterns=(("node", "(?P<site>[a-z]+)-(?P<host>.+)"),))
    for line in (b"m,node=fra-r1 v=1", b"m,node=fra-r1,a\\ =b v=1"):
        assert decode(definition, line)[1].entities == [("fra", "r1")]


def test_a_tag_of_another_name_is_found_by_the_settings():
    labelled = stream("usage_idle", entity=("device",), labels=(("device", "host"),))
    assert decode(labelled, CPU)[1].entities == [("srv-7",)]


# Times


@pytest.mark.parametrize(
    ("stamp", "unit", "time_s"),
    [
        (b" 1439856720000000000", "auto", 1_439_856_720.0), (b" 1439856720000000", "auto", 1_439_856_720.0),
        (b" 1439856720000", "auto", 1_439_856_720.0), (b" 1439856720", "auto", 1_439_856_720.0),
        (b" 5000000000", "ns", 5.0), (b" 5000000", "us", 5.0), (b" 5000", "ms", 5.0), (b" 5", "s", 5.0),
        (b"", "auto", ARRIVAL_S), (b" ", "auto", ARRIVAL_S), (b"  1439856720  ", "auto", 1_439_856_720.0),
        (b"\t1439856720", "auto", 1_439_856_720.0), (b"\r", "auto", ARRIVAL_S),
    ],
)  # fmt: skip
def test_a_time_of_any_precision_is_read(stamp, unit, time_s):
    drop, batch = decode(stream("v", entity=("h",), time_unit=unit), b"m,h=a v=1" + stamp)
    assert (drop, batch.times_s) == (None, [time_s])


@pytest.mark.parametrize(
    "stamp", [b"0", b"-1", b"soon", b"value=43", b'"1439856720"', b"1439856720 1", b"9" * 5000]
)
def test_a_time_that_is_none_is_refused(stamp):
    assert decode(VALUE, b"m,cpu=a value=1 " + stamp) == (Drop.TIME_UNREADABLE, Batch())


def test_the_settings_may_name_a_field_as_the_time():
    definition = stream("v", entity=("h",), time="at")
    assert decode(definition, b"m,h=a v=1,at=1439856720000i 1760000000000000000")[1].times_s == [
        1_439_856_720.0
    ]
    assert decode(definition, b'm,h=a v=1,at="2015-08-18T00:12:00Z"')[1].times_s == [1_439_856_720.0]
    assert decode(definition, b"m,h=a v=1 1439856720")[1].times_s == [1_439_856_720.0]


# Lines


@pytest.mark.parametrize(
    "payload",
    [
        b"cpu,cpu=a value=1\ncpu,cpu=b value=2\n",
        b"cpu,cpu=a value=1\r\ncpu,cpu=b value=2\r\n",
        b'\n\n# blah blah\ncpu,cpu=a value=1\n\n  # it\'s "odd"\n   cpu,cpu=b   value=2  \n# end\n  ',
        b'cpu,cpu=a value=1,s="# x"\n#\n\tcpu,cpu=b\tvalue=2\t1760000003500\n',
        b'cpu,cpu=a value=1,s="4\n2"\ncpu,cpu=b value=2,s="\\"\n\n# "',
        b'\xef\xbb\xbfcpu,cpu=a value=1\ncpu,cpu=b value=2,s="4\r\n2"\n\0',
    ],
)
def test_comments_and_blank_lines_and_breaks_in_strings_are_no_records(payload):
    drop, batch = decode(VALUE, payload)
    assert drop is None
    assert batch == Batch([("a",), ("b",)], [ARRIVAL_S] * 2, [0, 1], [0, 0], [1.0, 2.0])


@pytest.mark.parametrize(
    "line",
    [
        b"cpu", b",", b", value=1", b"cpu,cpu=a", b"cpu,cpu=a ", b"cpu,cpu=a value",
        b"{}", b'{"value": 1, "a": 2}', b"value: 1", b"21.5", b"\xff\xfe\x00\x01",
        b'cpu,cpu=a value=1,s="open', b'cpu,cpu=a value=1,s=a"b"', b'cpu,cpu=a value=1,s="a"b',
        b'cpu,cpu=a "value"=1', b'cpu,cpu=a value=1,s="a\\"', b'cpu,cpu=a s="",a"=',
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_malformed_and_the_others_go_on(line):
    assert decode(VALUE, line) == (Drop.MALFORMED, Batch())
    drop, batch = decode(VALUE, b"cpu,cpu=b value=2\n%s\ncpu,cpu=c value=3" % line)
    assert (drop, batch.entities, batch.value) == (None, [("b",), ("c",)], [2.0, 3.0])
    assert batch.dropped == {Drop.MALFORMED: 1}


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b" \r\n\n", Drop.PAYLOAD_EMPTY), (b"\0", Drop.PAYLOAD_EMPTY),
        (b"# nothing", Drop.NO_SIGNAL), (b"# nothing\n\n#", Drop.NO_SIGNAL),
        (b"mem,host=srv-7 used_percent=41.5 1760000000", Drop.NO_SIGNAL),
        (CPU.replace(b"cpu=cpu-total,", b""), Drop.ENTITY_MISSING),
        (CPU.replace(b"cpu-total", b""), Drop.ENTITY_MISSING),
        (CPU.replace(b"srv-7", b"s" * 257), Drop.WRONG_SHAPE),
        (b"\n".join([CPU] * (RECORDS_MAX + 1)), Drop.RECORDS_MAX),
    ],
    ids=lambda value: repr(value[:30]),
)  # fmt: skip
def test_a_bad_message_is_dropped_as_a_whole_with_its_reason(payload, drop):
    assert decode(SERVERS, payload) == (drop, Batch())


def test_a_message_of_refused_values_has_no_signal_and_counts_them():
    drop, batch = decode(SERVERS, CPU.replace(b"91.25", b"NaN").replace(b"6.25", b"x"))
    assert (drop, batch) == (
        Drop.NO_SIGNAL,
        Batch(dropped=Counter({Drop.NOT_FINITE: 1, Drop.NOT_A_NUMBER: 1})),
    )


@pytest.mark.parametrize(
    "line",
    [
        b'x" b="\n', b'x y=1",z="\n', b'x k\\\\",z="\n', b'a b="\n', b'x y="a,b=1,\n', b"a b=\\\n",
        b'x",b="c y="\n', b'a=",b="\n', b'a b=""', b"a\\ ", b'a b="\\\\', b"a ,", b"a,b ", b'x k\\"\n',
        b'x k\\="\n', b'x k="\\"\n',
    ],
)  # fmt: skip
def test_the_time_is_linear_whatever_comes(line):
    assert growth(lambda lines: decode(VALUE, line * lines)) < 32  # the square would be 64
