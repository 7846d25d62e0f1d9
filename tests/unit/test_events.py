"""What is published of alarms, on which topics, when."""

import json
from math import inf

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from detector.alarms import outbox
from detector.edge.outbox import TOPICS_MAX, Outbox
from detector.edge.session import Presence
from detector.event_settings import EventSettings
from detector.events import Events
from detector.stream.definition import Signal
from detector.stream.groups import Groups
from detector.stream.identity import alarm_id, spell_id
from detector.stream.nouns import Alarm, Spell
from detector.stream.pipeline import StreamPipeline
from tests.support.groups import Story, interfaces
from tests.support.streams import START_S, definition, feed, judge

SETTINGS = EventSettings(topic="alarms/{stream}/{entity}")


class Teller:
    """A story of made-up alarms, and what is published of it."""

    def __init__(self, expire_s=inf, **changed):
        self.ports, self.entities = interfaces(devices=2, ports=4, expire_s=expire_s)
        self.story = Story(self.ports)
        self.events = Events(
            EventSettings(topic=SETTINGS.topic, **changed), [self.ports], self.story.groups, "run1"
        )

    def tell(self, *told, **words):
        """Return what is published, in order: topic and content."""
        outcome, gathering = self.story.outcome(*told, **words)
        return contents(self.events.take(self.ports, outcome, gathering, outcome.time_s))


def contents(published):
    return [(topic, json.loads(payload) if payload else None) for topic, payload in published]


class Hot:
    """A stream of one entity with two signals, fed step by step, and what is published of it."""

    def __init__(self, **changed):
        signals = (Signal("level", scale=10.0, unit="°C"), Signal("flow"))
        self.stream = StreamPipeline(definition(*signals), judge(2, entities=[("r",)]))
        self.groups = Groups([self.stream])
        self.events = Events(
            EventSettings(topic=SETTINGS.topic, **changed), [self.stream], self.groups, "run1"
        )
        self.steps = 0

    def feed(self, *values, monotonic_s=0.0):
        """Return the contents of what is published while these values of both signals come."""
        published = []
        for level, flow in values:
            self.steps += 1
            for outcome in feed(self.stream, ("r", 10.0 * self.steps, {0: level, 1: flow})):
                gathering = self.groups.take(self.stream, outcome)
                published += self.events.take(self.stream, outcome, gathering, monotonic_s)
        return [content for _, content in contents(published)]


QUIET = [(0.0, 0.0)] * 4
HIGH = [(5.0, 0.0)] * 3


def test_an_alarm_is_published_when_it_begins_with_what_is_wrong_in_raw_units(prompt_scores):
    (content,) = Hot().feed(*QUIET, *HIGH)
    assert content["score"] > 1
    assert content["score_max"] >= content["score"]
    (signal,) = content["signals"]
    assert signal | {"contribution": 1.0} == {
        "signal": "level",
        "unit": "°C",
        "contribution": 1.0,
        "direction": 1.0,
        "observed": 50.0,
        "expected": 0.0,
        "breach": None,
        "bound": None,
    }
    onset_s = content["onset_s"]
    assert content["id"] == alarm_id(Alarm.ANOMALY, "tests", ("r",), onset_s)
    facts = {"state": "open", "alarm": "anomaly", "run": "run1", "status_topic": "detector/status"}
    facts |= {"stream": "tests", "labels": {"device": "r"}}
    assert facts.items() <= content.items()
    assert (content["group"], content["end_s"]) == (None, None)


def test_its_end_says_what_it_was(prompt_scores):
    hot = Hot()
    (begin,) = hot.feed(*QUIET, *HIGH)
    (end,) = hot.feed(*[(0.0, 0.0)] * 12)
    assert end["state"] == "closed"
    assert end["id"] == begin["id"]
    assert end["end_s"] > end["onset_s"] == begin["onset_s"]
    assert end["signals"] == begin["signals"]
    assert end["score_max"] >= begin["score_max"]


