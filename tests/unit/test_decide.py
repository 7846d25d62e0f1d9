"""Scores become verdicts: two of the last three open an episode, three below 0.8 close it; steps of 10 s."""

import numpy as np
import pytest

from detector.stream.decide import Decider
from detector.stream.nouns import Scores
from tests.support.streams import definition

ENTITIES = [("r0",), ("r1",)]


def decider(**changed):
    made = Decider(definition(**changed))
    made.resize(2)
    return made


def judge(one, step, score, row=0, *, held=False):
    empty = np.zeros((1, 1), np.float32)
    scores = Scores(
        step, np.array([row]), np.array([score], np.float32), empty, empty.astype(np.int8), empty, empty
    )
    return one.judge(scores, np.array([held]), ENTITIES)


def run(scores, held="", **changed):
    """Judge one score a step, None for a step without; return the spans of the episodes in steps."""
    one = decider(**changed)
    episodes = []
    for step, score in enumerate(scores):
        if score is not None:
            onsets, closures = judge(one, step, score, held=held[step : step + 1] == "#")
            episodes += [[onset.time_s / 10, step, None] for onset in onsets]
            for closure in closures:
                assert closure.onset_s / 10 == episodes[-1][0]
                episodes[-1][2] = closure.time_s / 10
    return [tuple(episode) for episode in episodes]


@pytest.mark.parametrize(
    ("scores", "episodes"),
    [
        # (onset, step in which it opens, step in which it closes)
        ([0, 0, 2, 0, 0, 2, 0, 0], []),
        ([0, 2, 2, 2], [(1, 2, None)]),
        ([0, 2, 0, 2], [(1, 3, None)]),
        ([0, 2, 0, 0, 2, 2], [(4, 5, None)]),
        ([1, 1, 1, 1], []),  # 1.0 is the edge, and not beyond it
        ([2, 2, 0, 0, 0], [(0, 1, 4)]),
        ([2, 2, 0, 0, 0.8, 0, 0, 0], [(0, 1, 7)]),  # 0.8 is not below 0.8
        ([2, 2, 0.9, 0.9, 0.9, 0.9], [(0, 1, None)]),
        ([2, 2, 0, 0, 0, 2, 0, 2], [(0, 1, 4), (5, 7, None)]),
        # A step without a score changes nothing, neither towards opening nor towards closing.
        ([2, None, None, None, 2], [(0, 4, None)]),
        ([2, 2, 0, None, None, 0, None, 0], [(0, 1, 7)]),
    ],
)
def test_an_episode_lasts_from_the_first_score_that_opened_it_until_it_was_calm(scores, episodes):
    assert run(scores) == episodes


@pytest.mark.parametrize(
    ("scores", "held", "episodes"),
    [
        # Which steps are held: "#". Two of the last three open an episode, three below 0.8 close it.
        ([0, 2, 2, 0, 0, 0, 0], ".##....", []),
        ([0, 2, 2, 2, 2, 2], ".###..", [(1, 4, None)]),  # still anomalous at the end: told as what it was
        ([0, 2, 2, 0.9, 0.9, 0.9, 2], ".##....", [(1, 6, None)]),  # and never calm since
        ([0, 2, 2, 0, 0, 2, 0, 0], ".##.....", [(1, 5, None)]),
        ([0, 2, 2, 0, 0, 0, 2, 0, 2], ".##......", [(6, 8, None)]),  # it closed by itself
        ([2, 2, 2, 2, 0, 0, 0], "####...", []),
        ([0, 2, 0, 2], ".##.", [(1, 3, None)]),  # one score above 1 in it is evidence too
        ([2, 2, 2, 2, 0, 0, 0, 0], "..######", [(0, 1, 6)]),  # what is open before stays so, and may close
        ([2, 2, 0, 0, 0, 2, 2, 2], "..#####.", [(0, 1, 4), (5, 7, None)]),
        ([2] * 40 + [2], "#" * 40 + ".", [(0, 40, None)]),  # however long ago
    ],
)
def test_what_is_held_opens_nothing_and_counts_when_it_is_held_no_more(scores, held, episodes):
    assert run(scores, held) == episodes


