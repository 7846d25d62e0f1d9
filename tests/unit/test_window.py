"""Steps become windows: the ring against a plain list of steps, readiness, imputation, rows used again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.nouns import Steps
from detector.stream.window import Ring, carry, enough_seen
from tests.support.streams import GAUGE, definition

CELL = st.none() | st.floats(-(2.0**99), 2.0**99, width=32)


def ring(rows=1, width=1, **changed):
    made = Ring(definition(*[GAUGE] * width, **changed))
    made.resize(rows)
    return made


def push(one, step, cells):
    """Push `{row: [value or None]}`."""
    rows = np.array(sorted(cells), np.int64)
    width = one._signals
    value = [[np.nan if cell is None else cell for cell in cells[row]] for row in rows.tolist()]
    value = np.array(value, np.float32).reshape(len(rows), width)
    one.push(Steps(step, rows, value, ~np.isnan(value)))


def ready(one):
    return (np.logical_and(*one.states())).tolist()


@given(
    pushed=st.lists(st.dictionaries(st.integers(0, 2), st.tuples(CELL, CELL), max_size=3), max_size=14),
    window_steps=st.integers(1, 5),
    grown_at=st.integers(0, 13),
    forgotten_at=st.integers(0, 13),
)
def test_the_ring_shows_what_a_plain_list_of_steps_shows(pushed, window_steps, grown_at, forgotten_at):
    one = ring(rows=3, width=2, window_steps=window_steps)
    listed = {row: [] for row in range(3)}
    for step, cells in enumerate(pushed):
        if step == grown_at:
            one.resize(7)
        if step == forgotten_at:
            one.forget(np.array([1]))
            listed[1] = [(None, None)] * step
        for row, steps in listed.items():
            steps.append(cells.get(row, (None, None)))
        push(one, step, cells)
    windows = one.windows(len(pushed), np.arange(3))
    for row, steps in listed.items():
        plain = [(None, None)] * window_steps + steps
        seen = np.array([[cell is not None for cell in step] for step in plain])
        value = np.array([[cell or 0.0 for cell in step] for step in plain], np.float32)
        carried = carry(value, seen)
        np.testing.assert_array_equal(windows.value[row], carried[-window_steps:])
        np.testing.assert_array_equal(windows.seen[row], seen[-window_steps:])
        assert one.newest_seen()[row] == seen[-1].any()


@pytest.mark.parametrize("window_steps", [1, 2, 4])
def test_an_entity_is_ready_after_exactly_a_window_of_steps(window_steps):
    one = ring(rows=2, window_steps=window_steps, imputed_share_max=0.9)
    push(one, 0, {})
    for step in range(1, window_steps + 3):
        push(one, step, {0: [1.0]})
        assert ready(one) == [step >= window_steps, False]


def test_an_entity_is_born_with_its_first_sample_though_nothing_is_seen_of_a_counters_first():
    one = ring(window_steps=2)
    push(one, 0, {0: [None]})
    push(one, 1, {0: [1.0]})
    assert ready(one) == [True]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_a_window_may_be_imputed_up_to_the_bound_and_not_a_cell_more(share):
    """Every bound that a person writes, though 1 - 0.7 is not 3 / 10 in binary."""
    seen = np.array([[round(10 * (1 - share))], [round(10 * (1 - share)) - 1]])
    assert enough_seen(seen, 10, share).tolist() == [True, False]


def test_signals_that_an_entity_never_reported_do_not_count_as_imputed():
    assert enough_seen(np.array([[4, 0], [2, 0], [0, 0]]), 4, 0.5).tolist() == [True, True, False]


def test_an_entity_that_falls_quiet_is_not_enough_seen_and_is_again_when_it_is_back():
    one = ring(window_steps=4, imputed_share_max=0.5)
    states = []
    for step in range(12):
        push(one, step, {} if 4 <= step < 8 else {0: [1.0]})
        states.append(ready(one)[0])
    assert states == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


def test_a_row_used_again_shows_nothing_of_its_predecessor():
    one = ring(rows=2, window_steps=3, imputed_share_max=0.9)
    for step in range(5):
        push(one, step, {0: [7.0], 1: [8.0]})
    one.forget(np.array([0]))
    assert ready(one) == [False, True]
    push(one, 5, {0: [1.0], 1: [8.0]})
    assert ready(one) == [False, True]
    windows = one.windows(5, np.array([0, 1]))
    assert windows.value[:, :, 0].tolist() == [[0, 0, 1], [8, 8, 8]]
    assert windows.seen[:, :, 0].tolist() == [[False, False, True], [True, True, True]]


def test_windows_are_copies():
    one = ring(window_steps=2)
    push(one, 0, {0: [1.0]})
    windows = one.windows(0, np.array([0]))
    push(one, 1, {0: [2.0]})
    push(one, 2, {0: [3.0]})
    assert windows.value[0, :, 0].tolist() == [0, 1]


def test_nothing_is_carried_over_an_empty_timeline():
    assert carry(np.empty((0, 2), np.float32), np.empty((0, 2), bool)).shape == (0, 2)
