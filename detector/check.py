"""`detector check`: are settings and bundles good, and what would a message become?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from detector.model import bundle
from detector.settings import Settings, password
from detector.stream.decode import decoder
from detector.stream.nouns import Batch, Definition, Drop, Message
from detector.stream_settings import StreamSettings


def everything(settings: Settings) -> list[str]:
    """Return a line a stream, and that all is well.

    Raises:
        SettingsError: The password cannot be read.
        BundleError: A bundle is missing, altered, or was trained on something else.
    """
    password(settings.mqtt)
    lines = [_stream(stream) for stream in settings.streams]
    return [*lines, "settings ok" if lines else "settings ok; no stream is defined"]


def message(settings: Settings, topic: str, payload: bytes) -> tuple[list[str], bool]:
    """Return in words what a message that arrives now would become, and whether any stream takes it."""
    now = Message(topic, payload, time.time())
    if len(payload) > settings.mqtt.payload_bytes_max:
        return [f"dropped, {Drop.PAYLOAD_TOO_LARGE}: {len(payload)} bytes"], False
    fates = [fate for stream in settings.streams if (fate := _fate(stream.definition(), now))]
    if not fates:
        filters = ", ".join(stream.subscription for stream in settings.streams) or "none"
        return [f"dropped, {Drop.TOPIC_UNKNOWN}: no stream reads {topic!r}; subscribed: {filters}"], False
    return [line for lines, _ in fates for line in lines], any(taken for _, taken in fates)


def _stream(stream: StreamSettings) -> str:
    how = "no bundle: recorded, not scored"
    if stream.bundle is not None:
        how = f"bundle {bundle.load_for(stream.definition(), stream.bundle).version}"
    return f"stream {stream.name}: {stream.subscription} ({stream.format}), {how}"


def _fate(definition: Definition, message: Message) -> tuple[list[str], bool] | None:
    one = decoder(definition)
    labels = one.template.match(message.topic)
    if labels is None:
        return None
    batch = Batch()
    refusal = one.decode(message, labels, batch)
    what = f"dropped, {refusal}" if refusal else f"{len(batch.value)} samples"
    refused = [f"  refused: {count} {reason}" for reason, count in batch.dropped.items()]
    return [f"stream {definition.name}: {what}", *refused, *_samples(definition, batch, message)], not refusal


def _samples(definition: Definition, batch: Batch, message: Message) -> Iterator[str]:
    for record, column, value in zip(batch.record, batch.signal, batch.value, strict=True):
        signal = definition.signals[column]
        names = zip(definition.entity, batch.entities[record], strict=True)
        entity = ", ".join(f'{name}="{label}"' for name, label in names)
        time_s = batch.times_s[record]
        at = datetime.fromtimestamp(time_s, UTC).isoformat()
        doubt = _doubt(definition, time_s - message.arrival_s)
        yield f"  {{{entity}}} {at} {signal.name} = {value:g} ({signal.kind}){doubt}"


def _doubt(definition: Definition, ahead_s: float) -> str:
    """Return why the clock of a stream would not believe a time; a data clock follows whatever comes."""
    if definition.clock == "data" or -definition.age_max_s <= ahead_s <= definition.future_max_s:
        return ""
    if ahead_s > 0:
        return f", dropped, {Drop.TIME_FUTURE}: {ahead_s:.0f} s ahead"
    return f", dropped, {Drop.TIME_OLD}: {-ahead_s:.0f} s old"
