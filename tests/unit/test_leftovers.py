"""What becomes of alarms that an earlier life of the detector left retained."""

import json

import pytest

from detector.alarms import outbox
from detector.edge.recollection import BYTES_MAX, TOPICS_MAX, Recollection
from detector.events import CLOSED
from tests.support.streams import START_S
from tests.unit.test_events import HIGH, QUIET, SETTINGS, Hot, Teller, contents

CALM = [(0.0, 0.0)] * 12


def left(*lives, **changed):
    """Return what is retained of alarms that a life told of, another one's by its name."""
    topic, content = lives
    return [(topic, json.dumps({**content, "run": "run0", **changed}).encode())]


@pytest.fixture
def told():
    """Return topic and content of an alarm of the first interface."""
    one = Teller()
    ((topic, content),) = one.tell(START_S, one.entities[:1])
    return topic, content


@pytest.fixture
def hot(prompt_scores):
    """Return topic and content of an alarm of the one entity that `Hot` has."""
    (content,) = Hot().feed(*QUIET, *HIGH)
    return "alarms/tests/r", content


@pytest.mark.parametrize("state", ["open", "unknown"])
def test_what_was_left_open_is_unknown_and_said_by_this_life(told, state):
    topic, content = told
    ((said_on, said),) = contents(Teller().events.recall(left(topic, content, state=state)))
    facts = {"state": "unknown", "run": "run1", "id": content["id"], "onset_s": content["onset_s"]}
    assert said_on == topic
    assert facts.items() <= said.items()
    assert said.keys() == content.keys()


def test_it_is_closed_once_its_entity_is_well_for_as_long_as_an_episode_takes_to_close(hot):
    topic, content = hot
    one = Hot()
    one.events.recall(left(topic, content))
    assert one.feed(*QUIET[:3]) == [], "nothing is judged before the window is full"
    (said,) = one.feed(*CALM)
    assert (said["state"], said["id"], said["end_s"]) == ("closed", content["id"], None)
    assert one.feed(*CALM) == []
    assert one.events.recall(left(topic, content, state="open")) == [
        (topic, one.events._last["tests", ("r",)])
    ]


def test_an_entity_that_is_anomalous_still_has_an_alarm_of_its_own(hot):
    topic, content = hot
    one = Hot()
    one.events.recall(left(topic, content))
    (said,) = one.feed(*HIGH, *HIGH)
    assert said["state"] == "open"
    (said,) = one.feed(*CALM)
    assert (said["state"], said["end_s"] is None) == ("closed", False)


def test_of_one_that_was_slow_nobody_knows_before_it_is_forgotten(hot):
    topic, content = hot
    one = Hot()
    one.events.recall(left(topic, content, alarm="slow"))
    assert one.feed(*QUIET, *CALM) == []
    one.stream.forget(one.stream.roster.find([("r",)]))
    assert one.events.forget(one.groups.sync()) == [(topic, b"")]


def test_who_is_not_heard_for_as_long_as_it_takes_to_forget_is_cleared(told):
    topic, content = told
    labels = {"site": "s0", "device": "gone", "port": "p0"}
    gone = topic.replace("d0.0", "gone")
    one = Teller(expire_s=100.0)
    one.events.recall(left(gone, content, labels=labels))
    assert one.tell(START_S) == one.tell(START_S + 100) == []
    assert one.tell(START_S + 110) == [(gone, None)]


@pytest.mark.parametrize(
    "changed",
    [
        {"status_topic": "another/status"},
        {"status_topic": None},
        {"stream": "others"},
        {"labels": None},
        {"labels": {"site": "s0", "device": "d0.1", "port": "p0"}},  # of another topic
        {"labels": {"site": "s0", "device": "d0.0", "port": 0}},
        {"alarm": "fire"},
        {"alarm": []},
        {"id": None},
        {"id": "x" * 65},
        {"onset_s": "now"},
        {"onset_s": float("inf")},
    ],
)
def test_what_is_not_ours_or_no_alarm_stays_as_it_is(told, changed):
    topic, content = told
    assert Teller().events.recall(left(topic, content, **changed)) == []


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b"1", b'{"status_topic":"detector/status"}'])
def test_what_is_no_message_stays_as_it_is(told, payload):
    assert Teller().events.recall([(told[0], payload)]) == []


def test_of_an_entity_whose_labels_have_other_names_now_nobody_will_speak(told):
    topic, content = told
    labels = {"site": "s0", "host": "d0.0", "port": "p0"}
    assert Teller().events.recall(left(topic, content, labels=labels)) == [(topic, b"")]


def test_a_broker_that_has_an_old_word_of_this_life_is_told_the_last_one():
    one = Teller()
    ((topic, opened),) = one.tell(START_S, one.entities[:1])
    one.tell(START_S + 60, end=one.entities[:1])
    ((said_on, said),) = contents(one.events.recall([(topic, json.dumps(opened).encode())]))
    assert (said_on, said["state"], said["id"]) == (topic, "closed", opened["id"])


def test_nothing_is_left_of_an_alarm_that_this_life_knows(told):
    topic, content = told
    one = Teller()
    one.tell(START_S, one.entities[:1])
    ((_, said),) = contents(one.events.recall(left(topic, content)))
    assert (said["state"], said["run"]) == ("open", "run1")


def recollection():
    return outbox(SETTINGS, {"interfaces": 3}, "run1").recollection


def test_only_what_is_retained_under_our_topics_and_not_closed_is_looked_at():
    one = Teller()
    ((topic, opened),) = one.tell(START_S, one.entities[:1])
    one.tell(START_S + 60, end=one.entities[:1])
    closed = one.events._last["interfaces", one.entities[0]]
    assert closed.startswith(CLOSED)
    recalled, payload = recollection(), json.dumps(opened).encode()
    assert not recalled.takes("telegraf/s0/d0.0/p0", payload, retained=True)
    assert not recalled.takes("alarms/others/s0/d0.0/p0", payload, retained=True)
    assert recalled.takes(topic, payload, retained=False)
    assert recalled.takes(topic, closed, retained=True)
    assert recalled.take(10) == []
    assert recalled.takes(topic, payload, retained=True)
    assert recalled.take(10) == [(topic, payload)]
    assert recalled.take(10) == []


def test_what_is_too_much_to_look_at_is_counted():
    many = Recollection(["alarms/+"], CLOSED)
    for number in range(TOPICS_MAX + 2):
        assert many.takes(f"alarms/{number}", b"{}", retained=True)
    assert (len(many.take(TOPICS_MAX * 2)), many.dropped_total) == (TOPICS_MAX, 2)
    large = Recollection(["alarms/+"], CLOSED)
    payload = b"x" * (BYTES_MAX // 2)
    taken = []
    for number in range(3):
        large.takes(f"alarms/{number}", payload, retained=True)
    taken += large.take(2)
    large.takes("alarms/3", payload, retained=True)
    assert [topic for topic, _ in taken + large.take(2)] == ["alarms/0", "alarms/1", "alarms/3"]
    assert large.dropped_total == 1
