"""A set through a real broker, the daemon and a real Prometheus; the live half of `cisco.py`.

The replay runs at a multiple of real time, so what Prometheus knows by the wall's clock is told by the
data's: the publisher notes which time of the data it had reached when. That is when an operator would have
known of a score, up to a scrape's interval times the speed: after the step, its lateness and the scrape.
"""

from __future__ import annotations

import contextlib
import heapq
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
import orjson

from detector.edge import datasets, replay
from detector.edge.publisher import Published, publish_messages
from detector.evaluate.events import Episode
from detector.stream.nouns import Doubles
from tests.benchmark.cisco_judge import Key, Seen, entity_of
from tests.support.mosquitto import free_port, running_mosquitto, wait_until
from tests.support.prometheus import Prometheus, prometheus

START_MAX_S = 120.0
SCRAPE = "500m"
"""Prometheus knows no fractions of a second: with the "s" that is added to it, these are milliseconds. It is
also the time that a scrape may take."""
SETTLE_S = 3.0
"""Until the last step was scored, put into a snapshot and scraped."""


@dataclass(slots=True)
class Pace:
    """Which time of the data was published at which time of the wall; one note a second of the data."""

    wall_s: list[float] = field(default_factory=list)
    data_s: list[float] = field(default_factory=list)

    def note(self, published: Iterator[Published]) -> Iterator[Published]:
        """Pass messages on, noting when."""
        for message in published:
            if not self.data_s or message[0] >= self.data_s[-1] + 1.0:
                self.wall_s.append(time.time())
                self.data_s.append(message[0])
            yield message

    def data_time_s(self, wall_s: Doubles) -> Doubles:
        """Return the times of the data that belong to times of the wall."""
        return np.interp(wall_s, self.wall_s, self.data_s)


@dataclass(frozen=True, slots=True)
class Watched:
    """What Prometheus saw, and the daemon's own words: why an episode opened, by entity and onset."""

    seen: Seen
    why: Mapping[tuple[Key, float], str]
    facts: Mapping[str, float]


def watch(directory: Path, config: Path, data: Mapping[str, Path], speed: float) -> Watched:
    """Replay the streams of a set in step, `speed` times as fast as it was, and ask Prometheus.

    Args:
        directory: An empty one.
        config: The daemon's settings.
        data: The dataset of each stream.
        speed: Times real time.
    """
    pace = Pace()
    http = free_port()
    with (
        running_mosquitto(directory) as broker,
        _daemon(directory, config, broker.port, http),
        prometheus(directory, f"127.0.0.1:{http}", interval_s=SCRAPE) as server,
    ):
        server.wait_until_scraped()
        begun_s = time.time()
        publish_messages(pace.note(_messages(data)), port=broker.port, speed=speed)
        time.sleep(SETTLE_S)
        seen = _seen(server, pace, begun_s)
        facts = _facts(server, begun_s)
    return Watched(seen, _reasons(directory / "detector.log"), facts)


def _messages(data: Mapping[str, Path]) -> Iterator[Published]:
    tables = {name: next(datasets.read_parts([file])) for name, file in data.items()}
    each = [
        replay.messages(table, f"telegraf/{{device}}/{name}", "telegraf-json", name)
        for name, table in tables.items()
    ]
    return heapq.merge(*each, key=itemgetter(0))


@contextlib.contextmanager
def _daemon(directory: Path, config: Path, broker: int, http: int) -> Iterator[None]:
    words = ["run", "--config", str(config), "--mqtt.port", str(broker), "--http.port", str(http)]
    with (directory / "detector.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "detector.cli", *words, "--log.format", "json"], stdout=log, stderr=log
        )
        try:
            wait_until(lambda: process.poll() is not None or _is_ready(http), START_MAX_S)
            assert process.poll() is None, (directory / "detector.log").read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_MAX_S)


def _is_ready(http: int) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{http}/-/ready", timeout=5).status == 200
    return False


def _seen(server: Prometheus, pace: Pace, begun_s: float) -> Seen:
    scores = dict(_series(server, "detector_anomaly_score", pace, begun_s))
    episodes: list[Episode] = []
    for key, (times_s, onsets_s) in _series(
        server, "detector_anomaly_onset_timestamp_seconds", pace, begun_s
    ):
        episodes += [
            _episode(key, onset_s, times_s[onsets_s == onset_s], scores) for onset_s in np.unique(onsets_s)
        ]
    return Seen(scores, episodes)


def _episode(
    key: Key, onset_s: float, times_s: Doubles, scores: Mapping[Key, tuple[Doubles, Doubles]]
) -> Episode:
    at_s, score = scores[key]
    inside = score[(at_s >= times_s[0]) & (at_s <= times_s[-1])]
    peak = float(inside.max()) if len(inside) else float("nan")
    return Episode(key[0], entity_of(key), float(onset_s), float(times_s[-1]), float(times_s[0]), peak)


def _series(
    server: Prometheus, metric: str, pace: Pace, begun_s: float
) -> Iterator[tuple[Key, tuple[Doubles, Doubles]]]:
    """Yield every scraped value of a family with the time of the data at the scrape, by entity."""
    for series in server.query(f"{metric}[{int(time.time() - begun_s) + 1}s]"):
        labels = series["metric"]
        wall_s, values = np.array(series["values"], float).T
        key = labels["stream"], labels["device"], labels.get("interface", "")
        yield key, (pace.data_time_s(wall_s), values)


def _facts(server: Prometheus, begun_s: float) -> dict[str, float]:
    """Return what says whether the run itself was sound."""
    span = f"[{int(time.time() - begun_s) + 1}s]"
    totals = ("messages_received", "messages_dropped", "samples_dropped", "counter_resets", "windows_scored")
    sums = {name.replace("_", " "): f"sum(max_over_time(detector_{name}_total{span}))" for name in totals}
    sums["scrapes"] = f"sum(count_over_time(up{span}))"
    sums["scrapes failed"] = f"sum(count_over_time(up{span}) - sum_over_time(up{span}))"
    return {name: float(server.query(promql)[0]["value"][1]) for name, promql in sums.items()}


def _reasons(log: Path) -> dict[tuple[Key, float], str]:
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    return {
        ((fact["stream"], fact["device"], fact.get("interface", "")), fact["onset_s"]): fact["why"]
        for fact in lines
        if fact["event"] == "anomaly"
    }
