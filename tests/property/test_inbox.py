"""The inbox against a plain model of it: what waits, what goes, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.edge.inbox import Inbox
from detector.stream.nouns import Drop, Message

LANES = [(0, "drop_oldest"), (1, "drop_newest"), (2, "block"), (3, "drop_oldest")]


def message(number):
    return Message("t", b"%d" % number, 0.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)) | st.integers(1, 30), max_size=40))
def test_nothing_is_lost_without_a_reason_and_the_order_of_a_lane_holds(events):
    inbox = Inbox(10, 1 << 20, LANES)
    put = [inbox.putter(*lane) for lane in LANES]
    sent = [[] for _ in LANES]
    taken, gone = [], []
    for event in events:
        if isinstance(event, int):
            taken += inbox.take(event, 0.0)
        else:
            lane, count = event
            for _ in range(count):
                sent[lane].append(message(100_000 * lane + len(sent[lane])))
                put[lane](sent[lane][-1])
            inbox.announce(0)
            gone += inbox.shed()
            kept = sum(len(one.waiting) for one in inbox._lanes if one.overload == "block")
            assert len(inbox) <= 10 or len(inbox) == kept
            assert inbox.blocked() == (kept >= 10)
    taken += inbox.take(10**6, 0.0)
    assert len(inbox) == 0
    everything = [one for lane in sent for one in lane]
    assert sorted(taken + [one for _, one in gone]) == sorted(everything)
    for lane in sent:
        of_lane = set(lane)
        assert [one for one in taken if one in of_lane] == [one for one in lane if one in taken]
    assert {int(one.payload) // 100_000 for _, one in gone} <= {0, 1, 3}


@pytest.mark.parametrize(
    ("lane", "reason", "lost"), [(0, Drop.SHED, [0, 1, 2]), (1, Drop.INBOX_FULL, [5, 4, 3])]
)
def test_a_lane_gives_way_by_its_own_policy(lane, reason, lost):
    inbox = Inbox(3, 1 << 20, LANES)
    put = inbox.putter(*LANES[lane])
    for number in range(6):
        put(message(number))
    assert [(why, int(one.payload)) for why, one in inbox.shed()] == [(reason, number) for number in lost]


def test_the_least_important_lane_gives_way_first_and_the_most_important_one_is_taken_first():
    inbox = Inbox(4, 1 << 20, LANES)
    for lane in (0, 1, 3, 0, 1, 3):
        inbox.putter(*LANES[lane])(message(lane))
    assert [int(one.payload) for _, one in inbox.shed()] == [0, 0]
    assert [int(one.payload) for one in inbox.take(10, 0.0)] == [3, 3, 1, 1]


def test_a_wait_ends_with_the_first_message_or_with_its_time():
    inbox = Inbox(4, 1 << 20, LANES)
    assert inbox.take(1, 0.01) == []
    inbox.putter(*LANES[0])(message(1))
    inbox.announce(0)
    assert inbox.take(1, 1000.0) == [message(1)]


@pytest.mark.parametrize(("lane", "lost"), [(0, [0, 1]), (1, [4, 3])])
def test_more_bytes_than_may_wait_are_too_much_as_well(lane, lost):
    inbox = Inbox(100, 30, LANES)
    put = inbox.putter(*LANES[lane])
    for number in range(5):
        put(Message("t", b"%d" % number * 10, 0.0))
    inbox.announce(50)
    assert [int(one.payload[:1]) for _, one in inbox.shed()] == lost
    assert inbox.bytes_waiting == 30
    assert len(inbox.take(2, 0.0)) == 2
    assert inbox.bytes_waiting == 10


def test_bytes_that_may_not_be_refused_stay_with_the_broker():
    inbox = Inbox(100, 30, LANES)
    inbox.putter(*LANES[2])(Message("t", b"x" * 30, 0.0))
    inbox.putter(*LANES[0])(Message("t", b"y", 0.0))
    inbox.announce(31)
    assert not inbox.blocked(), "another lane can give way first"
    assert len(inbox.shed()) == 1
    assert inbox.blocked()
    inbox.take(1, 0.0)
    assert not inbox.blocked()
