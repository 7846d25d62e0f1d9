"""From mosquitto_pub to a recording: labels from everywhere; words, scales and limits."""

import json
import signal
import subprocess

import pyarrow.parquet as pq

from tests.support.daemon import running
from tests.support.mosquitto import running_mosquitto
from tests.support.programs import program

SETTINGS = """
[mqtt]
protocol = "5"
[record]
directory = "recordings"
[[streams]]
name = "ports"
topic = "net/{host}/ports"
entity = ["site", "pop", "device", "port"]
step_s = 1
device_entities_max = 2
[streams.payload]
records = "ports.{port}"
patterns = { host = '(?P<pop>[a-z]+)-(?P<device>.+)' }
allow = { port = ["eth*"] }
[streams.signals]
link = { words = { up = 1, down = 0 }, scale = 100, unit = "%" }
temp = { field = "sensors[name=cpu].value", scale = 0.1, offset = -10 }
"""
PORTS = {
    "eth0": {"link": "up", "sensors": [{"name": "psu", "value": 1}, {"name": "cpu", "value": "515"}]},
    "eth1": {"link": " down\n"},
    "eth2": {"link": "up"},
    "lo": {"link": "up"},
    "eth3": {"link": "testing"},
}


def test_what_a_publisher_says_is_recorded_as_the_settings_read_it(tmp_path):
    with (
        running_mosquitto(tmp_path) as broker,
        running(tmp_path, SETTINGS, verb="record", broker=broker.port) as daemon,
    ):
        daemon.wait_until_ready()
        words = ["-p", broker.port, "-V", "5", "-q", "1", "-t", "net/fra-r1/ports", "-s"]
        named = ["-D", "publish", "user-property", "site", " DE "]
        subprocess.run(
            [program("mosquitto_pub"), *map(str, words), *named],
            input=json.dumps({"ports": PORTS}).encode(),
            check=True,
            timeout=30,
        )
        daemon.wait_for(lambda: daemon.total("detector_step_timestamp_seconds"))
        dropped = {
            reason: daemon.total("detector_samples_dropped_total", reason=reason)
            for reason in ("label_refused", "device_entities_max", "not_a_number", "no_signal")
        }
        refused = daemon.total("detector_entities_refused_total", reason="device_entities_max")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert dropped == {"label_refused": 1, "device_entities_max": 1, "not_a_number": 1, "no_signal": 1}
    assert refused == 1
    rows = pq.read_table(tmp_path / "recordings").select(["site", "pop", "device", "port", "link", "temp"])
    assert sorted(rows.to_pylist(), key=lambda row: row["port"]) == [
        {"site": "DE", "pop": "fra", "device": "r1", "port": "eth0", "link": 100.0, "temp": 41.5},
        {"site": "DE", "pop": "fra", "device": "r1", "port": "eth1", "link": 0.0, "temp": None},
    ]
