"""Format `json`: objects flat and nested, arrays, envelopes; and JSON that is none."""

import json
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.documents import NESTING_MAX
from detector.stream.decode.labels import LABEL_CHARS_MAX
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.definition import Definition, Layout, Signal, Witness
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5
TIME_S = 1_760_000_000.0


def stream(*signals, entity=("device",), topic="t/#", **layout):
    return Definition(
        "x",
        entity,
        tuple(Signal(name) if isinstance(name, str) else name for name in signals),
        10.0,
        60,
        topic,
        "json",
        Layout(**layout),
    )


def shortened(value):
    """Return a test's name for a payload that may have megabytes."""
    return repr(value[:30])


def decode(definition, payload, topic="t/any"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


FLAT = stream("temp", "hum")

# Tasmota's tele/%topic%/SENSOR
TASMOTA = b'{"Time":"2025-10-09T08:53:20","ENERGY":{"Power":7,"Voltage":231.5,"Today":0.12}}'
# Zigbee2MQTT
ZIGBEE = b'{"battery":97,"humidity":48.12,"linkquality":null,"occupancy":true,"temperature":21.37}'
# A switch's vendor JSON: labels in the envelope and in the record, counters nested, keys with dots
SWITCH = (
    b'{"sys.name":"sw1","ts":1760000000000000,"data":{"ports":['
    b'{"id":1,"link":{"speed":1000},"counters":{"rx":{"bytes":10,"errors":0},"tx.bytes":20},"lanes":[3.5,4.5]},'
    b'{"id":2,"link":{"speed":null},"counters":{"rx":{"bytes":30,"errors":1},"tx.bytes":40},"lanes":[]}]}}'
)
PORTS = stream(
    Signal("rx", field="counters.rx.bytes"),
    Signal("tx", field="counters.tx.bytes"),
    Signal("speed", field="link.speed"),
    Signal("lane1", field="lanes.1"),
    entity=("device", "port"),
    records="data.ports",
    time="ts",
    labels=(("device", "sys.name"), ("port", "id")),
)


def test_a_flat_object_is_one_record():
    drop, batch = decode(FLAT, b'{"device":"s1","temp":21.5,"hum":40,"timestamp":1760000000}')
    assert drop is None
    assert batch == Batch([("s1",)], [TIME_S], [0, 0], [0, 1], [21.5, 40.0])


def test_nested_fields_and_a_local_time_are_found_by_their_paths():
    tasmota = stream(
        Signal("power", field="ENERGY.Power"),
        Signal("voltage", field="ENERGY.Voltage"),
        topic="tele/{device}/SENSOR",
        time="Time",
    )
    drop, batch = decode(tasmota, TASMOTA, "tele/plug-3/SENSOR")
    assert drop is None
    assert batch == Batch([("plug-3",)], [TIME_S], [0, 0], [0, 1], [7.0, 231.5])


def test_null_is_not_seen_and_true_is_one():
    zigbee = stream("temperature", "linkquality", "occupancy", topic="zigbee2mqtt/{device}")
    drop, batch = decode(zigbee, ZIGBEE, "zigbee2mqtt/attic")
    assert drop is None
    assert batch == Batch([("attic",)], [ARRIVAL_S], [0, 0], [0, 2], [21.37, 1.0])


def test_an_array_within_an_envelope_shares_its_time_and_labels():
    drop, batch = decode(PORTS, SWITCH)
    assert drop is None
    assert batch == Batch(
        [("sw1", "1"), ("sw1", "2")],
        [TIME_S, TIME_S],
        [0, 0, 0, 0, 1, 1],
        [0, 1, 2, 3, 0, 1],
        [10.0, 20.0, 1000.0, 4.5, 30.0, 40.0],
    )


def test_an_array_at_the_top_is_an_array_of_records():
    drop, batch = decode(FLAT, b'[{"device":"a","temp":1},{"device":"b","temp":2,"time":"1760000000"}]')
    assert drop is None
    assert batch == Batch([("a",), ("b",)], [ARRIVAL_S, TIME_S], [0, 1], [0, 0], [1.0, 2.0])


def test_a_second_message_goes_behind_the_first():
    reader = decoder(FLAT)
    batch = Batch()
    for device in (b"a", b"b"):
        payload = b'{"device":"%s","temp":1,"hum":2}' % device
        assert reader.decode(Message("t/any", payload, ARRIVAL_S), {}, batch) is None
    assert (batch.entities, batch.record) == ([("a",), ("b",)], [0, 0, 1, 1])


@pytest.mark.parametrize(
    "payload",
    [
        b'{"device":"a","sys.load.1":5}',
        b'{"device":"a","sys":{"load.1":5}}',
        b'{"device":"a","sys":{"load":[0,5]}}',
    ],
)
def test_a_key_with_dots_and_a_path_find_the_same(payload):
    assert decode(stream("sys.load.1"), payload)[1].value == [5.0]


@pytest.mark.parametrize("load", [b"[0]", b"[]", b"{}", b"5", b'"ab"', b"null"])
def test_a_path_that_leads_nowhere_is_not_seen(load):
    assert decode(stream("sys.load.1"), b'{"device":"a","sys":{"load":%s}}' % load)[0] is Drop.NO_SIGNAL


LINK = stream(Signal("link", words=(("up", 1.0), ("down", 0.0), ("2", 0.5), ("lower layer down", -1.0))))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b'"up"', 1.0), (b'" up\\n"', 1.0), (b'"down"', 0.0), (b'"lower layer down"', -1.0),
        (b'"2"', 0.5), (b"2", 2.0), (b'"3"', 3.0),
        (b'"21.5"', 21.5), (b'"-1e3"', -1000.0), (b'"18446744073709551615"', 2.0**64),
        (b'"true"', 1.0), (b'"false"', 0.0), (b"true", 1.0),
    ],
)  # fmt: skip
def test_text_is_the_number_that_it_stands_for_or_says(written, value):
    assert decode(LINK, b'{"device":"a","link":%s}' % written)[1].value == [value]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b'"Up"', Drop.NOT_A_NUMBER), (b'""', Drop.NOT_A_NUMBER), (b'"12 V"', Drop.NOT_A_NUMBER),
        (b'"1,5"', Drop.NOT_A_NUMBER), (b'"1_0"', Drop.NOT_A_NUMBER), (b'"0x1f"', Drop.NOT_A_NUMBER),
        ('"\uff11"'.encode(), Drop.NOT_A_NUMBER), (b'"\\ud800"', Drop.NOT_A_NUMBER),
        (b'"%s"' % (b"1" * 513), Drop.NOT_A_NUMBER), (b'["up"]', Drop.NOT_A_NUMBER),
        (b"{}", Drop.NOT_A_NUMBER),
        (b'"nan"', Drop.NOT_FINITE), (b'"-inf"', Drop.NOT_FINITE), (b'"1e999"', Drop.NOT_FINITE),
    ],
)  # fmt: skip
def test_text_that_is_no_number_is_counted(written, reason):
    drop, batch = decode(LINK, b'{"device":"a","link":%s}' % written)
    assert (drop, batch.value, batch.dropped) == (Drop.NO_SIGNAL, [], {reason: 1})


