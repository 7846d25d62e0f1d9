"""Secrets and certificates before the first connection: what cannot be used, and what should be mended."""

from __future__ import annotations

from detector.edge import tls, websocket
from detector.settings import Settings, SettingsError, password


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
    return [*settings.warnings, *(doubt for doubt in doubts if doubt)]


def refuse_expired(settings: Settings, now_s: float) -> None:
    """Raise a SettingsError where a certificate is not good now."""
    for validity in tls.validities(settings.mqtt):
        if validity.is_over(now_s):
            raise SettingsError(validity.doubt(now_s))
