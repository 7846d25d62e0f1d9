"""Format `senml`: the examples of RFC 8428, what some gateways write, and what is no pack."""

import math
import time
from collections import Counter
from dataclasses import replace

import cbor2
import pytest

from detector.stream.decode import decoder
from detector.stream.decode.cbor import DECIMALS_BYTES_MAX
from detector.stream.decode.records import RECORDS_MAX
from detector.stream.decode.senml import NAME_CHARS_MAX
from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_000.5
SIGNALS = ("voltage", "current", "temp", "humidity", "open", "Cel", "%RH", "lon", "energy.sum", "1")
LONG = b"n" * NAME_CHARS_MAX
OW = "urn:dev:ow:10e2073a01080063"
THINGS = Definition(
    "things",
    ("name",),
    tuple(Signal(name, words=(("Machine Room", 7.0),)) for name in SIGNALS),
    10.0,
    60,
    "senml/#",
    "senml",
)

# RFC 8428, 5.1.2 and 6.1: the same pack twice.
POWER = (
    b'[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,'
    b'"n":"voltage","u":"V","v":120.1},{"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},'
    b'{"n":"current","t":-3,"v":1.4},{"n":"current","t":-2,"v":1.5},{"n":"current","t":-1,"v":1.6},'
    b'{"n":"current","v":1.7}]'
)
POWER_CBOR = bytes.fromhex(
    "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067"
    "766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272"
    "656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e740621"
    "02f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333"
)


