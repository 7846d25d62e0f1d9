"""Snapshot -> Prometheus: who is slow, what is stuck, and streams of which nobody speaks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from detector.edge.families import Labels, counter, gauge
from detector.edge.snapshot import StreamSnapshot
from detector.stream.nouns import SPELLS, Alarm, Spell


def spell_families(streams: tuple[StreamSnapshot, ...]) -> Iterator[Metric]:
    """Render what is odd whatever the values are: one `Metric` a family. What is not odd has no series."""
    unheard = [({"stream": one.name}, float(one.unheard)) for one in streams]
    yield gauge("stream_silence_active", "1 while nobody of a stream speaks, who all should", unheard)
    totals = [
        ({"stream": one.name, "kind": kind.value}, float(one.spells_total.get(kind, 0)))
        for one in streams
        for kind in SPELLS
    ]
    yield counter("spells", "Spells begun: of silence, of slowness, of a signal that is stuck", totals)
    slow = [(_labels(of, one), one) for of in streams for one in of.spells if one.what is Alarm.SLOW]
    yield gauge(
        "slow_active", "1 while an entity speaks less often than it did", [(at, 1.0) for at, _ in slow]
    )
    yield gauge(
        "publish_interval_observed_seconds", "Of a slow entity", [(at, one.observed) for at, one in slow]
    )
    yield gauge(
        "publish_interval_expected_seconds",
        "Of a slow entity: what was usual",
        [(at, one.usual) for at, one in slow],
    )
    stuck = [(_labels(of, one), 1.0) for of in streams for one in of.spells if one.what is Alarm.STUCK]
    yield gauge("stuck_active", "1 while a signal stands still, and its peers move", stuck)


def _labels(stream: StreamSnapshot, spell: Spell) -> Labels:
    signal = {"signal": spell.signal} if spell.signal else {}
    return {**dict(zip(stream.labels, spell.entity, strict=True)), "stream": stream.name, **signal}
