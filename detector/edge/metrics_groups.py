"""Snapshot -> Prometheus: groups of entities, who is in an alarm of one, and what is published of alarms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import Metric

from detector.edge.families import Labels, Rows, counter, gauge
from detector.edge.snapshot_groups import EventsSnapshot, GroupsSnapshot
from detector.stream.groups import Standing


def group_families(groups: GroupsSnapshot, labels: Mapping[str, tuple[str, ...]]) -> Iterator[Metric]:
    """Render what is known of groups: one `Metric` a family. `labels` are the entities', by stream."""
    stands = [(_labels(one), one) for one in groups.standings]
    ratio = [(label, one.anomalous / max(one.entities, 1)) for label, one in stands]
    yield gauge(
        "group_anomalous_ratio", "Share of a group with an alarm of any kind, where any has one", ratio
    )
    active = [(label, float(one.onset_s is not None)) for label, one in stands]
    yield gauge("group_active", "1 while they are too many for chance, and one alarm", active)
    yield gauge("group_onset_timestamp_seconds", "When its newest alarm began", _onsets(stands))
    yield gauge("groups_left_out", "Groups with an anomaly that are not here", [({}, groups.left_out)])
    yield counter("group_episodes", "Alarms of groups begun", [({}, groups.episodes_total)])
    grouped = [
        ({**dict(zip(labels[stream], entity, strict=True)), "stream": stream}, 1.0)
        for stream, entity in groups.grouped
    ]
    yield gauge("grouped_active", "1 where the alarm of an entity is part of that of a group", grouped)


def event_families(events: EventsSnapshot) -> Iterator[Metric]:
    """Render what became of alarms that were to be published."""
    yield counter("events_published", "Alarms handed to the broker", [({}, events.published_total)])
    yield counter("events_dropped", "Alarms beyond what may wait for it", [({}, events.dropped_total)])
    yield counter("events_refused", "Alarms that it said no to", [({}, events.refused_total)])
    yield gauge("events_waiting", "Alarms that wait for it", [({}, events.waiting)])


def _labels(standing: Standing) -> Labels:
    group = standing.group
    return {**dict(zip(group.level, group.values, strict=True)), "level": "/".join(group.level)}


def _onsets(stands: Iterable[tuple[Labels, Standing]]) -> Rows:
    return [(label, one.onset_s) for label, one in stands if one.onset_s is not None]
