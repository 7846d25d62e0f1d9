"""One way of seeing: live, offline and in training the same windows are judged, to the last bit.

samples --any order, batches, ticks--> StreamPipeline --+
        --in time order, in chunks---> offline.outcomes +--> the same windows
        ------------------------------> Timeline -------+
"""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.evaluate.offline import outcomes
from detector.stream.bench import Judge
from detector.stream.definition import Signal, Witness
from detector.stream.nouns import Batch
from detector.stream.pipeline import StreamPipeline
from detector.stream.scaling import Pool
from detector.stream.window import Ring
from detector.train import dataset as datasets
from detector.train.dataset import Dataset
from detector.train.scales import Scaling
from detector.train.timeline import timeline
from detector.train.windows import windows_of
from tests.support.streams import START_S, Recorder, calibration, definition

SIGNALS = (
    Signal("last"),
    Signal("mean", aggregate="mean", scale=1.8, offset=32.0),
    Signal("max", aggregate="max", scale=-0.1),
    Signal("sum", aggregate="sum", offset=0.3),
    Signal("octets", kind="counter", scale=8.0),
    Signal("errors", kind="counter", bits=32),
    Signal("limited", kind="counter", bits=32, rate_max=1e6, rate_max_field="speed"),
)
WITNESSES = (Witness("boot", "boot_id"), Witness("uptime", "uptime"))
COLUMNS = (*(signal.name for signal in SIGNALS), "boot", "uptime", "speed")
SCALE = 2.0**60
"""Far above every value here, so that nothing is clipped."""


def _counter(random: np.random.Generator, count: int, bits: int) -> np.ndarray:
    """Show a counter that grows, stands, wraps and falls to a random value."""
    growth = random.choice(
        [0.0, 0.0, 1.0, 1e3, 4e5, 2.0 ** (bits - 5)], count, p=[0.2, 0.1, 0.1, 0.3, 0.2, 0.1]
    )
    shown = (2.0**bits - 1e6 * random.integers(0, 40) + np.cumsum(growth)) % 2.0**bits
    for at in np.flatnonzero(random.random(count) < 0.05):
        shown[at:] = (shown[at:] - shown[at] + random.integers(0, 1000)) % 2.0**bits
    return shown


def _times(random: np.random.Generator, step_s: float, count: int) -> np.ndarray:
    """Return the times of an entity: born somewhere, on and off the grid, with repeats, gaps and a hole."""
    spacing = random.choice([0.0, 0.25, 0.5, 0.9, 1.0, 1.5, 3.0], count) * step_s
    spacing[random.random(count) < 0.02] = 9.5 * step_s
    hole = 40.0 * step_s * (np.arange(count) > random.integers(count) + 1)
    return START_S + random.integers(12) * step_s * 0.5 + np.cumsum(spacing) + hole


def _dataset(random: np.random.Generator, step_s: float, entities: int, records: int) -> Dataset:
    time_s = np.concatenate([_times(random, step_s, records) for _ in range(entities)])
    columns = {signal.name: random.normal(0, 1e6, len(time_s)) for signal in SIGNALS}
    for signal in SIGNALS:
        if signal.kind == "counter":
            shown = [_counter(random, records, signal.bits) for _ in range(entities)]
            columns[signal.name] = np.concatenate(shown)
        columns[signal.name][random.random(len(time_s)) < 0.15] = np.nan
    columns["boot"] = np.floor(time_s / (50 * step_s))
    columns["uptime"] = np.where(random.random(len(time_s)) < 0.5, np.nan, time_s % (70 * step_s))
    columns["speed"] = random.choice([np.nan, 0.0, 1e5, 1e6], len(time_s))
    order = np.argsort(time_s, kind="stable")
    return Dataset(
        labels=("device",),
        entities=tuple((f"r{index}",) for index in range(entities)),
        entity=np.repeat(np.arange(entities), records)[order],
        time_s=time_s[order],
        column={name: column[order] for name, column in columns.items()},
        train=np.ones(len(time_s), bool),
        rates=False,
        sha256="",
    )


def _batches(data: Dataset, random: np.random.Generator, lateness_s: float):
    """Yield the records in another order, none later than the lateness, in batches of any size."""
    arrival_s = data.time_s + random.uniform(0, 0.99 * lateness_s, len(data.time_s))
    order = np.argsort(arrival_s)
    while len(order):
        size = int(random.integers(1, 12))
        chosen, order = order[:size], order[size:]
        batch = Batch()
        for index in chosen:
            seen = [(at, data.column[name][index]) for at, name in enumerate(COLUMNS)]
            seen = [(at, value) for at, value in seen if not np.isnan(value)]
            if seen:
                batch.record += [len(batch.entities)] * len(seen)
                batch.signal += [at for at, _ in seen]
                batch.value += [float(value) for _, value in seen]
                batch.entities.append(data.entities[data.entity[index]])
                batch.times_s.append(float(data.time_s[index]))
        yield batch


def _live(data, stream_definition, judge, random):
    """Feed and tick as the daemon does, at any moment; yield as `outcomes` does."""
    stream = StreamPipeline(stream_definition, judge)
    for batch in _batches(data, random, stream_definition.lateness_s):
        stream.add(batch, np.array(batch.times_s))
        if random.random() < 0.5:
            for outcome in stream.tick(stream.clock.now_s(0.0)):
                yield stream, outcome
    for outcome in stream.tick(data.time_s[-1] + stream_definition.lateness_s + stream_definition.step_s):
        yield stream, outcome
    assert stream.align.late_total == 0


