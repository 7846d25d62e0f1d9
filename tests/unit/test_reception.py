"""Where messages go: the subscription that has them, and its lane."""

import pytest

from detector.daemon import _subscriptions
from detector.edge.framing import Publish
from detector.edge.inbox import Inbox
from detector.edge.reception import Reception, Subscription
from detector.edge.snapshot import Example, example
from detector.stream.nouns import Drop
from detector.stream_settings import StreamSettings

CORE = {"name": "core", "topic": "t/{device}/interface", "priority": 9, "overload": "block"}
REST = {"name": "rest", "topic": "t/{device}/{kind}"}


def stream(**settings):
    return StreamSettings(**{"entity": ["device"], "signals": {"x": {}}} | settings)


def published(topic, payload=b"1"):
    return Publish(0x30, topic.encode(), 0, b"", payload, len(payload))


def receiving(subscriptions, messages_max=100):
    lanes = {(one.priority, one.overload) for one in subscriptions}
    inbox = Inbox(messages_max, 1 << 20, lanes)
    return Reception(subscriptions, inbox, 1000, lambda: 1.0), inbox


@pytest.mark.parametrize("order", [1, -1])
def test_of_overlapping_streams_the_most_important_one_has_the_message(order):
    subscriptions = _subscriptions([stream(**CORE), stream(**REST)][::order])
    taking, inbox = receiving(subscriptions)
    taking.receive([published("t/r1/interface")] * 80 + [published("t/r1/cpu")] * 70)
    received = dict(zip([one.filter for one in subscriptions], taking.received, strict=False))
    assert received == {"t/+/interface": 80, "t/+/+": 70}
    assert taking.dropped[Drop.SHED] == 50
    assert [message.topic for message in inbox.take(80, 0.0)] == ["t/r1/interface"] * 80


def test_the_example_of_a_refusal_is_the_last_message_cut_short():
    taking, _ = receiving([Subscription("t/#")], messages_max=100)
    taking.receive([published(f"t/{number}", b"x" * (2000 + number)) for number in range(3)])
    taking.receive([published(f"t/{number}", b"%d" % number) for number in range(103)])
    assert taking.examples() == {"payload_too_large": example("t/2", b"x" * 500), "shed": Example("t/2", "2")}
    assert len(taking._struck[Drop.PAYLOAD_TOO_LARGE][1]) < 1000


def test_a_wide_filter_of_a_higher_priority_goes_before_a_narrow_one():
    taking, _ = receiving([Subscription("t/+/interface"), Subscription("t/#", 1)])
    taking.receive([published("t/r1/interface")])
    assert taking.received == [0, 1, 0]


@pytest.mark.parametrize("filters", [["t/#", "t/+/x"], ["t/+/x", "t/#"]])
def test_of_equals_the_narrow_filter_has_the_message(filters):
    taking, _ = receiving([Subscription(text) for text in filters])
    taking.receive([published("t/r1/x")] * 3 + [published("t/r1/y")])
    assert dict(zip(filters, taking.received, strict=False)) == {"t/+/x": 3, "t/#": 1}


def test_of_streams_that_share_a_filter_the_most_important_has_its_way():
    shared = [stream(name="a", topic="t/{device}", priority=2), stream(name="b", topic="t/{device}")]
    assert [(one.filter, one.priority) for one in _subscriptions(shared)] == [("t/+", 2)]


def test_what_nobody_asked_for_counts_for_no_subscription_and_gives_way_first():
    taking, inbox = receiving([Subscription("a/+", 0), Subscription("b/+", 3)])
    taking.receive([published("c/1"), published("b/1")])
    assert taking.received == [0, 1, 1]
    assert [message.topic for message in inbox.take(2, 0.0)] == ["b/1", "c/1"]
