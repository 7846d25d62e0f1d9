"""A last will of MQTT, from a client that is killed, through mosquitto: its device is silent at once."""

import json
import subprocess

import pytest

from detector.edge.publisher import publish_messages
from tests.support.daemon import running
from tests.support.mosquitto import running_mosquitto, wait_until
from tests.support.programs import program

START_S = 1_760_000_000
SETTINGS = """
[[streams]]
name = "load"
topic = "agents/{device}/load"
offline_topic = "agents/{device}/status"
clock = "data"
entity = ["device", "core"]
silence_s = 86000
[streams.signals]
user = {}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def daemon(broker, tmp_path_factory):
    with running(tmp_path_factory.mktemp("daemon"), SETTINGS, verb="record", broker=broker.port) as daemon:
        daemon.wait_until_ready()
        yield daemon


@pytest.fixture
def agent(broker):
    """Return a client whose last will says that r1 is offline."""
    words = ["-h", "127.0.0.1", "-p", str(broker.port), "-i", "agent-r1", "-t", "agents/r1/command"]
    will = ["--will-topic", "agents/r1/status", "--will-payload", "offline", "--will-retain"]
    with subprocess.Popen([program("mosquitto_sub"), *words, *will]) as process:
        wait_until(lambda: "Received SUBSCRIBE from agent-r1" in broker.log)
        yield process
        process.kill()


def speak(daemon, broker, after_s, *devices):
    """Publish the load of two cores of each device; return when the daemon has it."""
    before = daemon.total("detector_samples_total") or 0
    payload = json.dumps([{"core": core, "user": 1.0, "time": START_S + after_s} for core in ("0", "1")])
    messages = [(START_S, f"agents/{device}/load", payload.encode()) for device in devices]
    publish_messages(messages, host="127.0.0.1", port=broker.port, speed=0)
    daemon.wait_for_samples(before + 2 * len(devices))


def silent(daemon):
    return [one["labels"] for one in daemon.entities() if one["state"] == "silent"]


def test_a_client_that_is_killed_is_silent_at_once_and_heard_when_it_speaks_again(daemon, broker, agent):
    speak(daemon, broker, 0, "r1", "r2")
    speak(daemon, broker, 10, "r1", "r2")
    assert silent(daemon) == []
    agent.kill()
    daemon.wait_for(lambda: silent(daemon))
    assert silent(daemon) == [{"device": "r1", "core": "0"}, {"device": "r1", "core": "1"}]
    speak(daemon, broker, 20, "r1", "r2")
    speak(daemon, broker, 40, "r2")
    daemon.wait_for(lambda: not silent(daemon))
    assert daemon.total("detector_messages_dropped_total") == 0


def test_the_will_that_the_broker_stores_says_nothing_to_a_later_daemon(broker, tmp_path):
    with running(tmp_path, SETTINGS, verb="record", broker=broker.port) as daemon:
        daemon.wait_for(lambda: daemon.total("detector_messages_dropped_total", reason="retained") == 1)
        assert daemon.entities() == []