def decode(payload, definition=THINGS, topic="senml/any"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop, batch


def found(payload):
    """Return what a payload gives: label, seconds since its arrival, signal, value."""
    drop, batch = decode(payload)
    assert drop is None, drop
    return [
        (batch.entities[record][0], batch.times_s[record] - ARRIVAL_S, SIGNALS[signal], value)
        for record, signal, value in zip(batch.record, batch.signal, batch.value, strict=True)
    ]


@pytest.mark.parametrize("payload", [POWER, POWER_CBOR], ids=["json", "cbor"])
def test_a_pack_says_the_same_in_json_and_in_cbor(payload):
    drop, batch = decode(payload)
    assert drop is None
    assert set(batch.entities) == {("urn:dev:ow:10e2073a0108006",)}
    base_s = 1276020076.001
    assert batch.times_s == pytest.approx([base_s, *(base_s + ago_s for ago_s in range(-5, 1))], abs=1e-6)
    assert batch.value == [120.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
    assert batch.signal == [0] + [1] * 6


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        # RFC 8428, 5.1.1: the name of a device, and a unit.
        (b'[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]', [(OW, 0, "Cel", 23.1)]),
        # 5.1.2: no time is now.
        (
            (b'[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},'
            b'{"n":"current","u":"A","v":1.2}]'),
            [(OW, 0, "voltage", 120.1), (OW, 0, "current", 1.2)],
        ),
        # 5.1.3: units alone tell the values apart.
        (
            (b'[{"bn":"urn:dev:ow:10e2073a01080063","bt":1760000060.5,"bu":"%RH","v":20},'
            b'{"u":"lon","v":24.30621},{"u":"lat","v":60.07965},{"t":60,"v":20.3}]'),
            [(OW, 60, "%RH", 20), (OW, 60, "lon", 24.30621), (OW, 120, "%RH", 20.3)],
        ),
        # 5.1.5, without its text and its binary data.
        (
            b'[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},{"n":"open","vb":true}]',
            [(OW, 0, "temp", 23.1), (OW, 0, "open", 1)],
        ),
        # 5.1.6: the last record has the base name of the third and the base time of the first.
        (
            (b'[{"bn":"2001:db8::2/","bt":1760000000.5,"n":"temp","u":"Cel","v":25.2},'
            b'{"n":"humidity","u":"%RH","v":30},{"bn":"2001:db8::1/","n":"temp","u":"Cel","v":12.3},'
            b'{"n":"humidity","u":"%RH","v":67}]'),
            [
                ("2001:db8::2", 0, "temp", 25.2), ("2001:db8::2", 0, "humidity", 30),
                ("2001:db8::1", 0, "temp", 12.3), ("2001:db8::1", 0, "humidity", 67),
            ],
        ),
        # A resolved name, with either joint; a base name joined by another character.
        (b'[{"n":"urn:dev:ow:1:temp","v":1}]', [("urn:dev:ow:1", 0, "temp", 1)]),
        (b'[{"n":"site/dev1/temp","v":1}]', [("site/dev1", 0, "temp", 1)]),
        (b'[{"bn":"urn:dev:mac:0024be_","n":"temp","v":1}]', [("urn:dev:mac:0024be", 0, "temp", 1)]),
        # A base name as its own record, and a value as text (KPN Things).
        (
            (b'[{"bn":"urn:dev:DEVEUI:0059AC0000000000:","bt":1.7600000005e9},{"n":"temp","vs":"32.0"},'
            b'{"n":"port","v":3.0}]'),
            [("urn:dev:DEVEUI:0059AC0000000000", 0, "temp", 32)],
        ),
        # LwM2M: objects and resources are numbers, and milliseconds are where seconds belong.
        (b'[{"bn":"14205/0/","bt":1760000001500,"n":"1","v":-96}]', [("14205/0", 1, "1", -96)]),
        # A base value, and sums with a base and without.
        (
            b'[{"bn":"d:","bv":20,"n":"temp","v":0.5},{"n":"temp","v":1,"t":1},{"bv":0,"n":"energy","s":7}]',
            [("d", 0, "temp", 20.5), ("d", 1, "temp", 21), ("d", 0, "energy.sum", 7)],
        ),
        (b'[{"bn":"d:","bs":1000,"n":"energy","v":5,"s":7}]', [("d", 0, "energy.sum", 1007)]),
        (b'[{"bn":"d:","bs":1000,"n":"energy","v":5}]', [("d", 0, "energy.sum", 1000)]),
        # Relative and absolute base times and times; 2**28 is where they meet.
        (b'[{"bn":"d:","bt":-10,"n":"temp","t":4,"v":1}]', [("d", -6, "temp", 1)]),
        (b'[{"bn":"d:","n":"temp","t":1760000000,"v":1}]', [("d", -0.5, "temp", 1)]),
        (b'[{"bn":"d:","n":"temp","t":268435455,"v":1}]', [("d", 268435455, "temp", 1)]),
        (b'[{"bn":"d:","n":"temp","t":268435456,"v":1}]', [("d", 268435456 - ARRIVAL_S, "temp", 1)]),
        # What is not known and need not be understood; a version of RFC 9100.
        (b'[{"bn":"d:","bver":26,"n":"temp","v":1,"ut":60,"l":"x"}]', [("d", 0, "temp", 1)]),
        (b'[{"bn":"d:","n":"temp","v":1,"new":{"a":[1]}}]', [("d", 0, "temp", 1)]),
        (b'[{"bn":"d:","n":"temp","v":null,"vs":"Machine Room"}]', [("d", 0, "temp", 7)]),
        (b'\xef\xbb\xbf [{"bn":"d:","n":"temp","v":1}]\n', [("d", 0, "temp", 1)]),
    ],
)  # fmt: skip
def test_a_record_is_resolved_as_the_rfc_says(payload, samples):
    assert found(payload) == samples


def test_a_name_without_joints_is_a_signal_and_the_topic_says_of_whom():
    sensors = replace(THINGS, entity=("device",), topic="senml/{device}")
    drop, batch = decode(
        b'[{"n":"temp","v":1},{"n":"humidity","v":2},{"n":"temp","v":3}]', sensors, "senml/s1"
    )
    assert drop is None
    assert batch == Batch([("s1",)] * 2, [ARRIVAL_S] * 2, [0, 0, 1], [2, 3, 2], [1.0, 2.0, 3.0])
    assert decode(b'[{"n":"temp","v":1}]') == (Drop.ENTITY_MISSING, Batch())


def test_what_was_measured_of_one_name_at_one_time_is_one_record():
    _, batch = decode(b'[{"bn":"d:","n":"voltage","v":1},{"n":"current","v":2},{"n":"current","v":3,"t":-1}]')
    assert batch.record == [0, 0, 1]


