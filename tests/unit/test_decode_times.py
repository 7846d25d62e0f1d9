"""Times: the same moment in every notation, and what is no time."""

import math
import time

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.times import TIME_MAX_S, parse_time
from detector.stream.definition import NO_TIME, Definition, Layout, Signal
from detector.stream.nouns import Batch, Message

MOMENT_S = 1_760_000_000.25  # 2025-10-09T08:53:20.25Z; a quarter is exact in float64


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (MOMENT_S, "auto"),
        (1_760_000_000_250, "auto"),
        (1_760_000_000_250_000, "auto"),
        (1_760_000_000_250_000_000, "auto"),
        (MOMENT_S, "s"),
        (1_760_000_000_250, "ms"),
        (1_760_000_000_250_000, "us"),
        (1_760_000_000_250_000_000, "ns"),
        ("1760000000.25", "auto"),
        (" 1760000000250\n", "auto"),
        ("1760000000250", "ms"),
        ("1.76000000025e9", "auto"),
        ("2025-10-09T08:53:20.25Z", "auto"),
        ("2025-10-09T08:53:20.250", "auto"),
        ("2025-10-09 08:53:20.250000000+00:00", "auto"),
        ("2025-10-09T10:53:20.25+02:00", "auto"),
        ("20251009T085320.25Z", "auto"),
        ("2025-10-09T03:23:20.25-05:30", "ms"),
    ],
)
def test_one_moment_reads_the_same_in_every_notation(value, unit):
    assert parse_time(value, unit) == MOMENT_S


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, [], {}, [1_760_000_000], {"s": 1},
        0, 0.0, -1, -0.001, math.nan, math.inf, -math.inf, 1e20, 1e308,
        "", " ", "now", "nan", "inf", "0", "-5", "1_760_000_000", "1e400", "12:00", "08:53:20",
        "2025-13-01T00:00:00Z", "2025-02-30", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
        "2025-10-09T08:53:20+25:00", "2025-10-09T08:53:20 UTC", "0001-01-01T00:00:00+23:59",
        "\ud800", "2025-10-09\udc80T08:53:20", "9" * 65, "2025-10-09T08:53:20." + "0" * 64 + "Z",
    ],
)  # fmt: skip
def test_what_is_no_time_after_the_epoch_is_none(value):
    assert parse_time(value) is None


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_unit_that_is_given_is_not_guessed(unit):
    assert parse_time(1000.0, unit) == 1000.0 / {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]


def test_a_unit_that_is_too_coarse_gives_no_time():
    assert parse_time(1_760_000_000_250, "s") is None
    assert parse_time(TIME_MAX_S, "s") is None
    assert parse_time(10**400, "ns") is None
    assert parse_time(math.nextafter(TIME_MAX_S, 0), "s") is not None


def test_a_time_without_offset_is_utc_wherever_the_machine_is(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert parse_time("2025-10-09T08:53:20.25") == MOMENT_S
    finally:
        monkeypatch.undo()
        time.tzset()


def test_nanoseconds_keep_the_resolution_of_float64_seconds():
    read_s = parse_time(1_760_000_000_123_456_789)
    assert abs(read_s - 1_760_000_000.123456789) <= 0.25e-6


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("json", b'{"a":1,"time":35}'),
        ("json", b'[{"a":1,"timestamp":"never"}]'),
        ("auto", b'{"a":1,"none":5}'),
        ("telegraf-json", b'{"fields":{"a":1},"timestamp":1760000000}'),
        ("influx", b"m a=1,none=7 1760000000000000000"),
        ("prometheus", b"a 1 1760000000000"),
        ("csv", b"a,time\n1,1760000000\n"),
        ("openconfig", b'{"name":"x","timestamp":1760000000000000000,"values":{"/x/a":1}}'),
    ],
)
def test_where_a_payload_has_no_time_that_of_arrival_counts(name, payload):
    definition = Definition(
        "x", ("device",), (Signal("a"),), 10.0, 60, "t/{device}", name, Layout(time=NO_TIME)
    )
    batch = Batch()
    assert decoder(definition).decode(Message("t/r1", payload, 5.5), {"device": "r1"}, batch) is None
    assert (batch.times_s, batch.value) == ([5.5], [1.0])
