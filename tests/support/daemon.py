"""The daemon as a process of its own: started, asked over HTTP, stopped."""

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.mosquitto import wait_until

START_S = 120.0
"""TensorFlow takes five seconds on an idle machine."""
STOP_S = 30.0


@dataclass(frozen=True)
class Daemon:
    """A process of `detector run` or `detector record`, and what it has said."""

    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self.log_path.read_text()

    @property
    def port(self) -> int:
        """Where it answers HTTP; waits until it does."""
        self.wait_for(self._listens)
        return int(self._listens()[1])

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of an answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def entities(self) -> list[dict]:
        """Return all entities, as the API tells of them."""
        return json.loads(self.get("/api/v1/entities")[1])["entities"]

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum of the exported series of a name with these labels; None where there are none."""
        found = [
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def wait_for(self, fact, timeout_s: float = START_S) -> None:
        """Return when a fact holds; fail with the log where the process ends first."""

        def alive_and_true() -> bool:
            assert self.process.poll() is None, f"exit {self.process.returncode}: {self.log}"
            return bool(fact())

        try:
            wait_until(alive_and_true, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def wait_until_ready(self) -> None:
        """Return when it is loaded, connected and subscribed."""
        self.wait_for(lambda: self.get("/-/ready")[0] == 200)

    def wait_for_samples(self, count: int) -> None:
        """Return when so many samples are taken in, and the steps that they complete are judged."""
        self.wait_for(lambda: self.total("detector_samples_total") == count)

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit code."""
        return self.process.wait(STOP_S)

    def _listens(self) -> re.Match[str] | None:
        return re.search(r"listening\b.*?port\W+(\d+)", self.log)


@contextlib.contextmanager
def running(
    directory: Path,
    settings: str,
    *words: str,
    verb: str = "run",
    broker: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """A started daemon that is gone afterwards.

    Args:
        directory: An empty one, for its settings and its log; it runs there.
        settings: The text of the settings file.
        words: Further words of the command line.
        verb: `run` or `record`.
        broker: The port of the broker.
        environment: Further variables.
    """
    config, log_path = directory / "settings.toml", directory / "daemon.log"
    config.write_text(settings)
    ports = ["--http.port", "0", "--mqtt.host", "127.0.0.1", "--mqtt.port", str(broker)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command(verb), "--config", str(config), *ports, "--mqtt.reconnect_max_s", "1", *words],
            stdout=log,
            stderr=log,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
    try:
        yield Daemon(process, log_path)
    finally:
        process.kill()
        process.wait()


ROOT = Path(__file__).parents[2]


def command(*words: str) -> list[str]:
    """Return the command line of the program."""
    return [sys.executable, "-m", "detector.cli", *words]


def detector(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program to its end; return what it said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(*map(str, words)), cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )
