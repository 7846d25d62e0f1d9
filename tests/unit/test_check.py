"""Why a message is refused, and what the log may show of it."""

import pytest

from detector.check import refusals
from detector.edge.snapshot import EXAMPLE_CHARS_MAX, example
from detector.stream.definition import Signal
from detector.stream.nouns import Drop, Message
from detector.stream.streams import Streams
from tests.support.snapshots import stream
from tests.support.streams import START_S, StreamPipeline, definition

WALL = {"clock": "wall", "age_max_s": 3600.0, "future_max_s": 60.0, "lateness_s": 10.0}


def record(value="1", ahead_s=0.0):
    return f'{{"level": {value}, "time": {START_S + ahead_s}}}'.encode()


def message(payload, topic="tests/r1"):
    return Message(topic, payload, START_S)


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        (record(), set()),
        (b"{", {Drop.NOT_JSON}),
        (record("null"), {Drop.NO_SIGNAL}),
        (record('"many"'), {Drop.NO_SIGNAL, Drop.NOT_A_NUMBER}),
        (record(ahead_s=61), {Drop.TIME_FUTURE}),
        (record(ahead_s=-3601), {Drop.TIME_OLD}),
        (record(ahead_s=-9), set()),
        (record(ahead_s=-21), {Drop.LATE}),
    ],
)
def test_a_message_is_refused_for_the_reasons_that_the_pipeline_counts(payload, reasons):
    watched = definition(Signal("level"), **WALL)
    assert refusals([watched], message(payload)) == reasons
    streams = Streams([StreamPipeline(watched, None)])
    streams.feed([message(record(ahead_s=-15.0))])
    list(streams.tick(START_S))  # what can be closed by now is
    before = +streams.streams[0].dropped()
    streams.feed([message(payload)])
    counted = streams.messages_dropped + (streams.streams[0].dropped() - before)
    assert set(counted) == reasons


def test_a_clock_that_follows_the_data_is_not_asked():
    watched = definition(Signal("level"))
    assert refusals([watched], message(record(ahead_s=-1e6))) == set()


def test_a_stream_that_does_not_read_the_topic_has_no_reason():
    assert refusals([definition(Signal("level"))], message(b"{", "other/r1")) == set()


def test_a_goodbye_is_no_refused_value():
    watched = definition(Signal("level"), offline_topic="tests/{device}")
    assert refusals([watched], message(b"offline")) == set()
    assert refusals([watched], message(b"online")) == {Drop.NOT_JSON}


def test_an_example_is_cut_and_any_bytes_are_text():
    wide = "\N{SNOWMAN}" * EXAMPLE_CHARS_MAX
    assert example("t", wide.encode()) == ("t", wide)
    assert example("t", (wide + "x").encode()) == ("t", wide + "…")
    assert example("t" * 1000, b"\xff") == ("t" * EXAMPLE_CHARS_MAX + "…", "\ufffd")


def test_a_late_or_repeated_sample_is_not_kept():
    dropped = {"late": 3, "duplicate": 2, "time_old": 50}
    assert stream(samples_total=10, samples_dropped=dropped).samples_kept_total == 5
