"""Policies: which deviations count, how much, which values are out of bounds, who is muted."""

import numpy as np
import pytest

from detector.stream.definition import Policy, Signal, SignalPolicy
from detector.stream.nouns import Windows
from detector.stream.pipeline import StreamPipeline
from detector.stream.policy import BREACH_SCORE, Policies
from detector.stream.scaling import CLIP
from detector.stream.score import Scorer
from detector.stream.selector import Selectors
from detector.stream.shares import Shares
from tests.support.streams import calibration, definition, feed, judge, onsets_and_closures

KNOWN = (("r",), ("other",), ("third",))
LEVEL = Signal("level")


def signal(**said):
    return Signal("level", direction=said.pop("direction", "both"), policy=SignalPolicy(**said))


def policies(*each):
    return definition(LEVEL, policies=each)


def scores(stream, *, seen=None, rows=(("r",),), **newest):
    """Score windows whose newest step is `observed`, where the network expects `expected`; one a row."""
    observed, expected = (np.array(newest[name], np.float32) for name in ("observed", "expected"))
    made = Policies(stream)
    learnt = calibration(len(stream.signals), KNOWN, scale=2.0)
    learnt.level[:] = np.clip(np.array(newest["expected"], np.float32)[0] / 2.0, -CLIP, CLIP)
    scorer = Scorer(stream, learnt, made)
    for one in (made, scorer):
        one.resize(len(rows))
        for row, entity in enumerate(rows):
            one.admit(row, entity)
    seen = np.ones((len(rows), 1, observed.shape[1]), bool) if seen is None else np.array(seen)[:, None]
    windows = Windows(9, np.arange(len(rows)), observed[:, None], seen)
    judged = scorer.score(windows, scorer.scaled(windows)[:, -1], expected / 2.0, learn=windows.row >= 0)
    return judged, made.broken(windows)


def counts_at_all(stream, observed, expected):
    """Say whether anything contributes to the score."""
    return bool(scores(stream, observed=[[observed]], expected=[[expected]])[0].contribution.any())


NOTHING = 1e-4
"""A score that says nothing."""


# Whose budget


def test_those_who_share_a_label_have_the_budget_together():
    stream = definition(LEVEL, entity=("device", "port"), budget_of="device", budget=6.0)
    made = Policies(stream)
    made.resize(4)
    for row, entity in enumerate([("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")]):
        made.admit(row, entity)
    assert made.budget.tolist() == [2.0, 2.0, 2.0, 6.0]
    made.forget(np.array([1, 3]))
    made.admit(1, ("c", "1"))
    assert made.budget[[0, 1, 2]].tolist() == [3.0, 6.0, 3.0]


def test_labels_without_end_cost_no_more_than_those_that_live():
    shares = Shares(0)
    shares.resize(3)
    for number in range(1000):
        row = number % 3
        shares.forget(np.array([row]))
        shares.admit(row, (f"device{number}",))
    assert shares.members.tolist() == [1, 1, 1]
    assert len(shares._members) <= 4


# Which entities


