"""Debian's collectd publishes this machine's interfaces; they are recorded, trained on and scored."""

import math
import re
import signal
import socket
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from detector.stream.decode.collectd import SOURCES
from tests.support.collectd import TYPES_DB, running_collectd
from tests.support.daemon import detector, running
from tests.support.mosquitto import running_mosquitto
from tests.support.programs import program

HOST = "r1"
STEP_S = 0.2
WINDOW_STEPS = 8
ROWS = 100  # of all interfaces: a fifth more than the trainer asks for
BURST_BYTES = 20 * 50_000
NET = Path("/sys/class/net")
SIGNALS = {
    "in_octets": "rx_bytes",
    "out_octets": "tx_bytes",
    "in_packets": "rx_packets",
    "out_packets": "tx_packets",
}
SETTINGS = """
[[streams]]
name = "interfaces"
topic = "collectd/{device}/+/+"
format = "collectd"
entity = ["device", "interface"]
step_s = 0.2
window_steps = 8
bundle = "bundle"
[streams.payload]
labels = { interface = "plugin_instance" }
[streams.signals]
in_octets = { kind = "counter", field = "if_octets.rx" }
out_octets = { kind = "counter", field = "if_octets.tx" }
in_packets = { kind = "counter", field = "if_packets.rx" }
out_packets = { kind = "counter", field = "if_packets.tx" }
"""


def interfaces():
    return sorted(path.name for path in NET.iterdir() if (path / "statistics").is_dir())


def counters(interface):
    """Return what the kernel has counted, by signal."""
    directory = NET / interface / "statistics"
    return {name: int((directory / file).read_text()) for name, file in SIGNALS.items()}


def burst():
    """Send a known number of bytes over the loopback interface."""
    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        for _ in range(20):
            sender.sendto(bytes(BURST_BYTES // 20), receiver.getsockname())


def test_the_data_sources_are_those_of_types_db():
    program("collectd")
    lines = (line.split(maxsplit=1) for line in TYPES_DB.read_text().splitlines() if line[:1].isalpha())
    known = {name: re.findall(r"(\w+):[A-Z]+:", sources) for name, sources in lines}
    assert {name: tuple(known[name]) for name in SOURCES} == SOURCES


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    program("collectd")
    directory = tmp_path_factory.mktemp("collectd")
    with (
        running_mosquitto(tmp_path_factory.mktemp("broker")) as broker,
        running_collectd(directory, broker.port, HOST, STEP_S / 2) as log_path,
    ):
        yield broker
    assert "error" not in log_path.read_text().lower()


@pytest.fixture(scope="module")
def recorded(broker, tmp_path_factory):
    """Return the folder of the recording, and what the kernel counted before and after, by interface."""
    directory = tmp_path_factory.mktemp("record")
    steps = math.ceil(ROWS / len(interfaces())) + WINDOW_STEPS
    samples = 2 * steps * len(interfaces()) * len(SIGNALS)
    before = {name: counters(name) for name in interfaces()}
    with running(directory, SETTINGS, verb="record", broker=broker.port) as daemon:
        daemon.wait_until_ready()
        daemon.wait_for(lambda: (daemon.total("detector_samples_total") or 0) > samples / 2)
        burst()
        daemon.wait_for(lambda: daemon.total("detector_samples_total") > samples)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    after = {name: counters(name) for name in interfaces()}
    return directory / "recordings" / "interfaces", before, after


def test_every_interface_is_recorded_with_the_rates_that_the_kernel_counted(recorded):
    directory, before, after = recorded
    table = pq.read_table(directory)
    assert pc.unique(table["device"]).to_pylist() == [HOST]
    assert sorted(pc.unique(table["interface"]).to_pylist()) == interfaces()
    for name in interfaces():
        rows = table.filter(pc.equal(table["interface"], name))
        for column in SIGNALS:
            rates = rows[column].drop_null().to_numpy()
            assert len(rates) > ROWS / len(interfaces()) / 2
            assert rates.min() >= 0
            counted = after[name][column] - before[name][column]
            assert (rates * STEP_S).sum() <= counted * 1.02 + 1


def test_what_went_over_loopback_is_in_the_recording(recorded):
    table = pq.read_table(recorded[0])
    rows = table.filter(pc.equal(table["interface"], "lo"))
    octets_in, octets_out = (rows[name].drop_null().to_numpy() for name in ("in_octets", "out_octets"))
    assert (octets_in * STEP_S).sum() >= BURST_BYTES
    assert octets_in == pytest.approx(octets_out)


def test_a_bundle_trained_on_the_recording_scores_every_interface_live(recorded, broker, tmp_path):
    (tmp_path / "train.toml").write_text(SETTINGS)
    words = ["--config", tmp_path / "train.toml", "--stream", "interfaces", "--out", tmp_path / "bundle"]
    said = detector("train", recorded[0], *words, "--epochs", 2)
    assert said.returncode == 0, said.stderr
    with running(tmp_path, SETTINGS, broker=broker.port) as daemon:
        daemon.wait_until_ready()
        daemon.wait_for(lambda: (daemon.total("detector_anomaly_score") or 0) > 0)
        daemon.wait_for(lambda: all(entity["state"] == "ready" for entity in daemon.entities()))
        names = [(entity["labels"]["device"], entity["labels"]["interface"]) for entity in daemon.entities()]
        assert sorted(names) == [(HOST, name) for name in interfaces()]
        assert daemon.total("detector_messages_dropped_total", reason="malformed") in (None, 0)
