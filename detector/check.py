"""`detector check`: are settings and bundles good, and what would a message become?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice

from detector.model import bundle
from detector.settings import Settings, password
from detector.stream.decode import decoder
from detector.stream.decode.documents import parse_document
from detector.stream.nouns import Batch, Definition, Drop, Message
from detector.stream_settings import StreamSettings

NAMES_MAX = 64
"""Names of a message that are shown: more than a Telegraf interface has, and a screen still holds them."""


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
    lines = [f"stream {definition.name}: {what}"]
    lines += [f"  refused: {count} {reason}" for reason, count in batch.dropped.items()]
    lines += _samples(definition, batch, message)
    if refusal in (Drop.ENTITY_MISSING, Drop.NO_SIGNAL):
        lines += _misfit(definition, labels, message)
    elif absent := [name for at, name in enumerate(definition.signal_names) if at not in batch.signal]:
        lines += [f"  not in it: {', '.join(absent)}"] if not refusal else []
    return lines, not refusal


def _misfit(definition: Definition, labels: Mapping[str, str], message: Message) -> Iterator[str]:
    """Say what a stream wants and what a message has instead."""
    topic = ", ".join(f'{name}="{label}"' for name, label in labels.items() if name in definition.entity)
    yield f"  wanted: the entity {', '.join(definition.entity)}; of the topic: {topic or 'none'}"
    yield f"  wanted: one of {', '.join(signal.field or signal.name for signal in definition.signals)}"
    names = list(islice(_names(parse_document(message.payload)), NAMES_MAX))
    yield f"  the message has: {', '.join(names) or 'nothing with a name'}"


def _names(document: object, at: str = "") -> Iterator[str]:
    """Yield the dotted paths of what a document holds; of an array, those of its first item."""
    inside: Iterable[tuple[str, object]] = ()
    if isinstance(document, dict):
        inside = document.items()
    elif isinstance(document, list):
        inside = [("0", item) for item in document[:1]]
    elif at:
        yield at if at.isprintable() else repr(at)
    for name, value in inside:
        yield from _names(value, f"{at}.{name}" if at else name)


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
