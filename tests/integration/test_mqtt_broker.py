"""The demo's brokers carry messages from one client to another."""

from __future__ import annotations

import os
import socket
import threading
from importlib.util import find_spec

import pytest

from detector.edge.broker import demo_broker, embedded_broker, mosquitto_broker
from detector.edge.mqtt import Subscriber
from detector.edge.publisher import publish_messages
from detector.edge.reception import Subscription
from detector.mqtt_settings import MqttSettings
from tests.support.mosquitto import free_port, wait_until
from tests.support.programs import program


@pytest.fixture(params=["mosquitto", "amqtt", "whichever is there"])
def run_broker(request):
    """Each way to a broker; skipped where it is not installed."""
    if request.param == "amqtt":
        if find_spec("amqtt") is None and os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("amqtt is not installed, and REQUIRE_SERVICES=1")
        return pytest.importorskip("amqtt") and embedded_broker
    program("mosquitto")
    return mosquitto_broker if request.param == "mosquitto" else demo_broker


def test_a_demo_broker_carries_messages_and_is_gone_afterwards(run_broker):
    with run_broker() as port:
        subscriber = Subscriber(MqttSettings(host="127.0.0.1", port=port), None, [Subscription("net/+")])
        subscriber.start()
        try:
            wait_until(lambda: subscriber.snapshot().subscribed)
            sent = [(0.0, "net/a", b"%d" % n) for n in range(100)]
            assert publish_messages(sent, host="127.0.0.1", port=port, qos=1) == 100
            wait_until(lambda: subscriber.snapshot().inbox_messages == 100)
            assert [message.payload for message in subscriber.take(100, 0.0)] == [
                b"%d" % n for n in range(100)
            ]
        finally:
            subscriber.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert "broker" not in [thread.name for thread in threading.enumerate()]


def test_filters_that_cover_one_another_deliver_a_message_once(run_broker):
    """Amqtt sends a copy for each subscription that matches, as MQTT lets it."""
    filters = ["net/+/x", "net/#", "net/+/x/#"]
    with run_broker() as port:
        mqtt = MqttSettings(host="127.0.0.1", port=port)
        subscriber = Subscriber(mqtt, None, [Subscription(text) for text in filters])
        subscriber.start()
        try:
            wait_until(lambda: subscriber.snapshot().subscribed)
            sent = [(0.0, topic, b"1") for topic in ("net/a/x", "net/a/x/y", "net/b", "net/end")]
            publish_messages(sent, host="127.0.0.1", port=port, qos=1)
            topics = []

            def at_end():
                topics.extend(message.topic for message in subscriber.take(100, 0.1))
                return "net/end" in topics

            wait_until(at_end)
            assert topics == [topic for _, topic, _ in sent]
            assert subscriber.snapshot().received == {"net/+/x": 1, "net/#": 2, "net/+/x/#": 1}
            wait_until(lambda: len(subscriber._reception.canaries) == 1)
        finally:
            subscriber.stop()


def test_a_demo_broker_listens_where_it_is_told(run_broker):
    port = free_port()
    with run_broker(port) as told:
        assert told == port
        assert publish_messages([(0.0, "net/a", b"1")], host="127.0.0.1", port=port, qos=1) == 1


def test_a_port_that_is_taken_is_reported(run_broker):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"port {port}"), run_broker(port):
            pass


def test_without_any_broker_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("detector.edge.broker.find_mosquitto", lambda: None)
    monkeypatch.setattr("detector.edge.broker.find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="install mosquitto, or"):
        demo_broker()
