"""Snapshot -> Prometheus: the families that dashboards and alerts rely on.

A scrape renders the newest immutable snapshot and nothing else: it takes no lock, waits for nothing,
and what is not in the snapshot has no series, so a forgotten entity disappears by itself. Entity
labels are exported as they are, plus `stream`; a topic is never a label.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector import __version__
from detector.edge.snapshot import (
    ConnectFailure,
    MqttSnapshot,
    RecordedSnapshot,
    RecordingsSnapshot,
    Snapshot,
    StreamSnapshot,
)
from detector.stream.nouns import MESSAGE_REASONS, SAMPLE_REASONS, Entity, State

CONTRIBUTION_MIN = 0.01  # a share below one percent explains nothing and would only cost series

# A tick has one step of time, ten seconds by default; the fastest is one call of a small network.
TICK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# From the overhead of one call (0.3 ms) to a hundred thousand windows (0.4 s) on a busy machine.
INFERENCE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# A step waits for late samples, usually for one step more, so seconds are normal; an operator asks
# whether it was within one, two or six steps of ten seconds, or of a minute.
LATENCY_BUCKETS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)

Labels = dict[str, str]
Rows = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the work took; the main thread observes, in seconds."""

    tick: Histogram
    inference: Histogram
    score_latency: Histogram


def register(registry: CollectorRegistry, read: Callable[[], Snapshot | None]) -> Durations:
    """Export on `registry`, at every scrape: what `read` returns, the process, the durations returned here.

    Before the first snapshot nothing is said of what it would hold.

    Raises:
        ValueError: The registry has these families already.
    """
    durations = Durations(
        _histogram("tick_duration_seconds", "One tick, all streams", TICK_BUCKETS_S),
        _histogram("inference_duration_seconds", "One call of a network", INFERENCE_BUCKETS_S),
        _histogram("score_latency_seconds", "From a step's time until its scores are out", LATENCY_BUCKETS_S),
    )
    registry.register(_Exporter(read, durations))
    ProcessCollector(registry=registry)
    return durations