def test_its_end_names_the_signals_of_its_worst_step(prompt_scores):
    hot = Hot()
    (begin,) = hot.feed(*QUIET, (0.45, 0.0), (0.45, 0.0))
    assert [signal["signal"] for signal in begin["signals"]] == ["level"]
    (*_, end) = hot.feed((0.0, -9.0), *[(0.0, 0.0)] * 12)
    assert (end["state"], end["score"]) == ("closed", None)
    assert [(signal["signal"], signal["observed"]) for signal in end["signals"]] == [("flow", -9.0)]


def test_while_nothing_changes_nothing_is_published(prompt_scores):
    hot = Hot()
    hot.feed(*QUIET, *HIGH)
    assert hot.feed(*HIGH, *HIGH, monotonic_s=1e6) == []


def test_another_signal_that_leads_is_published_once_the_time_is_over(prompt_scores):
    hot = Hot(update_s=60.0)
    hot.feed(*QUIET, *HIGH)
    assert hot.feed((5.0, -5.0), monotonic_s=59.0) == []
    (content,) = hot.feed((5.0, -5.0), monotonic_s=60.0)
    assert {signal["signal"] for signal in content["signals"]} == {"level", "flow"}
    assert content["state"] == "open"
    assert content["time_s"] > content["onset_s"]
    assert hot.feed((5.0, 5.0), monotonic_s=119.0) == []
    assert len(hot.feed((5.0, 5.0), monotonic_s=120.0)) == 1, "the direction changed"


def test_a_much_higher_score_is_published(prompt_scores):
    hot = Hot()
    (begin,) = hot.feed(*QUIET, (0.45, 0.0), (0.45, 0.0))
    (content,) = hot.feed((9.0, 0.0), monotonic_s=1e6)
    assert content["score_max"] > 1.5 * begin["score_max"]


def test_only_so_many_signals_are_named(prompt_scores):
    (content,) = Hot(signals_max=1).feed(*QUIET, *[(5.0, 4.0)] * 3)
    assert [signal["signal"] for signal in content["signals"]] == ["level"]


def test_silence_is_published_and_its_end():
    one = Teller()
    entity = one.entities[0]
    ((topic, content),) = one.tell(START_S + 60, silent=[entity], onset_s=START_S)
    assert topic == "alarms/interfaces/s0/d0.0/p0"
    assert content["id"] == alarm_id(Alarm.SILENCE, "interfaces", entity, START_S)
    facts = {"state": "open", "alarm": "silence", "onset_s": START_S, "time_s": START_S + 60, "score": None}
    assert facts.items() <= content.items()
    assert content["signals"] == []
    ((again, over),) = one.tell(START_S + 90, speaking=[entity])
    assert again == topic
    assert (over["state"], over["id"], over["end_s"]) == ("closed", content["id"], START_S + 90)


def test_an_anomaly_that_becomes_silence_is_silence_in_the_end():
    one = Teller()
    one.tell(START_S, one.entities[:1])
    told = one.tell(START_S + 60, end=one.entities[:1], silent=one.entities[:1])
    assert [(content["alarm"], content["state"]) for _, content in told] == [("silence", "open")]


def stuck(entity, signal, onset_s, value=7.0):
    return Spell(Alarm.STUCK, 0, entity, signal, onset_s, START_S, value, np.nan)


def slow(entity, onset_s):
    return Spell(Alarm.SLOW, 0, entity, "", onset_s, START_S, 40.0, 10.0)


def test_spells_are_published_all_in_one_message_headed_by_the_oldest():
    one = Teller()
    entity = one.entities[0]
    spells = [stuck(entity, "octets", START_S - 500), slow(entity, START_S - 900)]
    ((_, content),) = one.tell(START_S, begun=spells)
    assert (content["alarm"], content["state"], content["onset_s"]) == ("slow", "open", START_S - 900)
    assert content["id"] == spell_id("interfaces", spells[1])
    assert [(each["what"], each["signal"]) for each in content["spells"]] == [
        ("stuck", "octets"),
        ("slow", None),
    ]
    assert content["spells"][0]["expected"] is None
    ((_, content),) = one.tell(START_S + 10, over=spells[1:])
    assert (content["alarm"], content["state"]) == ("stuck", "open")
    ((_, content),) = one.tell(START_S + 20, over=spells[:1])
    assert (content["alarm"], content["state"], content["spells"]) == ("stuck", "closed", [])
    assert content["end_s"] == START_S + 20


