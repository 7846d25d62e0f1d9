"""The subscriber against brokers that misbehave: a few scripted bytes over a real socket."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from itertools import chain, repeat
from threading import Thread

import pytest

from detector.edge.mqtt import Subscriber
from detector.edge.outbox import ENDINGS_MAX, Outbox
from detector.edge.reception import Subscription
from detector.edge.session import Presence, backoff_s
from detector.mqtt_settings import MqttSettings
from detector.stream.nouns import Drop
from tests.support.mosquitto import wait_until
from tests.support.servers import serving

CONNACK = b"\x20\x02\x00\x00"


def publish_packet(topic, payload):
    body = len(topic).to_bytes(2, "big") + topic + payload
    assert len(body) < 128
    return b"\x30" + bytes([len(body)]) + body


def read_packet(connection):
    """Return the body of the client's next packet; all of them are short."""
    head = connection.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        raise ConnectionError("client has gone")
    return connection.recv(head[1], socket.MSG_WAITALL)


@contextmanager
def scripted_broker(after_subscribe, suback=b"\x00"):
    """A broker that answers CONNECT and SUBSCRIBE, sends some bytes, and waits for the client to leave.

    Yields the port. The bytes of connection `n` are `after_subscribe[n]`; the last ones serve all others.
    """
    scripts = chain(after_subscribe, repeat(after_subscribe[-1]))

    def serve_one(connection):
        read_packet(connection)
        connection.sendall(CONNACK)
        body = read_packet(connection)
        connection.sendall(b"\x90" + bytes([2 + len(suback)]) + body[:2] + suback)
        connection.sendall(next(scripts))
        while connection.recv(1000):
            pass

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    serve_one(connection)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def subscribed_to(port, filters=("#",), host="127.0.0.1"):
    subscriber = Subscriber(
        MqttSettings(host=host, port=port, reconnect_max_s=1), None, [Subscription(text) for text in filters]
    )
    subscriber.start()
    try:
        yield subscriber
    finally:
        subscriber.stop()


def test_a_topic_that_is_not_utf8_is_a_drop_and_the_next_message_arrives():
    data = publish_packet(b"net/\xff\xfe", b"1") + publish_packet(b"net/a", b"2")
    with scripted_broker([data]) as port, subscribed_to(port) as subscriber:
        assert [message.payload for message in subscriber.take(2, 30.0)] == [b"2"]
        assert subscriber.dropped()[Drop.NOT_UTF8] == 1
        assert subscriber.snapshot().reconnects_total == 0


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"\x30\x01\x00", id="a publish of one byte"),
        pytest.param(b"\x30\x04\x00\x09ab", id="a topic longer than its packet"),
        pytest.param(b"\x30\xff\xff\xff\xff\xff", id="a length of five bytes"),
        pytest.param(b"\x00\x00", id="a packet type that does not exist"),
    ],
)
def test_broken_bytes_cost_the_connection_and_never_the_thread(broken):
    ahead, behind = publish_packet(b"a", b"ahead"), publish_packet(b"a", b"behind")
    with scripted_broker([ahead + broken, behind]) as port, subscribed_to(port) as subscriber:
        assert subscriber.take(1, 30.0)[0].payload == b"ahead"
        assert subscriber.take(1, 30.0)[0].payload == b"behind"
        assert subscriber.snapshot().reconnects_total == 1
        assert subscriber.snapshot().thread_alive


def allowing_no_publish(connection):
    """Answer a client, and hang up without a word when it publishes."""
    while True:
        head = connection.recv(2, socket.MSG_WAITALL)
        if len(head) < 2:
            return
        body = connection.recv(head[1], socket.MSG_WAITALL)
        if head[:1] == b"\x10":
            connection.sendall(CONNACK)
        elif head[:1] == b"\x82":
            connection.sendall(b"\x90\x03" + body[:2] + b"\x01")
        elif head[0] >> 4 == 3:
            return


def test_a_broker_that_hangs_up_on_who_publishes_costs_a_few_connections_and_the_alarms():
    outbox = Outbox(1, Presence("status", b"online", b"offline", 1))
    with serving(allowing_no_publish) as port:
        settings = MqttSettings(host="127.0.0.1", port=port, reconnect_max_s=1, canary=False)
        subscriber = Subscriber(settings, None, [Subscription("a")], outbox=outbox)
        subscriber.start()
        try:
            wait_until(lambda: outbox.refused_total == 1)
            subscriber.publish_retained([("alarms/1", b"{}")])
            wait_until(lambda: subscriber.snapshot().subscribed)
            connects = subscriber.snapshot().reconnects_total
            with pytest.raises(AssertionError, match="did not become true"):
                wait_until(lambda: subscriber.snapshot().reconnects_total > connects, 2.5)
            assert subscriber.snapshot().subscribed
            assert (connects, len(outbox)) == (ENDINGS_MAX, 1)
        finally:
            subscriber.stop()


def test_a_host_that_is_no_name_is_reported_and_never_costs_the_thread():
    with subscribed_to(1883, host="no..name") as subscriber:
        wait_until(lambda: subscriber.snapshot().connect_failures["name_unresolved"] >= 2)
        state = subscriber.snapshot()
    assert state.thread_alive
    assert "mqtt.host" in state.failure


def test_a_refused_subscription_is_reported_with_its_filter(caplog):
    filters = ["granted/+", "forbidden/+"]
    with scripted_broker([b""], suback=b"\x00\x80") as port, subscribed_to(port, filters) as subscriber:
        wait_until(lambda: "subscription refused" in caplog.text)
        state = subscriber.snapshot()
    assert (state.connected, state.subscribed) == (True, False)
    assert "filter='forbidden/+'" in caplog.text
    assert "filter='granted/+'" not in caplog.text


def test_filters_must_be_there_and_differ():
    for filters in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="topic filters"):
            Subscriber(MqttSettings(), None, [Subscription(text) for text in filters])


def test_the_back_off_doubles_its_range_up_to_the_limit():
    def highest(failures):
        return max(backoff_s(failures, 10.0) for _ in range(2000))

    assert [round(highest(failures)) for failures in (0, 1, 2, 3, 4, 5, 10_000)] == [1, 1, 2, 4, 8, 10, 10]


def test_the_back_off_is_spread_over_its_whole_range():
    lowest = min(backoff_s(10, 10.0) for _ in range(2000))
    assert 0.0 <= lowest < 0.1
