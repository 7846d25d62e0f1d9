"""What the log says of the network, where nothing is heard, and where a counter is none."""

import logging
import re
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest

from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.journal import FALLS_MIN, ORDINARY, Hearing, Kinds, tell, tell_groups
from detector.stream.definition import Maintenance, Signal, SignalPolicy
from detector.stream.groups import Gathering, Groups
from detector.stream.identity import alarm_id
from detector.stream.nouns import Alarm, Discontinuity, Span, Spell
from detector.stream.pipeline import StreamPipeline
from tests.support.groups import Story, interfaces
from tests.support.snapshots import snapshot, stream
from tests.support.streams import START_S, definition, feed, judge

NO_GROUPS = Gathering(0.0)


@pytest.fixture
def complaints(caplog):
    """Return a function that watches a snapshot each second and says when it complained."""

    def watch(hearing, seconds, snapshot_at):
        times_s = []
        for at_s in seconds:
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                hearing.watch(snapshot_at(at_s), float(at_s))
            times_s += [at_s] * len(caplog.records)
        return times_s

    return watch


def heard(samples, missing=(), patience_s=60.0):
    return snapshot(streams=(stream(samples_total=samples, patience_s=patience_s),), missing=missing)


def hearing(*names, **changed):
    return Hearing([replace(definition(**changed), name=name) for name in names or ["interfaces"]], 0.0)


def test_where_nothing_comes_it_warns_after_a_minute_and_then_every_ten(complaints):
    assert complaints(hearing(), range(1500), lambda _: heard(0)) == [60, 660, 1260]


def test_while_samples_come_there_is_nothing_to_say(complaints):
    assert complaints(hearing(), range(500), heard) == []


def test_a_minute_after_the_last_sample_it_warns(complaints):
    assert complaints(hearing(), range(500), lambda at_s: heard(min(at_s, 100))) == [160]


def test_without_a_broker_nothing_can_come(complaints):
    one = hearing()
    assert complaints(one, range(500), lambda _: heard(0, ("the broker is not connected",))) == []
    assert complaints(one, range(500, 600), lambda _: heard(0)) == [559]


def test_a_stream_that_is_never_heard_is_named_beside_one_that_is(caplog):
    one = hearing("interfaces", "deaf")
    for at_s in range(700):
        one.watch(snapshot(streams=(stream(samples_total=at_s), stream("deaf"))), float(at_s))
    facts = [record.facts for record in caplog.records if record.message == "nothing heard"]
    assert [(each["stream"], each["samples"]) for each in facts] == [("deaf", 0)] * 2


@pytest.mark.parametrize(
    ("step_s", "patience_s", "last_s", "warned"),
    [
        (300.0, 1200.0, 0, [1800]),
        (300.0, 1200.0, 100, [1300, 1900]),
        (10.0, 1000.0, 100, [1100, 1700]),
        (10.0, 1000.0, 0, [60, 660, 1260, 1860]),
        (10.0, np.nan, 100, [160, 760, 1360, 1960]),  # of nobody is known yet how long it may pause
    ],
)
def test_a_stream_that_publishes_seldom_is_given_its_time(complaints, step_s, patience_s, last_s, warned):
    one = hearing(step_s=step_s)
    assert complaints(one, range(2000), lambda at_s: heard(min(at_s, last_s), (), patience_s)) == warned


def test_the_warning_says_what_came_and_why_none_of_it_was_taken(caplog):
    silent = stream(samples_dropped={"late": 3, "duplicate": 0})
    mqtt = MqttSnapshot(received={"a/+": 7, "b": 1})
    hearing().watch(snapshot(streams=(silent,), mqtt=mqtt, messages_dropped={"no_signal": 5}), 60.0)
    facts = {"stream": "interfaces", "samples": 0, "messages_of_all": 8, "dropped": "no_signal 5, late 3"}
    assert caplog.records[0].facts == facts


