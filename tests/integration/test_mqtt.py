"""The subscriber against a real broker."""

from __future__ import annotations

import logging

import pytest
from paho.mqtt import publish

from detector.edge.mqtt import Subscriber
from detector.edge.reception import Subscription
from detector.edge.snapshot import Example
from detector.mqtt_settings import MqttSettings
from detector.stream.nouns import Drop, Message
from tests.support.mosquitto import Mosquitto, running_mosquitto, wait_until


@pytest.fixture
def broker(tmp_path):
    with running_mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def subscribe():
    """Start subscribers that are stopped afterwards."""
    started = []

    def start(port, filters=("net/+/x",), password=None, clock=None, lane=(), **settings):
        tree = MqttSettings(host="127.0.0.1", port=port, reconnect_max_s=1, **settings)
        subscriber = Subscriber(
            tree,
            password,
            [text if isinstance(text, Subscription) else Subscription(text, *lane) for text in filters],
            *([clock] if clock else []),
        )
        started.append(subscriber)
        subscriber.start()
        return subscriber

    yield start
    for subscriber in started:
        subscriber.stop()
        assert not subscriber.snapshot().thread_alive


def ready(subscriber):
    wait_until(lambda: subscriber.snapshot().subscribed)
    return subscriber


def send(broker, *messages, auth=None):
    publish.multiple(list(messages), "127.0.0.1", broker.port, auth=auth)


def failures(subscriber):
    return subscriber.snapshot().connect_failures


def take(subscriber, count):
    """Return `count` messages; a missing one fails the test by the time limit of `wait_until`."""
    messages: list[Message] = []

    def enough():
        messages.extend(subscriber.take(count - len(messages), 0.1))
        return len(messages) == count

    wait_until(enough)
    return messages


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_published_arrives_in_order_with_its_topic(broker, subscribe, protocol, qos):
    subscriber = ready(subscribe(broker.port, protocol=protocol, qos=qos, clock=lambda: 12.5))
    send(broker, *[("net/a/x", f"{n}", qos, False) for n in range(50)])
    messages = take(subscriber, 50)
    assert [message[:3] for message in messages] == [("net/a/x", b"%d" % n, 12.5) for n in range(50)]
    assert all(bool(message.packet_id) == bool(qos) for message in messages)
    state = subscriber.snapshot()
    assert (state.connected, state.thread_alive, state.reconnects_total) == (True, True, 0)
    assert state.received == {"net/+/x": 50}
    assert set(subscriber.dropped().values()) == {0}


def test_take_returns_nothing_when_nothing_comes(broker, subscribe):
    subscriber = ready(subscribe(broker.port))
    assert subscriber.take(10, 0.0) == []
    assert subscriber.take(10, -1.0) == []


def test_received_counts_by_the_first_filter_that_fits(broker, subscribe):
    subscriber = ready(subscribe(broker.port, filters=["net/+/x", "net/#", "other/+"]))
    send(broker, ("net/a/x",), ("net",), ("net/deep/er/x",), ("other/1",), ("net/b/x",))
    take(subscriber, 5)
    assert subscriber.snapshot().received == {"net/+/x": 2, "net/#": 2, "other/+": 1}


def test_when_the_last_message_came_is_known_by_filter(broker, subscribe):
    now_s = [10.0]
    subscriber = ready(subscribe(broker.port, filters=["net/#", "other/+"], clock=lambda: now_s[0]))
    assert subscriber.snapshot().heard_s == {}
    send(broker, ("net/a",))
    take(subscriber, 1)
    assert subscriber.snapshot().heard_s == {"net/#": 10.0}
    now_s[0] = 11.0
    assert subscriber.snapshot().heard_s == {"net/#": 10.0}
    send(broker, ("other/a",))
    take(subscriber, 1)
    assert subscriber.snapshot().heard_s == {"net/#": 10.0, "other/+": 11.0}


