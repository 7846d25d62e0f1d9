"""`detector check`: are settings and bundles good, and what would a message become?"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from detector.daemon import open_bundle, subscription
from detector.settings import Settings
from detector.stream.decode import decoder
from detector.stream.nouns import Batch, Message


def bundles(settings: Settings) -> list[str]:
    """Return a line a stream.

    Raises:
        BundleError: A bundle is missing, altered, or was trained on something else.
    """
    lines = []
    for stream in settings.streams:
        loaded = open_bundle(stream)
        how = f"bundle {loaded.version}" if loaded else "no bundle: recorded, not scored"
        lines.append(f"stream {stream.name}: {subscription(stream)} ({stream.format}), {how}")
    return [*lines, "settings ok" if lines else "settings ok; no stream is defined"]


def message(settings: Settings, topic: str, payload: bytes) -> tuple[list[str], bool]:
    """Return what a message would become in every stream, and whether any stream takes it."""
    lines: list[str] = []
    taken = False
    for stream in settings.streams:
        definition = stream.definition()
        one = decoder(definition)
        labels = one.template.match(topic)
        if labels is None:
            continue
        batch = Batch()
        refusal = one.decode(Message(topic, payload, time.time()), labels, batch)
        taken |= refusal is None
        lines.append(
            f"stream {stream.name}: " + (f"dropped, {refusal}" if refusal else f"{len(batch.value)} samples")
        )
        lines += [f"  refused: {count} {reason}" for reason, count in batch.dropped.items()]
        for record, signal, value in zip(batch.record, batch.signal, batch.value, strict=True):
            names = zip(definition.entity, batch.entities[record], strict=True)
            entity = ", ".join(f'{name}="{label}"' for name, label in names)
            at = datetime.fromtimestamp(batch.times_s[record], UTC).isoformat()
            kind = definition.signals[signal].kind
            lines.append(f"  {{{entity}}} {at} {definition.signals[signal].name} = {value:g} ({kind})")
    if not lines:
        filters = ", ".join(subscription(stream) for stream in settings.streams) or "none"
        lines.append(f"dropped, topic_unknown: no stream reads {topic!r}; subscribed: {filters}")
    return lines, taken