def test_an_episode_that_waited_knows_its_highest_score():
    one = decider()
    closures = []
    for step, score in enumerate([9, 0, 0, 0, 3, 4, 2, 0, 0, 0]):
        closures += judge(one, step, score, held=step < 6)[1]
    assert [(closure.onset_s, closure.score_max) for closure in closures] == [(40.0, 4)]


def test_silence_and_forgetting_take_what_waits():
    one = decider()
    for step in range(3):
        judge(one, step, 2, held=True)
    one.hush(np.array([0]), np.array([20.0]), ENTITIES)
    assert judge(one, 4, 2)[0] == []
    assert judge(one, 5, 2)[0][0].time_s == 40.0


def test_with_one_of_one_a_single_score_opens_and_one_closes():
    hold = {"open_steps": 1, "open_window_steps": 1, "close_steps": 1, "close_below": 1.0}
    assert run([2, 0.5, 2], **hold) == [(0, 0, 1), (2, 2, None)]


def test_a_score_that_is_far_above_opens_at_once_and_not_where_it_is_held():
    assert run([0, 1.4, 0, 1.6], open_at_once=1.5) == [(1, 3, None)]
    assert run([0, 0, 0, 1.6, 0.9, 2], open_at_once=1.5) == [(3, 3, None)]
    assert run([0, 1.6, 0, 0, 0, 0], "##....", open_at_once=1.5) == []


def test_an_episode_knows_its_highest_score_and_not_one_from_before_it():
    one = decider()
    closures = []
    for step, score in enumerate([9, 0, 0, 2, 3, 4, 0, 0, 0]):
        closures += judge(one, step, score)[1]
    assert [closure.score_max for closure in closures] == [4]


def test_who_falls_silent_has_no_episode_and_no_score_any_more():
    one = decider()
    judge(one, 0, 2)
    judge(one, 1, 2)
    judge(one, 1, 2, row=1)
    (closure,) = one.hush(np.array([0, 1]), np.array([40.0, 40.0]), ENTITIES)
    assert (closure.entity, closure.onset_s, closure.time_s) == (("r0",), 0.0, 40.0)
    assert not one.active[0]
    assert np.isnan(one.score).all()
    assert np.isnan(one.onset_s[0])


def test_scores_from_before_a_silence_open_nothing_after_it():
    one = decider()
    judge(one, 0, 2)
    one.hush(np.array([0]), np.array([30.0]), ENTITIES)
    onsets, _ = judge(one, 11, 2)
    assert onsets == []
    assert judge(one, 12, 2)[0][0].time_s == 110.0


def test_a_row_used_again_knows_nothing_of_its_predecessor():
    one = decider()
    judge(one, 0, 2)
    judge(one, 1, 2)
    (closure,) = one.forget(np.array([0, 1]), np.array([10.0, np.nan]), ENTITIES)
    assert (closure.onset_s, closure.time_s, closure.score_max) == (0.0, 10.0, 2.0)
    assert not one.active[0]
    assert np.isnan(one.score[0])
    assert judge(one, 2, 2)[0] == []


def test_more_rows_change_nothing_of_an_open_episode():
    one = decider()
    judge(one, 0, 2)
    judge(one, 1, 2)
    one.resize(64)
    assert one.active.sum() == 1
    for step in (2, 3):
        assert judge(one, step, 0)[1] == []
    assert judge(one, 4, 0)[1][0].onset_s == 0.0


def test_entities_are_judged_apart():
    one = decider()
    for step in range(3):
        assert judge(one, step, 0, row=1) == ([], [])
        judge(one, step, 2, row=0)
    assert one.active.tolist() == [True, False]
