"""Signals that stand still: among peers that move, and where all do. Steps of 10 s."""

import numpy as np
import pytest

from detector.stream.definition import Signal
from detector.stream.nouns import Steps
from detector.stream.stuck import STEPS_MIN, Stuck
from tests.support.streams import definition

LEVEL, TEMPERATURE = Signal("level"), Signal("temperature")
OCTETS, PACKETS = Signal("octets", "counter"), Signal("packets", "counter")
FIRST = 200
"""The step in which something happens, where nothing else is said."""


def moving(steps, entities, signals, seed=0):
    """Return values that are new in each step, `(steps, entities, signals)`."""
    return np.random.default_rng(seed).normal(100.0, 10.0, (steps, entities, signals)).astype(np.float32)


def frozen(values, entity, signal, span=slice(FIRST, None)):
    """Let a signal keep the value that it has where the span begins; counters keep a rate of 0."""
    values[span, entity, signal] = values[span.start, entity, signal]
    return values


def run(values, *signals, seen=None):
    """Return the spells: (entity, signal, steps after `FIRST` in which it was told and over)."""
    stuck = Stuck(definition(*signals))
    entities = values.shape[1]
    stuck.resize(entities)
    spells, open_ = [], {}
    for step, value in enumerate(values):
        mask = np.ones(value.shape, bool) if seen is None else seen[step]
        rows = np.flatnonzero(mask.any(axis=1))
        taken = Steps(step, rows, np.where(mask, value, np.float32(np.nan))[rows], mask[rows])
        stuck.take(taken, 10.0 * step, np.ones(entities, bool))
        active = {(int(row), int(signal)) for row, signal in zip(*np.nonzero(stuck.active), strict=True)}
        for cell in sorted(active - open_.keys()):
            open_[cell] = step - FIRST
        spells += [(*cell, open_.pop(cell), step - FIRST) for cell in sorted(open_.keys() - active)]
    return spells + [(*cell, told, None) for cell, told in sorted(open_.items())]


def test_a_gauge_that_is_frozen_while_others_move_is_stuck_until_it_moves():
    values = frozen(moving(300, 4, 1), 2, 0, slice(FIRST, FIRST + 50))
    assert run(values, LEVEL) == [(2, 0, STEPS_MIN + 1, 50)]


def test_all_signals_of_an_entity_may_be_frozen():
    values = frozen(frozen(moving(300, 4, 2), 1, 0), 1, 1)
    assert run(values, LEVEL, TEMPERATURE) == [(1, 0, STEPS_MIN + 1, None), (1, 1, STEPS_MIN + 1, None)]


def test_where_all_stand_still_nobody_is_stuck_neither_then_nor_when_they_move_again():
    """They move again one after the other, and one of them never does."""
    values = moving(900, 6, 2)
    for entity in range(6):
        for signal in range(2):
            frozen(values, entity, signal, slice(FIRST, FIRST + 400 + 3 * entity))
    assert run(values, LEVEL, TEMPERATURE) == []
    frozen(values, 5, 0)
    assert run(values, LEVEL, TEMPERATURE) == [(5, 0, pytest.approx(420, abs=10), None)]


def test_a_time_when_all_stood_still_teaches_nothing():
    values = moving(2000, 6, 2)
    for start in range(FIRST, 1400, 200):
        for entity in range(6):
            for signal in range(2):
                frozen(values, entity, signal, slice(start, start + 100))
    frozen(values, 3, 1, slice(1600, 2000))
    assert run(values, LEVEL, TEMPERATURE) == [(3, 1, 1600 - FIRST + STEPS_MIN + 1, None)]


def test_what_often_stands_still_is_stuck_late():
    """It keeps each value for one to eight steps."""
    values = moving(2000, 4, 1)
    lengths = np.random.default_rng(1).integers(1, 9, 2000)
    values[:, 0, 0] = np.repeat(values[:, 0, 0], lengths)[:2000]
    frozen(values, 0, 0, slice(1900, 2000))
    ((entity, _, told, over),) = run(values, LEVEL)
    assert (entity, over) == (0, None)
    assert 1900 - FIRST + 36 <= told <= 1900 - FIRST + 56


