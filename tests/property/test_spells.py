"""Spells: who has a fixed period has none, and batches cut anywhere come to the same ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.stream.definition import SILENCE_AUTO, Signal
from detector.stream.nouns import Batch
from detector.stream.pipeline import StreamPipeline
from detector.stream.silence import Silence
from tests.support.streams import START_S, definition

PERIODS_S = st.floats(1.0, 2000.0)
STEP_S = 10.0


@given(
    publishers=st.lists(st.tuples(PERIODS_S, st.floats(0.0, 1.0)), min_size=1, max_size=6),
    jitter=st.floats(0.0, 0.2),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_a_fixed_period_is_never_silent_and_never_slow(publishers, jitter, seed):
    """Whatever the others do, who come and go on the same grid."""
    horizon_s = min(40.0 * max(period_s for period_s, _ in publishers), 10_000.0)
    one = Silence(definition(silence_s=SILENCE_AUTO))
    one.resize(len(publishers))
    rng = np.random.default_rng(seed)
    spoken = [set[int]() for _ in range(int(horizon_s / STEP_S))]
    for row, (period_s, phase) in enumerate(publishers):
        count = int(horizon_s / period_s) + 2
        times_s = period_s * (phase + np.arange(count) + jitter * rng.uniform(-0.5, 0.5, count))
        for step in np.ceil(times_s / STEP_S).astype(int).tolist():
            if 0 <= step < len(spoken):
                spoken[step].add(row)
    for step, rows in enumerate(spoken):
        one.hear(np.array(sorted(rows), np.int64), START_S + step * STEP_S)
        one.fall(START_S + step * STEP_S)
        assert not one.silent.any()
        assert not one.rhythm.slow.any()


def records(seed, faults):
    """Yield records of four entities with two gauges. Faults are (what, entity, from, steps)."""
    rng = np.random.default_rng(seed)
    held: dict[tuple[int, int], float] = {}
    for step in range(1, 260):
        for entity in range(4):
            mine = [
                what for what, who, start, steps in faults if who == entity and start <= step < start + steps
            ]
            if "silent" in mine or ("slow" in mine and step % 6) or rng.random() < 0.02:
                continue
            values = {}
            for signal in range(2):
                value = float(rng.normal())
                held[entity, signal] = (
                    held.get((entity, signal), value) if f"stuck {signal}" in mine else value
                )
                values[signal] = held[entity, signal]
            yield f"r{entity}", step * STEP_S - float(rng.uniform(0, 9)), values


def told(seed, faults, cuts):
    """Return what is told of the records, in batches that end after the records that `cuts` names."""
    stream = StreamPipeline(
        definition(Signal("a"), Signal("b"), silence_s=SILENCE_AUTO, window_steps=64, lateness_s=20.0), None
    )
    lines, batch = [], Batch()
    every = sorted(records(seed, faults), key=lambda record: record[1])
    for index, (entity, after_s, values) in enumerate(every):
        batch.record += [len(batch.entities)] * len(values)
        batch.entities.append((entity,))
        batch.times_s.append(START_S + after_s)
        batch.signal += values.keys()
        batch.value += values.values()
        if index in cuts or index == len(every) - 1:
            stream.add(batch, np.array(batch.times_s))
            for one in stream.tick(stream.clock.now_s(np.nan)):
                spells = [repr(spell) for spell in (*one.begun, *one.over)]
                lines += [(one.time_s, tuple(one.silenced), tuple(one.speaking_again), spells)]
            batch = Batch()
    return [line for line in lines if any(line[1:])]


FAULTS = st.tuples(
    st.sampled_from(["silent", "slow", "stuck 0", "stuck 1"]),
    st.integers(0, 3),
    st.integers(100, 220),
    st.integers(5, 100),
)


@given(st.integers(0, 99), st.lists(FAULTS, max_size=4), st.sets(st.integers(0, 1040), max_size=60))
@settings(max_examples=8)
def test_spells_are_the_same_wherever_the_batches_are_cut(seed, faults, cuts):
    assert told(seed, faults, cuts) == told(seed, faults, range(2000))


def test_such_records_have_spells_of_every_kind():
    faults = [("silent", 0, 150, 30), ("slow", 1, 130, 90), ("stuck 0", 2, 180, 40)]
    lines = told(1, faults, {500})
    text = repr(lines)
    assert [line[1] for line in lines if line[1]] == [(("r0",),)]
    assert "SLOW" in text
    assert "STUCK" in text
