"""Judging a design without labels: folds that leak nothing, a threshold that the budget accepts."""

import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.design import Design
from detector.train.inject import KINDS, SIZES
from detector.train.judge import FOLDS, Arena, FoldResult, folds, judge, threshold
from detector.train.tails import peaks_over
from tests.support.pasts import past

ENTITIES, STEPS, SIGNALS = 4, 1600, 4


def result(timeline, architecture="pca", fold=0, seed=0):
    found = judge(Arena(timeline, folds(timeline)[fold], seed), Design(architecture), seed, 1)
    return replace(found, window_us=0.0)


def test_folds_go_forward_with_a_window_between_what_is_learnt_and_judged():
    found = folds(past(1, STEPS, 1))
    assert len(found) == FOLDS
    for one, after in pairwise(found):
        assert one.end == after.split
    for one in found:
        assert one.begin == one.split + 16
        assert one.begin - 16 + 1 > one.split - 1, "the first judged window begins after what was learnt from"
    assert found[-1].end == STEPS


def test_a_timeline_without_room_has_no_folds():
    assert folds(past(1, 40, 1)) == []


def test_what_comes_later_changes_nothing():
    whole = past(ENTITIES, STEPS, SIGNALS)
    end = folds(whole)[0].end
    other = whole.value.copy()
    other[:, end:] = 1e6
    assert result(replace(whole, value=other)) == result(whole)


def test_what_is_judged_changes_nothing_that_was_learnt():
    """The first step that is judged is in no window that was learnt from, or calibrated by."""
    whole = past(ENTITIES, STEPS, SIGNALS)
    fold = folds(whole)[0]
    other = whole.value.copy()
    other[:, fold.split : fold.begin - 15] = 1e6  # between: seen by no judged window, and by none before
    assert result(replace(whole, value=other)) == result(whole)


def test_each_case_was_tried_and_large_faults_are_found_more_than_small_ones():
    found = result(past(ENTITIES, 6000, SIGNALS))
    assert [(one.kind, one.size) for one in found.cases] == [(kind, size) for kind in KINDS for size in SIZES]
    shares = [[one.found / one.faults for one in found.cases if one.size == size] for size in SIZES]
    means = [np.mean(share) for share in shares]
    assert means == sorted(means)
    assert means[0] + 0.1 < means[-1]


def test_an_expectation_that_knows_what_the_signals_do_together_finds_more():
    timeline = past(ENTITIES, STEPS, SIGNALS)
    assert result(timeline, "pca").found > result(timeline, "ewma").found


def test_the_seed_decides_what_is_injected():
    timeline = past(ENTITIES, STEPS, SIGNALS)
    assert result(timeline, seed=1) == result(timeline, seed=1)
    assert result(timeline, seed=1).cases != result(timeline, seed=2).cases


def test_entities_that_were_not_there_are_not_judged():
    whole = past(ENTITIES, STEPS, SIGNALS)
    seen = whole.seen.copy()
    seen[1, folds(whole)[0].begin :] = False
    found = result(replace(whole, seen=seen))
    assert sum(one.faults for one in found.cases) > 0


def test_a_result_comes_back_from_json():
    found = result(past(ENTITIES, STEPS, SIGNALS))
    assert FoldResult.of(json.loads(json.dumps(asdict(found)))) == found


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(0, 12),
    st.integers(1, 6),
)
def test_no_more_episodes_begin_beyond_the_threshold_than_are_accepted(seed, rows, episodes, apart):
    random = np.random.default_rng(seed)
    series = [random.normal(size=random.integers(0, 200)).round(1) for _ in range(rows)]
    level = threshold(series, episodes, apart)
    assert sum(len(peaks_over(level, one, apart)) for one in series) <= episodes


def test_a_threshold_is_not_higher_than_it_takes():
    series = [np.array([0.0, 5.0, 0.0, 0.0, 4.0, 0.0, 0.0, 3.0, 0.0])]
    assert [threshold(series, count, 1) for count in (0, 1, 2, 3)] == [5.0, 4.0, 3.0, 0.0]


@pytest.mark.parametrize("empty", [[], [np.empty(0)]])
def test_of_nothing_the_threshold_is_nothing(empty):
    assert threshold(empty, 1, 1) == 0.0