def test_a_standstill_that_happened_three_times_is_a_habit():
    """Of who else moves in each step: for twenty steps, and then for far longer."""
    values = moving(2600, 4, 1)
    for start in range(FIRST, 2200, 200):
        frozen(values, 0, 0, slice(start, start + 20))
    frozen(values, 0, 0, slice(2400, 2600))
    told = [(entity, at - begins) for entity, _, at, _ in run(values, LEVEL) for begins in (at // 200 * 200,)]
    assert told == [(0, STEPS_MIN + 1)] * 3 + [(0, pytest.approx(120, abs=6))]


@pytest.mark.parametrize("flaps", [0, 40, 300])
def test_a_state_that_hardly_ever_changes_is_never_stuck(flaps):
    """It flaps for a while, as where a technician is at work, and is constant then."""
    values = moving(3000, 6, 2)
    values[:, :, 1] = 1.0
    values[300 : 300 + 2 * flaps : 2, 2, 1] = 0.0
    assert run(values, LEVEL, Signal("state")) == []


def test_a_gauge_at_an_end_of_its_range_is_clipped_or_at_rest():
    values = np.clip(moving(400, 6, 1), 80.0, 120.0)
    values[FIRST:, 0], values[FIRST:, 1] = 80.0, 120.0
    assert run(values, LEVEL) == []
    values[FIRST:, 2] = 119.0
    assert run(values, LEVEL) == [(2, 0, STEPS_MIN + 1, None)]


def test_a_rate_in_whole_numbers_stands_still_where_it_is_low():
    values = np.round(moving(400, 6, 1, 5) * np.arange(1.0, 7.0, dtype=np.float32)[:, None] - 60.0)
    values[:, 5] = 0.0
    values[FIRST:, 1] = 3.0
    values[FIRST:, 2] = 30.0
    assert run(values.astype(np.float32), LEVEL) == [(2, 0, STEPS_MIN + 1, None)]


def test_quantised_noise_does_not_stand_still_for_too_long():
    values = np.round(moving(5000, 6, 1) / 20.0)
    assert run(values, LEVEL) == []


def test_a_counter_that_stands_still_while_those_beside_it_count_is_stuck():
    values = moving(300, 4, 3)
    values[FIRST:, 1, 0] = 0.0
    assert run(values, OCTETS, PACKETS, Signal("out", "counter")) == [(1, 0, STEPS_MIN + 1, None)]


def test_a_link_that_is_down_now_and_then_does_not_teach_that_its_counters_freeze():
    values = moving(400, 4, 2)
    for begin in (120, 140, 160, 180):
        values[begin : begin + 6, 1] = 0.0
    assert run(frozen(values, 1, 0), OCTETS, PACKETS) == [(1, 0, STEPS_MIN + 1, None)]


def test_a_port_at_which_nothing_happens_is_not_stuck():
    """Packets stand still with octets; the other direction may go on."""
    values = moving(400, 4, 3)
    values[FIRST:, 1, :2] = 0.0
    assert run(values, OCTETS, PACKETS, Signal("out", "counter")) == []
    values[FIRST:, 1, 2] = 0.0
    assert run(values, OCTETS, PACKETS, Signal("out", "counter")) == []


def test_a_counter_of_rare_events_may_have_none_for_long():
    values = moving(3000, 4, 2)
    values[:, :, 1] = np.random.default_rng(2).random((3000, 4)) < 0.1
    values[1000:, 2, 1] = 0.0
    assert run(values, OCTETS, Signal("errors", "counter")) == []


def test_samples_that_repeat_and_those_that_are_missing_are_no_standstill():
    values = moving(3000, 4, 2)
    rng = np.random.default_rng(3)
    again = rng.random(values.shape) < 0.11
    for step in range(1, 3000):
        values[step] = np.where(again[step], values[step - 1], values[step])
    seen = rng.random(values.shape) > 0.3
    assert run(values, LEVEL, TEMPERATURE, seen=seen) == []


def test_a_signal_that_is_not_seen_is_not_stuck_and_what_is_seen_of_it_counts():
    """Frozen, and seen in every third step: it takes as many values, and three times as long."""
    values = frozen(moving(400, 4, 1), 0, 0)
    seen = np.ones(values.shape, bool)
    seen[FIRST + 1 :, 0] = False
    assert run(values, LEVEL, seen=seen) == []
    seen[FIRST::3, 0] = True
    assert run(values, LEVEL, seen=seen) == [(0, 0, 3 * (STEPS_MIN + 1), None)]


def test_a_gauge_that_no_other_entity_has_needs_a_long_past_and_others_beside_it():
    values = frozen(frozen(moving(1300, 1, 3), 0, 0, slice(FIRST, 230)), 0, 0, slice(1200, 1300))
    assert run(values, LEVEL, TEMPERATURE, Signal("load")) == [(0, 0, 1200 - FIRST + STEPS_MIN + 1, None)]
    assert run(values[:, :, :1], LEVEL) == []


def test_a_new_entity_is_judged_by_the_others():
    """It comes in step 150, and moves for fifty steps."""
    values = frozen(moving(300, 12, 1), 3, 0)
    seen = np.ones(values.shape, bool)
    seen[:150, 3] = False
    assert run(values, LEVEL, seen=seen) == [(3, 0, STEPS_MIN + 1, None)]
    seen[:195, 3] = False
    assert run(values, LEVEL, seen=seen) == [], "it has hardly moved yet"


def test_nobody_is_judged_before_anything_is_known():
    assert run(frozen(moving(90, 4, 1), 0, 0, slice(50, 90)), LEVEL) == []


def test_who_is_silent_is_not_stuck_and_is_no_witness():
    stuck = Stuck(definition(LEVEL))
    stuck.resize(3)
    values = frozen(moving(300, 3, 1), 0, 0)
    speaking = np.array([True, False, False])
    for step, value in enumerate(values):
        rows = np.arange(1 if step >= FIRST else 3)
        steps = Steps(step, rows, value[rows], np.ones((len(rows), 1), bool))
        stuck.take(steps, 10.0 * step, speaking if step >= FIRST else np.ones(3, bool))
    assert not stuck.active.any()
    stuck.active[0] = True
    stuck.release(np.array([True, False, False]))
    assert not stuck.active.any()


def test_a_row_used_again_knows_nothing_of_its_predecessor_and_more_rows_change_nothing():
    stuck = Stuck(definition(LEVEL))
    stuck.resize(4)
    for step, value in enumerate(frozen(moving(260, 4, 1), 0, 0)):
        stuck.take(Steps(step, np.arange(4), value, np.ones((4, 1), bool)), 10.0 * step, np.ones(4, bool))
    stuck.resize(8)
    assert stuck.active.ravel().tolist() == [True] + [False] * 7
    assert stuck.since_s[0, 0] == 10.0 * FIRST
    stuck.forget(np.array([0]))
    assert not stuck.active.any()
    assert np.isnan(stuck.value[0, 0])