def test_it_connects_with_a_password(tmp_path, subscribe):
    with running_mosquitto(tmp_path, ("reader", "s3cret")) as broker:
        subscriber = ready(subscribe(broker.port, username="reader", password="s3cret"))
        send(broker, ("net/a/x", b"1"), auth={"username": "reader", "password": "s3cret"})
        assert take(subscriber, 1)[0].payload == b"1"


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_wrong_password_is_reported_and_tried_again_and_never_logged(tmp_path, subscribe, caplog, protocol):
    with running_mosquitto(tmp_path, ("reader", "s3cret")) as broker, caplog.at_level(logging.DEBUG):
        subscriber = subscribe(broker.port, username="reader", password="wr0ng", protocol=protocol)
        wait_until(lambda: failures(subscriber)["not_authorized"] >= 2)
        state = subscriber.snapshot()
    assert (state.connected, state.subscribed, state.thread_alive) == (False, False, True)
    # As the broker of the test ends there may be a warning more.
    (told,) = [record.facts for record in caplog.records if record.levelname == "ERROR"]
    assert told == {
        "broker": f"127.0.0.1:{broker.port}",
        "username": "reader",
        "reason": "not_authorized",
        "why": "the broker refuses (Not authorized);"
        " are mqtt.username and mqtt.password_file right, and may this user connect?",
        "attempts": 1,
    }
    assert state.failure == told["why"]
    assert "wr0ng" not in caplog.text


def test_it_starts_without_a_broker_and_finds_it_when_it_comes(tmp_path, subscribe):
    broker = Mosquitto(tmp_path)
    subscriber = subscribe(broker.port)
    wait_until(lambda: failures(subscriber)["refused"] >= 2)
    state = subscriber.snapshot()
    assert (state.connected, state.subscribed, state.thread_alive) == (False, False, True)
    broker.start()
    try:
        ready(subscriber)
        send(broker, ("net/a/x", b"1"))
        assert take(subscriber, 1)[0].payload == b"1"
        assert subscriber.snapshot().reconnects_total == 0
        assert subscriber.snapshot().failure == ""
    finally:
        broker.stop()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_broker_that_is_killed_and_comes_back_is_subscribed_to_again(broker, subscribe, protocol):
    subscriber = ready(subscribe(broker.port, protocol=protocol))
    send(broker, ("net/a/x", b"before"))
    take(subscriber, 1)
    for life in range(1, 3):
        broker.kill()
        wait_until(lambda: not subscriber.snapshot().connected)
        assert not subscriber.snapshot().subscribed
        broker.start()
        ready(subscriber)
        send(broker, ("net/a/x", b"after"))
        assert take(subscriber, 1)[0].payload == b"after"
        assert subscriber.snapshot().reconnects_total == life


def test_a_payload_above_the_limit_is_a_drop_and_the_next_one_arrives(broker, subscribe):
    subscriber = ready(subscribe(broker.port, payload_bytes_max=1000))
    send(broker, ("net/a/x", b"x" * 10_000_000), ("net/a/x", b"y" * 1001), ("net/a/x", b"z" * 1000))
    assert take(subscriber, 1)[0].payload == b"z" * 1000
    assert subscriber.dropped()[Drop.PAYLOAD_TOO_LARGE] == 2
    assert subscriber.examples() == {"payload_too_large": Example("net/a/x", "y" * 200 + "…")}
    assert subscriber.snapshot().received == {"net/+/x": 3}


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_retained_message_is_marked_and_a_live_one_with_the_flag_is_not(broker, subscribe, protocol):
    send(broker, ("net/old/x", b"stale", 0, True))
    subscriber = ready(subscribe(broker.port, protocol=protocol))
    send(broker, ("net/new/x", b"fresh", 0, True))
    messages = take(subscriber, 2)
    assert [(message.payload, message.retained) for message in messages] == [
        (b"stale", True),
        (b"fresh", False),
    ]


@pytest.mark.parametrize(
    ("overload", "reason", "kept"),
    [("drop_newest", Drop.INBOX_FULL, range(100)), ("drop_oldest", Drop.SHED, range(30, 130))],
)
def test_a_full_inbox_gives_way_as_it_is_told(broker, subscribe, overload, reason, kept):
    subscriber = ready(subscribe(broker.port, lane=(0, overload), inbox_max=100))
    send(broker, *[("net/a/x", f"{n}") for n in range(130)])
    wait_until(lambda: subscriber.dropped()[reason] == 30)
    state = subscriber.snapshot()
    assert (state.inbox_messages, state.inbox_messages_max) == (100, 100)
    assert [message.payload for message in take(subscriber, 100)] == [b"%d" % n for n in kept]
    send(broker, ("net/a/x", b"room"))
    assert take(subscriber, 1)[0].payload == b"room"


