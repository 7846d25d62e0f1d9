"""A Sparkplug edge that is not of our making, mosquitto and `detector record`: one life, told in order."""

import signal

import pyarrow.parquet as pq
import pytest

from tests.support.daemon import running
from tests.support.mosquitto import running_mosquitto
from tests.support.sparkplug_edge import running_edge

SETTINGS = """
[[streams]]
name = "pumps"
topic = "spBv1.0/#"
format = "sparkplug"
clock = "data"
entity = ["group", "node", "device"]
[streams.signals.temperature]
field = "Inlet/Temperature"
[streams.signals.level]
field = "Level"
[streams.signals.pulses]
field = "Pulses"
kind = "counter"
[streams.signals.state]
field = "State"
words = { running = 1, stopped = 0 }
"""
SIGNALS = ("temperature", "level", "pulses", "state")
START_S = 1_760_000_000
"""The time of the births' values. Data come every 10 s after it."""
IN_BIRTHS = 8
"""Samples in the births of both pumps."""


class Story:
    """Edge, broker and daemon; what the edge publishes is counted by the daemon before the story goes on."""

    def __init__(self, edge, daemon):
        self.edge, self.daemon = edge, daemon
        self.samples = 0

    def data(self, after_s, device="d1", **values):
        """Publish values; return when the daemon has them."""
        named = {"temperature": "Inlet/Temperature"}
        metrics = {named.get(name, name.title()): value for name, value in values.items()}
        self.edge.do("data", device, (START_S + after_s) * 1000, metrics)
        self.samples += len(values)
        self.daemon.wait_for_samples(self.samples)

    def births(self):
        """Wait until the births that were asked for have come."""
        self.edge.wait_until_born()
        self.samples += IN_BIRTHS
        self.daemon.wait_for_samples(self.samples)

    def total(self, name, **labels):
        return self.daemon.total(f"detector_{name}", **labels)

    def wait_for_silent(self, count):
        self.daemon.wait_for(lambda: self.total("entities", state="silent") == count)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Return where the daemon runs."""
    return tmp_path_factory.mktemp("daemon")


@pytest.fixture(scope="module")
def story(directory, tmp_path_factory):
    with (
        running_mosquitto(tmp_path_factory.mktemp("broker")) as broker,
        running_edge(broker.port, START_S * 1000) as edge,
        running(directory, SETTINGS, verb="record", broker=broker.port) as daemon,
    ):
        daemon.wait_until_ready()
        yield Story(edge, daemon)


# The tests of this file are the chapters of one story, in this order.


def test_data_by_alias_before_any_birth_are_dropped_and_the_births_asked_for(story):
    story.edge.do("data", "d1", START_S * 1000, {"Level": 99})
    story.births()
    assert story.total("messages_dropped_total", reason="alias_unknown") == 1
    assert story.total("entities") == 2


def test_after_the_births_data_by_alias_are_read(story):
    story.data(10, temperature=21.5, level=-300, pulses=5000, state="running")
    story.data(10, "d2", temperature=18.25, level=5)
    story.data(20, temperature=22.0, pulses=10 * 2**40 + 5000, level=-(2**15))
    assert story.total("messages_dropped_total", reason="alias_unknown") == 1
    assert story.total("messages_missed_total") == 0


def test_historical_values_are_counted_and_kept_out(story):
    story.edge.do("history", "d1", (START_S + 20) * 1000, {"Level": 1, "State": "stopped"})
    story.data(30, state="stopped")
    assert story.total("samples_dropped_total", reason="historical") == 2


def test_a_message_that_never_came_is_counted_and_a_birth_ends_the_doubts(story):
    story.edge.do("lose")
    story.edge.do("data", "d2", (START_S + 40) * 1000, {"Inlet/Temperature": 99.0})
    story.daemon.wait_for(lambda: story.total("messages_missed_total") == 1)
    assert story.total("messages_dropped_total", reason="alias_unknown") == 2
    story.edge.be_born()
    story.samples += IN_BIRTHS
    story.data(40, "d2", temperature=18.5)


def test_the_death_of_a_pump_silences_it_until_it_is_born_again(story):
    story.edge.do("death", "d1", (START_S + 40) * 1000)
    story.wait_for_silent(1)
    story.data(50, "d2", level=6)
    story.edge.do("device", "d1")
    story.samples += IN_BIRTHS // 2
    story.data(60, level=7)
    story.data(80, "d2", level=8)
    story.wait_for_silent(0)


def test_when_the_edge_is_killed_its_will_silences_both(story):
    story.edge.die()
    story.wait_for_silent(2)


def test_the_recording_holds_what_the_edge_meant(story, directory):
    story.daemon.signal(signal.SIGTERM)
    assert story.daemon.wait() == 0
    assert "Traceback" not in story.daemon.log
    rows = pq.read_table(directory / "recordings" / "pumps").to_pylist()
    steps = {}
    for row in rows:
        assert (row["group"], row["node"]) == ("g1", "n1")
        seen = {name: row[name] for name in SIGNALS if row[name] is not None}
        steps[round(row["time"] - START_S), row["device"]] = seen
    assert steps == {
        (0, "d1"): {"temperature": 20.0, "level": 0.0, "state": 0.0},
        (0, "d2"): {"temperature": 20.0, "level": 0.0, "state": 0.0},
        (10, "d1"): {"temperature": 21.5, "level": -300.0, "pulses": 500.0, "state": 1.0},
        (10, "d2"): {"temperature": 18.25, "level": 5.0},
        (20, "d1"): {"temperature": 22.0, "level": -32768.0, "pulses": 2.0**40},
        (30, "d1"): {"state": 0.0},
        (40, "d2"): {"temperature": 18.5},
        (50, "d2"): {"level": 6.0},
        (60, "d1"): {"level": 7.0},
    }
