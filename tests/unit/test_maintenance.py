"""Maintenance: who is in it, and when; planned from outside, or switched by messages. Steps are of 10 s."""

from math import inf

import numpy as np
import pytest

from detector.stream.definition import Maintenance
from detector.stream.maintenance import Maintained
from detector.stream.nouns import Drop, Message, Span
from detector.stream.pipeline import StreamPipeline
from detector.stream.roster import Roster
from detector.stream.streams import Streams
from detector.stream.switch import Switch
from tests.support.streams import START_S, Signal, batch, definition, feed, judge

pytestmark = pytest.mark.usefixtures("prompt_scores")

PLANNED = Maintenance("core", match=(("device", "spine*"),))
SWITCHED = Maintenance("lab", match=(("port", "eth*"),), topic="maintenance/{device}", max_s=100.0)
ENTITIES = [("spine1", "eth0"), ("leaf1", "eth0"), ("leaf1", "lo"), ("leaf2", "eth0")]


@pytest.fixture
def maintained():
    """Return who is in maintenance of four entities."""
    roster = Roster(8)
    made = Maintained(definition(entity=("device", "port"), entities_max=4), [PLANNED, SWITCHED], roster)
    made.resize(8)
    for entity in ENTITIES:
        made.admit(roster.admit(entity), entity)
    return made


def at(maintained, time_s):
    """Return who is in maintenance at a time, and what was told."""
    turns = [(one.name, one.begins, sorted(one.entities)) for one in maintained.at(time_s)]
    rows = np.flatnonzero(maintained.active)
    return [ENTITIES[row] if row < 4 else row for row in rows.tolist()], turns


def switch(maintained, time_s, device="leaf1", *, on=True, fresh=True):
    return maintained.switch("lab", {"device": device}, on=on, time_s=time_s, fresh=fresh)


@pytest.mark.parametrize(
    ("time_s", "is_in"),
    [(20.0, False), (30.0, False), (40.0, True), (50.0, True), (60.0, True), (70.0, False)],
)
def test_a_step_is_in_maintenance_when_a_part_of_it_is(maintained, time_s, is_in):
    """From 30 to 55 s: the step of 40 s begins with it, that of 60 s has its end."""
    maintained.plan("core", [Span(-100.0, -90.0), Span(30.0, 55.0), Span(500.0, 600.0)])
    assert at(maintained, time_s)[0] == [ENTITIES[0]] * is_in


def test_its_begin_and_end_are_told_once_with_those_who_are_meant(maintained):
    maintained.plan("core", [Span(30.0, 50.0)])
    told = [at(maintained, 10.0 * step)[1] for step in range(3, 8)]
    assert told == [[], [("core", True, [ENTITIES[0]])], [], [("core", False, [ENTITIES[0]])], []]


def test_a_plan_takes_the_place_of_the_one_before(maintained):
    maintained.plan("core", [Span(0.0, 1000.0)])
    assert at(maintained, 10.0)[0]
    maintained.plan("core", [])
    assert at(maintained, 20.0) == ([], [("core", False, [ENTITIES[0]])])


def test_a_message_means_those_who_have_the_labels_of_its_topic_and_fit_the_selector(maintained):
    switch(maintained, 0.0)
    assert at(maintained, 10.0) == ([ENTITIES[1]], [("lab", True, [ENTITIES[1]])])
    switch(maintained, 15.0, on=False)
    assert at(maintained, 20.0)[0] == [ENTITIES[1]], "a part of the step is in it"
    assert at(maintained, 30.0)[0] == []


@pytest.mark.parametrize(
    ("said", "ends_s"),
    [
        ([(0.0, True)], 100.0),
        ([(50.0, True)], 150.0),  # said again
        ([(50.0, False)], 100.0),  # the broker's copy of it
        ([(150.0, False)], 100.0),  # which does not begin it again
    ],
)
def test_what_was_switched_on_ends_by_itself(maintained, said, ends_s):
    switch(maintained, 0.0)
    active = []
    for step in range(1, 30):
        for time_s, fresh in said:
            if 10.0 * (step - 1) == time_s:
                switch(maintained, time_s, fresh=fresh)
        active += [10.0 * step] * bool(at(maintained, 10.0 * step)[0])
    assert active[-1] == ends_s


def test_after_it_has_ended_by_itself_only_a_new_message_begins_it_again(maintained):
    switch(maintained, 0.0)
    at(maintained, 10.0)
    switch(maintained, 200.0)
    assert at(maintained, 210.0)[0] == [ENTITIES[1]]


def test_a_stored_copy_counts_where_nothing_was_known_or_it_was_off(maintained):
    switch(maintained, 0.0, fresh=False)
    assert at(maintained, 10.0)[0] == [ENTITIES[1]]
    switch(maintained, 10.0, on=False)
    switch(maintained, 20.0, fresh=False)
    assert at(maintained, 30.0)[0] == [ENTITIES[1]]


def test_who_comes_while_it_lasts_is_in_it_and_who_takes_a_row_over_is_not(maintained):
    roster = maintained._roster
    switch(maintained, 0.0)
    at(maintained, 10.0)
    newcomer = roster.admit(("leaf1", "eth7"))
    maintained.admit(newcomer, ("leaf1", "eth7"))
    assert at(maintained, 20.0) == ([ENTITIES[1], newcomer], []), "and it is no news"
    maintained.forget(np.array([newcomer]))
    roster.forget(np.array([newcomer]))
    maintained.admit(roster.admit(("leaf9", "eth7")), ("leaf9", "eth7"))
    assert at(maintained, 30.0)[0] == [ENTITIES[1]]


