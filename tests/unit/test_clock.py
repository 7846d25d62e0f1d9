"""What time it is for a stream, and which times it believes."""

import itertools

import numpy as np
import pytest

from detector.stream.clock import JUMP_MESSAGES, Clock
from detector.stream.nouns import Drop
from tests.support.streams import START_S, definition

AGE_S, FUTURE_S = 3600.0, 60.0
TURN = itertools.count()


def clock(follows="data", at_s=START_S):
    started = Clock(definition(clock=follows, age_max_s=AGE_S, future_max_s=FUTURE_S))
    believes(started, at_s)
    return started


def believes(one, *times_s, arrival_s=None):
    """Return which times are believed, and whether the clock went back; each is a message of its own."""
    each_s = START_S + 1e-3 * next(TURN) + 1e-5 * np.arange(len(times_s)) if arrival_s is None else arrival_s
    _, believed, went_back = one.believe(np.array(times_s, float), np.broadcast_to(each_s, len(times_s)))
    return believed.tolist(), went_back


@pytest.mark.parametrize(
    ("away_s", "good"), [(0, True), (60, True), (60.5, False), (-3600, True), (-3600.5, False)]
)
@pytest.mark.parametrize("follows", ["wall", "data"])
def test_a_time_is_believed_within_the_bounds_and_on_them(follows, away_s, good):
    assert believes(clock(follows), START_S + away_s, arrival_s=START_S) == ([good], False)


def test_the_wall_clock_is_what_it_is_told():
    one = clock("wall")
    believes(one, *[START_S + 1e6] * 100)
    assert one.now_s(START_S + 5) == START_S + 5


def test_the_data_clock_is_the_highest_accepted_time_whatever_the_order():
    one = clock()
    believes(one, START_S + 20, START_S + 10)
    assert one.now_s(9e9) == START_S + 20


def test_a_data_clock_that_has_seen_nothing_is_before_all_time():
    assert Clock(definition(clock="data")).now_s(START_S) == -np.inf


@pytest.mark.parametrize("wild_s", [START_S + 1e9, START_S - 1e9, START_S + FUTURE_S + 11])
def test_one_wild_time_cannot_move_the_data_clock(wild_s):
    one = clock()
    assert believes(one, START_S + 10, wild_s, START_S + 20) == ([True, False, True], False)
    assert one.now_s(0.0) == START_S + 20


def test_a_device_with_a_broken_clock_among_others_cannot_move_it_in_a_thousand_messages():
    one = clock()
    for index in range(1000):
        assert believes(one, START_S + index, START_S + 1e9 + index)[0] == [True, False]
    assert one.now_s(0.0) == START_S + 999


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("at_once", [True, False])
def test_as_many_refused_times_as_make_a_jump_move_it(direction, at_once):
    one = clock()
    there_s = START_S + direction * 1e6 + np.arange(JUMP_MESSAGES)
    parts = [there_s] if at_once else there_s[:, None]
    answers = [believes(one, *part) for part in parts]
    assert sum(sum(believed) for believed, _ in answers) == 1, "the one that made it a jump"
    assert [went_back for _, went_back in answers][-1] == (direction < 0)
    assert one.now_s(0.0) == there_s[-1]
    assert believes(one, there_s[-1] + 1) == ([True], False)


def test_refused_times_that_disagree_make_no_jump():
    one = clock()
    assert not any(believes(one, *(START_S + 1e6 * np.arange(2, 200)))[0])
    assert one.now_s(0.0) == START_S


def test_what_a_batch_says_before_its_clock_goes_back_belongs_to_the_time_that_is_left():
    one = clock()
    times_s = [START_S + 1, *[START_S - 1e6] * JUMP_MESSAGES, START_S - 1e6 + 5]
    believed, went_back = believes(one, *times_s)
    assert went_back
    assert believed == [False] * JUMP_MESSAGES + [True, True]


def test_a_refused_time_is_ahead_or_behind():
    one = clock()
    assert one.refusal(START_S + 100, START_S) is Drop.TIME_FUTURE
    assert one.refusal(START_S - 1e5, START_S) is Drop.TIME_OLD


def test_one_message_of_a_hundred_records_with_a_broken_time_makes_no_jump():
    one = clock()
    assert not any(believes(one, *[START_S + 1e9] * 100, arrival_s=START_S)[0])
    assert one.now_s(0.0) == START_S


def test_a_wall_clock_that_is_set_back_makes_a_fresh_start_once():
    one = clock("wall")
    back_s = START_S - 3600.0
    times_s = [START_S + 1, back_s, back_s + 1]
    assert believes(one, *times_s, arrival_s=np.array(times_s)) == ([False, True, True], True)
    assert believes(one, back_s + 2, arrival_s=back_s + 2) == ([True], False)


@pytest.mark.parametrize("back_s", [0.5, FUTURE_S - 10])
def test_a_wall_clock_that_is_corrected_a_little_goes_on(back_s):
    one = clock("wall")
    assert believes(one, START_S, arrival_s=START_S - back_s + 0.001)[1] is False