@pytest.mark.parametrize(("unit", "shown"), [("°C", "level 50 expected 0 °C"), ("", "level 50 expected 0")])
def test_an_anomaly_is_told_in_the_unit_of_its_signal(caplog, unit, shown):
    level = Signal("level", scale=10.0, unit=unit)
    hot = StreamPipeline(definition(level), judge(entities=[("r",)]))
    values = [0.0, 0.0, 0.0, 0.0, 5.0, 5.0]
    for step, value in enumerate(values, 1):
        for outcome in feed(hot, ("r", 10.0 * step, {0: value})):
            tell(hot, outcome, Groups([hot]), NO_GROUPS)
    assert [record.facts["why"] for record in caplog.records] == [shown]


def test_an_anomaly_by_a_broken_bound_names_the_bound_first(caplog):
    level = Signal("level", unit="°C", policy=SignalPolicy(valid_max=7.5))
    low = Signal("flow", policy=SignalPolicy(valid_min=-1.0))
    hot = StreamPipeline(definition(Signal("plain"), level, low), judge(3, entities=[("r",)]))
    values = [(0.0, 0.0, 0.0)] * 4 + [(9.0, 8.0, -2.0)] * 2
    for step, value in enumerate(values, 1):
        for outcome in feed(hot, ("r", 10.0 * step, dict(enumerate(value)))):
            tell(hot, outcome, Groups([hot]), NO_GROUPS)
    (record,) = caplog.records
    bounds = "level 8 above valid_max 7.5 °C, flow -2 below valid_min -1"
    assert record.facts["why"] == f"{bounds}, plain 9 expected 0"


