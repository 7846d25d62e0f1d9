"""Drift: what moves for good and in many is told, and rhythm, noise, a bad day and a bad entity are not."""

from dataclasses import replace

import numpy as np
import pytest

from detector.edge.snapshot import stream_snapshot
from detector.stream.calibration import Days
from detector.stream.drift import DAY_S, HOURS, LEAST, Drift, furthest, reached
from detector.stream.pipeline import StreamPipeline
from detector.train.days import days
from detector.train.timeline import Timeline
from tests.support.streams import GAUGE, calibration, definition, feed, judge

HOUR_S = 3600.0
STEPS = HOURS  # a day
STREAM = definition(GAUGE, replace(GAUGE, name="other"), step_s=HOUR_S)
FLAT = np.zeros(100)


def compared(entities, signals=2, far=1.0):
    return Days(np.zeros((entities, signals), np.float32), np.full(signals, far, np.float32))


def drift(learnt, rows, known=None):
    made = Drift(STREAM, learnt)
    made.resize(rows)
    for row in range(rows):
        made.admit(row, row if known is None else known[row])
    return made


def live(one, means, hours=range(1, STEPS + 1), signals=(0, 1), first_day=20_000):
    """Take days in, with a mean each `(days,)` or `(days, rows)`; return ratio and advice of each."""
    told = []
    for day, mean in enumerate(np.atleast_2d(np.asarray(means, float).T).T):
        rows = np.arange(len(one._known))
        value = np.zeros((len(rows), 2), np.float32)
        counts = np.zeros((len(rows), 2), bool)
        value[:, list(signals)] = np.broadcast_to(mean, len(rows))[:, None]
        counts[:, list(signals)] = True
        for hour in hours:
            one.take((first_day + day) * STEPS + hour, rows, value, counts)
        one.take((first_day + day + 1) * STEPS + 1, rows[:0], value[:0], counts[:0])
        told.append((float(np.fmax.reduce(one.ratio)), one.advised))
    return told


def ratios(told):
    return [ratio for ratio, _ in told]


def advice(told):
    return [advised for _, advised in told]


def test_a_quarter_has_to_reach_it_and_never_one_of_several():
    far = np.full((9, 1), np.nan)
    cases = {1: [5], 2: [5, 1], 3: [5, 3, 1], 4: [7, 5, 3, 1], 8: [8, 7, 6, 5, 4, 3, 2, 1]}
    assert {
        n: float(reached(np.vstack([np.array(each, float)[:, None], far]))[0]) for n, each in cases.items()
    } == {1: 5, 2: 1, 3: 3, 4: 5, 8: 6}
    assert np.isnan(reached(far)).all()
    assert np.isnan(reached(far[:0])).all()


def test_what_stays_as_training_was_is_no_drift():
    rng = np.random.default_rng(1)
    learnt = furthest(rng.normal(size=(5, 14, 2)))
    told = live(drift(learnt, 5), rng.normal(size=(60, 5)))
    assert max(ratios(told)) < 1.0
    assert not any(advice(told))


@pytest.mark.parametrize("weeks", [1, 2, 4])
def test_a_weekly_rhythm_that_was_trained_on_is_no_drift_whatever_day_it_begins(weeks):
    week = np.array([0.0, 0.1, -0.1, 0.05, 0.0, -3.0, -3.2])
    rng = np.random.default_rng(2)
    learnt = furthest(np.tile(week, weeks)[None, :, None] + rng.normal(0, 0.1, (1, 7 * weeks, 2)))
    for begin in range(7):
        told = live(drift(learnt, 1), np.roll(np.tile(week, 6), begin))
        assert max(ratios(told)) < 1.1  # of the first day or two, when that is all there is
        assert max(ratios(told)[6:]) < 0.5
        assert not any(advice(told))


