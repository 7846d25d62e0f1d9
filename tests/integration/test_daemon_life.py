"""How the daemon starts, what it tells the service manager, and how it ends."""

import contextlib
import json
import re
import shutil
import signal
import socket

import pyarrow.parquet as pq
import pytest

from detector import settings
from detector.daemon import Daemon
from detector.edge.publisher import publish_messages
from detector.edge.snapshot import Example
from detector.stream.nouns import Message
from tests.support.bundles import LIVE_S, STREAMS, samples
from tests.support.daemon import running
from tests.support.mosquitto import Mosquitto, running_mosquitto


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def start(fabric, tmp_path):
    """Return a function that starts a daemon without bundles, which takes no TensorFlow."""
    with contextlib.ExitStack() as stack:

        def start(*words, **options):
            return stack.enter_context(running(tmp_path, fabric.settings(bundles=False), *words, **options))

        yield start


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(start, broker, number):
    daemon = start(broker=broker.port)
    daemon.wait_until_ready()
    daemon.signal(number)
    assert daemon.wait() == 0
    assert f"stopping signal={number.name}" in daemon.log
    assert daemon.log.splitlines()[-1].endswith("info stopped")


def test_a_signal_ends_it_with_0_while_there_is_no_broker(start):
    daemon = start()
    daemon.wait_for(lambda: "cannot connect" in daemon.log)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_the_end_writes_what_was_recorded(start, broker, fabric, tmp_path):
    daemon = start(verb="record", broker=broker.port)
    daemon.wait_until_ready()
    published = fabric.between(0, 20)
    publish_messages(published, host="127.0.0.1", port=broker.port, speed=0)
    daemon.wait_for_samples(samples(published))
    assert not list(tmp_path.rglob("*.parquet")), "the file is not due for a minute"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    for stream in STREAMS:
        times_s = pq.read_table(tmp_path / "recordings" / stream)["time"].to_numpy()
        assert re.search(rf"info recorded stream={stream} rows=\d+ entities=\d+ directory=", daemon.log)
        # A step stays open for one more, and the clock stands a little before the twentieth second.
        assert (times_s.min(), times_s.max()) == (LIVE_S + 1, LIVE_S + 18)


