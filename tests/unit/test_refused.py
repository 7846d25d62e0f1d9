"""What the log shows of what is refused."""

import logging

import pytest

from detector.edge.snapshot import EXAMPLE_CHARS_MAX, Example, example, refused_examples
from detector.journal import REFUSED_AGAIN_S, Refusals
from detector.stream.definition import Signal
from detector.stream.nouns import Drop, Message
from detector.stream.streams import Streams
from tests.support.snapshots import snapshot, stream
from tests.support.streams import START_S, StreamPipeline, definition

WALL = {"clock": "wall", "age_max_s": 3600.0, "future_max_s": 60.0, "lateness_s": 10.0}


def record(value="1", ahead_s=0.0):
    return f'{{"level": {value}, "time": {START_S + ahead_s}}}'.encode()


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        (record(), set()),
        (b"{", {Drop.NOT_JSON}),
        (record("null"), {Drop.NO_SIGNAL}),
        (record('"many"'), {Drop.NO_SIGNAL, Drop.NOT_A_NUMBER}),
        (record(ahead_s=61), {Drop.TIME_FUTURE}),
        (record(ahead_s=-3601), {Drop.TIME_OLD}),
    ],
)
def test_what_is_refused_has_an_example_for_each_reason(payload, reasons):
    streams = Streams([StreamPipeline(definition(Signal("level"), **WALL), None)])
    streams.feed([Message("tests/r1", payload, START_S)])
    counted = streams.messages_dropped + streams.streams[0].dropped()
    assert set(counted) == {Drop(reason) for reason in refused_examples(streams)} == reasons


def test_the_example_is_the_last_message_or_the_entity_whose_time_is_wrong():
    streams = Streams([StreamPipeline(definition(Signal("level"), **WALL), None)])
    payloads = [b"{", b"[", record(), record(ahead_s=61), record(ahead_s=-7200)]
    streams.feed([Message("tests/r1", payload, START_S) for payload in payloads])
    assert refused_examples(streams) == {
        "not_json": Example("tests/r1", "["),
        "time_future": Example("r1", "61 s ahead of the clock of stream tests"),
        "time_old": Example("r1", "7200 s behind the clock of stream tests"),
    }


def test_an_example_is_cut_and_any_bytes_are_text():
    wide = "\N{SNOWMAN}" * EXAMPLE_CHARS_MAX
    assert example("t", wide.encode()) == ("t", wide)
    assert example("t", (wide + "x").encode()) == ("t", wide + "…")
    assert example("t" * 1000, b"\xff") == ("t" * EXAMPLE_CHARS_MAX + "…", "\ufffd")


def told(caplog, refusals, monotonic_s, **counts):
    caplog.clear()
    with caplog.at_level(logging.INFO):
        shown = snapshot(
            messages_dropped=counts,
            streams=(stream(samples_dropped={"late": 2}),),
            examples={"not_json": Example("net/a", "{")},
        )
        refusals.watch(shown, monotonic_s)
    return [(one.levelname, one.facts) for one in caplog.records]


def test_a_reason_is_told_once_and_then_not_for_a_while(caplog):
    refusals = Refusals()
    first = told(caplog, refusals, 0.0, not_json=3, no_signal=0)
    assert first == [
        ("WARNING", {"reason": "not_json", "count": 3, "of": "net/a", "what": "{"}),
        ("INFO", {"reason": "late", "count": 2}),
    ]
    assert told(caplog, refusals, REFUSED_AGAIN_S - 1, not_json=90, malformed=1) == [
        ("WARNING", {"reason": "malformed", "count": 1})
    ]
    assert [facts["count"] for _, facts in told(caplog, refusals, REFUSED_AGAIN_S, not_json=100)] == [97]
    assert told(caplog, refusals, 3 * REFUSED_AGAIN_S, not_json=100) == []