@pytest.mark.parametrize(
    ("glob", "fits", "others"),
    [
        ("leaf*", ["leaf", "leaf1", "leaf\n1"], ["Leaf1", "aleaf1", "lea"]),
        ("eth?", ["eth1", "ethX"], ["eth", "eth10"]),
        ("eth[0-2]", ["eth0", "eth2"], ["eth3", "eth[0-2]"]),
        ("eth[!0]", ["eth1"], ["eth0"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*", ["", "x"], []),
    ],
)
def test_a_glob_is_that_of_the_shell_and_upper_case_differs(glob, fits, others):
    selectors = Selectors(("device",), [(("device", glob),)])
    assert [selectors.fitting((text,)) for text in fits] == [1] * len(fits)
    assert [selectors.fitting((text,)) for text in others] == [0] * len(others)


def test_all_labels_of_a_selector_have_to_fit_and_none_fits_all():
    selectors = Selectors(
        ("device", "port"), [(), (("port", "eth*"),), (("device", "leaf*"), ("port", "eth*"))]
    )
    assert selectors.fitting(("leaf1", "eth1")) == 0b111
    assert selectors.fitting(("spine1", "eth1")) == 0b011
    assert selectors.fitting(("leaf1", "lo")) == 0b001


def test_a_glob_of_many_stars_is_quick():
    selectors = Selectors(("device",), [(("device", "*a" * 100 + "b"),)])
    assert selectors.fitting(("a" * 256,)) == 0


# Which deviations


@pytest.mark.parametrize(
    ("said", "expected", "none", "counts"),
    [
        ({"deviation_min": 10.0}, 0.0, [9.9, -9.9], [10.0, -10.0]),
        ({"deviation_min_ratio": 0.5}, 8.0, [11.9, 4.1], [12.0, 4.0]),
        ({"deviation_min_ratio": 0.5}, -8.0, [-11.9, -4.1], [-12.0, -4.0]),
        ({"deviation_min_ratio": 0.5}, 0.0, [0.0], [0.1]),
        ({"deviation_min": 10.0, "deviation_min_ratio": 0.5}, 8.0, [17.9, 12.1], [18.0, -2.0]),
        ({"deviation_min": 10.0, "deviation_min_ratio": 5.0}, 3.0, [17.9], [18.0]),
        ({"direction": "above"}, 8.0, [7.0, -50.0], [13.0]),
        ({"direction": "below"}, 8.0, [9.0, 50.0], [3.0]),
        ({"weight": 0.0}, 8.0, [1e6], []),
    ],
)
def test_what_is_tolerated_is_no_error(said, expected, none, counts):
    stream = definition(signal(**said))
    # A level of what is expected, so that peers and past say the same.
    assert not any(counts_at_all(stream, observed, expected) for observed in none)
    assert all(counts_at_all(stream, observed, expected) for observed in counts)


def test_what_is_tolerated_still_counts_as_seen_and_what_is_muted_does_not():
    def judged(**said):
        stream = definition(signal(**said), Signal("other"))
        return scores(stream, observed=[[4.0, 4.0]], expected=[[0.0, 0.0]])[0]

    plain, tolerant, muted = judged(), judged(deviation_min=100.0), judged(weight=0.0)
    assert muted.score == pytest.approx(plain.score)
    assert tolerant.score == pytest.approx(plain.score / 2.0, rel=1e-3), "one of two is as expected"
    for one in (tolerant, muted):
        assert one.contribution.tolist() == [[0.0, 1.0]]


def test_a_weight_multiplies_the_share_of_a_signal():
    stream = definition(signal(weight=3.0), Signal("other"))
    judged, _ = scores(stream, observed=[[4.0, 4.0]], expected=[[0.0, 0.0]])
    np.testing.assert_allclose(judged.contribution, [[0.75, 0.25]])


def test_where_everything_is_muted_the_score_is_0():
    stream = definition(signal(weight=0.0))
    judged, _ = scores(stream, observed=[[99.0]], expected=[[0.0]])
    assert judged.score[0] < NOTHING


# Which values


def fed(stream, *values):
    """Feed a value a step, after three steps of 0; return the pipeline and its outcomes."""
    pipeline = StreamPipeline(stream, judge(2, [("r",)], scale=1024.0))
    outcomes = []
    for step, value in enumerate([{0: 0.0, 1: 0.0}] * 3 + list(values), 1):
        outcomes += feed(pipeline, ("r", 10.0 * step, value))
    return pipeline, outcomes


def test_a_value_out_of_its_range_makes_an_alarm_that_says_which_signal_and_bound():
    stream = definition(signal(valid_min=-5.0, valid_max=7.5), Signal("other"))
    pipeline, outcomes = fed(stream, *[{0: value, 1: 0.0} for value in (7.5, 7.6, 8.0)])
    told = [outcome.scores.score[0] for outcome in outcomes if outcome.scores]
    assert (told[0] < 1.0, told[1:]) == (True, [BREACH_SCORE] * 2), "the bound itself is valid"
    assert onsets_and_closures(outcomes) == ([50.0], [])
    (why,) = pipeline.bench.why.values()
    assert why.contribution.tolist() == [[1.0, 0.0]]
    np.testing.assert_array_equal(why.bound, np.array([[7.5, np.nan]], np.float32))


@pytest.mark.parametrize(
    ("observed", "seen", "bound"),
    [
        ([-6.0, 0.0], [True, True], [-5.0, np.nan]),
        ([8.0, 8.0], [True, True], [7.5, 7.5]),
        ([8.0, 8.0], [False, True], [np.nan, 7.5]),
        ([8.0, 0.0], [False, True], None),
        ([7.5, -5.0], [True, True], None),
    ],
)
def test_a_bound_is_broken_by_what_was_seen_beyond_it(observed, seen, bound):
    stream = definition(*[Signal(name, policy=SignalPolicy(valid_min=-5.0, valid_max=7.5)) for name in "ab"])
    _, found = scores(stream, observed=[observed], expected=[[0.0, 0.0]], seen=[seen])
    np.testing.assert_array_equal(found, None if bound is None else np.array([bound], np.float32))


def test_an_error_that_says_more_than_a_broken_bound_keeps_the_score_and_its_contribution():
    stream = definition(signal(valid_max=1.0), Signal("other"))
    pipeline = StreamPipeline(stream, judge(2, [("r",)]))
    for step in range(1, 5):
        outcomes = feed(pipeline, ("r", 10.0 * step, {0: 2.0, 1: 8.0}))
    (why,) = [outcome.scores for outcome in outcomes]
    assert why.score[0] > BREACH_SCORE
    assert why.contribution[0, 1] > 0.9
    assert why.bound[0, 0] == 1.0


def test_the_range_of_a_muted_signal_is_not_looked_at():
    stream = definition(signal(valid_max=1.0, weight=0.0), Signal("other"))
    _, outcomes = fed(stream, *[{0: 9.0, 1: 0.0}] * 3)
    assert onsets_and_closures(outcomes) == ([], [])


def test_bounds_too_large_for_float32_bound_nothing():
    stream = definition(signal(valid_min=-1e300, valid_max=1e300, deviation_min=1e300))
    judged, found = scores(stream, observed=[[1e30]], expected=[[-1e30]])
    assert (judged.score[0] < NOTHING, found) == (True, None)


# Whose word holds


def test_a_later_policy_goes_before_an_earlier_one_key_by_key():
    said = SignalPolicy(direction="below", deviation_min=5.0)
    stream = policies(
        Policy(signals=(("level", said),), budget=5.0),
        Policy(match=(("device", "r*"),), signals=(("level", SignalPolicy(direction="above")),), mute=True),
        Policy(match=(("device", "r1"),), mute=False, budget=0.1),
    )
    made = Policies(stream)
    made.resize(4)
    for row, device in enumerate(["x", "r0", "r1"]):
        made.admit(row, (device,))
    assert made.side(np.arange(4)).ravel().tolist() == [-1.0, 1.0, 1.0, 0.0]
    assert made.muted.tolist() == [False, True, False, False]
    assert made.budget.tolist() == [5.0, 5.0, 0.1, 1.0]
    made.forget(np.array([1]))
    assert (made.muted[1], made.budget[1]) == (False, 1.0)


def test_entities_of_whom_the_same_holds_share_it():
    stream = policies(
        *[Policy(match=(("device", f"r{number}"),), mute=number % 2 == 0) for number in range(100)]
    )
    made = Policies(stream)
    made.resize(100)
    for number in range(100):
        made.admit(number, (f"r{number}",))
    assert made.muted.tolist() == [True, False] * 50
    assert len(made._lines) == 2


def test_the_score_of_each_entity_is_by_its_own_policy():
    stream = policies(
        Policy((("device", "r"),), (("level", SignalPolicy(deviation_min=10.0, valid_max=6.0)),)),
        Policy((("device", "other"),), (("level", SignalPolicy(weight=0.0)),)),
    )
    rows = [("r",), ("other",), ("third",)]
    judged, found = scores(stream, rows=rows, observed=[[8.0]] * 3, expected=[[0.0]] * 3)
    assert (judged.contribution > 0).ravel().tolist() == [False, False, True]
    np.testing.assert_array_equal(found, [[6.0], [np.nan], [np.nan]])


def test_who_is_muted_is_scored_and_never_alarms():
    stream = definition(LEVEL, policies=(Policy((("device", "lab*"),), mute=True),))
    pipeline = StreamPipeline(stream, judge(1, [("lab1",), ("r",)]))
    outcomes = []
    for step in range(1, 8):
        records = [(device, 10.0 * step, {0: 9.0}) for device in ("lab1", "r")]
        outcomes += feed(pipeline, *records)
    assert [onset.entity for outcome in outcomes for onset in outcome.onsets] == [("r",)]
    assert (pipeline.bench.decider.score[:2] > 1.0).all()
