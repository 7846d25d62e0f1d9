"""Samples become steps. The grid in these tests: 10 s, a step is closed `lateness_s` after its time.

|.........|.........|.........|      step 1 covers (0 s, 10 s]
0         10        20        30
"""

import numpy as np
import pytest

from detector.stream.align import VALUE_MAX, Align
from detector.stream.definition import Signal, Witness
from tests.support.streams import COUNTER, GAUGE, START_S, definition, samples

FIRST = int(START_S) // 10


def aligned(*signals, rows=2, **changed):
    align = Align(definition(*signals, **changed))
    align.resize(rows)
    return align


def closed(align, until_s):
    """Close and return {step: {(row, signal): value}}, steps counted from `START_S`."""
    result = {}
    for steps in align.close(START_S + until_s):
        at = np.argwhere(steps.seen)
        result[steps.step - FIRST] = {
            (int(steps.row[row]), int(signal)): float(steps.value[row, signal]) for row, signal in at
        }
    return result


@pytest.mark.parametrize(("after_s", "step"), [(0.1, 1), (10.0, 1), (10.000002, 1), (10.1, 2), (20.0, 2)])
def test_a_step_ends_with_its_time_and_contains_it(after_s, step):
    align = aligned()
    align.add(samples((0, 0, after_s, 5.0)))
    assert closed(align, 30)[step] == {(0, 0): 5.0}


def test_a_step_closes_when_the_lateness_after_its_time_is_over():
    align = aligned(lateness_s=3.0)
    align.add(samples((0, 0, 4, 1.0)))
    assert not align.closable(START_S + 12.9)
    assert closed(align, 12.9) == {}
    assert align.closable(START_S + 13.0)
    assert closed(align, 13.0) == {1: {(0, 0): 1.0}}
    assert not align.closable(START_S + 22.9)


def test_nothing_is_closable_before_the_first_sample():
    align = aligned()
    assert not align.closable(-np.inf)
    assert not align.closable(START_S)
    assert closed(align, 1000) == {}


def test_a_sample_of_a_closed_step_is_late_and_counted():
    align = aligned()
    align.add(samples((0, 0, 4, 1.0)))
    closed(align, 10)
    align.add(samples((0, 0, 9, 2.0), (1, 0, 10, 3.0), (0, 0, 11, 4.0)))
    assert align.late_total == 2
    assert closed(align, 20) == {2: {(0, 0): 4.0}}


@pytest.mark.parametrize(
    ("aggregate", "value"), [("last", -11.5), ("mean", -7.5), ("max", -3.5), ("sum", -15.0)]
)
def test_a_gauge_is_scaled_before_several_samples_become_one(aggregate, value):
    align = aligned(Signal("level", aggregate=aggregate, scale=-2.0, offset=0.5))
    align.add(samples((0, 0, 4, 2.0), (0, 0, 8, 6.0)))
    assert closed(align, 10) == {1: {(0, 0): value}}


def test_the_rate_of_a_counter_is_scaled_and_its_limit_is_not():
    octets = Signal("octets", kind="counter", bits=32, scale=8.0, rate_max=100.0)
    align = aligned(octets, GAUGE, window_steps=100)
    align.add(
        samples((0, 0, 10, 2.0**32 - 900), (0, 0, 20, 2.0**32 - 500), (0, 0, 30, 400), (0, 0, 40, 1410))
    )
    rates = [step.get((0, 0)) for step in closed(align, 40).values()]
    assert rates == [None, 320.0, 720.0, None]  # a first look, growth, a wrap, and faster than can be
    assert align.discontinuities.sum() == 1


def test_a_scaled_value_is_clipped_too():
    align = aligned(Signal("level", scale=1e9), Signal("sum", aggregate="sum", scale=-1e9))
    align.add(samples((0, 0, 4, 1e29), (0, 1, 4, 1e300), (0, 1, 5, 1e300)))
    assert closed(align, 10)[1] == pytest.approx({(0, 0): VALUE_MAX, (0, 1): -VALUE_MAX})


def test_of_duplicates_the_greater_value_stays_whatever_came_first():
    for values in ((7.0, 3.0), (3.0, 7.0)):
        align = aligned()
        align.add(samples((0, 0, 4, values[0])))
        align.add(samples((0, 0, 4, values[1])))
        assert closed(align, 10) == {1: {(0, 0): 7.0}}
        assert align.duplicates_total == 1


def test_an_older_sample_in_time_for_its_step_is_used_and_counted_as_reordered():
    align = aligned()
    align.add(samples((0, 0, 8, 2.0), (0, 0, 3, 1.0), (1, 0, 2, 9.0)))
    align.add(samples((0, 0, 5, 1.0), (1, 0, 4, 8.0)))
    assert align.reordered_total == 2
    assert closed(align, 10) == {1: {(0, 0): 2.0, (1, 0): 8.0}}