@pytest.mark.parametrize(
    ("payload", "values", "dropped"),
    [
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"pressure","v":2}]', [1], {Drop.NO_SIGNAL: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},5]', [1], {Drop.WRONG_SHAPE: 1}),
        (b'[{"v":5},{"bn":"d:","n":"temp","v":1}]', [1], {Drop.WRONG_SHAPE: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":7,"v":1}]', [1], {Drop.WRONG_SHAPE: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"temp","u":7,"v":1}]', [1], {Drop.WRONG_SHAPE: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","t":"x","v":1}]', [1], {Drop.TIME_UNREADABLE: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","t":1e300,"v":1}]', [1], {Drop.TIME_UNREADABLE: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","t":-2e9,"v":1}]', [1], {Drop.TIME_UNREADABLE: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","vd":"MTIz"}]', [1], {Drop.NOT_A_NUMBER: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","vs":"ajar"}]', [1], {Drop.NOT_A_NUMBER: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","v":[1]}]', [1], {Drop.NOT_A_NUMBER: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"energy","s":"x"}]', [1], {Drop.NOT_A_NUMBER: 1}),
        (b'[{"bn":"d:","n":"temp","v":1},{"n":"open","v":NaN}]', [1], {Drop.NOT_FINITE: 1}),
        (b'[{"bn":"d:","bv":1e308,"n":"temp","v":1},{"n":"open","v":1e308}]', [1e308], {Drop.NOT_FINITE: 1}),
        (b'[{"bn":"%s","n":"temp","v":1},{"bn":"d:","n":"temp","v":2}]' % LONG, [2], {Drop.WRONG_SHAPE: 1}),
    ],
)  # fmt: skip
def test_a_record_that_is_refused_costs_no_other(payload, values, dropped):
    drop, batch = decode(payload)
    assert drop is None
    assert (batch.value, batch.dropped) == (values, Counter(dropped))


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b"{", Drop.NOT_JSON), (b"[\xff]", Drop.NOT_UTF8),
        (b'{"n":"temp","v":1}', Drop.WRONG_SHAPE), (b"5", Drop.WRONG_SHAPE), (b"[5]", Drop.WRONG_SHAPE),
        (b"[]", Drop.NO_SIGNAL), (b'[{"bn":"d:","bt":5}]', Drop.NO_SIGNAL),
        (b'[{"n":"d:x","v":1}]', Drop.NO_SIGNAL),
        (b'[{"v":1}]', Drop.WRONG_SHAPE), (b'[{"n":"d:temp","v":1,"t":null}]', Drop.TIME_UNREADABLE),
        # Bases of the wrong type, a version from the future, and what must be understood.
        (b'[{"n":"d:temp","v":1},{"bn":5}]', Drop.WRONG_SHAPE),
        (b'[{"bt":"1","n":"d:temp","v":1}]', Drop.WRONG_SHAPE),
        (b'[{"bv":null,"n":"d:temp","v":1}]', Drop.WRONG_SHAPE),
        (b'[{"bver":11,"n":"d:temp","v":1}]', Drop.WRONG_SHAPE),
        (b'[{"bver":0,"n":"d:temp","v":1}]', Drop.WRONG_SHAPE),
        (b'[{"bver":[],"n":"d:temp","v":1}]', Drop.WRONG_SHAPE),
        (b'[{"n":"d:temp","v":1},{"rel_":1}]', Drop.WRONG_SHAPE),
        (b"[" + b"0," * RECORDS_MAX + b"0]", Drop.RECORDS_MAX), (b"[" * 5000, Drop.NESTED_TOO_DEEP),
        (bytes.fromhex("81a1"), Drop.MALFORMED), (bytes.fromhex("a10001"), Drop.NOT_UTF8),
        (bytes.fromhex("80"), Drop.NO_SIGNAL), (bytes.fromhex("8100"), Drop.WRONG_SHAPE),
        (bytes.fromhex("d9d9f7"), Drop.MALFORMED), (bytes.fromhex("d9d9f700"), Drop.WRONG_SHAPE),
    ],
    ids=lambda value: repr(value[:40]),
)  # fmt: skip
def test_what_is_no_pack_is_dropped_with_its_reason(payload, drop):
    assert decode(payload) == (drop, Batch())