def test_a_shift_is_told_the_sooner_the_larger_it_is_and_stays_told():
    day = {}
    for size in (1.2, 2.0, 5.0):
        told = live(drift(compared(4), 4), np.r_[np.zeros(10), np.full(30, size)])
        day[size] = advice(told).index(True) - 9
        assert all(advice(told)[9 + day[size] :])
    assert day == {1.2: 12, 2.0: 5, 5.0: 2}


def test_a_slow_trend_is_told_once_it_has_gone_further_than_training_did():
    told = live(drift(compared(4), 4), 0.1 * np.arange(40))
    assert 10 <= advice(told).index(True) <= 17


def test_advice_does_not_flap_around_the_ratio_of_1():
    rng = np.random.default_rng(3)
    told = live(drift(compared(1), 1), 1.0 + rng.normal(0, 0.4, 200))
    crossed = np.count_nonzero(np.diff(np.array(ratios(told)) >= 1.0))
    turned = np.count_nonzero(np.diff(np.array(advice(told))))
    assert crossed > 20
    assert turned <= 1


def test_advice_is_withdrawn_when_the_old_normal_is_back():
    told = live(drift(compared(3), 3), np.r_[np.full(10, 2.0), np.zeros(20)])
    assert advice(told)[9]
    assert not advice(told)[-1]


def test_no_advice_comes_of_less_than_three_days():
    told = live(drift(compared(1), 1), [9.0, 9.0, 9.0])
    assert ratios(told) == pytest.approx([9.0, 9.0, 9.0])
    assert advice(told) == [False, False, True]


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_one_bad_entity_of_several_is_no_drift(rows):
    means = np.zeros((20, rows))
    means[:, 0] = 10.0
    assert max(ratios(live(drift(compared(rows), rows), means))) == 0.0


def test_an_entity_that_the_bundle_does_not_know_says_nothing():
    told = live(drift(compared(1), 3, known=[None, 0, None]), np.tile([9.0, 0.0, 9.0], (5, 1)))
    assert max(ratios(told)) == 0.0
    assert all(np.isnan(ratios(live(drift(compared(1), 2, known=[None, None]), [9.0] * 5))))


def test_a_row_that_is_taken_again_knows_nothing_of_who_had_it():
    one = drift(compared(1), 1)
    live(one, [9.0] * 5)
    one.admit(0, 0)
    assert ratios(live(one, [0.5, 0.5], first_day=20_005)) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("hours", "known"), [(range(1, 19), True), (range(1, 18), False)])
def test_a_day_of_which_little_was_judged_says_nothing(hours, known):
    one = drift(compared(1), 1)
    assert np.isnan(ratios(live(one, [2.0], hours=hours))[0]) != known


def test_the_signal_that_drifts_is_named_and_one_that_nobody_reports_is_unknown():
    one = drift(compared(2), 2)
    live(one, [2.0] * 4, signals=(1,))
    np.testing.assert_allclose(one.ratio, [np.nan, 2.0])


def test_maintenance_and_the_unseen_leave_the_mean_as_it_is():
    one = drift(compared(1), 1)
    row, good, bad = np.array([0]), np.ones((1, 2), np.float32), np.full((1, 2), 9.0, np.float32)
    for hour in range(1, STEPS + 1):
        one.take(20_000 * STEPS + hour, row, good, np.ones((1, 2), bool))
        one.take(20_000 * STEPS + hour, row, bad, np.zeros((1, 2), bool))
    live(one, [], first_day=20_001)
    one.take(20_001 * STEPS + 1, row[:0], good[:0], np.zeros((0, 2), bool))
    np.testing.assert_allclose(one.ratio, [1.0, 1.0])


def test_without_days_to_compare_with_nothing_is_said():
    one = drift(None, 1)
    assert live(one, [9.0] * 5)[-1][1] is None
    assert np.isnan(one.ratio).all()


def test_rows_that_come_later_leave_the_others_as_they_were():
    one, other = drift(compared(3), 1), drift(compared(3), 1)
    live(one, [2.0, 2.0])
    live(other, [2.0, 2.0])
    one.resize(4)
    assert live(one, [2.0], first_day=20_002)[0] == live(other, [2.0], first_day=20_002)[0]


