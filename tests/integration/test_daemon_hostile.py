"""What anybody may publish: each payload is counted under its reason, and the next good one is taken."""

import orjson
import pytest

from detector.edge.publisher import publish_messages
from tests.support.bundles import LIVE_S
from tests.support.daemon import running
from tests.support.mosquitto import running_mosquitto

TOPIC = "telegraf/leaf1/devices"
MESSAGE, SAMPLE = "detector_messages_dropped_total", "detector_samples_dropped_total"


def record(value=1.0, **changes):
    """Return a good payload, but for the changes."""
    good = {"fields": {"routes": value}, "name": "devices", "tags": {}, "timestamp": LIVE_S}
    return orjson.dumps({**good, **changes})


def spelled(value):
    """Return a payload with a number as JSON cannot or should not write it."""
    return record("VALUE").replace(b'"VALUE"', value)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def daemon(fabric, broker, tmp_path_factory):
    settings = fabric.settings(bundles=False)
    with running(tmp_path_factory.mktemp("daemon"), settings, broker=broker.port) as daemon:
        daemon.wait_until_ready()
        yield daemon


@pytest.fixture
def publish(broker):
    """Return a function that publishes (topic, payload) in order, each acknowledged by the broker."""

    def send(*sent):
        published = [(0.0, topic, payload) for topic, payload in sent]
        publish_messages(published, host="127.0.0.1", port=broker.port, qos=1, speed=0)

    return send


@pytest.mark.parametrize(
    ("payload", "name", "reason"),
    [
        pytest.param(b"", MESSAGE, "payload_empty", id="empty"),
        pytest.param(b'{"fields": "\xff\xfe"}', MESSAGE, "not_utf8", id="not UTF-8"),
        pytest.param(b'{"fields": {"routes": 1', MESSAGE, "not_json", id="cut off"),
        pytest.param(record(filler="x" * 10_000_000), MESSAGE, "payload_too_large", id="10 MB"),
        pytest.param(b"[" * 10_000 + b"]" * 10_000, MESSAGE, "nested_too_deep", id="10,000 deep"),
        pytest.param(b"42", MESSAGE, "wrong_shape", id="a number"),
        pytest.param(record(fields=[1, 2]), MESSAGE, "wrong_shape", id="fields in an array"),
        pytest.param(record(fields={"uptime": 1}), MESSAGE, "no_signal", id="no signal of the stream"),
        pytest.param(record(timestamp="yesterday"), MESSAGE, "time_unreadable", id="a time that is none"),
        pytest.param(spelled(b"NaN"), SAMPLE, "not_finite", id="NaN"),
        pytest.param(spelled(b"-Infinity"), SAMPLE, "not_finite", id="minus infinity"),
        pytest.param(spelled(b"1e999"), SAMPLE, "not_finite", id="beyond a float"),
        pytest.param(record("many"), SAMPLE, "not_a_number", id="text for a number"),
        pytest.param(record({"a": [None]}), SAMPLE, "not_a_number", id="an object for a number"),
        pytest.param(record(timestamp=LIVE_S + 9e6), SAMPLE, "time_future", id="months ahead"),
        pytest.param(record(timestamp=LIVE_S - 9e6), SAMPLE, "time_old", id="months old"),
    ],
)
def test_a_hostile_payload_is_counted_and_the_next_good_message_is_taken(
    daemon, publish, payload, name, reason
):
    publish((TOPIC, record()))
    daemon.wait_for(lambda: daemon.total("detector_samples_total", stream="devices") > 0)
    dropped, taken = daemon.total(name, reason=reason), daemon.total("detector_samples_total")
    publish((TOPIC, payload), (TOPIC, record()))
    daemon.wait_for(lambda: daemon.total("detector_samples_total") > taken)
    daemon.wait_for(lambda: daemon.total(name, reason=reason) == dropped + 1)
    assert daemon.get("/-/ready")[0] == 200


def test_an_empty_level_of_a_topic_names_no_device(daemon, publish):
    dropped = daemon.total(MESSAGE, reason="entity_missing")
    publish(("telegraf//devices", record()))
    daemon.wait_for(lambda: daemon.total(MESSAGE, reason="entity_missing") == dropped + 1)


def test_a_topic_of_no_stream_never_arrives(daemon, publish):
    received = daemon.total("detector_messages_received_total")
    publish(("telegraf/leaf1/unknown", record()), (TOPIC, record()))
    daemon.wait_for(lambda: daemon.total("detector_messages_received_total") > received)
    assert daemon.total("detector_messages_received_total") == received + 1


def test_ten_thousand_messages_good_and_bad_are_no_line_in_the_log(daemon, publish):
    lines = daemon.log.splitlines()
    received = daemon.total("detector_messages_received_total")
    publish(*[(TOPIC, record()), (TOPIC, b"{")] * 5_000)
    daemon.wait_for(lambda: daemon.total("detector_messages_received_total") == received + 10_000)
    daemon.wait_for(lambda: daemon.total("detector_inbox_messages") == 0)
    assert daemon.log.splitlines() == lines


def test_a_gauge_that_was_declared_a_counter_is_named_once_and_counted(daemon, publish):
    name = "bgp_updates_received"
    times_s = [LIVE_S + 10 * index for index in range(100)]
    publish(
        *(
            (TOPIC, record(fields={name: 100 * (index % 2)}, timestamp=time_s))
            for index, time_s in enumerate(times_s)
        )
    )
    resets = {"stream": "devices", "signal": name, "reason": "reset"}
    daemon.wait_for(lambda: (daemon.total("detector_counter_resets_total", **resets) or 0) >= 40)
    daemon.wait_for(lambda: "counter falls like a gauge" in daemon.log)
    assert daemon.log.count("counter falls like a gauge") == 1
    assert daemon.total("detector_counter_resets_total", reason="restart") == 0