def cbor(*records):
    return cbor2.dumps([{-2: "d:", 0: "temp", 2: 1.5}, *records])


@pytest.mark.parametrize(
    "payload",
    [
        cbor(),
        b"\xd9\xd9\xf7" + cbor(),  # "this is CBOR"
        b"\x9f" + cbor()[1:] + b"\xff",  # an array of open length: a stream of records
        cbor2.dumps([{"bn": "d:", "n": "temp", "v": 1.5}]),  # labels as JSON has them
        bytes.fromhex("81a32162643a006474656d7002c482200f"),  # a decimal fraction: 15e-1
        cbor() + b"\0",
    ],
    ids=["plain", "self-described", "open", "names", "decimal", "rest"],
)
def test_cbor_comes_in_several_dresses(payload):
    assert found(payload) == [("d", 0, "temp", 1.5)]


def tagged(tag, value):
    return cbor({0: "open", 2: cbor2.CBORTag(tag, value)})


@pytest.mark.parametrize(
    "payload",
    [
        tagged(0, "2013-03-21T20:04:00Z"), tagged(1, 1363896240), tagged(2, b"\1" * 9), tagged(3, b"\1"),
        tagged(5, [1, 2]), tagged(28, 1), tagged(30, [1, 3]), tagged(35, "(a+)+$"), tagged(36, "From: a"),
        tagged(37, bytes(16)), tagged(258, [1]), tagged(260, b"\x7f\0\0\1"), tagged(43000, [1, 2]),
        tagged(999, 1),
        tagged(4, [1]), tagged(4, "12"), tagged(4, [1, 2, 3]), tagged(4, [1.5, 2]), tagged(4, [1, "2"]),
        cbor({0: "open", 2: {1: [[1]]}}), cbor({0: "open", 2: [[[1]]]}),
        b"\x81" * 100_000, b"\x9b" + b"\xff" * 8, b"\x81\x7b\x7f" + b"\xff" * 7 + b"x", cbor()[:-1],
        b"\x81\xff", b"\x81\x1c",
        b"\x81\xa1\x61\xff\0", bytes.fromhex("81a1c482210201"),
    ],
    ids=lambda value: value[:40].hex(),
)  # fmt: skip
def test_cbor_that_is_more_than_plain_values_is_malformed(payload):
    assert decode(payload) == (Drop.MALFORMED, Batch())


def test_a_decimal_fraction_without_bounds_is_no_number():
    drop, batch = decode(tagged(4, [2**63, 9]))
    assert (drop, batch.value, batch.dropped) == (None, [1.5], Counter({Drop.NOT_FINITE: 1}))
    drop, batch = decode(tagged(4, [-(2**63), 9]))
    assert (drop, batch.value) == (None, [1.5, 0.0])


def test_a_label_of_cbor_that_is_an_array_refuses_a_large_pack():
    keyed = bytes.fromhex("81a1820102") + b"\x01"
    assert decode(keyed)[0] is Drop.NO_SIGNAL
    long = cbor2.dumps("x" * DECIMALS_BYTES_MAX)
    assert decode(bytes.fromhex("82a1820102") + b"\x01" + long)[0] is Drop.MALFORMED


def test_a_base_name_that_is_repeated_a_thousand_times_takes_no_time():
    record = b'{"n":"temp","v":1},' * (RECORDS_MAX - 2)
    payload = b'[{"bn":"%s"},' % (b":" * 800_000) + record + b'{"n":"temp","v":1}]'
    began_s = time.process_time()
    assert decode(payload) == (Drop.WRONG_SHAPE, Batch())
    assert time.process_time() - began_s < 1


def test_values_of_cbor_that_json_lacks_are_no_numbers():
    payload = cbor(
        {0: "open", 2: cbor2.undefined}, {0: "Cel", 2: cbor2.CBORSimpleValue(99)}, {0: "lon", 8: b"1"}
    )
    drop, batch = decode(payload)
    assert (drop, batch.value, batch.dropped) == (None, [1.5], Counter({Drop.NOT_A_NUMBER: 3}))
    assert decode(cbor({0: "open", 2: math.nan}))[1].dropped == Counter({Drop.NOT_FINITE: 1})