def test_the_end_takes_in_what_has_arrived(fabric, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "settings.toml"
    config.write_text(fabric.settings(bundles=False))
    daemon = Daemon(settings.load(config), recording=True)
    daemon._load()
    arrived = [Message(topic, payload, time_s) for time_s, topic, payload in fabric.between(0, 300)]
    assert len(arrived) > 5_000, "more than one turn takes"
    for message in arrived:
        daemon._subscriber._inbox.putter(0, "drop_oldest")(message)
    daemon._drain()
    assert pq.read_table(tmp_path / "recordings" / "devices")["time"].to_numpy().max() == LIVE_S + 298


def test_of_what_is_refused_it_keeps_an_example(fabric, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "settings.toml"
    config.write_text(fabric.settings(bundles=False))
    daemon = Daemon(settings.load(config))
    daemon._load()
    topic, good = "telegraf/leaf1/devices", b'{"fields": {"routes": 1}, "timestamp": 1750000000}'

    def examples(*payloads):
        for payload in payloads:
            daemon._subscriber._inbox.putter(0, "drop_oldest")(Message(topic, payload, LIVE_S))
        daemon._turn(0.0)
        daemon._take_snapshot()
        return daemon._snapshot.examples

    assert examples(good, b"{\n") == {"not_json": Example(topic, "{\n")}
    assert examples(b"[]", b"{\xff") == {
        "not_json": Example(topic, "{\n"),
        "wrong_shape": Example(topic, "[]"),
        "not_utf8": Example(topic, "{\ufffd"),
    }


def test_a_disk_that_takes_nothing_costs_rows_and_not_the_daemon(start, broker, fabric, tmp_path):
    daemon = start("--record.rows_max", "100", verb="record", broker=broker.port)
    daemon.wait_until_ready()
    shutil.rmtree(tmp_path / "recordings")
    (tmp_path / "recordings").write_text("in the place of the directory")
    published = fabric.between(0, 60)
    publish_messages(published, host="127.0.0.1", port=broker.port, speed=0)
    daemon.wait_for_samples(samples(published))
    assert "rows not recorded" in daemon.log
    (tmp_path / "recordings").unlink()
    publish_messages(fabric.between(60, 120), host="127.0.0.1", port=broker.port, speed=0)
    daemon.wait_for(lambda: list(tmp_path.rglob("*.parquet")))
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_a_directory_that_cannot_be_written_is_wrong_settings(start, tmp_path):
    (tmp_path / "recordings").write_text("in the place of the directory")
    daemon = start(verb="record")
    assert daemon.wait() == 78
    assert "record.directory: " in daemon.log


def test_what_was_not_recorded_is_told_at_the_end(start, broker, tmp_path):
    daemon = start(verb="record", broker=broker.port)
    daemon.wait_until_ready()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    directory = tmp_path / "recordings" / "interfaces"
    assert f"warning recorded stream=interfaces rows=0 entities=0 directory={directory}" in daemon.log


@contextlib.contextmanager
def deaf_port():
    """Give a port on which a connection is never accepted nor refused, so that the network thread hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # the queue of connections is full
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_second_signal_ends_at_once_an_end_that_hangs(start):
    with deaf_port() as port:
        daemon = start(broker=port)
        daemon.wait_for(lambda: " info started" in daemon.log)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for(lambda: "stopping signal=SIGTERM" in daemon.log)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 1
        assert "info stopped" not in daemon.log


# The service manager


@pytest.fixture
def manager(tmp_path):
    """Return the socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        yield manager


def told(manager, wanted):
    """Receive until a certain message comes; return those before it."""
    before = []
    while (message := manager.recv(4096).decode()) != wanted:
        before.append(message)
        assert len(before) < 100, f"never told {wanted}: {before}"
    return before


def test_the_service_manager_is_told_of_start_life_and_end(start, broker, manager):
    daemon = start(
        broker=broker.port,
        environment={"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "200000"},
    )
    assert told(manager, "READY=1") == []
    told(manager, "STATUS=running")
    assert [told(manager, "WATCHDOG=1") for _ in range(3)] == [[], [], []]
    daemon.signal(signal.SIGTERM)
    told(manager, "STOPPING=1")
    assert daemon.wait() == 0


def test_the_service_manager_is_told_what_is_missing_without_a_watchdog_too(start, manager, tmp_path):
    broker = Mosquitto(tmp_path)
    start(broker=broker.port, environment={"NOTIFY_SOCKET": manager.getsockname()})
    why = "nobody listens there; is the broker running, and mqtt.port right?"
    before = told(manager, f"STATUS=the broker is not connected: {why}")
    assert before[0] == "READY=1"
    assert set(before[1:]) <= {"STATUS=the broker is not connected"}
    broker.start()
    try:
        after = {"STATUS=the broker is not connected", "STATUS=the subscription is not granted"}
        assert set(told(manager, "STATUS=running")) <= after
    finally:
        broker.stop()


def test_the_start_without_a_broker_says_so(start):
    daemon = start()
    daemon.wait_for(lambda: " info started" in daemon.log)
    line = next(line for line in daemon.log.splitlines() if " info started" in line)
    assert 'missing="the broker is not connected' in line


# What is wrong from the start


def test_a_setting_that_is_wrong_is_exit_78_and_names_the_key(start):
    daemon = start("--mqtt.qos", "7")
    assert daemon.wait() == 78
    assert daemon.log.startswith("detector: mqtt.qos: ")


def test_a_bundle_that_was_altered_is_exit_78_and_named(trained, tmp_path):
    shutil.copytree(trained.directory / "bundles", tmp_path / "bundles", symlinks=True)
    network = tmp_path / "bundles" / "devices" / "champion" / "network.keras"
    network.chmod(0o600)
    network.write_bytes(network.read_bytes()[:-1] + b"!")
    settings = trained.settings().replace(str(trained.directory), str(tmp_path))
    with running(tmp_path, settings) as daemon:
        assert daemon.wait() == 78
        assert "network.keras" in daemon.log
        assert "devices" in daemon.log


def test_a_bundle_of_another_stream_is_exit_78_and_the_difference_is_named(trained, tmp_path):
    settings = trained.settings().replace("window_steps = 12", "window_steps = 24")
    with running(tmp_path, settings) as daemon:
        assert daemon.wait() == 78
        assert "window_steps" in daemon.log


def test_a_port_that_is_taken_is_exit_1_and_named(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = start("--http.port", str(port))
        assert daemon.wait() == 1
        assert str(port) in daemon.log


# The log


def test_every_line_of_a_json_log_is_json(start, broker, fabric):
    daemon = start("--log.format", "json", "--log.level", "debug", broker=broker.port)
    daemon.wait_until_ready()
    published = fabric.between(0, 5)
    publish_messages(published, host="127.0.0.1", port=broker.port, speed=0)
    daemon.wait_for_samples(samples(published))
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    events = [json.loads(line)["event"] for line in daemon.log.splitlines()]
    assert {"listening", "started", "stopping", "stopped"} <= set(events)
