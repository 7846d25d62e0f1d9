"""A real Prometheus on a free port, for tests that ask it what it has scraped."""

import contextlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

from tests.support.programs import program

DEADLINE_S = 60  # for a start or a first scrape on a busy machine; nothing waits this long when all is well
POLL_S = 0.05


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path, **parameters):
        """Return the `data` of an answer of the HTTP API.

        Raises:
            AssertionError: It answers with an error; the message is what it says.
        """
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE_S) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.read().decode()}") from None

    def query(self, promql, **parameters):
        """Return the result of an instant query: a list of `{"metric": labels, "value": [time, text]}`."""
        return self.get("/api/v1/query", query=promql, **parameters)["result"]

    def wait_until_scraped(self):
        """Return when every target has been scraped with success.

        Raises:
            AssertionError: A target has still not been; the message has its last error.
        """
        wait_until(self._all_up, lambda: f"not scraped: {self._targets()}")

    def _all_up(self):
        targets = self._targets()
        return bool(targets) and all(target["health"] == "up" for target in targets)

    def _targets(self):
        return self.get("/api/v1/targets")["activeTargets"]


@contextlib.contextmanager
def prometheus(directory, target, *, rules=(), interval_s=1):
    """Run a Prometheus that scrapes `target`, with its files in `directory`; yield it when ready.

    Args:
        directory: An empty directory, such as `tmp_path`.
        target: The `host:port` to scrape, as the job `detector`.
        rules: Paths of rule files.
        interval_s: Between scrapes and between evaluations of the rules.
    """
    config = {
        "global": {"scrape_interval": f"{interval_s}s", "evaluation_interval": f"{interval_s}s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": "detector", "static_configs": [{"targets": [target]}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    log = directory / "prometheus.log"
    command = [
        program("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with (
        log.open("w") as output,
        _stopped(subprocess.Popen(command, stdout=output, stderr=output)) as process,
    ):
        wait_until(lambda: _address(log) or process.poll() is not None, log.read_text)
        assert process.poll() is None, log.read_text()
        server = Prometheus(f"http://{_address(log)}")
        wait_until(lambda: _is_ready(server.url), log.read_text)
        yield server


def wait_until(condition, explain):
    """Poll a condition; fail with what `explain` returns when it does not come true."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, explain()
        time.sleep(POLL_S)


def _address(log):
    """Return where it listens: it takes a free port itself, so that no other process can take it first."""
    match = re.search(r'msg="Listening on" address=(\S+)', log.read_text())
    return match and match[1]


def _is_ready(url):
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=DEADLINE_S) as response:
            return response.status == 200
    except urllib.error.URLError:
        return False


@contextlib.contextmanager
def _stopped(process):
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
