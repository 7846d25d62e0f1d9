"""Format `value`: a bare number, named by its topic."""

from collections import Counter
from dataclasses import replace

import pytest

from detector.stream.decode import decoder
from detector.stream.decode.numbers import NUMBER_CHARS_MAX
from detector.stream.definition import Definition, Signal, Witness
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_000.5
ONE = Definition(
    "power", ("device",), (Signal("watts"),), 10.0, 60, "shellies/{device}/relay/0/power", "value"
)
TWO = Definition(
    "climate",
    ("device",),
    (Signal("temperature"), Signal("humidity", field="rh")),
    10.0,
    60,
    "sensors/{device}/{signal}",
    "value",
)


def decode(definition, topic, payload):
    reader = decoder(definition)
    batch = Batch()
    labels = reader.template.match(topic)
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), labels, batch)
    return drop, batch


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"12.5", 12.5), (b"-3", -3.0), (b"+3", 3.0), (b"1e3", 1000.0), (b" 42\n", 42.0), (b"0", 0.0),
        (b".5", 0.5), (b"5.", 5.0), (b"007", 7.0), (b"true", 1.0), (b"false", 0.0), (b"231.40\r\n", 231.4),
        (b"42\0", 42.0), (b"42\0\0", 42.0), (b"42\n\0", 42.0), (b"18446744073709551615", 2.0**64),
        (b"%.1f" % 1.7e308, 1.7e308),
        (b'"21.5"', 21.5), (b' "21.5"\n\0', 21.5), (b'" 21.5 "', 21.5), (b'"true"', 1.0),
        (b"\xef\xbb\xbf21.5", 21.5), (b'\xef\xbb\xbf"21.5"\r\n', 21.5),
    ],
)  # fmt: skip
def test_a_bare_number_is_one_sample_at_its_arrival(payload, value):
    drop, batch = decode(ONE, "shellies/plug-1/relay/0/power", payload)
    assert drop is None
    assert batch == Batch([("plug-1",)], [ARRIVAL_S], [0], [0], [value])


def test_the_topic_names_the_signal_where_there_are_several():
    reader = decoder(TWO)
    batch = Batch()
    for topic, payload in [("sensors/s1/temperature", b"21.5"), ("sensors/s1/rh", b"40")]:
        assert reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch) is None
    assert (batch.record, batch.signal, batch.value) == ([0, 1], [0, 1], [21.5, 40.0])


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"on", 1.0),
        (b" on\n", 1.0),
        (b'"on"', 1.0),
        (b"off\0", 0.0),
        (b"false", 7.0),
        (b"true", 1.0),
        (b"0.5", 0.5),
        ("hält".encode(), 2.0),
    ],
)
def test_a_word_is_the_number_that_it_stands_for(payload, value):
    words = (("on", 1.0), ("off", 0.0), ("false", 7.0), ("hält", 2.0))
    state = replace(ONE, signals=(Signal("state", words=words),))
    assert decode(state, "shellies/plug-1/relay/0/power", payload)[1].value == [value]


def test_several_signals_of_one_field_all_have_its_value():
    """As a state and how often it changes, or a value in two units; one may read what another cannot."""
    words = (("on", 1.0),)
    signals = (Signal("w", field="p"), Signal("other"), Signal("state", field="p", words=words))
    both = replace(TWO, signals=signals)
    drop, batch = decode(both, "sensors/s1/p", b"20")
    assert (drop, batch) == (None, Batch([("s1",)], [ARRIVAL_S], [0, 0], [0, 2], [20.0, 20.0]))
    drop, batch = decode(both, "sensors/s1/p", b"on")
    assert (drop, batch.signal, batch.value) == (None, [2], [1.0])
    assert batch.dropped == {Drop.NOT_A_NUMBER: 1}


def test_the_topic_names_what_counters_are_judged_by_too():
    booted = replace(TWO, witnesses=(Witness("boot", "boot_id"),))
    drop, batch = decode(booted, "sensors/s1/boot", b"8f1c-77")
    assert (drop, batch.signal) == (None, [2])


@pytest.mark.parametrize("signal", ["pressure", "humidity", ""])
def test_a_signal_that_the_stream_does_not_have_is_no_signal(signal):
    assert decode(TWO, f"sensors/s1/{signal}", b"1") == (Drop.NO_SIGNAL, Batch())


@pytest.mark.parametrize(
    ("payload", "drop"),
    [
        (b"", Drop.PAYLOAD_EMPTY), (b" \r\n", Drop.PAYLOAD_EMPTY), (b"\0", Drop.PAYLOAD_EMPTY),
        (b'""', Drop.PAYLOAD_EMPTY), (b'"', Drop.PAYLOAD_EMPTY), (b"\xef\xbb\xbf", Drop.PAYLOAD_EMPTY),
        (b"\xff\xfe", Drop.NOT_UTF8), (b"12\xb0C", Drop.NOT_UTF8), (b"null", Drop.NO_SIGNAL),
        (b'{"value": 1}', Drop.WRONG_SHAPE), (b"[1]", Drop.WRONG_SHAPE),
        (b"1" * (NUMBER_CHARS_MAX + 1), Drop.WRONG_SHAPE), (b"1" * 10_000_000, Drop.WRONG_SHAPE),
    ],
    ids=lambda value: repr(value[:30]),
)  # fmt: skip
def test_a_payload_that_is_no_value_is_dropped_with_its_reason(payload, drop):
    assert decode(ONE, "shellies/plug-1/relay/0/power", payload) == (drop, Batch())


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"on", Drop.NOT_A_NUMBER), (b"12.5 W", Drop.NOT_A_NUMBER), (b'"12.5', Drop.NOT_A_NUMBER),
        (b'""12.5""', Drop.NOT_A_NUMBER), (b"'12.5'", Drop.NOT_A_NUMBER), (b'"nan"', Drop.NOT_FINITE),
        (b"1,5", Drop.NOT_A_NUMBER), (b"0x10", Drop.NOT_A_NUMBER), (b"1_000", Drop.NOT_A_NUMBER),
        (b"12\0 5", Drop.NOT_A_NUMBER), ("\uff11\uff12".encode(), Drop.NOT_A_NUMBER),
        (b"True", Drop.NOT_A_NUMBER),
        (b"nan", Drop.NOT_FINITE), (b"-Infinity", Drop.NOT_FINITE), (b"1e999", Drop.NOT_FINITE),
        (b"9" * 400, Drop.NOT_FINITE),
    ],
)  # fmt: skip
def test_a_value_that_is_refused_is_counted_and_leaves_no_signal(payload, reason):
    drop, batch = decode(ONE, "shellies/plug-1/relay/0/power", payload)
    assert drop is Drop.NO_SIGNAL
    assert batch == Batch(dropped=Counter({reason: 1}))


def test_a_topic_without_the_entity_is_entity_missing():
    assert decode(ONE, "shellies//relay/0/power", b"1") == (Drop.ENTITY_MISSING, Batch())


@pytest.mark.parametrize(
    ("device", "label"), [("a\nb", "a\ufffdb"), ("a\x7fb", "a\ufffdb"), ("\udc80", "\ufffd"), (" a ", "a")]
)
def test_a_topic_level_is_cleaned_as_any_label_is(device, label):
    assert decode(ONE, f"shellies/{device}/relay/0/power", b"1")[1].entities == [(label,)]


def test_a_topic_level_that_is_too_long_is_wrong_shape():
    assert decode(ONE, f"shellies/{'a' * 257}/relay/0/power", b"1") == (Drop.WRONG_SHAPE, Batch())


def test_several_signals_need_a_level_that_names_them():
    with pytest.raises(ValueError, match=r"several signals need \{signal\}"):
        decoder(Definition("x", ("device",), TWO.signals, 10.0, 60, "sensors/{device}", "value"))


def test_an_unknown_format_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"unknown format 'xml'; known: [a-z-]+(, [a-z-]+)+$"):
        decoder(Definition("x", ("device",), TWO.signals, 10.0, 60, "sensors/{device}", "xml"))
