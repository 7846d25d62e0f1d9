"""Who competes in `ingest.py`: each a process of its own, started, paused, resumed, and asked at the end.

All of them live from the beginning to the end, each with topics of its own; who has no turn is stopped.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families

from tests.benchmark.bare import KEEPALIVE_S
from tests.benchmark.packets import FIRST_S, SIGNALS, STEP_S, Train
from tests.support.daemon import ROOT, Daemon, running
from tests.support.mosquitto import free_port, wait_until

EXPORTER = "mqtt-exporter==1.12.1"
EXPORTER_VENV = Path(tempfile.gettempdir()) / "detector-benchmark" / EXPORTER
WINDOW_STEPS = 32
SETTLE_S = 10.0

_SETTINGS = """
[mqtt]
keepalive_s = {keepalive_s}
protocol = "{protocol}"
qos = {qos}
[[streams]]
name = "interfaces"
topic = "{site}/{{device}}/interface"
format = "telegraf-json"
clock = "data"
entity = ["device", "ifName"]
step_s = {step_s}
window_steps = {window_steps}
[streams.signals]
{signals}
"""
"""Time is what the data says, so that each message is a sample of its own step, however fast they come: ten
thousand interfaces, a step of ten seconds and a thousand messages a second, only faster."""


class Contender(Protocol):
    """A running subscriber."""

    pid: int

    def problems(self, train: Train) -> list[str]:
        """End the measurement: say in what it differs from what was sent."""


@dataclass(frozen=True)
class Kind:
    """A row of the table: what is run, and how it speaks MQTT."""

    name: str
    program: str  # bare | json | exporter | ours
    protocol: str = "3.1.1"
    qos: int = 0

    @property
    def key(self) -> str:
        """What the command line calls it."""
        return self.program + ("5" if self.protocol == "5" else "") + (f"-qos{self.qos}" if self.qos else "")

    @property
    def warmup_steps(self) -> int:
        """How many steps it is sent before it is measured: ours until its windows are full."""
        return WINDOW_STEPS + 2 if self.program == "ours" else 1


KINDS = (
    Kind("bare paho", "bare"),
    Kind("paho + json.loads", "json"),
    Kind("mqtt-exporter", "exporter"),
    Kind("ours", "ours"),
    Kind("bare paho, MQTT 5", "bare", "5"),
    Kind("ours, MQTT 5", "ours", "5"),
    Kind("ours, QoS 1", "ours", qos=1),
)


@contextmanager
def contender(kind: Kind, site: str, directory: Path, port: int) -> Iterator[Contender]:
    """Run a subscriber to the topics of a site, connected to a port of this machine."""
    directory.mkdir()
    if kind.program == "ours":
        with running(directory, _settings(kind, site), broker=port) as daemon:
            yield _Ours(daemon)
    elif kind.program == "exporter":
        with _exporter(directory, site, port) as exporter:
            yield exporter
    else:
        words = [sys.executable, "-m", "tests.benchmark.bare", port, f"{site}/#"]
        words += ["--protocol", kind.protocol, *(["--json"] if kind.program == "json" else [])]
        with _process(directory, words, {}) as process:
            yield _Bare(process, directory)


def install_exporter() -> str | None:
    """Make the venv of mqtt-exporter where there is none yet; return why that failed, if it did."""
    if (EXPORTER_VENV / "bin/mqtt-exporter").exists():
        return None
    for words in (
        [sys.executable, "-m", "venv", EXPORTER_VENV],
        [EXPORTER_VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check", EXPORTER],
    ):
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode:
            return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
    return None


class _Bare:
    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self._process = process
        self._said = directory / "output"
        self.pid = process.pid

    def problems(self, train: Train) -> list[str]:
        self._process.terminate()
        self._process.wait()
        return _differs("messages", int(self._said.read_text()), train.sent)


class _Exporter:
    def __init__(self, process: subprocess.Popen[bytes], http: int) -> None:
        self._http = http
        self.pid = process.pid

    def problems(self, train: Train) -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/metrics") as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples]
        counted = sum(sample.value for sample in samples if sample.name == "mqtt_message_total")
        return _differs("messages", counted, train.sent)


class _Ours:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.pid = daemon.process.pid

    def problems(self, train: Train) -> list[str]:
        with contextlib.suppress(AssertionError):  # a scrape shows what was known a second ago
            wait_until(lambda: not self._differences(train), SETTLE_S)
        return self._differences(train)

    def _differences(self, train: Train) -> list[str]:
        total = self._daemon.total
        closed = FIRST_S + (train.steps - 1) * STEP_S  # the newest one waits for what may be late
        facts = (
            ("messages_received_total", total("detector_messages_received_total"), train.sent),
            ("messages_dropped_total", total("detector_messages_dropped_total"), 0),
            ("samples_total", total("detector_samples_total"), len(SIGNALS) * train.sent),
            ("samples_dropped_total", total("detector_samples_dropped_total"), 0),
            ("entities with a full window", total("detector_entities", state="unscored"), train.messages),
            ("step_timestamp_seconds", total("detector_step_timestamp_seconds"), closed),
        )
        return [line for name, counted, expected in facts for line in _differs(name, counted, expected)]


def _differs(name: str, counted: float | None, expected: float) -> list[str]:
    return [] if counted == expected else [f"{name}: {counted}, expected {expected}"]


def _settings(kind: Kind, site: str) -> str:
    return _SETTINGS.format(
        keepalive_s=KEEPALIVE_S,
        protocol=kind.protocol,
        qos=kind.qos,
        site=site,
        step_s=STEP_S,
        window_steps=WINDOW_STEPS,
        signals="\n".join(f'{signal} = {{ kind = "counter" }}' for signal in SIGNALS),
    )


@contextmanager
def _exporter(directory: Path, site: str, port: int) -> Iterator[_Exporter]:
    http = free_port()
    environment = {
        "MQTT_ADDRESS": "127.0.0.1",
        "MQTT_PORT": str(port),
        "MQTT_TOPIC": f"{site}/#",
        "MQTT_KEEPALIVE": str(KEEPALIVE_S),
        "PROMETHEUS_ADDRESS": "127.0.0.1",
        "PROMETHEUS_PORT": str(http),
    }
    with _process(directory, [EXPORTER_VENV / "bin/mqtt-exporter"], environment) as process:
        yield _Exporter(process, http)


@contextmanager
def _process(
    directory: Path, words: Sequence[object], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / "output").open("wb") as output, (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, words)),
            stdout=output,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