@pytest.mark.parametrize(("aggregate", "value"), [("last", 2.0), ("mean", 4.0), ("max", 9.0), ("sum", 12.0)])
def test_several_samples_of_a_gauge_in_a_step_become_one(aggregate, value):
    align = aligned(Signal("x", aggregate=aggregate), GAUGE)
    align.add(samples((0, 0, 6, 2.0), (0, 0, 2, 1.0), (0, 0, 4, 9.0), (0, 1, 1, 5.0)))
    assert closed(align, 10) == {1: {(0, 0): value, (0, 1): 5.0}}


def test_a_gap_is_an_unseen_cell_and_an_empty_step():
    """At 10 s both signals, at 20 s nothing, at 30 s one signal."""
    align = aligned(GAUGE, Signal("other"))
    align.add(samples((0, 0, 10, 1.0), (0, 1, 10, 2.0), (0, 0, 30, 3.0)))
    assert closed(align, 30) == {1: {(0, 0): 1.0, (0, 1): 2.0}, 2: {}, 3: {(0, 0): 3.0}}


WITNESSED = {"witnesses": (Witness("boot", "boot_id"), Witness("load", "uptime"))}


def test_what_tells_of_restarts_is_heard_before_the_counters_of_its_step_and_is_no_cell():
    align = aligned(COUNTER, Signal("load"), **WITNESSED)
    align.add(samples((0, 0, 5, 100.0), (0, 2, 5, 7.0), (0, 0, 15, 200.0), (0, 1, 15, 15.0)))
    align.add(samples((0, 0, 25, 300.0), (0, 2, 25, 8.0), (1, 2, 25, 8.0), (0, 0, 35, 400.0)))
    assert closed(align, 40) == {1: {}, 2: {(0, 0): 10.0, (0, 1): 15.0}, 3: {}, 4: {(0, 0): 10.0}}
    assert align.discontinuities.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert align.counter_looks.tolist() == [3, 0]


def test_who_only_tells_of_restarts_does_not_speak():
    align = aligned(COUNTER, GAUGE, **WITNESSED)
    align.add(samples((0, 2, 5, 7.0), (1, 2, 5, 7.0), (1, 1, 5, 1.0)))
    (steps,) = align.close(START_S + 10)
    assert steps.row.tolist() == [1]
    assert steps.value.shape == (1, 2)


def test_a_hole_is_closed_as_one_empty_window_not_step_by_step():
    """A year without a sample costs `window_steps` steps."""
    year_s = 365 * 86400.0
    align = aligned()
    align.add(samples((0, 0, 10, 1.0), (0, 0, year_s, 2.0)))
    last = int(year_s) // 10
    assert list(closed(align, year_s)) == [1, *range(last - 4, last), last]


def test_samples_that_wait_are_forgotten_with_their_entity_and_those_of_others_stay():
    align = aligned(GAUGE, COUNTER)
    align.add(samples((0, 1, 5, 100.0), (1, 0, 5, 2.0)))
    closed(align, 10)
    align.add(samples((0, 0, 15, 1.0), (0, 1, 15, 200.0), (1, 0, 15, 3.0)))
    align.forget(np.array([0]))
    assert closed(align, 20) == {2: {(1, 0): 3.0}}
    assert align.newest_s[0] == -np.inf
    align.add(samples((0, 1, 25, 300.0)))
    assert closed(align, 30) == {3: {}}, "the next of that row has no base yet"


def test_when_all_that_waits_is_forgotten_nothing_is_closable():
    align = aligned()
    align.add(samples((0, 0, 5, 1.0)))
    align.forget(np.array([0]))
    assert not align.closable(START_S + 1000)
    assert closed(align, 1000) == {}


def test_after_a_restart_earlier_steps_are_open_again():
    align = aligned()
    align.add(samples((0, 0, 1000, 1.0)))
    closed(align, 1000)
    align.restart()
    align.add(samples((0, 0, 10, 2.0)))
    assert closed(align, 10) == {1: {(0, 0): 2.0}}
    assert align.late_total == 0


def test_rows_added_while_samples_wait_change_nothing_of_them():
    align = aligned(GAUGE, COUNTER)
    align.add(samples((1, 1, 5, 100.0)))
    closed(align, 10)
    align.add(samples((1, 0, 15, 7.0), (1, 1, 15, 150.0)))
    align.resize(64)
    align.add(samples((63, 0, 15, 9.0)))
    assert closed(align, 20) == {2: {(1, 0): 7.0, (1, 1): 5.0, (63, 0): 9.0}}


@pytest.mark.parametrize("kind", ["gauge", "counter"])
@pytest.mark.parametrize("aggregate", ["last", "mean", "max", "sum"])
def test_the_greatest_numbers_there_are_overflow_nothing(kind, aggregate):
    align = aligned(Signal("x", kind=kind, aggregate=aggregate))
    wild = np.finfo(float).max
    align.add(samples((0, 0, 1, wild), (0, 0, 2, -wild), (0, 0, 3, wild), (0, 0, 4, wild)))
    cells = closed(align, 10)[1].values()
    assert all(abs(value) <= VALUE_MAX * 1.001 for value in cells)
