"""Snapshot -> Prometheus: the families that dashboards and alerts rely on.

A scrape renders the newest immutable snapshot and nothing else: it takes no lock, waits for nothing,
and what is not in the snapshot has no series, so a forgotten entity disappears by itself. Entity
labels are exported as they are, plus `stream`; a topic is never a label.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector import __version__
from detector.edge.families import Labels, Rows, by_reason, counter, gauge, histogram, info, known
from detector.edge.metrics_bundles import bundle_families
from detector.edge.metrics_groups import event_families, group_families
from detector.edge.metrics_recordings import recording_families
from detector.edge.metrics_spells import spell_families
from detector.edge.snapshot import Snapshot, StreamSnapshot
from detector.edge.snapshot_mqtt import ConnectFailure, MqttSnapshot
from detector.stream.nouns import ENTITY_REASONS, MESSAGE_REASONS, SAMPLE_REASONS, Entity, State

CONTRIBUTION_MIN = 0.01  # a share below one percent explains nothing and would only cost series

# A tick has one step of time, ten seconds by default; the fastest is one call of a small network.
TICK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# From the overhead of one call (0.3 ms) to a hundred thousand windows (0.4 s) on a busy machine.
INFERENCE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# A step waits for late samples, usually for one step more, so seconds are normal; an operator asks
# whether it was within one, two or six steps of ten seconds, or of a minute.
LATENCY_BUCKETS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


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
        histogram("tick_duration_seconds", "One tick, all streams", TICK_BUCKETS_S),
        histogram("inference_duration_seconds", "One call of a network", INFERENCE_BUCKETS_S),
        histogram("score_latency_seconds", "From a step's time until its scores are out", LATENCY_BUCKETS_S),
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
        yield info("build", "The program", [build])
        for one in (self._durations.tick, self._durations.inference, self._durations.score_latency):
            for metric in one.collect():
                # The library adds a creation time to each histogram, which is no family of ours.
                metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
                yield metric


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Render a snapshot: one `Metric` a family, in the order in which the data travels."""
    yield from _ingest(snapshot.mqtt, snapshot.messages_dropped)
    yield counter(
        "replies_dropped",
        "Requests to publishers beyond what may wait",
        [({}, snapshot.replies_dropped_total)],
    )
    yield from _streams(snapshot.streams)
    yield from _entities(snapshot.streams)
    yield from _episodes(snapshot.streams)
    yield from spell_families(snapshot.streams)
    yield from group_families(snapshot.groups, {one.name: one.labels for one in snapshot.streams})
    yield from bundle_families(snapshot.streams)
    errors = [({"maintenance": name}, float(count)) for name, count in snapshot.calendar_errors.items()]
    yield counter(
        "maintenance_calendar_errors", "Calendars that could not be used; the last one stays", errors
    )
    if snapshot.events is not None:
        yield from event_families(snapshot.events)
    if snapshot.recordings is not None:
        yield from recording_families(snapshot.recordings)


def _ingest(mqtt: MqttSnapshot, dropped: Mapping[str, int]) -> Iterator[Metric]:
    yield gauge("mqtt_connected", "1 while connected to the broker", [({}, mqtt.connected)])
    yield gauge(
        "mqtt_network_thread_alive",
        "1 while the thread that reads the broker runs",
        [({}, mqtt.thread_alive)],
    )
    yield counter("mqtt_reconnects", "Connections after the first", [({}, mqtt.reconnects_total)])
    yield counter(
        "mqtt_connect_failures",
        "Attempts to connect that failed",
        by_reason({}, ConnectFailure, mqtt.connect_failures),
    )
    yield counter(
        "mqtt_callback_errors",
        "Bugs caught in the thread that reads the broker; see the log",
        [({}, mqtt.callback_errors_total)],
    )
    received = [({"subscription": name}, float(count)) for name, count in mqtt.received.items()]
    yield counter("messages_received", "Messages by subscription filter", received)
    heard = [({"subscription": name}, time_s) for name, time_s in mqtt.heard_s.items()]
    yield gauge("last_message_timestamp_seconds", "When the last one came, to about a second", heard)
    unserved = [({"subscription": name}, float(name in mqtt.unserved)) for name in mqtt.received]
    yield gauge(
        "subscription_unserved", "1 where the broker grants a subscription and delivers nothing", unserved
    )
    yield counter("messages_dropped", "Messages refused as a whole", by_reason({}, MESSAGE_REASONS, dropped))
    yield gauge("inbox_messages", "Messages that wait for the pipeline", [({}, mqtt.inbox_messages)])
    yield gauge("inbox_messages_max", "Messages that may wait", [({}, mqtt.inbox_messages_max)])
    yield gauge("inbox_bytes", "Bytes of their payloads", [({}, mqtt.inbox_bytes)])
    yield gauge("inbox_bytes_max", "Bytes that may wait", [({}, mqtt.inbox_bytes_max)])