def test_a_word_is_one_of_its_own_signal_alone():
    two = stream(Signal("link", words=(("up", 1.0),)), "other")
    assert decode(two, b'{"device":"a","link":"up","other":"up"}')[1].dropped == {Drop.NOT_A_NUMBER: 1}


WITNESSED = replace(
    stream("octets", Signal("uptime", field="sys.uptime"), Signal("drops", rate_max_field="speed")),
    witnesses=(Witness("sys.uptime", "uptime"), Witness("boot", "boot_id"), Witness("since", "boot_time")),
)


def test_what_counters_are_judged_by_is_read_into_columns_after_the_signals():
    """The uptime is a signal already and has no second column."""
    assert [one.name for one in WITNESSED.columns[3:]] == ["boot", "since", "speed"]
    assert WITNESSED.column_of("sys.uptime") == 1
    payload = b'{"device":"a","octets":5,"drops":1,"sys":{"uptime":7},"boot":3,"since":1.5,"speed":1000}'
    batch = decode(WITNESSED, payload)[1]
    assert (batch.signal, batch.value) == ([0, 1, 2, 3, 4, 5], [5, 7, 1, 3, 1.5, 1000])


def test_a_flat_record_of_all_columns_has_each_in_its_place():
    flat = replace(stream("octets"), witnesses=(Witness("boot", "boot_time"),))
    batch = decode(flat, b'{"device":"a","octets":5,"boot":3}')[1]
    assert (batch.record, batch.signal, batch.value) == ([0, 0], [0, 1], [5, 3])


