"""All stages in their order: one stream from records to verdicts, and messages to streams."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detector.stream.decode.sparkplug_b_pb2 import Payload
from detector.stream.definition import Layout, Signal
from detector.stream.nouns import Drop, Message, State
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams
from tests.support.streams import (
    COUNTER,
    GAUGE,
    START_S,
    batch,
    definition,
    feed,
    judge,
    onsets_and_closures,
)


def told(device, steps, value=0.0):
    """Return one record a step of a device, at the times of the steps."""
    return [(device, 10.0 * step, {0: value}) for step in steps]


def run(stream, records):
    """Feed records one by one; return all outcomes."""
    return [outcome for record in records for outcome in feed(stream, record)]


def test_a_new_entity_is_scored_with_its_first_full_window_and_not_before():
    stream = StreamPipeline(definition(), judge())
    outcomes = run(stream, told("r", range(1, 7)))
    scored = [round((outcome.time_s - START_S) / 10) for outcome in outcomes if outcome.scores is not None]
    assert scored == [4, 5, 6]
    assert stream.bench.windows_scored_total == 3


def test_an_episode_opens_explains_itself_and_closes():
    """Steps 1 to 4 and from 8 on are normal; what 5 to 7 came to takes four steps to be forgotten."""
    stream = StreamPipeline(definition(), judge(entities=[("r",)]))
    values = [0, 0, 0, 0, 5, 5, 5] + 10 * [0]
    records = [("r", 10.0 * step, {0: value}) for step, value in enumerate(values, 1)]
    began, ended = onsets_and_closures(run(stream, records[:7]))
    assert (began, ended) == ([50.0], [])
    assert stream.bench.why[0].observed.tolist() == [[5.0]]
    assert onsets_and_closures(run(stream, records[7:])) == ([], [140.0])
    assert stream.bench.why == {}
    assert stream.bench.episodes_total == 1


def test_silence_ends_an_episode_with_what_explained_it_though_nobody_is_scored_then():
    stream = StreamPipeline(definition(silence_s=30.0), judge(entities=[("r",)]))
    run(stream, told("r", range(1, 5)) + told("r", range(5, 8), 5.0))
    assert stream.bench.why
    outcomes = list(stream.tick(START_S + 200.0))
    assert onsets_and_closures(outcomes)[1] == [100.0]
    assert stream.bench.why == {}
    assert stream.bench.states()[0] is State.SILENT


def test_a_restart_of_the_datas_clock_forgets_all_and_ends_what_was_open():
    stream = StreamPipeline(definition(age_max_s=100.0, future_max_s=100.0), judge(entities=[("r",)]))
    run(stream, told("r", range(101, 105)) + told("r", range(105, 108), 5.0))
    outcomes = feed(stream, *[("s", 1.0 + index, {0: 1.0}) for index in range(20)])
    assert onsets_and_closures(outcomes) == ([], [1070.0])
    assert outcomes[0].closures[0].entity == ("r",)
    assert stream.roster.get(("r",)) is None
    assert stream.bench.states()[stream.roster.get(("s",))] is State.WARMING
    assert stream.dropped()[Drop.TIME_OLD] == 15
    assert stream.dropped()[Drop.LATE] == 0


def test_after_a_restart_a_counter_has_no_base_in_the_future():
    stream = StreamPipeline(definition(COUNTER, age_max_s=100.0, future_max_s=100.0), judge())
    run(stream, [("r", 1000.0 + 10.0 * step, {0: 1e6 * step}) for step in range(5)])
    outcomes = feed(stream, *[("r", 10.0 + index / 10, {0: 1e9}) for index in range(16)])
    outcomes += feed(stream, ("r", 20.0, {0: 1e9 + 85.0}))
    assert [outcome.steps.value.tolist() for outcome in outcomes if len(outcome.steps.row)] == [[[10.0]]]
    assert not stream.align.discontinuities.any()


def test_a_row_used_again_is_another_entity_in_every_stage():
    stream = StreamPipeline(definition(GAUGE, COUNTER, expire_s=100.0, entities_max=1), judge(2))
    run(stream, [("r", 10.0 * step, {0: 1e6, 1: 1e9 * step}) for step in range(1, 9)])
    list(stream.tick(START_S + 1000.0))
    assert stream.bench.states() == [None]
    outcomes = run(stream, [("s", 1000.0 + 10.0 * step, {0: 5.0, 1: 10.0 * step}) for step in range(1, 6)])
    first = outcomes[0]
    assert stream.roster.entities == [("s",)]
    assert first.steps.seen.tolist() == [[True, False]], "a counter's first look says no rate"
    scores = [outcome.scores for outcome in outcomes if outcome.scores is not None]
    assert [one.step for one in scores] == [int(START_S) // 10 + 104, int(START_S) // 10 + 105]
    assert scores[0].contribution.tolist() == [[0.0, 0.0]], "scaled by its own window"
    assert not stream.align.discontinuities.any()


def test_an_entity_expires_after_its_time_and_one_that_speaks_does_not():
    stream = StreamPipeline(definition(expire_s=100.0), judge())
    run(stream, told("quiet", [1]) + told("r", range(1, 11)))
    assert len(stream.roster) == 2
    run(stream, told("r", [12]))
    assert stream.roster.get(("quiet",)) is None
    assert stream.roster.get(("r",)) is not None


def test_beyond_entities_max_samples_are_dropped_and_counted():
    stream = StreamPipeline(definition(entities_max=2), judge())
    feed(stream, *[(device, 5.0, {0: 1.0}) for device in "abcd"])
    assert stream.dropped()[Drop.ENTITIES_MAX] == 2
    assert (len(stream.roster), stream.samples_total) == (2, 2)


def test_beyond_device_entities_max_samples_are_dropped_and_counted_and_others_are_taken():
    limited = definition(entity=("device", "port"), topic="tests/#", entities_max=5, device_entities_max=2)
    pipeline = Streams([StreamPipeline(limited, None)])
    for device, ports in (("r1", 4), ("r2", 3), ("r3", 2)):
        many = [{"device": device, "port": port, "level": 1.0} for port in range(ports)]
        pipeline.feed([message(payload=json.dumps(many).encode())])
    stream = pipeline.streams[0]
    assert stream.dropped()[Drop.DEVICE_ENTITIES_MAX] == 3
    assert stream.dropped()[Drop.ENTITIES_MAX] == 1
    assert stream.samples_total == 5
    assert stream.roster.refused == {Drop.DEVICE_ENTITIES_MAX: 3, Drop.ENTITIES_MAX: 1}


def test_times_out_of_bounds_are_dropped_by_reason_and_admit_nobody():
    stream = StreamPipeline(definition(age_max_s=100.0, future_max_s=50.0), judge())
    feed(stream, ("r", 0.0, {0: 1.0}))
    feed(stream, ("old", -101.0, {0: 1.0}), ("new", 51.0, {0: 1.0}), ("r", 50.0, {0: 1.0}))
    dropped = stream.dropped()
    assert (dropped[Drop.TIME_OLD], dropped[Drop.TIME_FUTURE]) == (1, 1)
    assert len(stream.roster) == 1


def test_states_are_states_and_say_who_is_judged():
    stream = StreamPipeline(definition(silence_s=1000.0), judge())
    run(stream, told("ready", range(1, 5)))
    run(stream, told("warming", [5]))
    run(stream, [record for step in range(6, 10) for record in told("warming", [step])])
    states = dict(zip(stream.roster.entities, stream.bench.states(), strict=True))
    assert states[("ready",)] is State.SPARSE
    assert states[("warming",)] is State.READY
    assert states[None] is None


def test_a_stream_without_a_bundle_is_unscored_never_normal():
    stream = StreamPipeline(definition(), None)
    outcomes = run(stream, told("r", range(1, 8)))
    assert all(outcome.scores is None for outcome in outcomes)
    assert stream.bench.states()[0] is State.UNSCORED


def test_capacity_doubles_in_mid_stream_and_nobody_notices():
    """One entity from the start, 200 from the third step on: the first is scored as if it were alone."""
    one, many = (StreamPipeline(definition(), judge()) for _ in range(2))
    alone, crowded = [], []
    for step in range(1, 9):
        mine = ("r", 10.0 * step, {0: float(step % 3)})
        others = [(f"x{index}", 10.0 * step, {0: 1.0}) for index in range(200)] if step > 2 else []
        alone += feed(one, mine)
        crowded += feed(many, mine, *others)
    assert many.roster.rows == 256
    row = many.roster.get(("r",))
    assert [outcome.scores.score[0] for outcome in alone if outcome.scores is not None] == [
        outcome.scores.score[outcome.scores.row == row][0]
        for outcome in crowded
        if outcome.scores is not None
    ]


def test_a_data_clock_that_has_seen_nothing_is_ticked_in_vain():
    pipeline = Streams([StreamPipeline(definition(), judge())])
    assert not pipeline.due(START_S)
    assert list(pipeline.tick(START_S)) == []


def test_a_counter_that_waits_for_its_refresh_is_heard():
    """Standing still for less than `refresh_s` is no rate, and no silence either."""
    stream = StreamPipeline(definition(COUNTER, refresh_s=1e6, silence_s=25.0, window_steps=30), judge())
    shown = [0, 10, 20, *[30] * 10]
    run(stream, [("r", 10.0 * step, {0: value}) for step, value in enumerate(shown, 1)])
    assert stream.bench.states()[0] is State.WARMING
    assert stream.bench.silence.spoken_s[0] == START_S + 130.0


def message(topic="tests/r", payload=b"1", after_s=0.0):
    return Message(topic, payload, START_S + after_s)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (message(topic="other/r"), Drop.TOPIC_UNKNOWN),
        (message(payload=b""), Drop.PAYLOAD_EMPTY),
        (message(payload=b"{"), Drop.NOT_JSON),
        (message(payload=b'{"other": 1}'), Drop.NO_SIGNAL),
    ],
)
def test_a_refused_message_is_counted_under_one_reason(one, reason):
    pipeline = Streams([StreamPipeline(definition(), judge())])
    pipeline.feed([one])
    assert dict(pipeline.messages_dropped) == {reason: 1}


def test_a_message_goes_to_every_stream_whose_template_fits_and_is_refused_only_if_all_refuse():
    streams = [
        StreamPipeline(definition(Signal("a")), None),
        StreamPipeline(definition(Signal("b"), topic="{_}/{device}"), None),
    ]
    pipeline = Streams(streams)
    pipeline.feed(
        [message(payload=b'{"a": 1}'), message(payload=b'{"b": 1}'), message(payload=b'{"a":1,"b":1}')]
    )
    assert [stream.samples_total for stream in streams] == [2, 2]
    assert not pipeline.messages_dropped
    pipeline.feed([message(payload=b'{"c": 1}')])
    assert sum(pipeline.messages_dropped.values()) == 1


PAYLOAD = b'{"level": 1, "site": "payload"}'


@pytest.mark.parametrize(
    ("properties", "payload", "entity"),
    [
        ((("site", "fra"),), PAYLOAD, ("r", "fra")),
        ((("site", "fra"), ("color", "red"), ("device", "x")), PAYLOAD, ("r", "fra")),
        ((("site", "fra"), ("site", "muc")), PAYLOAD, ("r", "muc")),
        ((("site", " fra\t"),), PAYLOAD, ("r", "fra")),
        ((("site", ""),), PAYLOAD, ("r", "payload")),
        ((("level", "7"),), PAYLOAD, ("r", "payload")),
        ((("color", "red"),), b'{"level": 1}', None),
        ((("site", "x" * 300),), PAYLOAD, None),
    ],
)
def test_user_properties_are_labels_after_the_topics_and_before_the_payloads(properties, payload, entity):
    pipeline = Streams([StreamPipeline(definition(entity=("device", "site")), None)])
    pipeline.feed([message(payload=payload)._replace(properties=properties)])
    assert [one for one in pipeline.streams[0].roster.entities if one] == ([entity] if entity else [])


def test_a_property_is_a_label_where_the_level_of_the_topic_is_empty_and_of_no_other_message():
    pipeline = Streams([StreamPipeline(definition(), None)])
    named = message("tests/", b'{"level": 1}')._replace(properties=(("device", "a"),))
    pipeline.feed([named, message("tests/", b'{"level": 1}')])
    assert pipeline.streams[0].roster.entities[0] == ("a",)
    assert pipeline.messages_dropped == {Drop.ENTITY_MISSING: 1}


def test_a_pattern_looks_into_a_property_too():
    layout = Layout(patterns=(("host", "(?P<site>[a-z]+)-(?P<device>.+)"),))
    pipeline = Streams([StreamPipeline(definition(entity=("site", "device"), layout=layout), None)])
    pipeline.feed([message(payload=b'{"level": 1}')._replace(properties=(("host", "fra-r1"),))])
    assert pipeline.streams[0].roster.entities[0] == ("fra", "r1")


def test_feeding_nothing_does_nothing():
    pipeline = Streams([StreamPipeline(definition(), judge())])
    pipeline.feed([])
    pipeline.streams[0].add(batch(), np.empty(0))
    assert list(pipeline.tick(START_S)) == []


# What is missed, and what is asked for


def numbered(*numbers, node="n1", alias=None):
    """Return data of a node with these numbers, by name or by an alias that no birth explains."""
    for number in numbers:
        payload = Payload(timestamp=int(START_S * 1000), seq=number)
        payload.metrics.add(double_value=1.0, **({"name": b"level"} if alias is None else {"alias": alias}))
        yield Message(f"spBv1.0/g/NDATA/{node}", payload.SerializeToString(), START_S)


def edges(count=1):
    one = definition(entity=("node",), topic="spBv1.0/#", format="sparkplug")
    return Streams([StreamPipeline(one, None) for _ in range(count)])


def test_messages_that_never_came_are_counted():
    streams = edges()
    streams.feed(list(numbered(0, 1, 4)))
    streams.feed(list(numbered(6)))
    assert streams.streams[0].messages_missed_total == 3
    assert streams.streams[0].samples_total == 4


def test_what_is_to_be_published_is_handed_out_once_a_topic_however_many_streams_ask():
    streams = edges(3)
    streams.feed([*numbered(0, alias=1), *numbered(0, alias=1, node="n2"), *numbered(1, alias=1)])
    assert [topic for topic, _ in streams.replies()] == ["spBv1.0/g/NCMD/n1", "spBv1.0/g/NCMD/n2"]
    assert streams.replies() == []
    assert streams.messages_dropped == {Drop.ALIAS_UNKNOWN: 3}


def test_replies_that_nobody_takes_are_bounded_and_counted(monkeypatch):
    monkeypatch.setattr("detector.stream.streams.REPLIES_MAX", 2)
    streams = edges()
    for node in ("n1", "n2", "n3", "n4"):
        streams.feed(list(numbered(0, alias=1, node=node)))
    assert [topic for topic, _ in streams.replies()] == ["spBv1.0/g/NCMD/n1", "spBv1.0/g/NCMD/n2"]
    assert streams.replies_dropped_total == 2


# Goodbyes


def parted(**changed):
    """Return streams of two ports of r1 and one of r2, whose last wills are on `status/DEVICE`."""
    one = definition(
        entity=("device", "port"), topic="tests/{device}/{port}", offline_topic="status/{device}"
    )
    return Streams([StreamPipeline(replace(one, **changed), judge())])


PORTS = (("r1", "a"), ("r1", "b"), ("r2", "a"))


def speak(streams, after_s, ports=PORTS, value=0.0):
    payload = json.dumps({"level": value, "time": START_S + after_s}).encode()
    streams.feed([message(f"tests/{device}/{port}", payload) for device, port in ports])
    return [outcome for _, outcome in streams.tick(START_S + after_s)]


def silent(streams):
    stream = streams.streams[0]
    states = zip(stream.roster.entities, stream.bench.states(), strict=True)
    return [entity for entity, state in states if state is State.SILENT]


def test_a_goodbye_silences_all_entities_that_its_topic_names_at_once():
    streams = parted()
    speak(streams, 10.0)
    streams.feed([message("status/r1", b"offline")])
    assert silent(streams) == [("r1", "a"), ("r1", "b")]
    assert not streams.messages_dropped
    (outcome,) = speak(streams, 20.0, PORTS[2:])
    assert outcome.silenced == [("r1", "a"), ("r1", "b")]


@pytest.mark.parametrize(
    ("topic", "payload", "drops"),
    [
        ("status/r1", b"online", {Drop.NO_SIGNAL: 1}),
        ("status/r3", b"offline", {}),
        ("status/", b"offline", {}),
        ("status", b"offline", {Drop.TOPIC_UNKNOWN: 1}),
    ],
)
def test_what_is_no_goodbye_or_names_nobody_silences_nobody(topic, payload, drops):
    streams = parted()
    speak(streams, 10.0)
    streams.feed([message(topic, payload)])
    assert silent(streams) == []
    assert streams.messages_dropped == drops


@pytest.mark.parametrize("payload", [b"offline", b" Offline\r\n", b"OFFLINE\0", b'{"state":"offline"}'])
def test_a_goodbye_is_what_the_settings_say_in_any_case_and_space(payload):
    streams = parted(offline_payloads=("offline", '{"State":"offline"}'))
    speak(streams, 10.0)
    streams.feed([message("status/r2", payload)])
    assert silent(streams) == [("r2", "a")]


def test_a_goodbye_names_an_entity_as_its_values_do():
    streams = parted()
    speak(streams, 10.0, [("r1\t ", "a")])
    streams.feed([message("status/r1 ", b"offline")])
    assert silent(streams) == [("r1", "a")]


def test_who_speaks_after_a_goodbye_is_heard_again_and_what_was_said_before_it_does_not_count():
    streams = parted(lateness_s=10.0)
    speak(streams, 10.0)
    streams.feed([message("status/r1", b"offline")])
    (outcome,) = speak(streams, 20.0, PORTS[2:])
    assert outcome.steps.row.tolist() == [0, 1, 2], "the step of 10 s, in which all spoke"
    assert silent(streams) == [("r1", "a"), ("r1", "b")]
    (outcome,) = speak(streams, 30.0, PORTS[1:])
    assert outcome.speaking_again == []
    (outcome,) = speak(streams, 40.0, PORTS[1:])
    assert outcome.speaking_again == [("r1", "b")]
    assert silent(streams) == [("r1", "a")]


def test_a_goodbye_ends_the_episode_and_its_explanation():
    streams = parted()
    for step in range(1, 5):
        speak(streams, 10.0 * step)
    for step in range(5, 8):
        speak(streams, 10.0 * step, value=9.0)
    stream = streams.streams[0]
    assert stream.bench.decider.active.sum() == len(stream.bench.why) == 3
    streams.feed([message("status/r1", b"offline")])
    assert stream.bench.decider.active.sum() == len(stream.bench.why) == 1
    (outcome,) = speak(streams, 80.0, PORTS[2:], value=9.0)
    ended = [(closure.entity, closure.time_s - START_S) for closure in outcome.closures]
    assert ended == [(("r1", "a"), 70.0), (("r1", "b"), 70.0)]
    assert outcome.scores.row.tolist() == [2]


def test_who_said_goodbye_is_not_scored_in_the_steps_that_were_still_open():
    streams = parted(lateness_s=100.0)
    for step in range(1, 9):
        speak(streams, 10.0 * step)
    streams.feed([message("status/r1", b"offline")])
    outcomes = list(streams.streams[0].tick(START_S + 300.0))
    scored = [outcome.scores.row.tolist() for outcome in outcomes if outcome.scores is not None]
    assert scored == [[2]] * len(scored) != []
    assert {tuple(outcome.steps.row.tolist()) for outcome in outcomes} >= {(0, 1, 2)}, "they are recorded"


def test_a_topic_may_carry_values_and_goodbyes():
    streams = parted(entity=("device",), topic="tests/{device}", offline_topic="tests/{device}")
    payload = json.dumps({"level": 1, "time": START_S}).encode()
    streams.feed([message("tests/r1", payload), message("tests/r1", b"offline")])
    assert silent(streams) == [("r1",)]
    assert not streams.messages_dropped


def test_a_goodbye_that_leaves_out_a_label_of_the_topic_or_names_another_silences_nobody():
    stream = StreamPipeline(definition(), judge())
    run(stream, told("r", [1]))
    stream.silence([{}, {"device": "r", "site": "x"}, {"device": "x"}])
    assert stream.bench.states()[0] is not State.SILENT
    stream.silence([{"device": "r"}])
    assert stream.bench.states()[0] is State.SILENT