def test_only_so_many_spells_are_named_and_all_are_counted():
    one = Teller(signals_max=2)
    spells = [stuck(one.entities[0], f"signal{number}", START_S - 500) for number in range(5)]
    ((_, content),) = one.tell(START_S, begun=spells)
    assert [each["signal"] for each in content["spells"]] == ["signal0", "signal1"]
    assert [each["id"] for each in content["spells"]] == [spell_id("interfaces", one) for one in spells[:2]]
    assert content["spells_total"] == 5


def test_an_episode_heads_the_message_while_it_is_open_and_a_spell_goes_on_after_it():
    one = Teller()
    entity = one.entities[0]
    one.tell(START_S, begun=[slow(entity, START_S - 900)])
    ((_, content),) = one.tell(START_S + 10, [entity])
    assert (content["alarm"], len(content["spells"])) == ("anomaly", 1)
    ((_, content),) = one.tell(START_S + 20, end=[entity])
    assert (content["alarm"], content["state"]) == ("slow", "open")


def test_the_signals_of_a_device_that_are_stuck_together_are_one_alarm():
    one = Teller()
    spells = [stuck(entity, "octets", START_S - 500) for entity in one.entities[:4]]
    told = one.tell(START_S, begun=spells)
    assert {content["group"]["labels"]["device"] for _, content in told} == {"d0.0"}
    told = one.tell(START_S, over=spells)
    assert {content["state"] for _, content in told} == {"closed"}
    assert not one.story.groups.episodes


def test_members_of_a_group_have_its_id_the_first_as_soon_as_it_is_known():
    one = Teller()
    ((_, first),) = one.tell(START_S, one.entities[:1])
    assert first["group"] is None
    told = one.tell(START_S + 10, one.entities[1:2])
    assert [content["labels"]["port"] for _, content in told] == ["p1", "p0"]
    (episode,) = one.story.groups.episodes.values()
    group = {"id": episode.id, "level": ["site", "device"], "labels": {"site": "s0", "device": "d0.0"}}
    assert [content["group"] for _, content in told] == [group, group]


def test_a_group_that_grows_is_published_with_all_of_its_members():
    one = Teller()
    one.tell(START_S, silent=one.entities[:4])
    told = one.tell(START_S + 10, silent=one.entities[4:])
    assert len({topic for topic, _ in told}) == 8
    assert {content["group"]["level"][0] for _, content in told} == {"site"}
    assert {len(content["group"]["level"]) for _, content in told} == {1}


def test_who_is_forgotten_is_cleared_if_anything_was_published():
    one = Teller()
    one.tell(START_S, one.entities[:2])
    one.tell(START_S + 10, end=one.entities[:1])
    one.ports.forget(one.ports.roster.find(one.entities[:3]))
    published = one.events.forget(one.story.groups.sync())
    assert published == [("alarms/interfaces/s0/d0.0/p0", b""), ("alarms/interfaces/s0/d0.0/p1", b"")]
    assert one.events.forget(one.story.groups.sync()) == one.events.again() == one.events.stop() == []


def test_after_a_reconnect_what_is_open_is_published_again():
    one = Teller()
    told = one.tell(START_S, one.entities[:2])
    one.tell(START_S + 10, end=one.entities[:1])
    assert contents(one.events.again()) == told[1:2]


def test_in_the_end_nobody_knows_what_becomes_of_what_is_open():
    one = Teller()
    one.tell(START_S, one.entities[:1])
    ((_, content),) = contents(one.events.stop())
    assert content["state"] == "unknown"


@pytest.mark.parametrize(
    ("entity", "topic"),
    [
        (("leaf1", "Ethernet1"), "alarms/x/leaf1/Ethernet1"),
        (("leaf1", "Ethernet1/1"), "alarms/x/leaf1/Ethernet1%2F1"),
        (("a+b", "#", "100%"), "alarms/x/a%2Bb/%23/100%25"),
        (("a\nb\x7f", "é ü"), "alarms/x/a%0Ab%7F/é ü"),
        (("\x85\ufdd0", "\ufffe\U0010ffff"), "alarms/x/%C2%85%EF%B7%90/%EF%BF%BE%F4%8F%BF%BF"),
        (("",), "alarms/x/"),
    ],
)
def test_a_label_is_one_level_of_a_topic_whatever_is_in_it(entity, topic):
    assert SETTINGS.topic_of("x", entity) == topic