def test_a_message_that_only_tells_of_the_device_is_one_of_the_stream():
    drop, batch = decode(WITNESSED, b'{"device":"a","boot":3}')
    assert (drop, batch.entities, batch.signal, batch.value) == (None, [("a",)], [3], [3])


def test_what_counters_are_judged_by_may_be_told_once_for_all_records_of_a_message():
    """Of each record itself, if it says so; of a record without a signal nothing at all."""
    listed = replace(WITNESSED, layout=Layout("ports"))
    payload = b'{"device":"a","boot":3,"speed":1e3,"ports":[{"octets":5},{"octets":6,"boot":4},{"load":7}]}'
    drop, batch = decode(listed, payload)
    assert (drop, batch.record) == (None, [0, 0, 0, 1, 1, 1])
    assert list(zip(batch.signal, batch.value, strict=True)) == [
        (0, 5),
        (3, 3),
        (5, 1e3),
        (0, 6),
        (3, 4),
        (5, 1e3),
    ]
    assert batch.dropped == {Drop.NO_SIGNAL: 1}
    assert decode(listed, b'[{"device":"a","boot":3}]')[0] is Drop.WRONG_SHAPE
    assert decode(WITNESSED, b'[{"device":"a","octets":3}]')[1].value == [3]


def test_any_text_is_a_boot_id_and_another_one_is_another_number():
    ids = ["8f1c", "8f1d", "7", " 7", "up", "\\ud800"]
    values = [decode(WITNESSED, b'{"device":"a","boot":"%s"}' % one.encode())[1].value for one in ids]
    assert len({value for (value,) in values}) == len(ids) - 1, "white space around it is not part of it"
    assert decode(WITNESSED, b'{"device":"a","boot":"8f1c"}')[1].value == values[0]
    assert decode(WITNESSED, b'{"device":"a","boot":""}')[1].dropped == {Drop.NOT_A_NUMBER: 1}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b"1760000000", TIME_S), (b"1760000000000000000", 1.76e18), (b'"1760000000000000000"', TIME_S),
        (b'"2025-10-09T08:53:20Z"', TIME_S), (b'"1760000000"', TIME_S), (b'"yesterday"', None),
    ],
)  # fmt: skip
def test_a_boot_time_is_a_number_or_a_time_as_text(written, value):
    batch = decode(WITNESSED, b'{"device":"a","since":%s}' % written)[1]
    assert batch.value == ([] if value is None else [value])
    assert batch.dropped == ({} if batch.value else {Drop.NOT_A_NUMBER: 1})


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b'"a b"', "a b"),
        (b"7", "7"),
        (b"-7.5", "-7.5"),
        (b"true", "true"),
        (b"false", "false"),
        (b"0", "0"),
        (b'"\\u00e9"', "é"),
        ('"😀"'.encode(), "😀"),
        (b'"a\\u0000b\\n"', "a\ufffdb"),
        (b'"\\ude00\\ud83d"', "\ufffd\ufffd"),
        (b'"a\\u00a0b"', "a\u00a0b"),
        (b'"%s"' % (b"a" * LABEL_CHARS_MAX), "a" * 256),
    ],
)
def test_a_label_is_text_as_it_is_and_anything_else_as_json_writes_it(written, text):
    assert decode(FLAT, b'{"device":%s,"temp":1}' % written)[1].entities == [(text,)]


