"""Snapshot -> Prometheus: which bundle scores a stream, whether it still fits, and keeps the budget."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from detector.edge.families import gauge, info, known
from detector.edge.snapshot import StreamSnapshot


def bundle_families(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    """Render what is known of bundles: one `Metric` a family. What is not known has no series."""
    loaded = [(stream.name, stream.bundle) for stream in streams if stream.bundle is not None]
    yield info(
        "bundle",
        "The bundle that scores a stream",
        [
            {"stream": name, "version": bundle.version, "architecture": bundle.architecture}
            for name, bundle in loaded
        ],
    )
    trained = [({"stream": name}, bundle.trained_s) for name, bundle in loaded]
    yield gauge("bundle_trained_timestamp_seconds", "When the bundle was trained", trained)
    drift = [
        ({"stream": one.name, "signal": signal}, ratio)
        for one in streams
        for signal, ratio in zip(one.signals, one.drift.tolist(), strict=True)
    ]
    yield gauge(
        "input_drift_ratio",
        "How far a signal has moved for good; 1 is as far as on any day of the training",
        known(drift),
    )
    advised = [
        ({"stream": one.name}, float(one.retrain_advised))
        for one in streams
        if one.retrain_advised is not None
    ]
    yield gauge("retrain_advised", "1 where a signal has moved too far: train again", advised)
    used = known(({"stream": one.name}, one.budget_used) for one in streams)
    yield gauge(
        "alarm_budget_used_ratio",
        "Alarms of the last seven days over those that the budget accepts; not known in the first day",
        used,
    )
    exceeded = [
        ({"stream": one.name}, float(one.budget_exceeded))
        for one in streams
        if not math.isnan(one.budget_used)
    ]
    yield gauge("alarm_budget_exceeded", "1 while they are more than chance makes of the budget", exceeded)
