"""A thousand entities that training never saw appear at once: scored from the first window, and no storm.

A dozen routers of very different size are learnt from for a week. The thousand have levels, noise and a
rhythm of the day of their own, drawn from a range ten times as wide.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from detector.model.design import Design
from detector.stream.acquaintance import DOUBT, Acquaintance
from detector.stream.bench import Judge
from detector.stream.calibration import WEEK_S
from detector.stream.nouns import Samples
from detector.stream.pipeline import StreamPipeline
from detector.train.fit import fit
from detector.train.scales import scaling
from detector.train.timeline import Timeline
from tests.support.streams import GAUGE, START_S, definition

DAY_S, STEP_S = 86_400.0, 300.0
DAY = int(DAY_S / STEP_S)
TRAINED, LIVED = 7 * DAY, DAY
KNOWN, NEW = 12, 1000
STREAM = definition(
    *(replace(GAUGE, name=name) for name in ("load", "traffic", "errors")), step_s=STEP_S, window_steps=24
)
HOUR = int(3600 / STEP_S)
BROKEN, BREAKS = 7, 30
"""Which router breaks, and in which step: six after its first window."""


def lived(routers, steps, spread, seed):
    """Return values `(steps, routers, 3)`: levels, with a rhythm of the day, and noise that lingers."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(4.0, spread, (routers, 3)))
    swing = rng.uniform(0.0, 0.3, (routers, 3))
    noise = np.zeros((steps, routers, 3))
    white = rng.normal(size=noise.shape)
    for step in range(1, steps):
        noise[step] = 0.7 * noise[step - 1] + 0.7 * white[step]
    phase = 2 * np.pi * (np.arange(steps)[:, None, None] / DAY + rng.random((routers, 3)))
    return level * (1 + swing * np.sin(phase) + 0.05 * noise)


@cache
def judge():
    value = lived(KNOWN, TRAINED, 1.0, seed=0).transpose(1, 0, 2).astype(np.float32)
    step = int(START_S / STEP_S) + 1 + np.arange(TRAINED)
    names = tuple((f"known{index}",) for index in range(KNOWN))
    past = Timeline(STREAM, names, step, value, np.ones(value.shape, bool), np.zeros(KNOWN, int))
    fitted = fit(past, Design("pca"), seed=0, epochs=1, progress=lambda *_: None)
    return Judge(fitted.network, fitted.calibration)


@cache
def life():
    """Return the scores `(steps, routers)`, and who alarmed in which step."""
    value = lived(NEW, LIVED, 2.3, seed=1)
    deviation = 0.05 * np.median(value, axis=0)
    value[BREAKS : BREAKS + 4, BROKEN] += 40 * deviation[BROKEN]
    pipeline = StreamPipeline(STREAM, judge())
    rows = pipeline.rows_of([(f"new{index}",) for index in range(NEW)])
    row, signal = np.repeat(rows, 3), np.tile(np.arange(3), NEW)
    begin_s = START_S + TRAINED * STEP_S
    scores, alarms = np.full((LIVED, NEW), np.nan), []
    for step in range(LIVED):
        at_s = begin_s + (step + 1) * STEP_S
        pipeline.add_samples(Samples(row, signal, np.full(len(row), at_s), value[step].ravel()))
        for outcome in pipeline.tick(at_s):
            alarms += [(step, one.row) for one in outcome.onsets]
            if outcome.scores is not None:
                scores[step, outcome.scores.row] = outcome.scores.score
    return scores, alarms


def test_they_are_scored_from_the_first_full_window():
    scores, _ = life()
    full = STREAM.window_steps
    assert np.isnan(scores[: full - 1]).all()
    assert not np.isnan(scores[full + 1 :]).any()


def test_they_alarm_no_more_than_the_budget_accepts():
    _, alarms = life()
    false = [step for step, row in alarms if row != BROKEN]
    accepted = STREAM.budget * STEP_S / WEEK_S * NEW
    assert len(false) < accepted * LIVED
    assert sum(step < STREAM.window_steps + HOUR for step in false) < 0.01 * NEW, "a storm"


def test_one_that_breaks_in_its_second_window_is_found_at_once():
    _, alarms = life()
    assert next(step for step, row in alarms if row == BROKEN) in (BREAKS, BREAKS + 1, BREAKS + 2)


def test_what_is_known_for_longer_is_doubted_less():
    acquaintance, row = Acquaintance(never=False), np.array([0])
    acquaintance.resize(1)
    acquaintance.admit(0, None)
    doubts = [float(acquaintance.doubt(row)[0])]
    for _ in range(1000):
        acquaintance.grow(row, np.array([True]))
        doubts.append(float(acquaintance.doubt(row)[0]))
    assert doubts[0] == DOUBT
    assert (np.diff(doubts) < 0).all()
    assert doubts[-1] < DOUBT / 10
    acquaintance.admit(0, 64.0)
    assert acquaintance.doubt(row) == 0, "whom the bundle knows is not new"


def test_an_anomaly_does_not_teach_at_the_rate_of_a_newcomer():
    acquaintance, row = Acquaintance(never=False), np.array([0])
    acquaintance.resize(1)
    acquaintance.admit(0, None)
    at_first = acquaintance.rate(row)[0]
    acquaintance.note(row, np.array([False]))
    assert acquaintance.rate(row) == 0
    acquaintance.note(row, np.array([True]))
    acquaintance.grow(row, np.array([True]))
    assert 0 < acquaintance.rate(row)[0] < at_first


def test_where_nothing_is_to_be_the_new_normal_they_are_learnt_all_the_same():
    acquaintance, rows = Acquaintance(never=True), np.array([0, 1])
    acquaintance.resize(2)
    acquaintance.admit(0, None)
    acquaintance.admit(1, 64.0)
    new, known = acquaintance.rate(rows)
    assert new > 0 == known


def grown(center, scale, kind="gauge"):
    signal = replace(GAUGE, kind=kind)
    value = np.array(
        [[one - two, one + two] * 50 for one, two in zip(center, scale, strict=True)], np.float32
    )
    shape = len(center), 100, 1
    past = Timeline(
        definition(signal), tuple((f"{index}",) for index in range(len(center))), np.arange(100),
        value.reshape(shape), np.ones(shape, bool), np.zeros(len(center), int),
    )  # fmt: skip
    return scaling(past, 100).pool.growth.item()


@pytest.mark.parametrize(("power", "kind"), [(1.0, "gauge"), (0.5, "rate"), (0.0, "rate")])
def test_how_a_deviation_grows_with_the_size_is_learnt_from_the_fleet(power, kind):
    center = np.geomspace(1e3, 1e7, 9)
    assert grown(center, 10 * (center / 1e3) ** power, kind) == pytest.approx(power, abs=0.05)


@pytest.mark.parametrize(("kind", "growth"), [("gauge", 0.0), ("rate", 1.0)])
def test_of_too_few_rates_are_taken_to_grow_with_their_size_and_gauges_not(kind, growth):
    assert grown([100.0, 200.0, 900.0], [9.0, 1.0, 5.0], kind) == growth


def test_where_most_are_at_0_there_is_no_size():
    assert grown([0.0] * 6 + [5.0, 10.0, 40.0, 80.0], [0.5] * 6 + [1.0, 2.0, 8.0, 16.0], "rate") == 0.0