def test_as_many_switches_are_remembered_as_there_may_be_entities(maintained):
    assert [switch(maintained, 0.0, f"r{number}") for number in range(5)] == [True] * 4 + [False]
    assert switch(maintained, 5.0, "r0", on=False)
    at(maintained, 50.0)
    assert switch(maintained, 60.0, "r5"), "one that is off is forgotten"


def test_before_the_first_step_of_a_data_clock_it_begins_with_that(maintained):
    switch(maintained, -inf)
    switch(maintained, -inf)
    switch(maintained, -inf, "leaf2")
    switch(maintained, -inf, "leaf2", on=False)
    assert at(maintained, 1010.0)[0] == [ENTITIES[1]]
    assert at(maintained, 1100.0)[0] == [ENTITIES[1]]
    assert at(maintained, 1110.0)[0] == []


def test_where_the_clock_goes_back_what_is_on_goes_on(maintained):
    switch(maintained, 1000.0)
    switch(maintained, 1000.0, "leaf2")
    at(maintained, 1010.0)
    switch(maintained, 1020.0, "leaf2", on=False)
    maintained.restart()
    assert at(maintained, 10.0)[0] == [ENTITIES[1]]
    assert at(maintained, 120.0)[0] == []


# The verdicts


def run(pipeline, values, spans):
    """Feed a value a step; return (onset, told) of what opens, and which steps were scored above 1."""
    pipeline.bench.maintained.plan("core", [Span(START_S + 10 * a, START_S + 10 * b) for a, b in spans])
    opened, above = [], []
    for step, value in enumerate(values, 1):
        for outcome in feed(pipeline, ("spine1", 10.0 * step, {0: value})):
            at_step = round((outcome.time_s - START_S) / 10)
            opened += [(round((onset.time_s - START_S) / 10), at_step) for onset in outcome.onsets]
            above += [at_step] * bool(outcome.scores and outcome.scores.score[0] > 1.0)
    return opened, above


@pytest.mark.parametrize(
    ("values", "spans", "opened"),
    [
        ([0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 0], [], [(5, 6)]),
        ([0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0], [(3, 9)], []),
        ([0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 0], [(3, 9)], [(5, 10)]),
    ],
)
def test_in_maintenance_scores_go_on_and_what_is_still_anomalous_at_its_end_alarms_then(
    values, spans, opened
):
    pipeline = StreamPipeline(definition(), judge(1, [("spine1",)]), [PLANNED])
    anomalous = [step for step, value in enumerate(values, 1) if value]
    assert run(pipeline, values, spans) == (opened, anomalous)


def test_in_maintenance_nothing_is_learnt():
    pipeline = StreamPipeline(definition(), judge(1, [("spine1",)]), [PLANNED])
    taught, scorer = [], pipeline.bench._scorer
    plain = scorer.score

    def score(*given, learn):
        taught.append(learn.tolist())
        return plain(*given, learn=learn)

    scorer.score = score
    run(pipeline, [0] * 8, [(5, 7)])
    assert taught == [[True]] * 2 + [[False]] * 2 + [[True]]


# Messages


@pytest.fixture
def streams():
    """Return a stream of devices and one of ports, of which a maintenance means the ports."""
    ports = definition(name="ports", entity=("device", "port"), topic="ports/{device}/{port}")
    lab = StreamPipeline(ports, judge(), [SWITCHED])
    return Streams([StreamPipeline(definition(), judge()), lab], [Switch(SWITCHED)])


def message(payload, device="leaf1", **more):
    return Message(f"maintenance/{device}", payload, START_S, **more)


@pytest.mark.parametrize(
    ("payload", "active", "dropped"),
    [
        (b"on", True, {}),
        (b" ON\n\0", True, {}),
        (b"off", False, {}),
        (b"", False, {}),
        (b"maybe", True, {Drop.MALFORMED: 1}),
        (b"\xff\0\xfe", True, {Drop.MALFORMED: 1}),
    ],
)
@pytest.mark.parametrize("retained", [False, True])
def test_a_message_switches_and_anything_else_changes_nothing(streams, payload, active, dropped, retained):
    streams.feed([message(b"on"), message(payload, retained=retained)])
    (_, ports) = streams.streams
    filled = batch(("leaf1", 10.0, {0: 1.0}), ("leaf1", 20.0, {0: 1.0}))
    filled.entities = [("leaf1", "eth0")] * 2
    ports.add(filled, np.array(filled.times_s))
    list(streams.tick(np.nan))
    assert ports.bench.in_maintenance[:1].tolist() == [active]
    assert streams.messages_dropped == dropped


def test_a_switch_that_is_one_too_many_is_counted(streams):
    streams.streams[1].bench.maintained._definition = definition(entities_max=1)
    streams.streams[1].clock._highest_s = START_S
    streams.feed([message(b"on"), message(b"on", "leaf2")])
    assert streams.messages_dropped == {Drop.MAINTENANCE_MAX: 1}


def test_a_stored_copy_that_switches_nobody_is_refused_as_ever(streams):
    streams.feed([Message("tests/r", b"{}", START_S, retained=True)])
    assert streams.messages_dropped == {Drop.RETAINED: 1}


def test_a_topic_may_switch_and_have_values(streams):
    both = Maintenance("lab", topic="tests/{device}", on=('{"level": 1}',))
    stream = StreamPipeline(definition(Signal("level")), judge(), [both])
    one = Streams([stream], [Switch(both)])
    one.feed([Message("tests/r", b'{"level": 1}', START_S), Message("tests/r", b'{"level": 2}', START_S + 1)])
    assert (one.messages_dropped, stream.samples_total) == ({}, 2)
    assert not one.refused
