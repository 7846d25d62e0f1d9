"""Is all well: settings and bundles, a message and what it would become, a daemon that runs."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from detector.caution import cautions, refuse_expired
from detector.maintenance_settings import MaintenanceSettings
from detector.message_settings import PAYLOAD_KEYS
from detector.misfit import NAMES_MAX, misfit
from detector.model import bundle
from detector.planner import Planner
from detector.settings import Settings
from detector.stream.decode import Decoder, decoder
from detector.stream.decode.topic import Template
from detector.stream.definition import NO_TIME, Definition, Signal
from detector.stream.nouns import Batch, Drop, Message
from detector.stream.switch import Switch
from detector.stream_settings import StreamSettings
from detector.wording import off_by

HEALTH_S = 2.0
"""How long a daemon may take to answer, twice: whoever asks for its health gives up after five seconds."""


def everything(settings: Settings) -> list[str]:
    """Return a line a stream, and that all is well.

    Raises:
        SettingsError: A secret or a calendar cannot be read, or a certificate cannot be used now.
        BundleError: A bundle is missing, altered, or was trained on something else.
    """
    now_s = time.time()
    lines = [f"caution: {line}" for line in cautions(settings, now_s)]
    refuse_expired(settings, now_s)
    lines += [_stream(stream, settings.bundles.public_key_file) for stream in settings.streams]
    lines += _maintenances(settings, now_s)
    return [*lines, "settings ok" if settings.streams else "settings ok; no stream is defined"]


def message(settings: Settings, topic: str, payload: bytes) -> tuple[list[str], bool]:
    """Return in words what a message that arrives now would become, and whether any stream takes it."""
    now = Message(topic, payload, time.time())
    if len(payload) > settings.mqtt.payload_bytes_max:
        return [f"dropped, {Drop.PAYLOAD_TOO_LARGE}: {len(payload)} bytes"], False
    fates = [fate for stream in settings.streams if (fate := _fate(stream.definition(), now))]
    fates += [fate for one in settings.maintenance if one.topic and (fate := _switched(one, now))]
    if not fates:
        filters = [text for stream in settings.streams for text in stream.subscriptions]
        filters += [Template(one.topic).filter for one in settings.maintenance if one.topic]
        subscribed = ", ".join(filters) or "none"
        return [f"dropped, {Drop.TOPIC_UNKNOWN}: no stream reads {topic!r}; subscribed: {subscribed}"], False
    return [line for lines, _ in fates for line in lines], any(taken for _, taken in fates)


def _stream(stream: StreamSettings, keys_file: Path | None) -> str:
    how = "no bundle: recorded, not scored"
    if stream.bundle is not None:
        how = f"bundle {bundle.load_for(stream.definition(), stream.bundle, keys_file).version}"
    count = len(stream.policies)
    policies = f", {count} {'policy' if count == 1 else 'policies'}" if count else ""
    return f"stream {stream.name}: {', '.join(stream.subscriptions)} ({stream.format}), {how}{policies}"


def _maintenances(settings: Settings, now_s: float) -> Iterator[str]:
    """Yield a line for each maintenance: of which streams, and when next."""
    planner = Planner(settings.maintenance)
    for one in settings.maintenance:
        when = f"by {Template(one.topic).filter}" if one.topic else _next(planner, one.name, now_s)
        streams = ", ".join(stream.name for stream in settings.streams if one.is_about(stream)) or "no stream"
        yield f"maintenance {one.name}: of {streams}, {when}"


def _next(planner: Planner, name: str, now_s: float) -> str:
    span = planner.next(name, now_s)
    if span is None:
        return "not in the next year"
    begin, end = (datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") for at_s in span)
    return f"now, until {end}" if span.begin_s <= now_s else f"next from {begin} to {end}"


def health(host: str, port: int) -> tuple[str, bool, bool]:
    """Ask a running daemon; return in words what it says, and whether it is healthy and whether ready.

    Raises:
        OSError, HTTPException: No daemon answers.
    """
    healthy, said = _get(host, port, "/-/healthy")
    ready, missing = _get(host, port, "/-/ready")
    line = "healthy" if healthy else f"not healthy: {said}"
    return f"{line}, ready" if ready else f"{line}, not ready: {missing}", healthy, ready


def _get(host: str, port: int, page: str) -> tuple[bool, str]:
    connection = http.client.HTTPConnection(host, port, timeout=HEALTH_S)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    return answer.status == http.HTTPStatus.OK, "; ".join(text.splitlines())


def disbelief(definition: Definition, ahead_s: float) -> Drop | None:
    """Return why a stream would not believe a time so far ahead of its arrival; a data clock follows any."""
    if definition.clock == "data" or -definition.age_max_s <= ahead_s <= definition.future_max_s:
        return None
    return Drop.TIME_FUTURE if ahead_s > 0 else Drop.TIME_OLD


def _fate(definition: Definition, message: Message) -> tuple[list[str], bool] | None:
    one = decoder(definition)
    of_topic = one.template.match(message.topic)
    if one.farewell and (leaving := one.farewell.goodbye(message)):
        return [f"stream {definition.name}: a goodbye of {_named(leaving)}"], True
    if of_topic is None:
        if one.farewell is None or one.farewell.leaving(message.topic) is None:
            return None
        return [f"stream {definition.name}: no goodbye: {', '.join(definition.offline_payloads)}"], False
    batch = Batch()
    labels = one.with_properties(of_topic, message)
    refusal = one.decode(message, labels, batch)
    what = f"dropped, {refusal}" if refusal else f"{len(batch.value)} samples"
    if definition.format == "auto":
        what += f"; format {one.looks.format_of(message.topic, message.payload) or 'none that is known'}"
    lines = [f"stream {definition.name}: {what}"]
    lines += [f"  refused: {count} {reason}" for reason, count in batch.dropped.items()]
    lines += _samples(definition, batch, message)
    lines += [f"  a goodbye of {_named(labels)}" for _, labels in batch.silenced[:NAMES_MAX]]
    lines += _time_hint(_as_it_looks(definition, one, message), batch, message, refusal)
    if Drop.LABEL_REFUSED in (refusal, *batch.dropped):
        lines += _not_allowed(definition, labels, message, batch)
    if refusal in (None, Drop.ENTITY_MISSING, Drop.NO_SIGNAL):
        lines += misfit(_as_it_looks(definition, one, message), labels, message, refused=refusal is not None)
    return lines, not refusal


def _switched(one: MaintenanceSettings, message: Message) -> tuple[list[str], bool] | None:
    switch = Switch(one.maintenance())
    labels, on = switch.labels(message.topic), switch.says(message.payload)
    if labels is None:
        return None
    if on is None:
        return [f"maintenance {one.name}: neither {', '.join(one.on)} nor {', '.join(one.off)}"], False
    return [f"maintenance {one.name}: {'on' if on else 'off'} of {_named({**one.match, **labels})}"], True


def _as_it_looks(definition: Definition, one: Decoder, message: Message) -> Definition:
    """Return a stream with the format of a message, where each says its own."""
    looks = one.looks.format_of(message.topic, message.payload) if definition.format == "auto" else ""
    return replace(definition, format=looks) if looks else definition


def _not_allowed(
    definition: Definition, labels: Mapping[str, str], message: Message, taken: Batch
) -> Iterator[str]:
    """Say whom a message is about who is not among those that are allowed."""
    everybody = Batch()
    layout = replace(definition.layout, allow=())
    decoder(replace(definition, layout=layout)).decode(message, labels, everybody)
    others = [entity for entity in dict.fromkeys(everybody.entities) if entity not in taken.entities]
    for entity in others[:NAMES_MAX]:
        yield f"  not allowed: {_named(dict(zip(definition.entity, entity, strict=True)))}"


def _samples(definition: Definition, batch: Batch, message: Message) -> Iterator[str]:
    columns = definition.columns
    for record, column, value in zip(batch.record, batch.signal, batch.value, strict=True):
        signal = columns[column]
        entity = _named(dict(zip(definition.entity, batch.entities[record], strict=True)))
        time_s = batch.times_s[record]
        at = datetime.fromtimestamp(time_s, UTC).isoformat()
        doubt = _doubt(definition, time_s - message.arrival_s)
        yield f"  {entity} {at} {signal.name} = {value:g} ({_kind(signal)}){doubt}"


def _named(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{label}"' for name, label in labels.items()) + "}"


def _kind(signal: Signal) -> str:
    """Return what is made of a value that is published."""
    scale = f"x {signal.scale:g}" if signal.scale != 1 else ""
    offset = f"{signal.offset:+g}" if signal.offset else ""
    unit = f"in {signal.unit}" if signal.unit else ""
    return ", ".join(filter(None, (signal.kind, scale, offset, unit)))


def _time_hint(definition: Definition, batch: Batch, message: Message, refusal: Drop | None) -> Iterator[str]:
    """Say what can be set where a message, or a part of it, is refused for its time."""
    doubted = any(disbelief(definition, time_s - message.arrival_s) for time_s in batch.times_s)
    if definition.format in PAYLOAD_KEYS["time"] and (
        doubted or Drop.TIME_UNREADABLE in (refusal, *batch.dropped)
    ):
        yield f'  payload.time says where the time is; with "{NO_TIME}" that of arrival counts'


def _doubt(definition: Definition, ahead_s: float) -> str:
    reason = disbelief(definition, ahead_s)
    return f", dropped, {reason}: {off_by(ahead_s)}" if reason else ""
