"""Windows become scores: 1.0 is the edge, contributions add up to 1, the unseen is innocent."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.align import VALUE_MAX
from detector.stream.calibration import WEEK_S, Tail, edge
from detector.stream.definition import Signal
from detector.stream.edges import APART_S, HABIT, HABIT_MAX, SURELY
from detector.stream.nouns import Windows
from detector.stream.policy import Policies
from detector.stream.scaling import (
    CLIP,
    FALL_MAX,
    Pool,
    blend_scaling,
    few_counts,
    robust_scaling,
    scale_floor,
    scaled,
    unscaled,
)
from detector.stream.score import Scorer, past_errors
from tests.support.streams import COUNTER, GAUGE, calibration, definition

KNOWN = (("known",),)


def windows(value, seen=None):
    """Return the window of row 0 from `(steps, signals)`."""
    value = np.array([value], np.float32)
    return Windows(9, np.array([0]), value, np.ones(value.shape, bool) if seen is None else np.array([seen]))


def scorer(*signals, entity=("known",), learnt=None, rows=1, **changed):
    stream = definition(*signals, **changed)
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
    first = score(scorer(GAUGE), windows([[3.0]]), [0]).score[0]
    assert first > 0
    learnt = calibration(1, KNOWN, edge=0.3 * float(first))
    again = score(scorer(GAUGE, learnt=learnt), windows([[3.0]]), [0])
    np.testing.assert_allclose(again.score, [1.0], rtol=1e-4)


@given(
    value=st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3),
    expected=st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3),
)
def test_contributions_add_up_to_1_or_are_all_0_without_an_error(value, expected):
    scores = score(scorer(GAUGE, GAUGE, GAUGE), windows([value]), expected)
    total = scores.contribution.sum()
    assert total == pytest.approx(1, abs=1e-5) or not total
    assert (scores.contribution >= 0).all()
    assert np.isfinite(scores.score).all()


def test_contributions_of_the_smallest_errors_add_up_to_1_too():
    scores = score(scorer(GAUGE, GAUGE), windows([[1e-4, 1e-4]]), [0, 0])
    assert scores.contribution.tolist() == [[0.5, 0.5]]


def test_the_signal_that_is_further_off_contributes_more():
    scores = score(scorer(GAUGE, GAUGE), windows([[1, -9]]), [0, 0])
    assert scores.contribution[0, 1] > 0.95
    assert scores.direction.tolist() == [[1, -1]]


def test_unseen_signals_contribute_nothing_and_stay_as_they_were():
    one = scorer(GAUGE, GAUGE)
    seen = np.array([[True, True], [True, False]])
    scores = score(one, windows([[0, 0], [2, 9]], seen), [0, 0])
    assert scores.contribution.tolist() == [[1.0, 0.0]]
    assert np.isnan(scores.observed[0, 1])
    before = one.usual_past[0].copy(), one.level[0].copy()
    score(one, windows([[0, 0], [2, 9]], seen), [0, 0])
    assert (one.usual_past[0, 1], one.level[0, 1]) == (before[0][1], before[1][1])
    assert one.usual_past[0, 0] != before[0][0]


def test_an_unseen_signal_is_on_the_side_where_it_was_seen():
    """A link goes down, and in the next step, where its counters say nothing, it leads all the same."""
    one = scorer(GAUGE)
    assert score(one, windows([[0], [-9]]), [0]).direction.tolist() == [[-1]]
    unseen = score(one, windows([[-9], [-9]], np.array([[True], [False]])), [-10])
    assert unseen.contribution.tolist() == [[1.0]]
    assert unseen.direction.tolist() == [[-1]]
    one.admit(0, ("known",))
    assert score(one, windows([[0], [0]]), [0]).direction.tolist() == [[1]]


@pytest.mark.parametrize(("direction", "above", "below"), [("both", 1, 1), ("above", 1, 0), ("below", 0, 1)])
def test_only_a_deviation_in_the_direction_of_the_signal_counts(direction, above, below):
    signal = Signal("x", direction=direction)
    assert (score(scorer(signal), windows([[9]]), [0]).contribution > 0).tolist() == [[above]]
    assert (score(scorer(signal), windows([[-9]]), [0]).contribution > 0).tolist() == [[below]]


def test_less_than_what_a_burst_made_the_network_expect_is_no_fall():
    """No more of an error counts than how far the value itself is on its side of the usual."""
    burst, fall = (
        score(scorer(Signal("x", direction="below")), windows([[value]]), [expected])
        for value, expected in ((-0.6, 20.0), (-9.0, 0.0))
    )
    assert burst.score[0] < 0.01 * fall.score[0]


def test_what_lasts_is_smoothed_higher_than_a_spike():
    one = scorer(GAUGE)
    rising = [score(one, windows([[9.0]]), [0]).score[0] for _ in range(10)]
    assert (np.diff(rising) > 0).all()
    falling = [score(one, windows([[0.0]]), [0]).score[0] for _ in range(10)]
    assert (np.diff(falling) < 0).all()


def test_an_anomaly_cannot_teach_the_baseline_more_than_three_times_itself():
    """A spike of a thousand deviations moves the baseline as one of three does."""
    wild, mild = scorer(GAUGE), scorer(GAUGE)
    score(wild, windows([[1000.0]]), [0])
    score(mild, windows([[3.0]]), [0])
    np.testing.assert_allclose(wild.usual_past, mild.usual_past)


def test_what_rarely_speaks_is_no_surprise_up_to_a_multiple_of_its_least_baseline():
    learnt = calibration(1, KNOWN)
    learnt.usual_past[:] = learnt.usual_peers[:] = 0.01
    loud = replace(learnt, least_past=np.ones(1, np.float32), least_peers=np.ones(1, np.float32))
    told = [score(scorer(GAUGE, learnt=one), windows([[3.0]]), [0]).score[0] for one in (learnt, loud)]
    assert told[1] < 0.1 * told[0]


def test_a_level_that_lasts_is_the_new_normal_and_never_if_so_said():
    raw = {}
    for after_s in (3600.0, np.inf):
        one = scorer(GAUGE, normal_after_s=after_s)
        raw[after_s] = [score(one, windows([[9.0]]), [0]).score[0] for _ in range(4000)]
    assert raw[3600.0][-1] < 0.05 * max(raw[3600.0])
    assert raw[np.inf][-1] == max(raw[np.inf])


def test_who_must_not_teach_is_scored_and_teaches_nothing():
    one = scorer(GAUGE)
    before = [getattr(one, name).copy() for name in ("usual_past", "usual_peers", "level", "typical")]
    shown = windows([[9.0]])
    told = one.score(shown, one.scaled(shown)[:, -1], np.zeros((1, 1), np.float32), learn=np.zeros(1, bool))
    assert told.score[0] > 1.0
    for name, array in zip(("usual_past", "usual_peers", "level", "typical"), before, strict=True):
        np.testing.assert_array_equal(getattr(one, name), array)


def test_a_weak_alarm_makes_the_next_one_need_more_and_that_is_forgotten():
    one, other = scorer(GAUGE), scorer(GAUGE)
    row, at_the_edge = np.array([0]), np.ones(1)
    one.edges.alarmed(row, at_the_edge)
    habit = score(one, windows([[9.0]]), [0]).score / score(other, windows([[9.0]]), [0]).score
    assert habit[0] == pytest.approx(np.exp(-HABIT), rel=0.02)
    for _ in range(100):
        one.edges.alarmed(row, at_the_edge)
    assert one.edges.habit[0] == pytest.approx(HABIT, rel=0.02), "one bout, however many alarms"
    for _ in range(20):
        one.edges._since_s[0] = APART_S
        one.edges.alarmed(row, at_the_edge)
    assert one.edges.habit[0] == np.float32(HABIT_MAX)


def test_an_alarm_that_would_be_one_at_any_edge_says_nothing_of_the_edge():
    habits = []
    for peak in (1.0, np.exp(SURELY / 2), np.exp(SURELY), 1000.0):
        edges = scorer(GAUGE).edges
        edges.alarmed(np.array([0]), np.array([peak]))
        habits.append(float(edges.habit[0]))
    assert habits == pytest.approx([HABIT, HABIT / 2, 0.0, 0.0], abs=1e-6)


def test_signals_that_move_together_as_they_always_do_are_no_surprise_to_each_other():
    learnt = calibration(2, KNOWN)
    learnt = replace(learnt, peers=np.array([[[1.0, -0.9], [-0.9, 1.0]]], np.float32))
    one = scorer(GAUGE, GAUGE, learnt=learnt)
    row, seen, nothing = np.zeros(2, int), np.ones((2, 2), bool), np.zeros((2, 2), np.float32)
    _, alone = one.errors(row, np.array([[4.0, 4.0], [4.0, -4.0]], np.float32), seen, nothing)
    together, apart = abs(alone)
    assert together.max() < 0.5
    assert apart.min() > 7.0


def test_a_budget_ten_times_as_large_has_a_lower_edge():
    tail = Tail(np.array([1.0]), np.array([0.01]), np.array([0.4]), -0.1)
    edges = [edge(tail, budget, 10.0) for budget in (0.1, 1.0, 10.0, 100.0, 1000.0, 1e9)]
    assert edges == sorted(edges, reverse=True)
    straight = edge(replace(tail, shape=0.0), 1.0, 10.0)
    assert straight == pytest.approx(1.0 + 0.4 * np.log(0.01 * WEEK_S / 10.0)), "of an exponential"
    assert edges[1] < straight, "a bounded tail ends sooner"


def test_observed_and_expected_are_in_raw_units():
    learnt = calibration(1, KNOWN, scale=4.0)
    learnt.center[:] = 100.0
    scores = score(scorer(GAUGE, learnt=learnt), windows([[108]]), [-0.5])
    assert (scores.observed.tolist(), scores.expected.tolist()) == ([[108.0]], [[98.0]])
    scores = score(scorer(GAUGE, learnt=learnt), windows([[108]]), [0.5])
    assert scores.expected.tolist() == [[100.0]], "its level, for that is further off than the expectation"


@pytest.mark.parametrize("level", [0.0, 1e-9, 5.0, 1e9, VALUE_MAX, -VALUE_MAX])
@pytest.mark.parametrize("signal", [GAUGE, COUNTER])
def test_a_constant_that_is_expected_to_stay_is_never_anomalous(level, signal):
    one = scorer(signal, entity=("unknown",))
    scores = score(one, windows([[level]] * 8), [0])
    assert scores.score[0] < 0.01
    assert scores.contribution.tolist() == [[0.0]]
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


def test_an_entity_that_was_known_for_minutes_learns_as_fast_as_a_new_one():
    usual = {}
    for steps in (20.0, 1e6):
        learnt = replace(calibration(1, KNOWN), known_steps=np.array([steps], np.float32))
        one = scorer(GAUGE, learnt=learnt)
        for _ in range(100):
            score(one, windows([[2.0]]), [0])
        usual[steps] = float(one.usual_past[0, 0])
    assert 1.0 < usual[1e6] < 1.1
    assert usual[20.0] > 1.3


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
    pool = Pool(*np.array([[0.0, 50.0], [1.0, 9.0], [0.0, 0.0]], np.float32))
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
    none = np.zeros(1, np.float32)
    assert scaled(value, seen, center, one, none).ravel().tolist() == [0.0, CLIP, 0.0]


@pytest.mark.parametrize("signal", [GAUGE, COUNTER, Signal("recorded", kind="rate")])
@given(
    center=st.floats(0, 1e9),
    scale=st.floats(1e-3, 1e9),
    value=st.lists(st.floats(0, 1e10), min_size=2, max_size=9).map(sorted),
)
def test_what_is_scaled_comes_back_in_raw_units_and_in_order(signal, center, scale, value):
    few = few_counts(definition(signal))
    place = np.full((1, 1), center, np.float32), np.full((1, 1), scale, np.float32)
    shown = np.array(value, np.float32)[None, :, None]
    z = scaled(shown, np.ones(shown.shape, bool), *place, few)[0]
    assert (np.diff(z[:, 0]) >= 0).all()
    back = np.array([unscaled(one[None], *place, few)[0, 0] for one in z])
    inside = (np.abs(z[:, 0]) < CLIP) & (shown[0, :, 0] > FALL_MAX * center)
    np.testing.assert_allclose(back[inside], shown[0, inside, 0], rtol=1e-3, atol=1e-3 * scale)


def test_a_rate_that_was_never_0_is_further_off_at_0_than_a_gauge_and_no_further_where_few_are_usual():
    """A hundred counts a step, four, and none; deviations of a third of that."""
    told = {}
    seen, none = np.ones((1, 1, 1), bool), np.zeros((1, 1, 1), np.float32)
    for signal in (GAUGE, COUNTER):
        stream = definition(signal)
        for counts in (100.0, 4.0, 0.0):
            center = np.full((1, 1), counts / stream.step_s, np.float32)
            scale = np.maximum(center / 3.0, np.float32(1.0 / stream.step_s))
            told[signal.kind, counts] = scaled(none, seen, center, scale, few_counts(stream)).item()
    assert [told["gauge", counts] for counts in (100.0, 4.0, 0.0)] == pytest.approx([-3.0, -3.0, 0.0])
    assert told["counter", 100.0] == -CLIP
    assert told["counter", 4.0] == pytest.approx(-4.16, abs=0.01)
    assert told["counter", 0.0] == 0.0


def test_an_expectation_beyond_the_clip_is_no_error_of_what_is_clipped_there():
    one, seen = np.ones((1, 1), np.float32), np.ones((1, 1), bool)
    assert past_errors(CLIP * one, seen, 50.0 * one).tolist() == [[0.0]]


def test_calibration_is_by_name_not_by_place():
    learnt = calibration(1, [("a",), ("b",)])
    learnt.center[:, 0] = [1.0, 2.0]
    one = scorer(GAUGE, entity=("b",), learnt=learnt)
    assert one.scaled(windows([[2.0]])).tolist() == [[[0.0]]]
