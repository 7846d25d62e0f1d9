"""Where messages go: the subscription that has them, and its lane."""

import pytest

from detector.edge.framing import Publish
from detector.edge.inbox import Inbox
from detector.edge.reception import Reception, Subscription
from detector.edge.snapshot import Example, example
from detector.maintenance_settings import MaintenanceSettings
from detector.stream.nouns import Drop
from detector.stream_settings import StreamSettings
from detector.subscriptions import subscriptions

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
    wanted = subscriptions([stream(**CORE), stream(**REST)][::order], [])
    taking, inbox = receiving(wanted)
    taking.receive([published("t/r1/interface")] * 80 + [published("t/r1/cpu")] * 70)
    received = dict(zip([one.filter for one in wanted], taking.received, strict=False))
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
    assert [(one.filter, one.priority) for one in subscriptions(shared, [])] == [("t/+", 2)]


def test_what_switches_maintenance_comes_before_all_values_also_where_they_share_a_filter():
    streams = [stream(name="a", topic="t/{device}", priority=9, overload="block")]
    lab = {"name": "lab", "topic": "maintenance/{device}"}
    both = {"name": "both", "topic": "t/{device}"}
    maintenances = [MaintenanceSettings(**one) for one in (lab, both, {"name": "c", "calendar": "c.ics"})]
    assert [one[:3] for one in subscriptions(streams, maintenances)] == [
        ("t/+", 10, "block"),
        ("maintenance/+", 10, "drop_oldest"),
    ]


def test_what_nobody_asked_for_counts_for_no_subscription_and_gives_way_first():
    taking, inbox = receiving([Subscription("a/+", 0), Subscription("b/+", 3)])
    taking.receive([published("c/1"), published("b/1")])
    assert taking.received == [0, 1, 1]
    assert [message.topic for message in inbox.take(2, 0.0)] == ["b/1", "c/1"]


def sent(number, *, dup=False, topic="t/a"):
    payload = b"%d" % number
    return Publish(0x32 | dup << 3, topic.encode(), number, b"", payload, len(payload))


def taken_and_cut_off():
    """A connection took messages 1 to 3, which are in work."""
    taking, inbox = receiving([Subscription("t/#")])
    taking.begin()
    taking.receive([sent(1), sent(2), sent(3)])
    ids = [message.packet_id for message in inbox.take(10, 0.0)]
    return taking, inbox, ids


def words(taking, stamped):
    wire, _ = taking.current(stamped)
    return wire


def test_what_was_done_and_comes_again_is_acknowledged_at_once():
    taking, inbox, ids = taken_and_cut_off()
    assert words(taking, ids) == [1, 2, 3], "written, and lost with the connection"
    taking.begin()
    assert words(taking, taking.receive([sent(1, dup=True), sent(2, dup=True)])) == [1, 2]
    assert taking.dropped[Drop.REDELIVERED] == 2
    assert inbox.take(10, 0.0) == []


def test_what_is_still_in_work_and_comes_again_is_acknowledged_when_it_is_done():
    taking, _, ids = taken_and_cut_off()
    taking.begin()
    assert taking.receive([sent(1, dup=True)]) == []
    assert words(taking, ids) == [1], "2 and 3 did not come again: their packet ids mean nothing here"
    assert taking.dropped[Drop.REDELIVERED] == 1


def test_what_comes_a_third_time_is_known_as_well():
    taking, _, ids = taken_and_cut_off()
    taking.begin()
    taking.receive([sent(1, dup=True)])
    taking.begin()
    assert words(taking, ids) == [], "it has not come again in this connection"
    assert words(taking, taking.receive([sent(1, dup=True)])) == [1]
    taking.begin()
    assert words(taking, taking.receive([sent(1, dup=True)])) == [1]
    assert taking.dropped[Drop.REDELIVERED] == 3


@pytest.mark.parametrize("other", [sent(4, dup=True), sent(1, dup=True, topic="t/b"), sent(1)])
def test_what_was_never_taken_is_no_redelivery(other):
    taking, inbox, _ = taken_and_cut_off()
    taking.begin()
    taking.receive([other])
    assert len(inbox.take(10, 0.0)) == 1


def test_within_a_connection_nothing_is_a_redelivery():
    taking, inbox, _ = taken_and_cut_off()
    taking.receive([sent(1, dup=True)])
    assert len(inbox.take(10, 0.0)) == 1


def test_what_was_shed_is_done():
    taking, _ = receiving([Subscription("t/#", overload="drop_newest")], messages_max=1)
    taking.begin()
    words(taking, taking.receive([sent(1), sent(2)]))
    taking.begin()
    assert words(taking, taking.receive([sent(2, dup=True)])) == [2]