# What training tells


def test_less_than_a_week_of_days_tells_nothing():
    means = np.zeros((2, 7, 1))
    assert furthest(means) is not None
    means[:, 3] = np.nan
    assert furthest(means) is None


def test_the_furthest_day_is_that_of_a_quarter_of_the_entities_and_no_less_than_the_least():
    means = np.zeros((4, 10, 2))
    means[0, 2], means[:2, 5, 0] = 8.0, 3.0
    learnt = furthest(means)
    level = np.array([(8 + 3) / 10, 3 / 10, 0, 0])
    np.testing.assert_allclose(learnt.level[:, 0], level, rtol=1e-6)
    np.testing.assert_allclose(learnt.furthest, [(3 - level[0]) * 10 / 9, LEAST], rtol=1e-6)


def test_the_trainer_and_the_daemon_know_the_same_mean_of_a_day():
    rng = np.random.default_rng(4)
    steps = 14 * STEPS
    rhythm = np.sin(2 * np.pi * np.arange(steps) / STEPS)
    value = (50 + 5 * rhythm[:, None] + rng.normal(size=(steps, 2))).astype(np.float32)
    seen = rng.random((1, steps, 2)) < 0.9
    first = 20_000 * STEPS + 1
    past = Timeline(STREAM, (("a",),), first + np.arange(steps), value[None], seen, np.zeros(1, int))
    center, scale = np.full((1, 2), 50, np.float32), np.full((1, 2), 4, np.float32)
    learnt = days(past, center, scale)
    one = drift(replace(learnt, level=0 * learnt.level, furthest=np.ones(2, np.float32)), 1)
    for step in range(7 * STEPS):
        one.take(first + step, np.array([0]), (value[step : step + 1] - 50) / 4, seen[:, step])
    one.take(first + 7 * STEPS, np.array([], int), value[:0], seen[0, :0])
    week = replace(past, step=past.step[: 7 * STEPS], value=value[None, : 7 * STEPS])
    np.testing.assert_allclose(
        one.ratio,
        np.abs(days(replace(week, seen=seen[:, : 7 * STEPS]), center, scale).level[0]),
        rtol=1e-4,
    )


def test_a_day_of_training_with_holes_is_none_and_no_data_is_no_days():
    steps = 8 * STEPS
    seen = np.ones((1, steps, 2), bool)
    seen[0, STEPS : STEPS + 7] = False
    value, step = np.zeros((1, steps, 2), np.float32), np.arange(steps)
    past = Timeline(STREAM, (("a",),), step, value, seen, np.zeros(1, int))
    one, zero = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    assert days(past, zero, one) is not None
    seen[0, 2 * STEPS : 2 * STEPS + 7] = False
    assert days(past, zero, one) is None
    empty = Timeline(STREAM, (("a",),), step[:0], value[:, :0], seen[:, :0], np.zeros(1, int))
    assert days(empty, zero, one) is None


def test_the_pipeline_tells_drift_by_the_time_of_the_data():
    stream = definition(GAUGE, step_s=HOUR_S, silence_s=DAY_S, lateness_s=0.0)
    known = tuple((f"r{number}",) for number in range(3))
    plain = judge(1, known)
    learnt = replace(calibration(1, known), days=compared(3, 1))
    pipeline = StreamPipeline(stream, replace(plain, calibration=learnt))
    for hour in range(6 * HOURS):
        feed(pipeline, *[(device, hour * HOUR_S, {0: 2.0}) for (device,) in known])
    told = stream_snapshot(pipeline, None)
    assert told.drift.tolist() == [2.0]
    assert told.retrain_advised is True


def test_the_snapshot_keeps_what_it_was_told():
    pipeline = StreamPipeline(definition(GAUGE), None)
    told = stream_snapshot(pipeline, None)
    pipeline.bench.drift.ratio[:] = 1.0
    assert np.isnan(told.drift).all()
    assert told.retrain_advised is None
