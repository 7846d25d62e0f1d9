"""Maintenance in a running daemon: switched over a real broker, planned by a file that changes under it."""

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from detector.edge.publisher import publish_messages
from tests.support.bundles import DOWN, LIVE_S, samples
from tests.support.daemon import detector, running
from tests.support.mosquitto import Mosquitto, running_mosquitto
from tests.support.programs import program

SETTINGS = """
[[streams]]
name = "load"
topic = "agents/{device}/load"
entity = ["device", "core"]
step_s = 0.5
lateness_s = 0
[streams.signals]
user = {}
"""
BY_HAND = """
[[maintenance]]
name = "by hand"
match = { core = "0" }
topic = "maintenance/{device}"
"""
PLANNED = """
[[maintenance]]
name = "planned"
calendar = "core.ics"
"""


@pytest.fixture
def broker(tmp_path):
    with running_mosquitto(tmp_path) as broker:
        yield broker


def publish(broker, topic, payload, *words):
    subprocess.run(
        [program("mosquitto_pub"), "-p", str(broker.port), "-t", topic, "-q", "1", "-m", payload, *words],
        check=True,
        timeout=30,
    )


def speak(broker, *devices):
    """Publish the load of two cores of each device, now."""
    payload = json.dumps([{"core": core, "user": 1.0} for core in ("0", "1")]).encode()
    messages = [(0.0, f"agents/{device}/load", payload) for device in devices]
    publish_messages(messages, host="127.0.0.1", port=broker.port, speed=0)


def heard(broker, daemon, *devices):
    """Let devices speak; say whether all are known. On a busy machine the first words may come too late."""
    speak(broker, *devices)
    return {one["labels"]["device"] for one in daemon.entities()} == set(devices)


def maintained(daemon):
    return sorted(
        "{device} {core}".format(**one["labels"]) for one in daemon.entities() if one["maintenance"]
    )


def test_a_retained_message_of_before_the_start_counts_until_it_is_taken_back(broker, tmp_path):
    publish(broker, "maintenance/r1", "ON", "-r")
    with running(tmp_path, SETTINGS + BY_HAND, broker=broker.port) as daemon:
        daemon.wait_until_ready()
        daemon.wait_for(lambda: heard(broker, daemon, "r1", "r2"))
        assert maintained(daemon) == ["r1 0"]
        assert daemon.total("detector_maintenance_active", device="r1", core="0", stream="load") == 1
        assert daemon.total("detector_maintenance_active") == 1
        assert '"maintenance begins" maintenance="by hand" stream=load entities=1 first="r1 0"' in daemon.log
        publish(broker, "maintenance/r2", "on")
        daemon.wait_for(lambda: maintained(daemon) == ["r1 0", "r2 0"])
        publish(broker, "maintenance/r1", "", "-r")
        daemon.wait_for(lambda: maintained(daemon) == ["r2 0"])
        publish(broker, "maintenance/r2", "soon")
        publish(broker, "maintenance/r2", "off")
        daemon.wait_for(lambda: maintained(daemon) == [])
        assert daemon.total("detector_maintenance_active") is None
        assert daemon.log.count("maintenance ends") == 2
        assert daemon.total("detector_messages_dropped_total", reason="malformed") == 1
        assert daemon.total("detector_messages_dropped_total") == 1, (
            "a stored copy that counts is not dropped"
        )


def test_a_lost_connection_changes_nothing_and_a_stored_copy_does_not_prolong_it(tmp_path):
    broker = Mosquitto(tmp_path)
    broker.start()
    settings = SETTINGS + BY_HAND + "max_s = 4.0\n"
    try:
        with running(tmp_path, settings, broker=broker.port) as daemon:
            daemon.wait_until_ready()
            speak(broker, "r1")
            publish(broker, "maintenance/r1", "on", "-r")
            begun_s = time.monotonic()
            daemon.wait_for(lambda: maintained(daemon) == ["r1 0"])
            broker.kill()
            daemon.wait_for(lambda: daemon.total("detector_mqtt_connected") == 0)
            assert maintained(daemon) == ["r1 0"]
            broker.start()
            publish(broker, "maintenance/r1", "on", "-r")  # mosquitto has lost it; before we are back
            daemon.wait_until_ready()
            daemon.wait_for(lambda: maintained(daemon) == [])
            assert time.monotonic() - begun_s >= 3.5
            assert daemon.log.count("maintenance begins") == daemon.log.count("maintenance ends") == 1
    finally:
        broker.stop()


