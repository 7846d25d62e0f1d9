"""Small streams for tests: definitions, samples, batches, and judges that remember what they were asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from detector.stream.bench import Judge
from detector.stream.calibration import Calibration, Tail
from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Batch, Bools, Doubles, Entity, Floats, Outcome, Samples
from detector.stream.pipeline import StreamPipeline

GAUGE = Signal("level")
COUNTER = Signal("octets", kind="counter")
START_S = 1_700_000_000.0
"""A time of our days, and on the grid of every step that divides 100 s."""


def definition(*signals: Signal, **changed: object) -> Definition:
    """Return a stream of 10 s steps and windows of four, on a data clock that refuses nothing."""
    plain = Definition(
        name="tests",
        entity=("device",),
        signals=signals or (GAUGE,),
        step_s=10.0,
        window_steps=4,
        topic="tests/{device}",
        clock="data",
        age_max_s=1e9,
        future_max_s=1e9,
        open_steps=2,
        open_window_steps=3,
        open_at_once=np.inf,
        close_below=0.8,
        close_steps=3,
    )
    return replace(plain, **changed)


def samples(*each: tuple[int, int, float, float]) -> Samples:
    """Return samples of (row, signal, seconds since `START_S`, value)."""
    row, signal, time_s, value = np.array(each, float).reshape(-1, 4).T
    return Samples(row.astype(np.int64), signal.astype(np.int64), time_s + START_S, value)


def batch(*records: tuple[str, float, dict[int, float]]) -> Batch:
    """Return records of (device, seconds since `START_S`, value by signal), as a decoder leaves them."""
    filled = Batch()
    for index, (device, after_s, values) in enumerate(records):
        filled.entities.append((device,))
        filled.times_s.append(START_S + after_s)
        filled.record += [index] * len(values)
        filled.signal += values.keys()
        filled.value += values.values()
    return filled


def calibration(
    width: int, entities: Sequence[Entity] = (), scale: float = 1.0, edge: float = 0.3
) -> Calibration:
    """Return a calibration with center 0 for all; a scale that is a power of two loses no bit.

    Signals are strangers to each other, and the edge is at a raw score of `edge` for every budget: of one
    signal, a step that is five deviations off is just beyond it. It was learnt for so long that it is not
    doubted.
    """
    ones, each = np.ones(width, np.float32), np.ones((len(entities), width), np.float32)
    strangers = np.eye(width, dtype=np.float32)
    return Calibration(
        entities=tuple(entities),
        center=0 * each,
        scale=np.float32(scale) * each,
        error_scale=each,
        level=0 * each,
        usual_past=each.copy(),
        usual_peers=each.copy(),
        typical=np.zeros(len(entities), np.float32),
        known_steps=np.full(len(entities), 1e6, np.float32),
        peers=np.repeat(strangers[None], len(entities), axis=0),
        whitening=strangers,
        least_past=np.full(width, 0.2, np.float32),
        least_peers=np.full(width, 0.2, np.float32),
        pool_center=0 * ones,
        pool_scale=np.float32(scale) * ones,
        pool_growth=0 * ones,
        pool_error_scale=ones,
        pool_level=0 * ones,
        pool_usual_past=ones,
        pool_usual_peers=ones,
        pool_typical=0.0,
        pool_peers=strangers,
        tail=Tail(np.log([edge]), np.ones(1), np.full(1, 1e-9), 0.0),
        history_s=1e12,
    )


class Recorder:
    """A network that expects 0 of everything, and keeps every window that it is shown."""

    def __init__(self) -> None:
        self.asked: list[tuple[Floats, Bools]] = []

    def __call__(self, value: Floats, seen: Bools, end_s: Doubles) -> Floats:
        self.asked += zip(value.copy(), seen.copy(), strict=True)
        return np.zeros((len(value), value.shape[2]), np.float32)


def judge(width: int = 1, entities: Sequence[Entity] = (), **learnt: float) -> Judge:
    """Return a judge to whom normal is 0."""
    return Judge(Recorder(), calibration(width, entities, **learnt))


def feed(stream: StreamPipeline, *records: tuple[str, float, dict[int, float]]) -> list[Outcome]:
    """Hand records to a stream and close what is due by its data clock."""
    filled = batch(*records)
    stream.add(filled, np.array(filled.times_s))
    return list(stream.tick(stream.clock.now_s(np.nan)))


def onsets_and_closures(outcomes: Iterable[Outcome]) -> tuple[list[float], list[float]]:
    """Return when episodes began and ended, in seconds since `START_S`."""
    began, ended = [], []
    for outcome in outcomes:
        began += [onset.time_s - START_S for onset in outcome.onsets]
        ended += [closure.time_s - START_S for closure in outcome.closures]
    return began, ended