class _Exporter(Collector):
    def __init__(self, read: Callable[[], Snapshot | None], durations: Durations) -> None:
        self._read = read
        self._durations = durations

    def describe(self) -> Iterable[Metric]:
        """Name the families, so that a second registration is refused."""
        return self._always()

    def collect(self) -> Iterator[Metric]:
        snapshot = self._read()
        if snapshot is not None:
            yield from families(snapshot)
        yield from self._always()

    def _always(self) -> Iterator[Metric]:
        build = {"version": __version__, "python_version": platform.python_version()}
        yield _info("build", "The program", [build])
        for histogram in (self._durations.tick, self._durations.inference, self._durations.score_latency):
            for metric in histogram.collect():
                # The library adds a creation time to each histogram, which is no family of ours.
                metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
                yield metric


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Render a snapshot: one `Metric` a family, in the order in which the data travels."""
    yield from _ingest(snapshot.mqtt, snapshot.messages_dropped)
    yield _counter(
        "replies_dropped",
        "Requests to publishers beyond what may wait",
        [({}, snapshot.replies_dropped_total)],
    )
    yield from _streams(snapshot.streams)
    yield from _entities(snapshot.streams)
    yield from _episodes(snapshot.streams)
    yield from _bundles(snapshot.streams)
    if snapshot.recordings is not None:
        yield from _recordings(snapshot.recordings)


def _ingest(mqtt: MqttSnapshot, dropped: Mapping[str, int]) -> Iterator[Metric]:
    yield _gauge("mqtt_connected", "1 while connected to the broker", [({}, mqtt.connected)])
    yield _gauge(
        "mqtt_network_thread_alive",
        "1 while the thread that reads the broker runs",
        [({}, mqtt.thread_alive)],
    )
    yield _counter("mqtt_reconnects", "Connections after the first", [({}, mqtt.reconnects_total)])
    yield _counter(
        "mqtt_connect_failures",
        "Attempts to connect that failed",
        _by_reason({}, ConnectFailure, mqtt.connect_failures),
    )
    yield _counter(
        "mqtt_callback_errors",
        "Bugs caught in the thread that reads the broker; see the log",
        [({}, mqtt.callback_errors_total)],
    )
    received = [({"subscription": name}, float(count)) for name, count in mqtt.received.items()]
    yield _counter("messages_received", "Messages by subscription filter", received)
    unserved = [({"subscription": name}, float(name in mqtt.unserved)) for name in mqtt.received]
    yield _gauge(
        "subscription_unserved", "1 where the broker grants a subscription and delivers nothing", unserved
    )
    yield _counter(
        "messages_dropped", "Messages refused as a whole", _by_reason({}, MESSAGE_REASONS, dropped)
    )
    yield _gauge("inbox_messages", "Messages that wait for the pipeline", [({}, mqtt.inbox_messages)])
    yield _gauge("inbox_messages_max", "Messages that may wait", [({}, mqtt.inbox_messages_max)])


def _streams(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    def each(value: Callable[[StreamSnapshot], int]) -> Rows:
        return [({"stream": stream.name}, value(stream)) for stream in streams]

    newest = _known(({"stream": stream.name}, stream.step_s) for stream in streams)
    yield _gauge("step_timestamp_seconds", "The time of the newest closed step", newest)
    yield _counter(
        "messages_missed",
        "Messages that their publishers numbered, and that never came",
        each(lambda stream: stream.messages_missed_total),
    )
    yield _counter("samples", "Samples accepted", each(lambda stream: stream.samples_total))
    dropped = [
        row
        for stream in streams
        for row in _by_reason({"stream": stream.name}, SAMPLE_REASONS, stream.samples_dropped)
    ]
    yield _counter("samples_dropped", "Samples refused", dropped)
    yield _counter(
        "samples_reordered",
        "Samples older than one before them",
        each(lambda one: one.samples_reordered_total),
    )
    yield _counter("counter_resets", "Counters that restarted", each(lambda one: one.counter_resets_total))
    yield _counter(
        "entities_refused", "Entities beyond entities_max", each(lambda one: one.entities_refused_total)
    )
    yield _counter("windows_scored", "Windows scored", each(lambda one: one.windows_scored_total))
    yield _counter("episodes", "Episodes begun", each(lambda one: one.episodes_total))
    counts = [
        ({"stream": stream.name, "state": state.value}, float(stream.state.count(state)))
        for stream in streams
        for state in State
    ]
    yield _gauge("entities", "Entities by what is known of them", counts)


def _entities(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    score: list[tuple[Labels, float]] = []
    active: list[tuple[Labels, float]] = []
    onset: list[tuple[Labels, float]] = []
    silence: list[tuple[Labels, float]] = []
    for stream in streams:
        # The families of an entity share one dict; nobody changes it.
        labels = [_labels(stream, entity) for entity in stream.entities]
        is_active = stream.active.tolist()
        score += _known(zip(labels, stream.score.tolist(), strict=True))
        active += zip(labels, map(float, is_active), strict=True)
        times_s = zip(labels, stream.onset_s.tolist(), is_active, strict=True)
        onset += [(label, time_s) for label, time_s, is_open in times_s if is_open]
        silent = (float(state is State.SILENT) for state in stream.state)
        silence += zip(labels, silent, strict=True)
    yield _gauge("anomaly_score", "1 is the edge of normal; absent while there is no score", score)
    yield _gauge("anomaly_active", "1 while an episode is open", active)
    yield _gauge("anomaly_onset_timestamp_seconds", "When the open episode began", onset)
    yield _gauge("silence_active", "1 while an entity has stopped speaking", silence)


def _episodes(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    share: list[tuple[Labels, float]] = []
    direction: list[tuple[Labels, float]] = []
    observed: list[tuple[Labels, float]] = []
    expected: list[tuple[Labels, float]] = []
    pairs = [(stream, episode) for stream in streams for episode in stream.episodes]
    for of, episode in pairs:
        labels = [{**_labels(of, episode.entity), "signal": signal} for signal in of.signals]
        shares = zip(labels, episode.contribution.tolist(), strict=True)
        share += [(label, value) for label, value in shares if value >= CONTRIBUTION_MIN]
        direction += _known(zip(labels, episode.direction.tolist(), strict=True))
        observed += _known(zip(labels, episode.observed.tolist(), strict=True))
        expected += _known(zip(labels, episode.expected.tolist(), strict=True))
    yield _gauge("signal_contribution_ratio", "A signal's share of the score of an open episode", share)
    yield _gauge("signal_direction", "1 above, -1 below what was expected", direction)
    yield _gauge("signal_observed", "What was seen, in units of the signal", observed)
    yield _gauge("signal_expected", "What was expected, in units of the signal", expected)


def _bundles(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    loaded = [(stream.name, stream.bundle) for stream in streams if stream.bundle is not None]
    yield _info(
        "bundle",
        "The bundle that scores a stream",
        [
            {"stream": name, "version": bundle.version, "architecture": bundle.architecture}
            for name, bundle in loaded
        ],
    )
    trained = [({"stream": name}, bundle.trained_s) for name, bundle in loaded]
    yield _gauge("bundle_trained_timestamp_seconds", "When the bundle was trained", trained)


def _recordings(recordings: RecordingsSnapshot) -> Iterator[Metric]:
    def each(value: Callable[[RecordedSnapshot], int]) -> Rows:
        return [({"stream": one.stream}, value(one)) for one in recordings.streams]

    yield _counter("recorded_rows", "Rows written", each(lambda one: one.rows_total))
    yield _counter("recorded_bytes", "Bytes written", each(lambda one: one.bytes_total))
    yield _counter("recorded_files", "Files written", each(lambda one: one.files_total))
    yield _counter("recording_errors", "Files that could not be written", each(lambda one: one.errors_total))
    dropped = [
        ({"stream": one.stream, "reason": reason}, count)
        for one in recordings.streams
        for reason, count in (("lost", one.rows_lost_total), ("repeated", one.rows_repeated_total))
    ]
    yield _counter("recorded_rows_dropped", "Rows not written: lost to the disk, or there already", dropped)
    yield _gauge("recordings_bytes", "What all recordings take", [({}, recordings.tree_bytes)])
    yield _gauge("recordings_bytes_max", "What they may take", [({}, recordings.tree_bytes_max)])
    deleted = recordings.deleted_files_total, recordings.deleted_bytes_total
    yield _counter("recordings_deleted_files", "Files deleted as too much or too old", [({}, deleted[0])])
    yield _counter("recordings_deleted_bytes", "What was in them", [({}, deleted[1])])


def _labels(stream: StreamSnapshot, entity: Entity) -> Labels:
    return {**dict(zip(stream.labels, entity, strict=True)), "stream": stream.name}


def _known(rows: Rows) -> list[tuple[Labels, float]]:
    return [(labels, value) for labels, value in rows if not math.isnan(value)]


def _by_reason(labels: Labels, reasons: Iterable[StrEnum], counts: Mapping[str, int]) -> Rows:
    """Every reason from the start, so that a first one is an increase and not a new series."""
    every = dict.fromkeys((reason.value for reason in reasons), 0) | dict(counts)
    return [({**labels, "reason": str(reason)}, count) for reason, count in every.items()]


def _histogram(name: str, help_text: str, buckets_s: tuple[float, ...]) -> Histogram:
    return Histogram(f"detector_{name}", help_text, buckets=buckets_s, registry=None)


def _gauge(name: str, help_text: str, rows: Rows) -> Metric:
    return _family(name, help_text, "gauge", "", rows)


def _counter(name: str, help_text: str, rows: Rows) -> Metric:
    return _family(name, help_text, "counter", "_total", rows)


def _info(name: str, help_text: str, labels: Iterable[Labels]) -> Metric:
    return _family(name, help_text, "info", "_info", [(each, 1.0) for each in labels])


def _family(
    name: str, help_text: str, kind: Literal["gauge", "counter", "info"], suffix: str, rows: Rows
) -> Metric:
    # A plain Metric: the library's family classes fix the label names, and streams differ in theirs.
    metric = Metric(f"detector_{name}", help_text, kind)
    for labels, value in rows:
        metric.add_sample(metric.name + suffix, labels, value)
    return metric
