"""Delivery: what is acknowledged and when, what survives, which broker, how long a message is good for."""

from __future__ import annotations

import logging
import os
import socket
import time

import pytest
from paho.mqtt import publish
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from detector.edge.mqtt import Subscriber
from detector.edge.reception import Subscription
from detector.mqtt_settings import MqttSettings
from detector.stream.nouns import Drop
from tests.integration.test_mqtt_hostile import scripted_broker
from tests.support.mosquitto import Mosquitto, free_port, running_mosquitto, wait_until


@pytest.fixture
def broker(tmp_path):
    with running_mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def subscribe():
    """Start subscribers that are stopped afterwards."""
    started = []

    def start(port, lane=(), filters=("net/+/x",), **settings):
        tree = MqttSettings(host="127.0.0.1", port=port, reconnect_max_s=1, **settings)
        subscriber = Subscriber(tree, None, [Subscription(text, *lane) for text in filters])
        started.append(subscriber)
        subscriber.start()
        return subscriber

    yield start
    for subscriber in started:
        subscriber.stop()


def ready(subscriber):
    wait_until(lambda: subscriber.snapshot().subscribed)
    return subscriber


def send(port, count, qos=1, first=0, **more):
    messages = [("net/a/x", f"{n}", qos) for n in range(first, first + count)]
    publish.multiple(messages, "127.0.0.1", port, **more)


def take(subscriber, count):
    messages = []
    wait_until(lambda: messages.extend(subscriber.take(count - len(messages), 0.1)) or len(messages) == count)
    return messages


def numbers(messages):
    return [int(message.payload) for message in messages]


def send_with(port, payload, **named):
    """Publish one message with properties of MQTT 5."""
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in named.items():
        setattr(properties, name, value)
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish("net/a/x", payload, qos=1, properties=properties).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


PERSISTENT = {"persistent": True, "client_id": "keeper"}
EACH = pytest.mark.parametrize(("protocol", "qos"), [("3.1.1", 1), ("3.1.1", 2), ("5", 1), ("5", 2)])


@EACH
def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(broker, subscribe, protocol, qos):
    first = ready(subscribe(broker.port, protocol=protocol, qos=qos, **PERSISTENT))
    send(broker.port, 10, qos)
    messages = take(first, 10)
    first.acknowledge(messages[:6])
    # Under QoS 1 and 2 alike the broker has the word for the first six before the goodbye that follows it.
    first.stop()
    second = ready(subscribe(broker.port, protocol=protocol, qos=qos, **PERSISTENT))
    send(broker.port, 1, qos, first=10)
    again = take(second, 5 if qos == 1 else 1)
    if qos == 1:
        assert sorted(numbers(again)) == [6, 7, 8, 9, 10]
        assert {message.duplicate for message in again if int(message.payload) < 10} == {True}
    else:
        assert numbers(again)[-1] == 10, "paho has told the broker that it keeps those of QoS 2"


def test_what_comes_while_we_are_away_is_kept(broker, subscribe):
    first = ready(subscribe(broker.port, qos=1, **PERSISTENT))
    first.stop()
    send(broker.port, 50)
    assert numbers(take(subscribe(broker.port, qos=1, **PERSISTENT), 50)) == list(range(50))


def test_a_session_that_is_kept_loses_the_filters_that_a_new_one_covers(broker, subscribe):
    ready(subscribe(broker.port, qos=1, **PERSISTENT)).stop()
    ready(subscribe(broker.port, qos=1, filters=["net/+/x", "net/#"], **PERSISTENT))
    wait_until(lambda: "Received UNSUBSCRIBE from keeper" in broker.log)


def test_without_a_persistent_session_the_backlog_is_old_news(broker, subscribe):
    first = ready(subscribe(broker.port, qos=1, client_id="guest"))
    first.stop()
    send(broker.port, 50)
    second = ready(subscribe(broker.port, qos=1, client_id="guest"))
    send(broker.port, 1, first=50)
    assert numbers(take(second, 1)) == [50]


