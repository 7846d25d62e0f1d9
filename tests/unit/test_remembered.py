"""What is remembered of names that others choose: not more of them than there may be entities."""

import json

import pytest

from detector.edge.framing import Publish
from detector.edge.inbox import Inbox
from detector.edge.reception import Reception, Subscription
from detector.stream.decode import memory
from detector.stream.decode.labels import LABEL_CHARS_MAX, entity_reader
from detector.stream.decode.memory import remembering
from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Message
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import TOPIC_CHARS_MAX, Streams
from tests.support.streams import START_S, definition

LONG = "x" * 60_000


def message(topic, payload=b'{"level":1}'):
    return Message(topic, payload, START_S)


def test_streams_remember_a_topic_for_each_column_of_an_entity_and_then_begin_anew():
    streams = Streams([StreamPipeline(definition(entities_max=5), None) for _ in range(2)])
    assert definition(entities_max=5).topics_max == 10
    for index in range(1000):
        streams.feed([message(f"tests/r{index}")])
        assert len(streams._routes) <= 20
    assert streams.streams[0].roster.get(("r4",)) is not None


def test_a_long_topic_is_read_and_not_remembered():
    layout_of_any = definition(topic="tests/{device}/#")
    streams = Streams([StreamPipeline(layout_of_any, None)])
    streams.feed([message(f"tests/r1/{LONG}"), message(f"tests/r2/{'x' * (TOPIC_CHARS_MAX - 9)}")])
    assert [len(topic) for topic in streams._routes] == [TOPIC_CHARS_MAX]
    assert len(streams.streams[0].roster) == 2


def reception(**changed):
    subscription = Subscription("tests/#", **changed)
    inbox = Inbox(10_000, 1 << 20, [(subscription.priority, subscription.overload)])
    return Reception([subscription], inbox, 1000, lambda: START_S), inbox


def published(topic):
    return Publish(0, topic.encode(), 0, b"", b"1", 1)


def test_a_reception_remembers_as_many_topics_as_it_is_told_and_no_long_ones():
    taking, inbox = reception(topics_max=10)
    taking.receive([published(f"tests/{index}") for index in range(995)])
    assert len(taking._routes) == 5
    taking.receive([published(f"tests/{LONG}{index}") for index in range(5)])
    assert len(taking._routes) == 5
    assert (taking.received, len(inbox)) == ([1000, 0], 1000)


RECORD = Definition("x", ("device", "port"), (Signal("rx"),), 10.0, 60, "t/{device}", entities_max=10)


def counted(reader, calls):
    return lambda *given: calls.append(given) or reader(*given)


def test_a_name_is_read_once_and_no_more_are_remembered_than_two_an_entity():
    calls = []
    read = remembering(counted(entity_reader(RECORD), calls), RECORD)
    for index in range(20):
        for _ in range(3):
            assert read({"device": "r1"}, {"port": f"e{index}"}, None) == ("r1", f"e{index}")
    assert len(calls) == 20
    read({"device": "r1"}, {"port": "another"}, None)  # for whom all others are forgotten
    read({"device": "r1"}, {"port": "e0"}, None)
    assert len(calls) == 22


@pytest.mark.parametrize("around", [" " * 1_000_000, "\0" * LABEL_CHARS_MAX])
def test_a_name_in_a_megabyte_of_space_is_read_and_not_remembered(around):
    calls = []
    read = remembering(counted(entity_reader(RECORD), calls), RECORD)
    for _ in range(2):
        assert read({"device": "r1"}, {"port": f"e0{around}"}, None) == ("r1", "e0")
    assert len(calls) == 2


def test_a_label_from_elsewhere_is_of_its_own_message_alone():
    read = remembering(entity_reader(RECORD), RECORD)
    assert read({"device": "r1", "port": "key"}, {"port": "e0"}, None) == ("r1", "key")
    assert read({"device": "r1"}, {"port": "e0"}, None) == ("r1", "e0")


def test_every_name_of_an_entity_that_is_admitted_has_room():
    assert memory.NAMES_AN_ENTITY >= 1
    ports = [{"port": f"e{index}", "rx": 1} for index in range(RECORD.entities_max)]
    streams = Streams([StreamPipeline(RECORD, None)])
    streams.feed([message("t/r1", json.dumps(ports).encode())])
    assert len(streams.streams[0].roster) == RECORD.entities_max
