"""Before the first connection: secrets and certificates that cannot be used, and what should be mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from detector.edge import tls, websocket
from detector.settings import Settings, SettingsError, password
from detector.stream_settings import StreamSettings

OF_THE_BROKER = "$SYS"
"""Where a broker publishes its own figures; filters that begin with a wildcard leave them out."""


def cautions(settings: Settings, now_s: float) -> list[str]:
    """Return a line for each thing that is to be mended, though the detector can run with it.

    A certificate that has expired is one: the daemon runs on, and connects when it is renewed.

    Raises:
        SettingsError: A secret or a certificate cannot be used at all.
    """
    password(settings.mqtt)
    tls.context(settings.mqtt)
    websocket.headers(settings.mqtt)
    doubts = [validity.doubt(now_s) for validity in tls.validities(settings.mqtt)]
    broad = _too_broad(settings.streams)
    return [*settings.warnings, *(doubt for doubt in doubts if doubt), *broad]


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


def refuse_expired(settings: Settings, now_s: float) -> None:
    """Raise a SettingsError where a certificate is not good now."""
    for validity in tls.validities(settings.mqtt):
        if validity.is_over(now_s):
            raise SettingsError(validity.doubt(now_s))
