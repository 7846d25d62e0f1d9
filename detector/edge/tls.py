"""TLS to the broker: the context of the next connection, and whether its certificates are still good.

Whom we trust and who we are is read from the files for each connection, so that renewed ones are used without
a restart. The broker's certificate and the name in it are always checked; nothing here turns that off.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from detector.settings import SettingsError, secret
from detector.transport_settings import TransportSettings

SOON_S: Final = 30 * 86400.0
SOON_SHARE: Final = 0.2
"""An end within a month is worth a word; of a certificate with a shorter life, one within its last fifth:
by custom it is renewed after two thirds, so that by then something is wrong."""


class Validity(NamedTuple):
    """From when to when the certificates of a file are good, in seconds since the epoch."""

    key: str
    path: Path
    begin_s: float
    end_s: float

    def is_over(self, now_s: float) -> bool:
        """Say whether they cannot be used now."""
        return not self.begin_s <= now_s <= self.end_s

    def doubt(self, now_s: float) -> str:
        """Return in words what is wrong with it now, or soon; empty where nothing is."""
        where = f"{self.key}: {self.path}"
        if now_s < self.begin_s:
            return f"{where}: not valid before {_utc(self.begin_s)}; it is {_utc(now_s)} here"
        if now_s > self.end_s:
            return f"{where}: expired at {_utc(self.end_s)}; renew it"
        if self.end_s - now_s < min(SOON_S, SOON_SHARE * (self.end_s - self.begin_s)):
            return f"{where}: expires at {_utc(self.end_s)}; renew it"
        return ""


def context(settings: TransportSettings) -> ssl.SSLContext | None:
    """Return the context of the next connection; None where there is no TLS.

    Raises:
        SettingsError: A file cannot be read or used; the message names the key.
    """
    if not settings.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks the certificate and the name
    three = settings.tls_version_min == "1.3"
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if three else ssl.TLSVersion.TLSv1_2
    _trust(context, settings)
    if settings.tls_certificate_file is not None:
        _introduce(context, settings, settings.tls_certificate_file)
    if settings.tls_alpn:
        context.set_alpn_protocols(settings.tls_alpn.split(","))
    return context


def last_word(recv: Callable[[int], bytes], error: OSError) -> OSError:
    """Return why a write has failed: what the other side said before it left, else the error itself.

    With TLS 1.3 a broker refuses our certificate when the handshake is over for us and we write already; the
    write finds a closed connection, and the reason waits to be read.

    Args:
        recv: Of the connection.
        error: Of the write.
    """
    try:
        recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return error
    except OSError as word:
        return word
    return error


def validities(settings: TransportSettings) -> Iterator[Validity]:
    """Yield for each file of certificates how long it is good.

    A chain is good while all of it is; of several CAs one may have been replaced by the next.

    Raises:
        SettingsError: A file cannot be read.
    """
    for key, path in (
        ("mqtt.tls_ca_file", settings.tls_ca_file),
        ("mqtt.tls_certificate_file", settings.tls_certificate_file),
    ):
        spans = [] if path is None else _spans(key, path)
        if path is not None and spans:
            begins_s, ends_s = zip(*spans, strict=True)
            one_is_enough = key == "mqtt.tls_ca_file"
            begin_s, end_s = (min(begins_s), max(ends_s)) if one_is_enough else (max(begins_s), min(ends_s))
            yield Validity(key, path, begin_s, end_s)


def _trust(context: ssl.SSLContext, settings: TransportSettings) -> None:
    if settings.tls_ca_file is None:
        context.load_default_certs()
        return
    # One of whom the file names is enough, be it an intermediate CA or the broker itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=settings.tls_ca_file)
    except OSError as error:
        raise _useless("mqtt.tls_ca_file", settings.tls_ca_file, error) from None


def _introduce(context: ssl.SSLContext, settings: TransportSettings, certificate: Path) -> None:
    """Load our certificate and its key; if it fails, find out which of the two files it is."""
    key, key_file = "mqtt.tls_key_file", settings.tls_key_file
    if key_file is None:
        key, key_file = "mqtt.tls_certificate_file", certificate
    _read("mqtt.tls_certificate_file", certificate)
    _read(key, key_file)
    password = secret(settings, "tls_key_password")
    asked = False

    def opened() -> str:
        nonlocal asked
        asked = True
        return password or ""  # never None: OpenSSL would ask whoever sits at the terminal

    try:
        context.load_cert_chain(certificate, key_file, opened)
    except ssl.SSLError as error:
        where = f"{key}: {key_file}"
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"{where}: is not the key of {certificate}") from None
        if asked and password is None:
            raise SettingsError(
                f"{where}: is encrypted; say in mqtt.tls_key_password_file with what"
            ) from None
        if asked:
            raise SettingsError(f"{where}: cannot be opened with mqtt.tls_key_password") from None
        if not _spans("mqtt.tls_certificate_file", certificate):
            raise _useless("mqtt.tls_certificate_file", certificate, error) from None
        raise SettingsError(f"{where}: has no key in PEM ({error.reason or error})") from None
    except ValueError as error:  # a password that is longer than OpenSSL takes
        raise SettingsError(f"mqtt.tls_key_password: {error}") from None


def _spans(key: str, path: Path) -> list[tuple[float, float]]:
    """Return from when to when each certificate is good; none where there is none that can be read.

    It is OpenSSL that decides whether a file can be used.
    """
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 -- 50 ms, only for TLS

    try:
        found = load_pem_x509_certificates(_read(key, path))
    except ValueError:
        return []
    return [(one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp()) for one in found]


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _useless(key, path, error) from None


def _useless(key: str, path: Path, error: OSError) -> SettingsError:
    no_pem = isinstance(error, ssl.SSLError)
    return SettingsError(f"{key}: {path}: {'has no certificate in PEM' if no_pem else error.strerror}")


def _utc(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
