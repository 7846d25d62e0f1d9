"""Before the first connection: what of secrets, certificates, filters, queues is no good or needs mending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from detector.edge import tls, websocket
from detector.maintenance_settings import switches
from detector.settings import Settings, SettingsError, password
from detector.stream.decode.topic import template_of
from detector.stream.definition import NO_TIME
from detector.stream.filters import outermost, overlap
from detector.stream_settings import StreamSettings

OF_THE_BROKER = "$SYS"
"""Where a broker publishes its own figures; filters that begin with a wildcard leave them out."""
TIMELESS: Final = frozenset({"value", "homie"})
"""Formats that have no place for a time."""


def cautions(settings: Settings, now_s: float) -> list[str]:
    """Return a line for each thing that is to be mended, though the detector can run with it.

    A certificate that has expired is one: the daemon runs on, and connects when it is renewed.

    Raises:
        SettingsError: A secret or a certificate cannot be used at all.
    """
    password(settings.mqtt)
    tls.context(settings.mqtt)
    websocket.headers(settings.mqtt)
    websocket.path(settings.mqtt)
    doubts = [validity.doubt(now_s) for validity in tls.validities(settings.mqtt)]
    filters = [*_too_broad(settings.streams), *_overlaps(settings)]
    return [*settings.warnings, *(doubt for doubt in doubts if doubt), *filters, *_queued(settings)]


def _too_broad(streams: Sequence[StreamSettings]) -> Iterator[str]:
    """Yield a line for each subscription that ends in `#` and leaves out nothing before it."""
    for stream in streams:
        for text in stream.subscriptions:
            *levels, last = text.split("/")
            fixed = [level for level in levels if level != "+"]
            if last == "#" and fixed in ([], [OF_THE_BROKER]):
                what = "every figure of the broker itself" if fixed else "every message of the broker"
                yield (
                    f"stream {stream.name}: {text} brings {what} to this process; "
                    "begin the topic with what only the agents of this stream publish under, as in telegraf/#"
                )


def _overlaps(settings: Settings) -> Iterator[str]:
    """Yield a line for each two filters that are both subscribed to and share topics."""
    filters = [text for stream in settings.streams for text in stream.subscriptions]
    filters += [switch.template.filter for switch in switches(settings.maintenance)]
    for one, other in combinations(outermost(filters), 2):
        if overlap(one, other):
            yield (
                f"the filters {one} and {other} overlap, and some brokers deliver twice what both match: "
                "then each of its samples counts twice; one that covers both is safe"
            )


def _queued(settings: Settings) -> Iterator[str]:
    """Yield a line for each stream whose values wait for us and do not say of when they are."""
    for stream in settings.streams:
        why = 'overload = "block"' if stream.overload == "block" else ""
        why = "mqtt.persistent" if settings.mqtt.persistent else why
        if why and _is_timeless(stream):
            yield (
                f"stream {stream.name}: its values ({stream.format}) have no times; with {why} the"
                " broker queues some, which then count as of their arrival"
            )


def _is_timeless(stream: StreamSettings) -> bool:
    """Say whether no message of a stream has a time: with {signal}, influx is the value alone."""
    if stream.payload.time == NO_TIME:
        return True
    named = "signal" in template_of(stream.definition()).labels
    return stream.format in TIMELESS or (stream.format == "influx" and named)


def refuse_expired(settings: Settings, now_s: float) -> None:
    """Raise a SettingsError where a certificate is not good now."""
    for validity in tls.validities(settings.mqtt):
        if validity.is_over(now_s):
            raise SettingsError(validity.doubt(now_s))