def test_a_word_for_a_message_of_another_connection_is_not_sent(broker, subscribe):
    subscriber = ready(subscribe(broker.port, qos=1, **PERSISTENT))
    send(broker.port, 3)
    old = take(subscriber, 3)
    broker.kill()
    wait_until(lambda: not subscriber.snapshot().connected)
    broker.start()
    ready(subscriber)
    send(broker.port, 3, first=3)
    new = take(subscriber, 3)
    assert [message.packet_id & 0xFFFF for message in old] == [message.packet_id & 0xFFFF for message in new]
    subscriber.acknowledge(old)
    subscriber.stop()
    assert numbers(take(subscribe(broker.port, qos=1, **PERSISTENT), 3)) == [3, 4, 5]


@pytest.mark.parametrize("late", [True, False])
def test_what_was_taken_and_comes_again_counts_once(broker, subscribe, late):
    """The connection ends before the word for it; that comes then, or when it has come again."""
    subscriber = ready(subscribe(broker.port, qos=1, **PERSISTENT))
    send(broker.port, 3)
    first = take(subscriber, 3)
    with socket.socket(fileno=os.dup(subscriber._conversation._client.socket().fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
    if not late:
        subscriber.acknowledge(first)
    wait_until(lambda: subscriber.dropped()[Drop.REDELIVERED] == 3)
    if late:
        subscriber.acknowledge(first)
    send(broker.port, 1, first=3)
    assert numbers(take(subscriber, 1)) == [3]
    subscriber.stop()
    assert numbers(take(subscribe(broker.port, qos=1, **PERSISTENT), 1)) == [3], "the others have the word"


def test_a_refused_message_is_acknowledged_and_blocks_nothing(broker, subscribe):
    subscriber = ready(
        subscribe(broker.port, protocol="5", qos=1, receive_max=5, payload_bytes_max=64, **PERSISTENT)
    )
    publish.multiple([("net/a/x", b"x" * 100, 1)] * 50, "127.0.0.1", broker.port)
    send(broker.port, 1)
    assert numbers(take(subscriber, 1)) == [0]
    assert subscriber.dropped()[Drop.PAYLOAD_TOO_LARGE] == 50


def test_the_broker_sends_no_more_than_receive_max_ahead(broker, subscribe):
    subscriber = ready(subscribe(broker.port, protocol="5", qos=1, receive_max=7))
    send(broker.port, 20)
    first = take(subscriber, 7)
    assert subscriber.take(1, 0.5) == []
    subscriber.acknowledge(first)  # after this, mosquitto 2.0.11 keeps to it no longer
    assert numbers(first) + numbers(take(subscriber, 13)) == list(range(20))


def test_a_message_that_nobody_wants_any_more_is_a_drop(broker, subscribe):
    subscriber = ready(subscribe(broker.port, protocol="5", qos=1))
    send_with(broker.port, b"1", MessageExpiryInterval=1)
    send_with(broker.port, b"2", MessageExpiryInterval=3600)
    wait_until(lambda: subscriber.snapshot().inbox_messages == 2)
    deadline_s = time.time() + 1.5
    wait_until(lambda: time.time() > deadline_s)
    assert numbers(take(subscriber, 1)) == [2]
    assert subscriber.dropped()[Drop.EXPIRED] == 1


def test_user_properties_come_with_the_message(broker, subscribe):
    subscriber = ready(subscribe(broker.port, protocol="5"))
    send_with(broker.port, b"1", UserProperty=[("site", "ber"), ("rack", "7")])
    assert take(subscriber, 1)[0].properties == (("site", "ber"), ("rack", "7"))


def test_a_connection_that_is_not_read_for_want_of_room_stays_alive(broker, subscribe):
    subscriber = ready(subscribe(broker.port, lane=(0, "block"), inbox_max=100, qos=1, keepalive_s=5))
    payload = b"x" * 50_000
    publish.multiple([("net/a/x", payload, 1)] * 1000, "127.0.0.1", broker.port)
    wait_until(lambda: subscriber.snapshot().inbox_messages >= 100)
    deadline_s = time.monotonic() + 9  # mosquitto waits for one and a half times the keep-alive
    wait_until(lambda: time.monotonic() > deadline_s)
    take(subscriber, 1000)
    assert subscriber.snapshot().reconnects_total == 0


# Several brokers


def test_the_next_broker_is_tried_at_once_and_the_first_one_first(tmp_path, subscribe):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = Mosquitto(tmp_path / "a"), Mosquitto(tmp_path / "b")
    second.start()
    try:
        nobody = free_port()
        subscriber = ready(
            subscribe(first.port, failover=(f"127.0.0.1:{nobody}", f"127.0.0.1:{second.port}"))
        )
        send(second.port, 1)
        take(subscriber, 1)
        first.start()
        second.kill()
        wait_until(lambda: not subscriber.snapshot().connected)
        ready(subscriber)
        send(first.port, 1)
        take(subscriber, 1)
    finally:
        first.stop()
        second.stop()


# The canary


def test_a_subscription_that_is_served_is_proven(broker, subscribe):
    subscriber = ready(subscribe(broker.port))
    wait_until(lambda: subscriber._reception.canaries)
    state = subscriber.snapshot()
    assert (state.received, state.inbox_messages, state.unserved) == ({"net/+/x": 0}, 0, ())


def test_the_canary_of_another_detector_is_not_telemetry(broker, subscribe):
    first, second = ready(subscribe(broker.port)), ready(subscribe(broker.port))
    wait_until(lambda: len(first._reception.canaries) == 2)
    assert first.snapshot().received == second.snapshot().received == {"net/+/x": 0}


def test_a_broker_that_grants_and_does_not_deliver_is_told_with_the_filter(subscribe, caplog, monkeypatch):
    monkeypatch.setattr("detector.edge.canary.WAIT_S", 0.5)
    with scripted_broker([b""]) as port, caplog.at_level(logging.ERROR):
        subscriber = ready(subscribe(port))
        wait_until(lambda: subscriber.snapshot().unserved == ("net/+/x",))
        assert caplog.text.count("subscription unserved") == 1
        assert "filter='net/+/x'" in caplog.text
        subscriber.stop()


def test_a_reader_that_is_thrown_out_for_its_canary_publishes_no_more_and_stays(tmp_path, subscribe, caplog):
    (tmp_path / "acl").write_text("topic read #\nuser agent\ntopic write #\n")
    broker = Mosquitto(tmp_path, options=(f"acl_file {tmp_path}/acl",))
    broker.start()
    try:
        subscriber = subscribe(broker.port)
        wait_until(lambda: "canary unwelcome" in caplog.text)
        ready(subscriber)
        send(broker.port, 3, auth={"username": "agent", "password": None})
        assert numbers(take(subscriber, 3)) == [0, 1, 2]
        assert subscriber.snapshot().reconnects_total == 2
        assert (caplog.text.count("unreachable"), caplog.text.count("canary unwelcome")) == (0, 1)
    finally:
        broker.stop()


def test_without_the_canary_nothing_is_published(broker, subscribe):
    ready(subscribe(broker.port, canary=False, client_id="silent")).stop()
    wait_until(lambda: "Received DISCONNECT from silent" in broker.log)
    assert "PUBLISH from silent" not in broker.log


def test_what_we_are_to_publish_is_published(broker, subscribe):
    subscriber = ready(subscribe(broker.port))
    subscriber.publish([("net/b/x", b"again")])
    assert take(subscriber, 1)[0][:2] == ("net/b/x", b"again")


def test_an_end_of_reading_leaves_time_for_the_last_words(broker, subscribe):
    subscriber = ready(subscribe(broker.port, qos=1, **PERSISTENT))
    send(broker.port, 5)
    wait_until(lambda: subscriber.snapshot().inbox_messages == 5)
    subscriber.stop_reading()
    wait_until(lambda: subscriber._conversation.blocked)
    send(broker.port, 5, first=5)
    subscriber.acknowledge(take(subscriber, 5))
    subscriber.stop()
    assert numbers(take(subscribe(broker.port, qos=1, **PERSISTENT), 5)) == [5, 6, 7, 8, 9]


def test_a_port_that_nobody_listens_on_is_no_connection(subscribe):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        subscriber = subscribe(taken.getsockname()[1])
        assert not subscriber.snapshot().connected
