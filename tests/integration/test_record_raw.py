"""`detector record --raw`: what a broker may forget is on the disk, and comes back as it was."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import Counter

import pyarrow.parquet as pq
import pytest

from detector.edge.capture import Skip, read_capture
from detector.edge.mqtt import Subscriber
from detector.edge.publisher import publish_messages
from detector.edge.reception import Subscription
from detector.mqtt_settings import MqttSettings
from tests.support.daemon import detector, running
from tests.support.mosquitto import running_mosquitto, wait_until

SETTINGS = """
[mqtt]
qos = 1
persistent = true
client_id = "recorder"
[record]
flush_s = 0.5
[[streams]]
name = "numbers"
topic = "net/{device}/number"
format = "value"
entity = ["device"]
step_s = 0.2
overload = "block"
[streams.signals]
number = {}
"""
COUNT = 6000
KILLS = 4
STRANGE = [
    ("net/a/number", b"1.5"),
    ("net/b c/number", b"\xff\0\n"),
    ("net/\xfc/number", "ö".encode()),
    ("net/d/number", b""),
    ("net/e/number", bytes(range(256)) * 100),
]


@pytest.fixture
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


def captured(directory):
    """Return the messages of all captures, file by file, and what was skipped."""
    skipped = Counter()
    paths = sorted(directory.rglob("*.ndjson"))
    return [message for path in paths for message in read_capture(path, skipped)], skipped


def numbers(directory):
    return Counter(int(message.payload) for message in captured(directory)[0])


def numbered(count):
    return [(0.0, "net/a/number", b"%d" % n) for n in range(count)]


def publish(broker, published, **options):
    publish_messages(published, host="127.0.0.1", port=broker.port, qos=1, speed=0, **options)


def test_what_was_recorded_comes_back_byte_by_byte(broker, tmp_path):
    with running(tmp_path, SETTINGS, "--raw", verb="record", broker=broker.port) as daemon:
        daemon.wait_until_ready()
        publish(broker, [(0.0, *one) for one in STRANGE])
        daemon.wait_for(lambda: daemon.total("detector_recorded_raw_messages_total") == len(STRANGE))
        messages, skipped = captured(tmp_path / "recordings")
        assert ([(one.topic, one.payload) for one in messages], skipped) == (STRANGE, {})
        assert {(one.qos, one.retained, one.duplicate) for one in messages} == {(1, False, False)}
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert f"info recorded messages={len(STRANGE)} directory={tmp_path}/recordings/_raw" in daemon.log
    settings = MqttSettings(host="127.0.0.1", port=broker.port, qos=1)
    listening = Subscriber(settings, None, [Subscription("net/#")])
    listening.start()
    wait_until(lambda: listening.snapshot().subscribed)
    raw = tmp_path / "recordings" / "_raw"
    said = detector("replay", raw, "--mqtt.host", "127.0.0.1", "--mqtt.port", broker.port, "--speed", 0)
    assert said.stderr == f"{len(STRANGE)} messages published\n"
    wait_until(lambda: listening.snapshot().inbox_messages == len(STRANGE))
    again = listening.take(len(STRANGE), 0.0)
    listening.stop()
    assert [(one.topic, one.payload, one.qos) for one in again] == [(*one, 1) for one in STRANGE]


def test_kills_cost_no_message_and_what_is_twice_is_known_as_such(broker, tmp_path):
    publishing = threading.Thread(target=publish, args=(broker, numbered(COUNT)))
    recorded = tmp_path / "recordings"
    for life in range(KILLS + 1):
        with running(tmp_path, SETTINGS, "--raw", verb="record", broker=broker.port) as daemon:
            daemon.wait_until_ready()
            if not life:  # the session is there
                publishing.start()
            wanted = COUNT * (life + 1) // (KILLS + 1)
            daemon.wait_for(lambda count=wanted: len(numbers(recorded)) >= count)
            daemon.signal(signal.SIGKILL)
            daemon.process.wait()
    publishing.join()
    messages, skipped = captured(recorded)
    assert set(numbers(recorded)) == set(range(COUNT))
    assert skipped.keys() <= {Skip.TORN}
    seen = set()
    for message in sorted(messages, key=lambda one: one.arrival_s):
        assert message.duplicate or message.payload not in seen, message
        seen.add(message.payload)
    for path in (recorded / "numbers").rglob("[!.]*.parquet"):
        assert pq.read_table(path).num_rows


@contextlib.contextmanager
def obstructed(broker, directory):
    """A recorder that cannot write messages, and what is in the way."""
    with running(directory, SETTINGS, "--raw", verb="record", broker=broker.port) as daemon:
        daemon.wait_until_ready()
        obstacle = directory / "recordings" / "_raw"
        obstacle.rmdir()
        obstacle.write_text("in the place of the directory")
        yield daemon, obstacle


def test_what_the_disk_does_not_take_waits_for_it(broker, tmp_path):
    with obstructed(broker, tmp_path) as (daemon, obstacle):
        publish(broker, numbered(500))
        daemon.wait_for(lambda: 'error "messages not recorded, waiting"' in daemon.log)
        daemon.wait_for(lambda: daemon.total("detector_recorded_raw_errors_total") >= 3)
        assert daemon.total("detector_samples_total") == 0, "nobody sees what is not on the disk"
        obstacle.unlink()
        daemon.wait_for(lambda: daemon.total("detector_recorded_raw_messages_total") == 500)
        assert numbers(tmp_path / "recordings") == dict.fromkeys(range(500), 1)
        assert daemon.log.count("messages not recorded, waiting") == 1
        assert 'info "messages recorded again"' in daemon.log


def test_what_never_got_to_the_disk_is_told_at_the_end_and_delivered_again(broker, tmp_path):
    with obstructed(broker, tmp_path) as (daemon, obstacle):
        publish(broker, numbered(100))
        daemon.wait_for(lambda: daemon.total("detector_messages_received_total") == 100)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert 'error "messages not recorded" messages=' in daemon.log
    obstacle.unlink()
    with running(tmp_path, SETTINGS, "--raw", verb="record", broker=broker.port) as daemon:
        daemon.wait_for(lambda: set(numbers(tmp_path / "recordings")) == set(range(100)))


def test_a_directory_that_cannot_be_written_is_wrong_settings(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "_raw").write_text("in the place of the directory")
    with running(tmp_path, SETTINGS, "--raw", verb="record") as daemon:
        assert daemon.wait() == 78
        assert "record.directory: " in daemon.log


def test_without_the_flag_no_message_is_written(broker, tmp_path):
    with running(tmp_path, SETTINGS, verb="record", broker=broker.port) as daemon:
        daemon.wait_until_ready()
        publish(broker, numbered(10))
        daemon.wait_for(lambda: daemon.total("detector_samples_total") == 10)
        assert daemon.total("detector_recorded_raw_messages_total") is None
        assert not (tmp_path / "recordings" / "_raw").exists()
