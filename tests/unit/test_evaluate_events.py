"""Episodes against events: the rules, one case each."""

import pytest

from detector.evaluate.events import FABRIC, Episode, Event, Rules, judge

STRICT = Rules(before_s=100.0, after_s=0.0, connected=False)
LEAF1, LEAF2 = {"device": "leaf1"}, {"device": "leaf2"}
PORT = {"device": "leaf1", "interface": "e1"}
"""The event is on leaf1 from 1000 to 2000."""


def event(kind="fault", entity=LEAF1, start_s=1000.0, end_s=2000.0):
    return Event(start_s, end_s, "link_down", kind, entity)


def episode(told_s, end_s, entity=LEAF1, onset_s=None):
    return Episode("interfaces", entity, told_s if onset_s is None else onset_s, end_s, told_s)


def judged(episodes, events=None, rules=STRICT):
    """Return for each event whether it was found and whether any episode was open, and how many are false."""
    verdicts, false = judge(events or [event()], episodes, rules)
    return [(verdict.found, bool(verdict.open_then)) for verdict in verdicts], len(false)


@pytest.mark.parametrize(
    ("told_s", "end_s", "found", "alarmed", "false"),
    [
        (1200, 1300, True, True, 0),  # in it
        (950, 1300, True, True, 0),  # shortly before it
        (950, 960, True, True, 0),  # and over before it begins
        (2000, 2100, True, True, 0),  # with its last step
        (2010, 2100, False, False, 1),  # after it
        (500, 800, False, False, 1),  # long before it
        (500, 1500, False, True, 0),  # open since long before: nothing new, but not false
    ],
)
def test_when_an_episode_belongs_to_an_event(told_s, end_s, found, alarmed, false):
    assert judged([episode(told_s, end_s)]) == ([(found, alarmed)], false)


def test_an_episode_counts_from_when_it_is_told():
    assert judged([episode(1050, 1500, onset_s=800)]) == ([(True, True)], 0)
    assert judged([episode(2050, 2500, onset_s=1950)]) == ([(False, False)], 1)


def test_after_an_event_it_may_go_on_to_explain():
    assert judged([episode(2100, 2200)], rules=Rules(100, 120, connected=False)) == ([(True, True)], 0)


@pytest.mark.parametrize(
    ("labelled", "alarmed", "own"),
    [
        (LEAF1, LEAF1, True),
        (LEAF1, PORT, True),  # a label on a device covers its interfaces
        (PORT, LEAF1, True),  # and that of an interface shows on its device
        ({}, LEAF2, True),  # no label, all entities
        (LEAF1, LEAF2, False),
        (PORT, {"device": "leaf1", "interface": "e2"}, False),
        (LEAF1, {"peer": "10.0.0.1"}, False),
    ],
)
def test_whose_event_it_is(labelled, alarmed, own):
    found = judged([episode(1200, 1300, alarmed)], [event(entity=labelled)])
    assert found == ([(own, own)], 0 if own else 1)


def test_where_entities_are_connected_an_alarm_elsewhere_is_neither_found_nor_false():
    assert judged([episode(1200, 1300, LEAF2)], rules=FABRIC) == ([(False, False)], 0)


@pytest.mark.parametrize(("kind", "false"), [("fault", 0), ("restore", 0), ("change", 0), ("bait", 1)])
def test_an_alarm_on_bait_is_false(kind, false):
    assert judged([episode(1200, 1300)], [event(kind)]) == ([(True, True)], false)


def test_an_alarm_on_bait_that_is_also_on_a_fault_is_not_false():
    assert judged([episode(1200, 1300)], [event("bait"), event()])[1] == 0


def test_the_delay_is_that_of_the_first_episode_that_told_and_never_negative():
    (verdict,), _ = judge([event()], [episode(1500, 1600), episode(1200, 1300)], STRICT)
    assert (verdict.first.told_s, verdict.delay_s) == (1200, 200)
    (early,), _ = judge([event()], [episode(950, 1300)], STRICT)
    assert early.delay_s == 0


def test_without_episodes_nothing_is_found_and_nothing_false():
    assert judged([]) == ([(False, False)], 0)
    verdicts, false = judge([], [episode(1, 2)], STRICT)
    assert (verdicts, len(false)) == ([], 1)