@pytest.mark.parametrize(
    "written",
    [
        b"{}",
        b"[]",
        b'["a"]',
        b"NaN",
        b"1e999",
        b'"%s"' % (b"a" * (LABEL_CHARS_MAX + 1)),
    ],
)
def test_a_label_that_is_no_legal_text_is_wrong_shape(written):
    assert decode(FLAT, b'{"device":%s,"temp":1}' % written) == (Drop.WRONG_SHAPE, Batch())


def test_the_record_comes_before_the_envelope():
    records = b'[{"device":"r","time":1760000000,"temp":1},{"time":null,"device":"","temp":2}]'
    payload = b'{"device":"e","time":1,"list":%s}' % records
    _, batch = decode(stream("temp", records="list"), payload)
    assert (batch.entities, batch.times_s) == ([("r",), ("e",)], [TIME_S, 1.0])


def test_a_signal_named_time_is_a_signal():
    _, batch = decode(stream("time"), b'{"device":"a","time":12.5}')
    assert (batch.times_s, batch.value) == ([ARRIVAL_S], [12.5])


def test_a_unit_that_is_given_is_used():
    _, batch = decode(stream("temp", time="at", time_unit="ms"), b'{"device":"a","temp":1,"at":5000}')
    assert batch.times_s == [5.0]


@pytest.mark.parametrize("around", [b"\xef\xbb\xbf%s", b"%s\0", b" %s\r\n"])
def test_a_byte_order_mark_and_a_closing_nul_are_forgiven(around):
    assert decode(FLAT, around % b'{"device":"a","temp":1}')[0] is None


def test_half_an_emoji_where_nobody_looks_costs_nothing():
    drop, batch = decode(FLAT, b'{"device":"a","temp":1,"hum":NaN,"descr":"uplink \\ud83d"}')
    assert (drop, batch.value, batch.dropped) == (None, [1.0], {Drop.NOT_FINITE: 1})


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b" \n", Drop.PAYLOAD_EMPTY), (b"\0\0", Drop.PAYLOAD_EMPTY),
        (b"\xef\xbb\xbf", Drop.PAYLOAD_EMPTY),
        (b"\xff\xfe{\0}\0", Drop.NOT_UTF8), (b'{"device":"\xe9","temp":1}', Drop.NOT_UTF8),
        (b'{"device":"\xed\xa0\x80","temp":1}', Drop.NOT_UTF8), (b"\x1f\x8b\x08\0", Drop.NOT_UTF8),
        (b"{", Drop.NOT_JSON), (b"{'temp':1}", Drop.NOT_JSON), (b'{"temp":1,}', Drop.NOT_JSON),
        (b'{"temp":1}{"temp":2}', Drop.NOT_JSON), (b"temp=1", Drop.NOT_JSON), (b"\0{}", Drop.NOT_JSON),
        (b'{"temp":01}', Drop.NOT_JSON), (b'"a\nb"', Drop.NOT_JSON),
        (b"[" * 10_000 + b"]" * 10_000, Drop.NESTED_TOO_DEEP), (b"[" * 10_000, Drop.NESTED_TOO_DEEP),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Drop.NESTED_TOO_DEEP),
        (b"12.5", Drop.WRONG_SHAPE), (b'"temp"', Drop.WRONG_SHAPE), (b"null", Drop.WRONG_SHAPE),
        (b"[1,2]", Drop.WRONG_SHAPE), (b"[[]]", Drop.WRONG_SHAPE),
        (b"NaN", Drop.WRONG_SHAPE), (b"1" * 10_000_000, Drop.WRONG_SHAPE),
        (b"[" + b",".join([b'{"device":"a","temp":1}'] * (RECORDS_MAX + 1)) + b"]", Drop.RECORDS_MAX),
        (b"{}", Drop.NO_SIGNAL), (b"[]", Drop.NO_SIGNAL), (b'{"device":"a"}', Drop.NO_SIGNAL),
        (b'{"x":"%s"}' % (b"x" * 10_000_000), Drop.NO_SIGNAL),
        (b'{"device":"a","temp":null}', Drop.NO_SIGNAL),
        (b'{"temp":1}', Drop.ENTITY_MISSING), (b'{"device":null,"temp":1}', Drop.ENTITY_MISSING),
        (b'{"device":"","temp":1}', Drop.ENTITY_MISSING),
        (b'{"device":"a","temp":1,"time":"soon"}', Drop.TIME_UNREADABLE),
        (b'{"device":"a","temp":1,"timestamp":0}', Drop.TIME_UNREADABLE),
        (b'{"device":"a","temp":1,"timestamp":""}', Drop.TIME_UNREADABLE),
        (b'{"device":"a","temp":1,"timestamp":{"s":1}}', Drop.TIME_UNREADABLE),
    ],
    ids=shortened,
)  # fmt: skip
def test_a_bad_message_is_dropped_as_a_whole_with_its_reason(payload, drop):
    assert decode(FLAT, payload) == (drop, Batch())


