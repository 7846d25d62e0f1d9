"""A level that shifts for good, through trainer and pipeline: one alarm, and then the new normal, or never.

Two signals of three routers, one with the rhythm of the day; a week is learnt from, and then

                     ____________________________
    ________________|        |                   the level of a router shifts by some deviations of the noise
                    open     closed, about `normal_after_s` later

Of shifts of thirty deviations and more that is 0.4 to 0.8 times as long: the sooner the smaller the shift is
beside what the signal does each day, and the higher the budget has the edge.
"""

from dataclasses import replace
from functools import cache
from math import inf

import numpy as np
import pytest

from detector.model.design import Design
from detector.stream.bench import Judge
from detector.stream.nouns import Samples
from detector.stream.pipeline import StreamPipeline
from detector.train.fit import fit
from detector.train.timeline import Timeline
from tests.support.streams import GAUGE, START_S, definition

DAY_S, STEP_S = 86_400.0, 450.0
DAY = int(DAY_S / STEP_S)
TRAINED, LIVED, SHIFTED = 7 * DAY, 4 * DAY, DAY  # steps; those of the life count from its beginning
NORMAL_AFTER_S = 0.5 * DAY_S
ROUTERS = (("r0",), ("r1",), ("r2",))
NOISE = np.array([4.0, 1.0])


def stream(normal_after_s):
    return definition(
        GAUGE,
        replace(GAUGE, name="other"),
        step_s=STEP_S,
        window_steps=24,
        normal_after_s=normal_after_s,
        budget=0.1,  # so that chance makes hardly an alarm of its own
    )


def lived(steps, seed):
    """Return noise that lingers for some steps around levels, one of which has a rhythm."""
    white = np.random.default_rng(seed).normal(size=(steps, len(ROUTERS), 2))
    noise = np.zeros_like(white)
    for step in range(1, steps):
        noise[step] = 0.7 * noise[step - 1] + 0.7 * white[step]
    rhythm = 20 * np.sin(2 * np.pi * np.arange(steps) / DAY)[:, None, None] * [1, 0]
    return np.array([100, 20]) + rhythm + NOISE * noise


@cache
def judge(architecture):
    value = lived(TRAINED, seed=0).transpose(1, 0, 2).astype(np.float32)
    step = int(START_S / STEP_S) + 1 + np.arange(TRAINED)
    past = Timeline(
        stream(NORMAL_AFTER_S), ROUTERS, step, value, np.ones(value.shape, bool), np.zeros(len(ROUTERS), int)
    )
    fitted = fit(past, Design(architecture), seed=0, epochs=1, progress=lambda *_: None)
    return Judge(fitted.network, fitted.calibration)


def episodes(value, normal_after_s, architecture="ewma"):
    """Return when r1 was alarmed of, in seconds since the shift, and for how long; NaN: to the end.

    What comes without a shift too is chance, and left out.
    """
    chance = by_chance(normal_after_s, architecture)
    return [one for one in told_of(value, normal_after_s, architecture) if one[0] not in chance]


@cache
def by_chance(normal_after_s, architecture):
    """Return when r1 is alarmed of though nothing shifts."""
    return {after_s for after_s, _ in told_of(lived(LIVED, seed=1), normal_after_s, architecture)}


def told_of(value, normal_after_s, architecture):
    """Return the episodes of r1 after the time of the shift."""
    pipeline = StreamPipeline(stream(normal_after_s), judge(architecture))
    pipeline.rows_of(list(ROUTERS))
    begin_s = START_S + TRAINED * STEP_S
    row, signal = (one.ravel() for one in np.indices((len(ROUTERS), 2)))
    told = {}
    for step, values in enumerate(value, 1):
        at_s = begin_s + step * STEP_S
        pipeline.add_samples(Samples(row, signal, np.full(len(row), at_s), values.ravel()))
        for outcome in pipeline.tick(at_s):
            told |= {one.time_s: np.nan for one in outcome.onsets if one.row == 1}
            told |= {one.onset_s: one.time_s - one.onset_s for one in outcome.closures if one.row == 1}
    shifted_s = begin_s + SHIFTED * STEP_S
    return [(onset_s - shifted_s, lasted_s) for onset_s, lasted_s in told.items() if onset_s > shifted_s]


def shifted(signal, size, until=LIVED):
    value = lived(LIVED, seed=1)
    value[SHIFTED:until, 1, signal] += size * NOISE[signal]
    return value


@pytest.mark.parametrize("architecture", ["ewma", "pca"])
@pytest.mark.parametrize(("signal", "size"), [(0, 30), (0, -30), (1, 30), (1, -100)])
def test_it_is_one_alarm_at_once_and_ends_within_a_factor_of_three_of_what_was_said(
    architecture, signal, size
):
    ((after_s, lasted_s),) = episodes(shifted(signal, size), NORMAL_AFTER_S, architecture)
    assert after_s <= 3 * STEP_S
    assert NORMAL_AFTER_S / 3 < lasted_s < 1.5 * NORMAL_AFTER_S


@pytest.mark.parametrize("signal", [0, 1])
def test_twice_as_long_until_it_is_normal_is_an_alarm_of_about_twice_the_length(signal):
    value = shifted(signal, 30)
    (once,), (twice,) = episodes(value, NORMAL_AFTER_S), episodes(value, 2 * NORMAL_AFTER_S)
    assert 1.3 < twice[1] / once[1] < 2.5


@pytest.mark.parametrize("size", [30, -30, -100])
def test_where_never_is_said_it_stays_open(size):
    ((_, lasted_s),) = episodes(shifted(0, size), inf)
    assert np.isnan(lasted_s)


def test_the_way_back_from_what_is_normal_by_now_is_one_alarm_too():
    there, back = episodes(shifted(1, 30, until=SHIFTED + 2 * DAY), NORMAL_AFTER_S)
    assert there[1] < 1.5 * NORMAL_AFTER_S
    assert 2 * DAY_S < back[0] <= 2 * DAY_S + 3 * STEP_S
    assert 0 < back[1] < 1.5 * NORMAL_AFTER_S


def test_what_is_undone_before_it_is_normal_ends_then_also_where_never_is_said():
    value = shifted(1, 30, until=SHIFTED + DAY // 8)
    for normal_after_s in (NORMAL_AFTER_S, inf):
        _, lasted_s = episodes(value, normal_after_s)[0]
        assert lasted_s < DAY_S / 8 + 40 * STEP_S
