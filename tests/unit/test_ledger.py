"""The budget's ledger: alarms of a week over the accepted ones, and when that is more than chance."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from detector.edge.snapshot import stream_snapshot
from detector.stream.definition import Maintenance, Policy
from detector.stream.ledger import HOUR_S, WEEK_S, Ledger
from detector.stream.nouns import Span
from detector.stream.pipeline import StreamPipeline
from tests.support.streams import GAUGE, START_S, definition, feed, judge

STEP_S = 600.0
STEPS = int(WEEK_S / STEP_S)


def run(ledger, alarms, budget=1.0, start=0, step_s=STEP_S):
    """Take steps in, with so many alarms each; return `used` and `exceeded` after each."""
    told = []
    for step, many in enumerate(alarms, start):
        ledger.take(step * step_s, budget, int(many))
        told.append((ledger.used, ledger.exceeded))
    return told


def alarms_at(*steps, total=STEPS):
    made = np.zeros(total, int)
    np.add.at(made, list(steps), 1)
    return made


def test_it_is_the_alarms_of_the_last_week_over_the_accepted_ones():
    told = run(Ledger(STEP_S), alarms_at(300, 500, 700, total=3 * STEPS), budget=2.0)
    assert told[STEPS - 1][0] == pytest.approx(1.5)
    assert told[-1][0] == 0.0


def test_in_the_first_day_nothing_is_said_and_then_the_ratio_is_right_at_once():
    told = run(Ledger(STEP_S), alarms_at(10, total=STEPS), budget=100.0)
    day = int(86400 / STEP_S)
    assert all(isnan(used) for used, _ in told[: day - 6])
    assert told[day - 1][0] == pytest.approx(1 / (100 / 7))


def test_nothing_is_exceeded_in_the_first_day_and_what_was_in_it_counts_after_it():
    day = int(86400 / STEP_S)
    told = run(Ledger(STEP_S), alarms_at(*range(10, 90, 5), total=2 * day))
    assert not any(exceeded for used, exceeded in told if isnan(used))
    assert told[day][1]


def test_the_achieved_rate_of_a_stream_that_keeps_its_budget_is_about_1():
    rng = np.random.default_rng(1)
    told = run(Ledger(STEP_S), rng.poisson(200 / STEPS, 8 * STEPS), budget=200.0)
    assert 0.75 < np.median([used for used, _ in told[STEPS:]]) < 1.25
    assert not any(exceeded for _, exceeded in told)


@pytest.mark.parametrize(("budget", "rate"), [(1.0, 15.0), (50.0, 2.0), (2000.0, 1.5)])
def test_a_stream_that_is_beyond_its_budget_for_good_is_told_within_a_week(budget, rate):
    rng = np.random.default_rng(2)
    told = run(Ledger(STEP_S), rng.poisson(rate * budget / STEPS, 2 * STEPS), budget=budget)
    assert any(exceeded for _, exceeded in told[:STEPS])
    assert all(exceeded for _, exceeded in told[STEPS:])


def test_a_few_alarms_of_one_entity_are_chance_whatever_the_ratio_is():
    told = run(Ledger(STEP_S), alarms_at(200, 400, 600), budget=0.1)
    assert told[-1][0] == pytest.approx(30.0)
    assert not run(Ledger(STEP_S), alarms_at(300, 500, 700), budget=1.0)[-1][1]
    assert not run(Ledger(STEP_S), alarms_at(300), budget=0.1)[-1][1]


def test_what_one_cause_does_to_hundreds_is_in_the_ratio_and_not_beyond_the_budget():
    made = np.zeros(STEPS, int)
    made[500:503] = 200
    told = run(Ledger(STEP_S), made, budget=400.0)
    assert told[-1][0] == pytest.approx(1.5)
    assert not any(exceeded for _, exceeded in told)


def test_it_is_told_until_the_alarms_are_about_the_accepted_again():
    told = run(Ledger(STEP_S), alarms_at(*range(200, 208), total=3 * STEPS), budget=1.0)
    turns = np.flatnonzero(np.diff([exceeded for _, exceeded in told]))
    assert len(turns) == 2
    assert STEPS - 10 <= turns[1] - turns[0] <= STEPS + HOUR_S / STEP_S


def test_time_without_a_step_is_forgotten_like_any_other():
    one = Ledger(STEP_S)
    run(one, alarms_at(500))
    run(one, np.zeros(6, int), start=STEPS + 400)
    assert one._alarms.sum() == 1
    run(one, np.zeros(6, int), start=STEPS + 520)
    assert one._alarms.sum() == 0
    run(one, np.zeros(6, int), start=90 * STEPS)
    assert isnan(one.used)
    assert np.count_nonzero(one._accepted) == 1


def test_a_clock_that_went_back_begins_anew():
    one = Ledger(STEP_S)
    run(one, alarms_at(500), start=10 * STEPS)
    run(one, np.zeros(150, int))
    assert one.used == 0.0
    assert np.count_nonzero(one._accepted) == 25


# Who is counted


def stream(*policies, maintenances=()):
    one = definition(GAUGE, step_s=HOUR_S, policies=policies, silence_s=1e6, budget=84.0)
    known = (("r1",), ("r2",))
    return StreamPipeline(one, judge(1, known), maintenances)


def shaken(pipeline, hours=60, at=40):
    """Let both entities be far off for four hours."""
    for hour in range(hours):
        value = 9.0 if at <= hour < at + 4 else 0.0
        feed(pipeline, *[(device, hour * HOUR_S, {0: value}) for device in ("r1", "r2")])
    return pipeline.bench.ledger


def test_every_episode_counts_against_what_its_entities_may_have():
    ledger = shaken(stream())
    judged_h = np.count_nonzero(ledger._accepted)
    assert ledger._alarms.sum() == 2
    assert ledger.used == pytest.approx(2 / (2 * 84 * judged_h / 168))


def test_the_muted_may_have_none_and_have_none():
    muted = Policy((("device", "r1"),), mute=True)
    ledger, plain = shaken(stream(muted)), shaken(stream())
    assert ledger._alarms.sum() == 1
    assert ledger._accepted.sum() == pytest.approx(plain._accepted.sum() / 2)


def test_a_policy_gives_an_entity_a_budget_of_its_own():
    ledger, plain = shaken(stream(Policy((("device", "r1"),), budget=8.4))), shaken(stream())
    assert ledger._accepted.sum() == pytest.approx(0.55 * plain._accepted.sum())


def test_in_maintenance_nothing_is_accepted():
    planned = Maintenance("night", (("device", "r1"),))
    pipeline = stream(maintenances=(planned,))
    pipeline.bench.maintained.plan("night", [Span(START_S + 10.5 * HOUR_S, START_S + 20.5 * HOUR_S)])
    ledger, plain = shaken(pipeline), shaken(stream())
    lost = plain._accepted.sum() - ledger._accepted.sum()
    assert lost == pytest.approx(11 * 84 / 168, rel=0.1)


def test_live_and_offline_are_the_same_number():
    """What closes step by step live closes in one go offline."""
    live, offline = stream(), stream()
    shaken(live)
    records = [
        (device, hour * HOUR_S, {0: 9.0 if 40 <= hour < 44 else 0.0})
        for hour in range(60)
        for device in ("r1", "r2")
    ]
    feed(offline, *records)
    assert live.bench.ledger.used == offline.bench.ledger.used
    np.testing.assert_array_equal(live.bench.ledger._accepted, offline.bench.ledger._accepted)


def test_nobody_is_judged_without_a_bundle_and_nothing_is_said():
    pipeline = StreamPipeline(replace(definition(GAUGE), step_s=HOUR_S), None)
    shaken(pipeline)
    assert isnan(pipeline.bench.ledger.used)
    assert isnan(stream_snapshot(pipeline, None).budget_used)


def test_the_snapshot_has_what_the_ledger_says():
    pipeline = stream()
    ledger = shaken(pipeline, hours=90, at=70)
    told = stream_snapshot(pipeline, None)
    assert (told.budget_used, told.budget_exceeded) == (ledger.used, ledger.exceeded)
    assert told.budget_used > 0
