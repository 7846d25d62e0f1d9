"""Windows become scores: 1.0 is the edge, contributions add up to 1, the unseen is innocent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.align import VALUE_MAX
from detector.stream.definition import Signal
from detector.stream.nouns import Windows
from detector.stream.policy import Policies
from detector.stream.score import (
    CLIP,
    Scorer,
    blend_scaling,
    errors,
    raw_scores,
    robust_scaling,
    scale_floor,
    scaled,
)
from tests.support.streams import COUNTER, GAUGE, calibration, definition

KNOWN = (("known",),)


def windows(value, seen=None):
    """Return the window of row 0 from `(steps, signals)`."""
    value = np.array([value], np.float32)
    return Windows(9, np.array([0]), value, np.ones(value.shape, bool) if seen is None else np.array([seen]))


def scorer(*signals, entity=("known",), learnt=None, rows=1):
    stream = definition(*signals)
    policies = Policies(stream)
    policies.resize(rows)
    made = Scorer(stream, learnt or calibration(len(signals), KNOWN), policies)
    made.resize(rows)
    made.admit(0, entity)
    return made


def score(one, shown, expected):
    newest = one.scaled(shown)[:, -1]
    return one.score(shown, newest, np.array([expected], np.float32), learn=np.ones(1, bool))


def test_a_score_of_1_is_exactly_the_edge():
    one = scorer(GAUGE, GAUGE, learnt=calibration(2, KNOWN, edge=3.0))
    assert score(one, windows([[0, 0], [3, 3]]), [0, 0]).score.tolist() == [1.0]
    assert score(one, windows([[0, 0], [3, 3.0001]]), [0, 0]).score[0] > 1.0


@given(
    value=st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3),
    expected=st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3),
)
def test_contributions_add_up_to_1_or_are_all_0_without_an_error(value, expected):
    scores = score(scorer(GAUGE, GAUGE, GAUGE), windows([value]), expected)
    if scores.score[0] > 0:
        assert scores.contribution.sum() == pytest.approx(1, abs=1e-5)
    assert (scores.contribution >= 0).all()


def test_contributions_of_the_smallest_errors_add_up_to_1_too():
    scores = score(scorer(GAUGE, GAUGE), windows([[1e-4, 1e-4]]), [0, 0])
    assert scores.contribution.tolist() == [[0.5, 0.5]]


def test_a_signal_contributes_by_the_square_of_its_error():
    scores = score(scorer(GAUGE, GAUGE), windows([[1, -3]]), [0, 0])
    np.testing.assert_allclose(scores.contribution, [[0.1, 0.9]], rtol=1e-6)
    assert scores.direction.tolist() == [[1, -1]]


def test_unseen_signals_contribute_nothing_and_do_not_dilute_the_others():
    seen = np.array([[True, True], [True, False]])
    scores = score(scorer(GAUGE, GAUGE), windows([[0, 0], [2, 9]], seen), [0, 0])
    assert scores.score.tolist() == [2.0]
    assert scores.contribution.tolist() == [[1.0, 0.0]]
    assert np.isnan(scores.observed[0, 1])


@pytest.mark.parametrize(("direction", "above", "below"), [("both", 2, 2), ("above", 2, 0), ("below", 0, 2)])
def test_only_a_deviation_in_the_direction_of_the_signal_counts(direction, above, below):
    one = scorer(Signal("x", direction=direction))
    assert score(one, windows([[2]]), [0]).score.tolist() == [above]
    assert score(one, windows([[-2]]), [0]).score.tolist() == [below]


def test_observed_and_expected_are_in_raw_units():
    learnt = calibration(1, KNOWN, scale=4.0)
    learnt.center[:] = 100.0
    scores = score(scorer(GAUGE, learnt=learnt), windows([[108]]), [0.5])
    assert (scores.observed.tolist(), scores.expected.tolist()) == ([[108.0]], [[102.0]])


@pytest.mark.parametrize("level", [0.0, 1e-9, 5.0, 1e9, VALUE_MAX, -VALUE_MAX])
@pytest.mark.parametrize("signal", [GAUGE, COUNTER])
def test_a_constant_that_is_expected_to_stay_is_never_anomalous(level, signal):
    one = scorer(signal, entity=("unknown",))
    scores = score(one, windows([[level]] * 8), [0])
    assert scores.score.tolist() == [0.0]
    assert scores.expected[0, 0] == pytest.approx(level, rel=1e-6)


def test_an_unknown_entity_is_scaled_by_its_first_window_and_the_pool_and_keeps_that():
    learnt = calibration(1, KNOWN, scale=10.0, edge=2.0)
    learnt.pool_center[:] = 7.0
    one = scorer(GAUGE, entity=("unknown",), learnt=learnt)
    first = windows(np.array([[999.0], [1001.0]] * 8))
    shown = one.scaled(first)
    assert abs(shown).max() < 1.0, "centered by its own level, not by the pool's"
    later = windows(np.array([[999.0], [1009.0]] * 8))
    np.testing.assert_allclose(one.scaled(later)[0, 0], shown[0, 0])
    unit = (1001.0 - 1000.0) / shown[0, 1, 0]
    scores = score(one, windows([[1000.0 + 4.0 * unit]]), [0])
    np.testing.assert_allclose(scores.score, 4.0 / 2.0, rtol=1e-5)


def test_a_row_used_again_is_scaled_anew():
    one = scorer(GAUGE, entity=("unknown",))
    one.scaled(windows([[1e6]] * 4))
    one.admit(0, ("another",))
    assert one.scaled(windows([[5.0]] * 4)).tolist() == [[[0.0]] * 4]
    one.admit(0, ("known",))
    assert one.scaled(windows([[5.0]] * 4)).tolist() == [[[5.0]] * 4]


def test_more_rows_change_nothing_of_those_that_are():
    one = scorer(GAUGE, entity=("unknown",))
    before = one.scaled(windows([[3.0], [4.0]]))
    one.resize(64)
    np.testing.assert_array_equal(one.scaled(windows([[3.0], [4.0]])), before)


def test_a_signal_that_was_never_seen_has_no_scaling_of_its_own():
    value = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    center, deviation = robust_scaling(value, np.array([[True, False]] * 2))
    assert center[0] == 2.0
    assert np.isnan([center[1], deviation[1]]).all()
    pool = np.array([0.0, 50.0], np.float32), np.array([1.0, 9.0], np.float32)
    blended = blend_scaling((center, deviation), np.array([2, 0]), pool, np.zeros(2, np.float32))
    assert (blended[0][1], blended[1][1]) == (50.0, 9.0)


def test_the_scaling_of_many_entities_at_once_is_that_of_each():
    random = np.random.default_rng(3)
    value, seen = random.normal(size=(5, 9, 3)).astype(np.float32), random.random((5, 9, 3)) < 0.4
    together = robust_scaling(value, seen)
    for index in range(5):
        for all_of_it, one in zip(together, robust_scaling(value[index], seen[index]), strict=True):
            np.testing.assert_array_equal(all_of_it[index], one)


def test_a_rare_wild_value_hardly_widens_the_scale():
    value = np.r_[np.tile([-1.0, 0.0, 1.0], 33), 1e9].astype(np.float32)[:, None]
    _, deviation = robust_scaling(value, np.ones(value.shape, bool))
    assert deviation[0] == pytest.approx(3 * 1.4826), "three times what it is without that value, at most"


def test_a_counter_is_not_scaled_below_one_count_a_step():
    assert scale_floor(definition(COUNTER), np.zeros(1, np.float32)).tolist() == [pytest.approx(0.1)]


def test_scaled_values_are_clipped_and_0_until_seen():
    one, center = np.ones((1, 1), np.float32), np.full((1, 1), 50.0, np.float32)
    value = np.array([[[0.0], [1e30], [50.0]]], np.float32)
    seen = np.array([[[False], [True], [False]]])
    assert scaled(value, seen, center, one).ravel().tolist() == [0.0, CLIP, 0.0]


def test_an_expectation_beyond_the_clip_is_no_error_of_what_is_clipped_there():
    one = np.ones((1, 1), np.float32)
    seen = np.ones((1, 1), bool)
    error = errors(CLIP * one, seen, 50.0 * one, one, np.zeros(1, np.float32))
    assert error.tolist() == [[0.0]]


def test_nothing_seen_is_a_raw_score_of_0():
    assert raw_scores(np.zeros((1, 2), np.float32), np.zeros((1, 2), bool)).tolist() == [0.0]


def test_calibration_is_by_name_not_by_place():
    learnt = calibration(1, [("a",), ("b",)])
    learnt.center[:, 0] = [1.0, 2.0]
    one = scorer(GAUGE, entity=("b",), learnt=learnt)
    assert one.scaled(windows([[2.0]])).tolist() == [[[0.0]]]
