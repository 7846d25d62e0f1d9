"""A dataset becomes messages on a real broker."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from detector.edge.mqtt import Subscriber
from detector.edge.publisher import PACE_S, UNACKNOWLEDGED_MAX, publish_messages
from detector.edge.reception import Subscription
from detector.edge.replay import publish
from detector.mqtt_settings import MqttSettings
from tests.support.mosquitto import free_port, running_mosquitto, wait_until

TEMPLATE = "telegraf/{device}/interfaces"


@pytest.fixture
def broker(tmp_path):
    with running_mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def subscriber(broker):
    listening = Subscriber(MqttSettings(host="127.0.0.1", port=broker.port, qos=1), None, [Subscription("#")])
    listening.start()
    wait_until(lambda: listening.snapshot().subscribed)
    yield listening
    listening.stop()


def received(subscriber, count):
    wait_until(lambda: subscriber.snapshot().inbox_messages == count)
    return subscriber.take(count, 0.0)


def numbered(count, step_s=0.0):
    return ((n * step_s, "net/a", b"%d" % n) for n in range(count))


def dataset():
    """Return three rows out of order, one of them without a value."""
    return pa.table(
        {
            "time": [1_700_000_020.5, 1_700_000_000.0, 1_700_000_010.0],
            "device": ["leaf1", "leaf1", "leaf2"],
            "octets": pa.array([2**60 + 1, 5, None], pa.int64()),
            "load": [0.5, None, None],
            "train": [False, True, True],
        }
    )


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_dataset_is_published_in_time_order_with_its_own_times(broker, subscriber, tmp_path, suffix):
    folder = tmp_path / "data" / "day"
    folder.mkdir(parents=True)
    (csv.write_csv if suffix == "csv" else parquet.write_table)(dataset(), folder / f"part.{suffix}")
    published = publish(
        tmp_path / "data",
        TEMPLATE,
        "telegraf-json",
        "interfaces",
        host="127.0.0.1",
        port=broker.port,
        speed=0,
    )
    assert published == 2
    first, second = received(subscriber, 2)
    assert (first.topic, second.topic) == ("telegraf/leaf1/interfaces",) * 2
    assert first.payload == (
        b'{"fields":{"octets":5},"name":"interfaces","tags":{"device":"leaf1"},"timestamp":1700000000}'
    )
    assert second.payload == (
        b'{"fields":{"octets":1152921504606846977,"load":0.5},"name":"interfaces",'
        b'"tags":{"device":"leaf1"},"timestamp":1700000020.5}'
    )


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_message_arrives_in_order_at_full_speed(broker, subscriber, qos):
    count = 3 * UNACKNOWLEDGED_MAX
    assert publish_messages(numbered(count), host="127.0.0.1", port=broker.port, qos=qos, speed=0) == count
    assert [int(message.payload) for message in received(subscriber, count)] == list(range(count))


def test_nothing_to_publish_is_no_error(broker):
    assert publish_messages([], host="127.0.0.1", port=broker.port) == 0


def test_no_message_is_early(broker):
    begun_s = time.monotonic()
    left_s = []

    def watched():
        for message in numbered(100, step_s=0.5):
            yield message
            left_s.append(time.monotonic() - begun_s)

    publish_messages(watched(), host="127.0.0.1", port=broker.port, speed=100)
    assert all(left >= n * 0.5 / 100 - PACE_S for n, left in enumerate(left_s))
    assert len(left_s) == 100


@pytest.mark.parametrize("speed", [0, float("inf")])
def test_speed_zero_and_infinity_do_not_wait(broker, speed):
    years = [(0.0, "a", b"1"), (1e9, "a", b"2")]
    assert publish_messages(years, host="127.0.0.1", port=broker.port, speed=speed) == 2


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"speed": -1.0}, "speed is -1.0; want a speed of at least 0"),
        ({"speed": float("nan")}, "speed is nan; want a speed of at least 0"),
        ({"qos": 3}, "qos is 3; want 0, 1 or 2"),
    ],
)
def test_a_speed_or_a_quality_that_is_none_is_refused(wrong, problem):
    with pytest.raises(ValueError, match=problem):
        publish_messages([], **wrong)


def test_a_broker_that_is_not_there_is_a_connection_error():
    port = free_port()
    with pytest.raises(
        ConnectionError, match=f"no connection to the broker at 127.0.0.1:{port}: nobody listens"
    ):
        publish_messages(numbered(1), host="127.0.0.1", port=port)


def test_a_broker_that_refuses_is_a_connection_error_that_says_so(tmp_path):
    with running_mosquitto(tmp_path, ("writer", "s3cret")) as broker:
        address = {"host": "127.0.0.1", "port": broker.port, "username": "writer"}
        with pytest.raises(ConnectionError, match=r"refuses \(Not authorized\)"):
            publish_messages(numbered(1), **address, password="wr0ng")
        assert publish_messages(numbered(1), **address, password="s3cret") == 1


@pytest.mark.parametrize("qos", [0, 1])
def test_a_broker_that_dies_ends_the_replay_with_a_connection_error(broker, qos):
    def endless():
        yield from numbered(10)
        broker.kill()
        while True:
            yield 0.0, "net/a", b"into the void"

    with pytest.raises(ConnectionError):
        publish_messages(endless(), host="127.0.0.1", port=broker.port, qos=qos, speed=0)
