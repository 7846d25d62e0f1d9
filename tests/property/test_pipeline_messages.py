"""Any messages at any wall clock: samples or exactly one drop each, nothing raised, no number lost."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.stream.definition import Signal
from detector.stream.nouns import Message
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams
from tests.support.streams import COUNTER, GAUGE, START_S, definition, judge

SIGNALS = (GAUGE, COUNTER, Signal("sum", aggregate="sum"))
NUMBERS = st.floats() | st.sampled_from([0, 1, 1e308, -1e308, 2.0**64, True, None, "x", [], 10**400])
TIMES = st.sampled_from([-1e9, -1e4, -30.0, -5.0, 0.0, 0.0, 1.0, 59.0, 1e5, 1e9]).map(
    lambda away: START_S + away
)
RECORDS = st.fixed_dictionaries(
    {}, optional={"level": NUMBERS, "octets": NUMBERS, "sum": NUMBERS, "time": TIMES | st.text(max_size=3)}
)
PAYLOADS = RECORDS.map(lambda record: json.dumps(record).encode()) | st.binary(max_size=20)
TOPICS = st.sampled_from(["tests/a", "tests/b", "tests/c", "tests/", "tests/a/b", "other", ""])
TURNS = st.lists(
    st.tuples(
        st.lists(st.tuples(TOPICS, PAYLOADS), max_size=20), st.sampled_from([0.0, 3.0, 10.0, 100.0, 1e5])
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(turns=TURNS, clock=st.sampled_from(["wall", "data"]), entities_max=st.sampled_from([1, 2, 100]))
def test_any_messages_give_samples_or_exactly_one_drop_and_raise_nothing(turns, clock, entities_max):
    stream = StreamPipeline(
        definition(
            *SIGNALS,
            clock=clock,
            window_steps=2,
            lateness_s=5.0,
            age_max_s=3600.0,
            future_max_s=60.0,
            silence_s=60.0,
            expire_s=500.0,
            entities_max=entities_max,
        ),
        judge(len(SIGNALS)),
    )
    pipeline = Streams([stream])
    accepted, messages, wall_s = 0, 0, START_S
    adding = stream.add

    def counting(batch, arrival_s):
        nonlocal accepted
        accepted += len(batch.entities)
        adding(batch, arrival_s)

    stream.add = counting
    for sent, pause_s in turns:
        wall_s += pause_s
        pipeline.feed([Message(topic, payload, wall_s) for topic, payload in sent])
        messages += len(sent)
        for _, outcome in pipeline.tick(wall_s):
            if outcome.scores is not None:
                assert np.isfinite(outcome.scores.score).all()
                assert np.isfinite(outcome.scores.expected).all()
        assert not pipeline.due(wall_s)
        assert len(stream.roster) <= entities_max
    assert accepted + sum(pipeline.messages_dropped.values()) == messages
    taken = stream.roster.taken()
    assert [state is None for state in stream.bench.states()] == (~taken).tolist()
    assert set(stream.bench.why) <= set(np.flatnonzero(taken & stream.bench.decider.active).tolist())
