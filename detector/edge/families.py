"""How a family of metrics is built: plain samples with the prefix `detector_`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

from prometheus_client import Histogram
from prometheus_client.metrics_core import Metric

Labels = dict[str, str]
Rows = Iterable[tuple[Labels, float]]


def by_reason(labels: Labels, reasons: Iterable[StrEnum], counts: Mapping[str, int]) -> Rows:
    """Every reason from the start, so that a first one is an increase and not a new series."""
    every = dict.fromkeys((reason.value for reason in reasons), 0) | dict(counts)
    return [({**labels, "reason": str(reason)}, count) for reason, count in every.items()]


def known(rows: Rows) -> list[tuple[Labels, float]]:
    """Return what has a value: the unknown has no series."""
    return [(labels, value) for labels, value in rows if not math.isnan(value)]


def histogram(name: str, help_text: str, buckets_s: tuple[float, ...]) -> Histogram:
    """Return a histogram of seconds that nobody exports yet."""
    return Histogram(f"detector_{name}", help_text, buckets=buckets_s, registry=None)


def gauge(name: str, help_text: str, rows: Rows) -> Metric:
    """Return a family of values that go up and down."""
    return _family(name, help_text, "gauge", "", rows)


def counter(name: str, help_text: str, rows: Rows) -> Metric:
    """Return a family of values that only grow; `_total` is added to the name."""
    return _family(name, help_text, "counter", "_total", rows)


def info(name: str, help_text: str, labels: Iterable[Labels]) -> Metric:
    """Return a family that says things by its labels; `_info` is added to the name."""
    return _family(name, help_text, "info", "_info", [(each, 1.0) for each in labels])


def _family(
    name: str, help_text: str, kind: Literal["gauge", "counter", "info"], suffix: str, rows: Rows
) -> Metric:
    # A plain Metric: the library's family classes fix the label names, and streams differ in theirs.
    metric = Metric(f"detector_{name}", help_text, kind)
    for labels, value in rows:
        metric.add_sample(metric.name + suffix, labels, value)
    return metric