def _windows(run, data, stream_definition, learnt):
    """Return what was judged, by step and entity: the bits of the raw window, of its mask, and as scaled."""
    recorder, taken = Recorder(), []

    def spy(ring, step, row):
        taken.append(plain(ring, step, row))
        return taken[-1]

    plain = Ring.windows
    with patch.object(Ring, "windows", spy):
        names = [
            (outcome.steps.step, stream.roster.entities[row])
            for stream, outcome in run(data, stream_definition, Judge(recorder, learnt))
            if outcome.scores is not None
            for row in outcome.scores.row
        ]
    raw = [(value.tobytes(), seen.tobytes()) for one in taken for value, seen in zip(*one[2:], strict=True)]
    shown = [value.tobytes() for value, _ in recorder.asked]
    return {name: (*bits, see) for name, bits, see in zip(names, raw, shown, strict=True)}


def _timeline_windows(data, stream_definition):
    past = timeline(data, stream_definition)
    entity, end = past.ends()
    steps = end[:, None] + np.arange(1 - stream_definition.window_steps, 1)
    value, seen = (array[entity[:, None], steps] for array in (past.value, past.seen))
    zero = np.zeros((len(past.entities), len(SIGNALS)), np.float32)
    learnt = Scaling(zero, zero + np.float32(SCALE), Pool(zero[0], zero[0] + np.float32(SCALE), zero[0]))
    windows = windows_of(past, learnt, entity, end)
    shown, mask, end_s = windows.of(slice(None))
    np.testing.assert_array_equal(mask, seen)
    np.testing.assert_array_equal(end_s, past.step[end] * stream_definition.step_s)
    return {
        (past.step[at], past.entities[who]): (raw.tobytes(), mask.tobytes(), see.tobytes())
        for who, at, raw, mask, see in zip(entity, end, value, seen, shown, strict=True)
    }


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    entities=st.integers(1, 4),
    records=st.integers(1, 60),
    step_s=st.sampled_from([0.5, 4.5, 10.0]),
    lateness_steps=st.sampled_from([0.5, 1.0, 3.7]),
    window_steps=st.sampled_from([1, 2, 5]),
    imputed_share_max=st.sampled_from([0.0, 0.4, 0.9]),
    known=st.booleans(),
    chunk=st.integers(1, 50),
)
def test_live_offline_and_training_see_the_same_windows_to_the_last_bit(
    seed, entities, records, step_s, lateness_steps, window_steps, imputed_share_max, known, chunk
):
    random = np.random.default_rng(seed)
    stream_definition = definition(
        *SIGNALS,
        step_s=step_s,
        window_steps=window_steps,
        lateness_s=lateness_steps * step_s,
        refresh_s=step_s,
        imputed_share_max=imputed_share_max,
        witnesses=WITNESSES,
    )
    assert tuple(column.name for column in stream_definition.columns) == COLUMNS
    data = _dataset(random, step_s, entities, records)
    learnt = calibration(len(SIGNALS), data.entities if known else (), SCALE)

    def live(*args):
        return _live(*args, random)

    fed = _windows(live, data, stream_definition, learnt)
    with patch.object(datasets, "CHUNK_RECORDS", chunk):
        read = _windows(outcomes, data, stream_definition, learnt)
    trained = _timeline_windows(data, stream_definition)

    assert fed == read
    # An unknown entity is scaled by its own first window; the windows before that are the same.
    kept = 3 if known else 2
    assert {name: bits[:kept] for name, bits in fed.items()} == {
        name: bits[:kept] for name, bits in trained.items()
    }


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), entities=st.integers(1, 3), records=st.integers(1, 40))
@example(seed=300, entities=3, records=7)
def test_a_recording_of_the_steps_gives_the_same_windows_to_the_last_bit(seed, entities, records):
    raw = _dataset(np.random.default_rng(seed), 10.0, entities, records)
    stream_definition = definition(*SIGNALS, window_steps=2, lateness_s=10.0, imputed_share_max=0.9)
    past = timeline(raw, stream_definition)
    entity, at = np.nonzero(past.seen.any(axis=2))
    order = np.argsort(at, kind="stable")
    entity, at = entity[order], at[order]
    cells = np.where(past.seen[entity, at], past.value[entity, at], np.nan)
    recording = replace(
        raw,
        entity=entity,
        time_s=past.step[at] * 10.0,
        column={signal.name: cells[:, index].astype(float) for index, signal in enumerate(SIGNALS)},
        train=np.ones(len(at), bool),
        rates=True,
    )
    recorded, live = (_timeline_windows(one, stream_definition) for one in (recording, raw))
    # A recording holds what was seen: who began with a step in which nothing was, begins with the next one.
    first = {
        name: past.step[seen.any(axis=1).argmax()]
        for name, seen in zip(past.entities, past.seen, strict=True)
    }
    assert recorded == {(step, name): bits for (step, name), bits in live.items() if step > first[name]}


def test_the_property_is_not_about_nothing():
    data = _dataset(np.random.default_rng(1), 10.0, 4, 60)
    stream_definition = definition(*SIGNALS, window_steps=5, lateness_s=10.0, imputed_share_max=0.9)
    assert len(_timeline_windows(data, stream_definition)) > 50
