"""What the daemon subscribes to, and what of it gives way under overload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detector.edge.reception import Subscription
from detector.maintenance_settings import MaintenanceSettings
from detector.stream_settings import StreamSettings

SWITCH_PRIORITY: Final = 10
"""What switches maintenance comes before the values of every stream: it is little, and nobody repeats it."""


def subscriptions(
    streams: Sequence[StreamSettings], maintenances: Sequence[MaintenanceSettings]
) -> list[Subscription]:
    """Return each topic filter once; where several share one, the most important of them has its way."""
    by_filter: dict[str, Subscription] = {}
    for stream in sorted(streams, key=lambda stream: stream.priority):
        topics_max = stream.definition().topics_max
        for text in stream.subscriptions:
            others = by_filter[text].topics_max if text in by_filter else 0
            by_filter[text] = Subscription(text, stream.priority, stream.overload, max(topics_max, others))
    for one in maintenances:
        if one.topic:
            values = by_filter.get(one.filter, Subscription(one.filter))
            by_filter[one.filter] = values._replace(priority=SWITCH_PRIORITY)
    return list(by_filter.values())