def test_the_levels_of_a_topic_may_stand_anywhere():
    settings = EventSettings(topic="fra/{entity}/alarm/{stream}")
    assert settings.topic_of("x", ("a", "b")) == "fra/a/b/alarm/x"


def test_whether_it_is_online_is_told_with_the_name_of_its_life():
    silent = outbox(EventSettings(topic=SETTINGS.topic, status_topic=""), {"x": 2}, "run1")
    assert (silent.presence, silent.recollection) == (None, None)
    told = outbox(SETTINGS, {"x": 2}, "run1").presence
    assert (told.topic, told.qos) == ("detector/status", 1)
    assert [json.loads(one) for one in told[1:3]] == [
        {"state": "online", "run": "run1"},
        {"state": "offline", "run": "run1"},
    ]


def test_of_a_topic_the_newest_waits_and_beyond_the_limit_the_oldest_goes():
    outbox = Outbox(1)
    for number in range(TOPICS_MAX):
        outbox.put(f"t/{number}", b"old")
    outbox.put("t/5", b"new")
    assert (len(outbox), outbox.dropped_total) == (TOPICS_MAX, 0)
    outbox.put("t/more", b"new")
    assert (len(outbox), outbox.dropped_total) == (TOPICS_MAX, 1)
    assert outbox._pop() == ("t/1", b"old")
    assert [outbox._pop() for _ in range(4)][-1] == ("t/5", b"new")


class Connected(Client):
    """A client that believes in its connection: what it sends stays with it."""

    def is_connected(self):
        return True


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


GRANTED, DENIED = (ReasonCode(PacketTypes.PUBACK, name) for name in ("Success", "Not authorized"))


def test_a_broker_that_ends_the_connection_for_what_is_published_is_left_in_peace_for_an_hour(caplog):
    clock, client = Clock(), Connected(CallbackAPIVersion.VERSION2)
    one = Outbox(1, Presence("status", b"on", b"off", 1), monotonic=clock)
    for ending in range(1, 4):
        one.greet(client)
        one.send(client)
        assert one.lost() == (ending == 3)
        assert one.doubted
    one.put("t/1", b"x")
    one.greet(client)
    one.send(client)
    assert (one.published_total, len(one), one.refused_total) == (0, 1, 1)
    clock.now_s = 3600.0
    one.send(client)
    assert one.published_total == 1
    assert one.lost(), "one more is enough"
    assert [
        record.message.split(" reason")[0] for record in caplog.records if "refused" in record.message
    ] == ["event refused topic='status'"]


def test_an_end_of_the_connection_after_a_word_of_the_broker_has_nothing_to_do_with_what_is_published():
    clock, client = Clock(), Connected(CallbackAPIVersion.VERSION2)
    one = Outbox(1, monotonic=clock)
    for _ in range(5):
        one.put("t/1", b"x")
        one.send(client)
        one.acknowledged(client.publish("none").mid - 1, GRANTED)
        assert not one.lost()
    for _ in range(5):
        one.put("t/1", b"x")
        one.send(client)
        clock.now_s += 2.0
        assert not one.lost()


def test_what_the_broker_says_no_to_is_counted_and_told_once(caplog):
    client, one = Connected(CallbackAPIVersion.VERSION2), Outbox(1)
    for number in range(3):
        one.put(f"t/{number}", b"x")
        one.send(client)
        one.acknowledged(client.publish("none").mid - 1, DENIED)
    assert (one.refused_total, len(one)) == (3, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "event refused topic='t/0' reason='Not authorized'"
    ]


def test_numbers_that_are_none_are_null():
    one = Teller()
    ((_, content),) = one.tell(START_S, silent=one.entities[:1], onset_s=np.nan)
    assert content["onset_s"] == START_S