def _streams(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    def each(value: Callable[[StreamSnapshot], int]) -> Rows:
        return [({"stream": stream.name}, value(stream)) for stream in streams]

    newest = known(({"stream": stream.name}, stream.step_s) for stream in streams)
    yield gauge("step_timestamp_seconds", "The time of the newest closed step", newest)
    yield counter(
        "messages_missed",
        "Messages that their publishers numbered, and that never came",
        each(lambda stream: stream.messages_missed_total),
    )
    yield counter("samples", "Samples accepted", each(lambda stream: stream.samples_total))
    dropped = [
        row
        for stream in streams
        for row in by_reason({"stream": stream.name}, SAMPLE_REASONS, stream.samples_dropped)
    ]
    yield counter("samples_dropped", "Samples refused", dropped)
    yield counter(
        "samples_reordered",
        "Samples older than one before them",
        each(lambda one: one.samples_reordered_total),
    )
    resets = [
        ({"stream": stream.name, "signal": signal, "reason": reason}, float(count))
        for stream in streams
        for (signal, reason), count in stream.counter_resets.items()
    ]
    yield counter("counter_resets", "Counters that began anew", resets)
    refused = [
        row
        for stream in streams
        for row in by_reason({"stream": stream.name}, ENTITY_REASONS, stream.entities_refused)
    ]
    yield counter("entities_refused", "Records of new entities for whom there was no room", refused)
    yield counter("windows_scored", "Windows scored", each(lambda one: one.windows_scored_total))
    yield counter("episodes", "Episodes begun", each(lambda one: one.episodes_total))
    counts = [
        ({"stream": stream.name, "state": state.value}, float(stream.state.count(state)))
        for stream in streams
        for state in State
    ]
    yield gauge("entities", "Entities by what is known of them", counts)


def _entities(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    score: list[tuple[Labels, float]] = []
    active: list[tuple[Labels, float]] = []
    onset: list[tuple[Labels, float]] = []
    silence: list[tuple[Labels, float]] = []
    maintenance: list[tuple[Labels, float]] = []
    for stream in streams:
        # The families of an entity share one dict; nobody changes it.
        labels = [_labels(stream, entity) for entity in stream.entities]
        is_active = stream.active.tolist()
        score += known(zip(labels, stream.score.tolist(), strict=True))
        active += zip(labels, map(float, is_active), strict=True)
        times_s = zip(labels, stream.onset_s.tolist(), is_active, strict=True)
        onset += [(label, time_s) for label, time_s, is_open in times_s if is_open]
        heard = zip(labels, stream.told_silent.tolist(), stream.muted.tolist(), strict=True)
        silence += [(label, float(told)) for label, told, muted in heard if not muted]
        maintenance += [(labels[index], 1.0) for index in np.flatnonzero(stream.in_maintenance).tolist()]
    yield gauge("anomaly_score", "1 is the edge of normal; absent while there is no score", score)
    yield gauge("anomaly_active", "1 while an episode is open", active)
    yield gauge("anomaly_onset_timestamp_seconds", "When the open episode began", onset)
    yield gauge("silence_active", "1 while an entity has stopped speaking; absent of muted ones", silence)
    yield gauge("maintenance_active", "1 while an entity is in maintenance, else absent", maintenance)


def _episodes(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    share: list[tuple[Labels, float]] = []
    direction: list[tuple[Labels, float]] = []
    observed: list[tuple[Labels, float]] = []
    expected: list[tuple[Labels, float]] = []
    bound: list[tuple[Labels, float]] = []
    pairs = [(stream, episode) for stream in streams for episode in stream.episodes]
    for of, episode in pairs:
        told = np.flatnonzero((episode.contribution >= CONTRIBUTION_MIN) | ~np.isnan(episode.bound)).tolist()
        labels = [{**_labels(of, episode.entity), "signal": of.signals[index]} for index in told]
        share += zip(labels, episode.contribution[told].tolist(), strict=True)
        direction += zip(labels, map(float, episode.direction[told].tolist()), strict=True)
        observed += known(zip(labels, episode.observed[told].tolist(), strict=True))
        expected += known(zip(labels, episode.expected[told].tolist(), strict=True))
        bound += known(zip(labels, episode.bound[told].tolist(), strict=True))
    yield gauge("signal_contribution_ratio", "A signal's share of the score of an open episode", share)
    yield gauge("signal_direction", "1 above, -1 below what was expected", direction)
    yield gauge("signal_observed", "What was seen, in units of the signal", observed)
    yield gauge("signal_expected", "What was expected, in units of the signal", expected)
    yield gauge("signal_bound", "The end of its valid range that was broken; absent otherwise", bound)


def _labels(stream: StreamSnapshot, entity: Entity) -> Labels:
    return {**dict(zip(stream.labels, entity, strict=True)), "stream": stream.name}