@pytest.mark.parametrize(
    ("opening", "closing", "levels"),
    [
        (b"[", b"]", 1), (b'{"a":', b"}", 1), (b'[{"a":', b"}]", 2), (b'{"}":', b"}", 1),
        (b'{"]}]}":[', b"]}", 2), (b'["}",', b"]", 1), (b'{"\\"}":', b"}", 1), (b'["","}","",', b"]", 1),
        (b'{"\\\\":["\\\\\\"]",', b"]}", 2),
    ],
)  # fmt: skip
def test_a_document_may_be_as_deep_as_the_limit_and_no_deeper(opening, closing, levels):
    most = (NESTING_MAX - 1) // levels  # in the record, which is a level too
    for times, fate in ((most, None), (most + 1, Drop.NESTED_TOO_DEEP)):
        payload = b'{"device":"a","temp":1,"x":%s}' % (opening * times + b"1" + closing * times)
        json.loads(payload)
        assert decode(FLAT, payload)[0] is fate


@pytest.mark.parametrize("text", ["[" * 1000, "{[" * 1000, '\\"[' * 1000, "\\\\" * 1000 + "[" * 100])
def test_brackets_in_a_text_are_no_levels(text):
    payload = json.dumps({"device": "a", "temp": 1, "x": text, "y": [[text]] * 100}).encode()
    assert decode(FLAT, payload)[0] is None


def test_many_records_are_not_deep():
    assert decode(FLAT, b"[" + b",".join([b'{"device":"a","temp":1}'] * 1000) + b"]")[0] is None


@pytest.mark.parametrize("payload", [b"{}", b'{"data":[]}', b'{"data":{"ports":{}}}', b"[]", b"5"])
def test_records_that_are_not_where_the_layout_says_are_wrong_shape(payload):
    assert decode(PORTS, payload) == (Drop.WRONG_SHAPE, Batch())


def test_in_an_array_a_bad_record_is_counted_and_the_others_go_on():
    payload = (
        b'[{"temp":1},{"device":"b","temp":2},{"device":"c","temp":"x"},{"device":"d","temp":3,"time":-1},7]'
    )
    drop, batch = decode(FLAT, payload)
    assert drop is None
    assert (batch.entities, batch.value) == ([("b",)], [2.0])
    assert batch.dropped == {
        Drop.ENTITY_MISSING: 1,
        Drop.NOT_A_NUMBER: 1,
        Drop.NO_SIGNAL: 1,
        Drop.TIME_UNREADABLE: 1,
        Drop.WRONG_SHAPE: 1,
    }


def test_as_many_records_as_the_limit_are_taken():
    payload = b"[" + b",".join([b'{"device":"a","temp":1}'] * RECORDS_MAX) + b"]"
    drop, batch = decode(FLAT, payload)
    assert (drop, len(batch.entities)) == (None, RECORDS_MAX)