def test_a_full_inbox_that_blocks_loses_nothing(broker, subscribe):
    subscriber = ready(subscribe(broker.port, lane=(0, "block"), inbox_max=100, qos=1))
    payload = b"x" * 20_000  # more than the buffers between the two processes hold
    send(broker, *[("net/a/x", b"%04d" % n + payload, 1) for n in range(2000)])
    wait_until(lambda: subscriber.snapshot().inbox_messages >= 100)
    assert [message.payload[:4] for message in take(subscriber, 2000)] == [b"%04d" % n for n in range(2000)]
    assert set(subscriber.dropped().values()) == {0}


def test_less_important_messages_give_way_first(broker, subscribe):
    lanes = [Subscription("net/+/x", 0, "drop_oldest"), Subscription("core/+/x", 1, "drop_oldest")]
    subscriber = ready(subscribe(broker.port, filters=lanes, inbox_max=100))
    send(broker, *[(topic, f"{n}") for n in range(60) for topic in ("net/a/x", "core/a/x")])
    wait_until(lambda: sum(subscriber.snapshot().received.values()) == 120)
    wait_until(lambda: subscriber.dropped()[Drop.SHED] == 20)
    messages = take(subscriber, 100)
    assert [message.payload for message in messages[:60]] == [b"%d" % n for n in range(60)]
    assert {message.topic for message in messages[60:]} == {"net/a/x"}


def test_strange_topic_levels_arrive_as_they_are(broker, subscribe):
    subscriber = ready(subscribe(broker.port, filters=["net/#"]))
    topics = ["net//x", "net/gi0.1 (up)/\N{SNOWMAN}", "net/\U0001f4a9/[^/]*", "net/.*", "net/a|b"]
    send(broker, *[(topic, b"1") for topic in topics])
    assert [message.topic for message in take(subscriber, 5)] == topics
    assert subscriber.snapshot().received == {"net/#": 5}


def test_an_exception_on_the_way_in_loses_one_message_and_is_counted(broker, subscribe, caplog, monkeypatch):
    subscriber = ready(subscribe(broker.port, filters=["net/#"]))
    find = subscriber._reception._first_filter

    def broken(topic):
        if "bad" in topic:
            raise RuntimeError("a bug")
        return find(topic)

    monkeypatch.setattr(subscriber._reception, "_first_filter", broken)
    send(broker, *[(f"net/{level}/x", f"{n}") for n, level in enumerate(["a", "bad", "bad", "b", "a"])])
    assert [message.payload for message in take(subscriber, 3)] == [b"0", b"3", b"4"]
    state = subscriber.snapshot()
    assert (state.callback_errors_total, state.thread_alive, state.reconnects_total) == (2, True, 0)
    assert caplog.text.count("message lost") == 1


def test_two_detectors_with_default_settings_do_not_throw_each_other_out(broker, subscribe):
    first, second = ready(subscribe(broker.port)), ready(subscribe(broker.port))
    send(broker, ("net/a/x", b"1"))
    assert take(first, 1) and take(second, 1)
    assert first.snapshot().reconnects_total == second.snapshot().reconnects_total == 0


def test_stop_leaves_the_inbox_and_says_goodbye(broker, subscribe):
    subscriber = ready(subscribe(broker.port, client_id="leaving"))
    send(broker, ("net/a/x", b"1"))
    wait_until(lambda: subscriber.snapshot().inbox_messages == 1)
    subscriber.stop()
    state = subscriber.snapshot()
    assert (state.connected, state.thread_alive, state.inbox_messages) == (False, False, 1)
    assert subscriber.take(10, 0.0)[0].payload == b"1"
    wait_until(lambda: "Received DISCONNECT from leaving" in broker.log)


def test_stop_before_start_is_harmless():
    Subscriber(MqttSettings(), None, [Subscription("a")]).stop()