def calendar(path, begin, end):
    event = f"UID:1\nDTSTART:{begin:%Y%m%dT%H%M%SZ}\nDTEND:{end:%Y%m%dT%H%M%SZ}\n"
    draft = path.with_suffix(".draft")
    draft.write_text(f"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\n{event}END:VEVENT\nEND:VCALENDAR\n")
    draft.replace(path)


def test_a_calendar_counts_as_it_is_changed_and_a_broken_one_leaves_the_last(broker, tmp_path):
    now, file = datetime.now(UTC), tmp_path / "core.ics"
    calendar(file, now + timedelta(days=1), now + timedelta(days=2))
    with running(tmp_path, SETTINGS + PLANNED, broker=broker.port) as daemon:
        daemon.wait_until_ready()
        speak(broker, "r1")
        daemon.wait_for(daemon.entities)
        assert maintained(daemon) == []
        calendar(file, now - timedelta(hours=1), now + timedelta(hours=1))
        daemon.wait_for(lambda: maintained(daemon) == ["r1 0", "r1 1"])
        file.write_text("half of it")
        daemon.wait_for(lambda: daemon.total("detector_maintenance_calendar_errors_total") == 1)
        assert maintained(daemon) == ["r1 0", "r1 1"]
        assert 'error "calendar not read" maintenance=planned' in daemon.log
        calendar(file, now - timedelta(hours=2), now - timedelta(hours=1))
        daemon.wait_for(lambda: maintained(daemon) == [])


def test_a_calendar_that_cannot_be_read_ends_the_start_with_78(broker, tmp_path):
    with running(tmp_path, SETTINGS + PLANNED, broker=broker.port) as daemon:
        assert daemon.wait() == 78
        assert "maintenance.0.calendar: core.ics: No such file or directory" in daemon.log


# With a network: a link that goes down at 60 s and is down until 90 s, of data time

FABRIC = """
[[maintenance]]
name = "link"
topic = "maintenance/{device}/{interface}"
streams = ["interfaces"]
"""


def test_what_is_still_anomalous_when_maintenance_ends_alarms_then_with_its_onset(baseline, broker, tmp_path):
    link = dict(zip(("device", "interface"), DOWN, strict=True))
    topic = f"maintenance/{'/'.join(DOWN)}"
    played = 0

    def play(start_s, end_s):
        nonlocal played
        published = baseline.between(start_s, end_s)
        publish_messages(published, host="127.0.0.1", port=broker.port, speed=0)
        played += samples(published)
        daemon.wait_for_samples(played)

    def of_link(name):
        return daemon.total(name, stream="interfaces", **link)

    with running(tmp_path, baseline.settings() + FABRIC, broker=broker.port) as daemon:
        daemon.wait_until_ready()
        play(0, 58)
        publish(broker, topic, "on", "-r")
        play(58, 66)
        assert of_link("detector_maintenance_active") == 1
        assert of_link("detector_anomaly_score") > 1
        assert of_link("detector_anomaly_active") == 0
        publish(broker, topic, "off", "-r")
        play(66, 70)
        assert of_link("detector_maintenance_active") is None
        assert of_link("detector_anomaly_active") == 1
        assert 60 <= of_link("detector_anomaly_onset_timestamp_seconds") - LIVE_S <= 65


def test_offline_what_is_planned_is_held_by_the_time_of_the_data(baseline, tmp_path):
    """With maintenance, there is no alarm of the link that is down."""
    begin = datetime.fromtimestamp(LIVE_S, UTC)
    calendar(tmp_path / "core.ics", begin + timedelta(seconds=50), begin + timedelta(seconds=130))
    tables = []
    for more in ("", PLANNED):
        (tmp_path / "settings.toml").write_text(baseline.settings() + more)
        words = ["--config", "settings.toml", "--stream", "interfaces", "--out", "scores.parquet"]
        bundle = baseline.directory / "bundles" / "interfaces"
        data = baseline.directory / "interfaces.parquet"
        done = detector("score", data, "--bundle", bundle, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        tables.append(pq.read_table(tmp_path / "scores.parquet"))
    plain, held = tables
    assert plain["time"].equals(held["time"]), "it is scored all the same"

    def alarms(table):
        down = [
            row
            for row in table.select(["time", "device", "interface", "anomalous"]).to_pylist()
            if (row["device"], row["interface"]) == DOWN and 55 < row["time"] - LIVE_S < 120
        ]
        return sum(row["anomalous"] for row in down)

    assert alarms(plain) > 0
    assert alarms(held) == 0