def telling(caplog, story, *told, **words):
    """Tell what happens to interfaces, as the daemon does; return the lines as (level, event, facts)."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        ports = story.streams["interfaces"]
        outcome, gathering = story.outcome(*told, **words)
        tell_groups([ports], story.groups, gathering)
        tell(ports, outcome, story.groups, gathering)
    return [(record.levelname, record.message, record.facts) for record in caplog.records]


def test_an_alarm_of_a_group_is_one_line_and_its_members_are_no_warnings(caplog):
    ports, entities = interfaces(devices=2, ports=4)
    story = Story(ports)
    (group_level, group, said), *members = telling(caplog, story, START_S, entities[:2])
    assert (group_level, group) == ("WARNING", "group anomaly")
    assert said == {
        "site": "s0",
        "device": "d0.0",
        "by": "site/device",
        "id": said["id"],
        "onset_s": START_S,
        "at_s": START_S,
        "anomalous": 2,
        "entities": 4,
        "members": 2,
        "first": "s0 d0.0 p0 (silent); s0 d0.0 p1 (silent)",
    }
    assert [each[:2] for each in members] == [("INFO", "anomaly")] * 2
    assert {facts["group"] for _, _, facts in members} == {said["id"]}
    assert len({facts["id"] for _, _, facts in members}) == 2


def test_an_alarm_alone_is_a_warning_and_in_no_group(caplog):
    story = Story(interfaces()[0])
    ((level, event, facts),) = telling(caplog, story, START_S, [("s0", "d0.0", "p0")])
    assert (level, event) == ("WARNING", "anomaly")
    assert "group" not in facts


def test_the_end_of_an_alarm_has_the_id_of_its_begin(caplog):
    story = Story(interfaces()[0])
    (_, _, begun), *_ = telling(caplog, story, START_S, [("s0", "d0.0", "p0")])
    ((level, event, over),) = telling(
        caplog, story, START_S + 60, end=[("s0", "d0.0", "p0")], onset_s=START_S
    )
    assert (level, event, over["id"]) == ("INFO", "anomaly over", begun["id"])


def test_the_end_of_an_alarm_says_what_it_was_at_its_worst(caplog, prompt_scores):
    level = Signal("level", scale=10.0, unit="°C")
    hot = StreamPipeline(definition(level), judge(entities=[("r",)]))
    values = [0.0, 0.0, 0.0, 0.0, 0.45, 0.45, 9.0, 5.0] + [0.0] * 12
    with caplog.at_level(logging.INFO):
        for step, value in enumerate(values, 1):
            for outcome in feed(hot, ("r", 10.0 * step, {0: value})):
                tell(hot, outcome, Groups([hot]), NO_GROUPS)
    begun, over = [record.facts for record in caplog.records]
    assert (begun["why"], over["why"]) == ("level 4.5 expected 0 °C", "level 90 expected 0 °C")


def test_the_end_of_an_alarm_names_the_group_also_of_who_came_before_it(caplog):
    ports, entities = interfaces(devices=2, ports=4)
    story = Story(ports)
    ((_, _, alone),) = telling(caplog, story, START_S, entities[:1])
    (_, _, group), _ = telling(caplog, story, START_S + 10, entities[1:2])
    assert "group" not in alone
    *_, (_, event, over) = telling(caplog, story, START_S + 60, end=entities[:1], onset_s=START_S)
    assert (event, over["id"], over["group"]) == ("anomaly over", alone["id"], group["id"])


def test_silence_is_told_with_the_ids_of_the_first_and_of_their_groups(caplog):
    ports, entities = interfaces(devices=2, ports=8)
    group, (_, _, silent) = telling(caplog, Story(ports), START_S + 60, silent=entities[:7], onset_s=START_S)
    ids = [alarm_id(Alarm.SILENCE, "interfaces", entity, START_S) for entity in entities[:5]]
    assert (silent["entities"], silent["ids"]) == (7, ", ".join(ids))
    assert silent["groups"] == group[2]["id"]


def test_the_end_of_an_alarm_of_a_group_says_how_long_and_how_many(caplog):
    ports, entities = interfaces(devices=2, ports=4)
    story = Story(ports)
    telling(caplog, story, START_S, entities[:3])
    telling(caplog, story, START_S + 60, end=entities[:1])
    level, event, facts = telling(caplog, story, START_S + 90, end=entities[1:3])[0]
    assert (level, event) == ("INFO", "group anomaly over")
    assert (facts["lasted_s"], facts["members"]) == (90, 3)


def test_silence_of_a_group_is_no_warning_beside_that_of_the_group(caplog):
    ports, entities = interfaces(devices=2, ports=4)
    lines = telling(caplog, Story(ports), START_S, silent=entities[:3])
    assert [line[:2] for line in lines] == [("WARNING", "group anomaly"), ("INFO", "silent")]
    lines = telling(caplog, Story(ports), START_S, silent=entities[:1])
    assert [line[:2] for line in lines] == [("WARNING", "silent")]


def test_what_is_stuck_in_a_group_is_no_warning_beside_that_of_the_group(caplog):
    ports, entities = interfaces(devices=2, ports=4)
    spells = [Spell(Alarm.STUCK, 0, entity, "level", START_S, START_S, 7.0, nan) for entity in entities[:3]]
    story = Story(ports)
    group, *lines = telling(caplog, story, START_S, begun=spells)
    assert [line[:2] for line in (group, *lines)] == [("WARNING", "group anomaly")] + 3 * [("INFO", "stuck")]
    assert {facts["group"] for _, _, facts in lines} == {group[2]["id"]}
    assert {facts["group"] for _, _, facts in telling(caplog, story, START_S, over=spells)[1:]} == {
        group[2]["id"]
    }


def test_an_alarm_that_grows_is_told_once_more(caplog):
    ports, entities = interfaces(devices=4, ports=4)
    story = Story(ports)
    telling(caplog, story, START_S, silent=entities[:4])
    (level, event, facts), *_ = telling(caplog, story, START_S + 10, silent=entities[4:])
    assert (level, event) == ("WARNING", "group anomaly grows")
    assert (facts["by"], facts["anomalous"], facts["entities"]) == ("site", 16, 16)


def test_an_alarm_that_joins_another_is_told(caplog):
    ports, entities = interfaces(devices=200, ports=4)
    story = Story(ports)
    ((*_, older), *_) = telling(caplog, story, START_S, entities[:2])
    ((*_, younger), *_) = telling(caplog, story, START_S + 100, entities[4:6])
    lines = telling(caplog, story, START_S + 110, entities[8:48:4], onset_s=START_S + 50)
    (joined,) = [facts for _, event, facts in lines if event == "group anomaly joined by"]
    assert (joined["id"], joined["other"]) == (older["id"], younger["id"])


def test_hundreds_of_groups_at_once_are_twenty_lines_and_one(caplog):
    ports, entities = interfaces(devices=30, ports=4, groups=(("device",),))
    lines = telling(caplog, Story(ports), START_S, silent=entities)
    assert [event for _, event, _ in lines].count("group anomaly") == 20
    assert [facts for _, event, facts in lines if event == "group anomaly: more"] == [{"groups": 10}]


def test_begin_and_end_of_a_maintenance_are_told_with_whom_they_mean(caplog):
    core = Maintenance("core", match=(("device", "r*"),))
    pipeline = StreamPipeline(definition(), None, [core])
    pipeline.bench.maintained.plan("core", [Span(START_S + 25, START_S + 35)])
    with caplog.at_level(logging.INFO):
        for step in range(1, 7):
            for outcome in feed(pipeline, *[(one, 10.0 * step, {0: 0.0}) for one in ("r1", "x", "r2")]):
                tell(pipeline, outcome, Groups([pipeline]), NO_GROUPS)
    told = [(record.message, record.levelname, record.facts) for record in caplog.records]
    facts = {"maintenance": "core", "stream": "tests", "entities": 2, "first": "r1, r2"}
    assert told == [("maintenance begins", "INFO", facts), ("maintenance ends", "INFO", facts)]


def counting(signal="octets", looks=400, **counts):
    """Return a snapshot of a stream with one counter, and what it was seen to do."""
    resets = {(signal, reason.value): counts.get(reason.value, 0) for reason in Discontinuity}
    return snapshot(streams=(stream(counter_resets=resets, counter_looks={signal: looks}),))


@pytest.mark.parametrize(
    ("looks", "counts", "said"),
    [
        (400, {"reset": 21}, True),
        (420, {"reset": 21}, False),  # a twentieth of its steps
        (20, {"reset": FALLS_MIN - 1}, False),  # too early to say
        (20, {"reset": FALLS_MIN}, True),
        (400, {"restart": 400}, False),  # the device restarts, and says so
        (400, {"too_fast": 400}, False),
        (0, {}, False),
    ],
)
def test_a_counter_that_falls_in_many_steps_is_named(caplog, looks, counts, said):
    Kinds().watch(counting(looks=looks, **counts))
    assert [record.facts["signal"] for record in caplog.records] == ["octets"] * said


def test_each_counter_that_falls_is_named_once(caplog):
    kinds = Kinds()
    for falls in range(20, 30):
        kinds.watch(counting(looks=40, reset=falls))
    kinds.watch(counting("load", looks=40, reset=25))
    assert [record.facts for record in caplog.records] == [
        {"stream": "interfaces", "signal": "octets", "falls": 20, "samples": 40},
        {"stream": "interfaces", "signal": "load", "falls": 25, "samples": 40},
    ]


def test_the_alert_of_refusals_leaves_out_what_the_log_calls_ordinary():
    rules = (Path(__file__).parents[2] / "config/prometheus/detector.rules.yml").read_text("utf-8")
    (expression,) = re.findall(r"alert: DetectorDropping\n(.*?)for:", rules, re.DOTALL)
    found = re.findall(r'(messages|samples)_dropped_total\{reason!~"(.*?)"\}', expression)
    assert [(family, set(reasons.split("|"))) for family, reasons in found] == [
        ("messages", set(ORDINARY)),
        ("samples", set(ORDINARY)),
    ]
