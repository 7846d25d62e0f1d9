"""Why a connection to the broker failed, in one line that says what to do, and in one word for a metric."""

from __future__ import annotations

import errno
import socket
import ssl
from enum import Enum, auto
from typing import Final, NamedTuple

from paho.mqtt.reasoncodes import ReasonCode

from detector.edge.snapshot_mqtt import ConnectFailure as Why
from detector.edge.websocket import WebSocketError
from detector.settings import SettingsError
from detector.transport_settings import TransportSettings


class Stage(Enum):
    """How far a connection had come: to which part an error belongs."""

    TCP = auto()
    HANDSHAKE = auto()  # of TLS and WebSocket
    MQTT = auto()


class Failure(NamedTuple):
    """What to count, and what to say."""

    reason: Why
    line: str


def explain(error: Exception, settings: TransportSettings, stage: Stage, first: bytes = b"") -> Failure:
    """Say why an attempt to connect failed.

    Args:
        error: What was raised.
        settings: Of the connection.
        stage: What was being done.
        first: The first bytes that came as MQTT, if any.
    """
    if isinstance(error, SettingsError):
        return Failure(Why.TLS_FILES, str(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, settings)
    if isinstance(error, WebSocketError):
        return _no_websocket(error, settings)
    if (
        isinstance(error, (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError))
        and stage is not Stage.TCP
    ):
        return _closed(settings, stage, first)
    if isinstance(error, ssl.SSLError):
        return _refused_by_tls(error, settings)
    return _unreached(error, stage)


def explain_refusal(reason: ReasonCode) -> Failure:
    """Say why the broker has refused: by the reason code of its CONNACK, which paho gives as of MQTT 5."""
    why, what = _REFUSALS.get(reason.value, (Why.BROKER_REFUSES, "its log may tell"))
    return Failure(why, f"the broker refuses ({reason}); {what}")


# Certificates and TLS

_OTHER_NAME: Final = "set mqtt.tls_server_name to a name that it has, or mqtt.host"
_VERIFICATION: Final = {
    9: (Why.CERTIFICATE_NOT_YET_VALID, "is the clock right, here and where it was made?"),
    10: (Why.CERTIFICATE_EXPIRED, "renew it at the broker; or is the clock wrong here?"),
    62: (Why.CERTIFICATE_HOST_NAME, _OTHER_NAME),
    64: (Why.CERTIFICATE_HOST_NAME, _OTHER_NAME),
}
"""By OpenSSL's code, X509_V_ERR_...; the rest is about who signed it, or about its quality."""
_UNTRUSTED_CODES: Final = frozenset({2, 18, 19, 20, 21, 24, 27, 28})
_UNTRUSTED: Final = "put the certificate of the CA that signed the broker's into mqtt.tls_ca_file"

_CLIENT_CERTIFICATE: Final = "mqtt.tls_certificate_file"
_HANDSHAKE: Final = (
    # OpenSSL's word, what it means, what to do; an alert is what the other side says.
    (
        ("CERTIFICATE_REQUIRED", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        Why.CLIENT_CERTIFICATE_MISSING,
        f"the broker wants a client certificate; give it in {_CLIENT_CERTIFICATE}",
    ),
    (
        ("ALERT_UNKNOWN_CA",),
        Why.CLIENT_CERTIFICATE_REFUSED,
        f"the broker does not trust who signed our certificate, {_CLIENT_CERTIFICATE}",
    ),
    (
        ("ALERT_CERTIFICATE_EXPIRED",),
        Why.CLIENT_CERTIFICATE_REFUSED,
        f"our certificate has expired, renew {_CLIENT_CERTIFICATE}",
    ),
    (
        (
            "ALERT_CERTIFICATE_REVOKED", "ALERT_BAD_CERTIFICATE", "ALERT_UNSUPPORTED_CERTIFICATE",
            "ALERT_CERTIFICATE_UNKNOWN", "ALERT_ACCESS_DENIED", "ALERT_DECRYPT_ERROR",
        ),
        Why.CLIENT_CERTIFICATE_REFUSED,
        f"the broker refuses our certificate, {_CLIENT_CERTIFICATE}; its log has the reason",
    ),
    (
        ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "WRONG_SSL_VERSION"),
        Why.TLS_VERSION,
        "the broker accepts no version of TLS that mqtt.tls_version_min allows",
    ),
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"),
        Why.TLS_MISSING,
        "the other side does not answer with TLS; is this the port for it (mostly 8883)?",
    ),
    (
        ("NO_APPLICATION_PROTOCOL",),
        Why.TLS,
        "the broker knows none of the protocols in mqtt.tls_alpn",
    ),
    (
        ("UNRECOGNIZED_NAME",),
        Why.CERTIFICATE_HOST_NAME,
        "the broker has no certificate for this name; is mqtt.tls_server_name, or else mqtt.host, right?",
    ),
)  # fmt: skip


def _untrusted(error: ssl.SSLCertVerificationError, settings: TransportSettings) -> Failure:
    said = error.verify_message.rstrip(".")
    if error.verify_code in _UNTRUSTED_CODES:
        trusted = "this machine trusts" if settings.tls_ca_file is None else f"{settings.tls_ca_file} names"
        line = f"the broker's certificate is signed by nobody whom {trusted} ({said}); {_UNTRUSTED}"
        return Failure(Why.CERTIFICATE_UNTRUSTED, line)
    why, what = _VERIFICATION.get(error.verify_code, (Why.CERTIFICATE_WRONG, "give the broker a better one"))
    return Failure(why, f"the broker's certificate is no good ({said}); {what}")


def _refused_by_tls(error: ssl.SSLError, settings: TransportSettings) -> Failure:
    said = error.reason or str(error)
    for words, why, line in _HANDSHAKE:
        if any(word in said for word in words):
            return Failure(why, f"{line} ({said})")
    if "HANDSHAKE_FAILURE" in said and settings.tls_certificate_file is None:
        line = (
            f"the broker ends the handshake; most often it wants a client certificate, {_CLIENT_CERTIFICATE}"
        )
        return Failure(Why.CLIENT_CERTIFICATE_MISSING, f"{line} ({said})")
    return Failure(Why.TLS, f"TLS fails ({said}); the broker's log may have more")


# Before and beneath MQTT


def _no_websocket(error: WebSocketError, settings: TransportSettings) -> Failure:
    what = {
        400: "is mqtt.websocket_path right?",
        401: "give what it wants to see in mqtt.websocket_headers_file",
        403: "give what it wants to see in mqtt.websocket_headers_file",
        404: f"is mqtt.websocket_path{_path_shown(settings)} right?",
        426: "is this the port for WebSocket?",
    }.get(error.status, "is this the port for WebSocket, and mqtt.tls as it wants it?")
    return Failure(Why.WEBSOCKET, f"there is no WebSocket: {error}; {what}")


def _path_shown(settings: TransportSettings) -> str:
    """Return as much of the path as everybody may see: what stands behind `?` may be a signature."""
    if settings.websocket_path_file is not None:
        return "_file"
    shown, query, _ = settings.websocket_path.partition("?")
    return f" {shown + query + ('…' if query else '')!r}"


def _closed(settings: TransportSettings, stage: Stage, first: bytes) -> Failure:
    """Say why the connection ended, as far as the first byte tells what the other side speaks."""
    if first[:1] in (b"\x15", b"\x16"):  # an alert or a handshake
        return Failure(Why.TLS_WANTED, "the other side speaks TLS on this port; set mqtt.tls to true")
    if first[:1] == b"\xf0":
        line = "the broker wants the enhanced authentication of MQTT 5 (it sent AUTH), which is not supported"
        return Failure(Why.ENHANCED_AUTH, line)
    if first and first[:1] != b"\x20":
        line = f"the other side does not answer with MQTT but with {first[:16]!r}; is this the right port?"
        return Failure(Why.NOT_MQTT, line)
    if first[:4] == b"\x20\x02\x00\x01":  # which paho takes as the end of the connection
        return Failure(Why.PROTOCOL_VERSION, "the broker refuses (protocol version); set mqtt.protocol")
    if stage is Stage.HANDSHAKE:
        line = "the other side ends the connection within the TLS handshake; does this port speak TLS?"
        return Failure(Why.TLS_MISSING, line)
    may = f"wants a client certificate ({_CLIENT_CERTIFICATE}) or refuses ours"
    if not settings.tls:
        may = "speaks TLS on this port (mqtt.tls), or WebSocket (mqtt.transport)"
    line = f"the other side ends the connection without a word; perhaps it {may}, its log may tell"
    return Failure(Why.CLOSED, line)


_UNREACHABLE: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
)


def _unreached(error: Exception, stage: Stage) -> Failure:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, (socket.gaierror, UnicodeError)) and stage is Stage.TCP:
        return Failure(Why.NAME_UNRESOLVED, f"the name is not known ({said}); is mqtt.host right?")
    if isinstance(error, ConnectionRefusedError):
        return Failure(Why.REFUSED, "nobody listens there; is the broker running, and mqtt.port right?")
    if isinstance(error, TimeoutError) and stage is Stage.TCP:
        return Failure(Why.TIMEOUT, "no answer in time; is mqtt.host right, or does a firewall drop it?")
    if isinstance(error, TimeoutError):
        return Failure(Why.TIMEOUT, "the other side says nothing; is it a broker, and is mqtt.port right?")
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return Failure(
            Why.UNREACHABLE, f"no way leads there ({said}); is mqtt.host right, and the network up?"
        )
    return Failure(Why.OTHER, f"{type(error).__name__}: {said}")


# The broker's own word

_LATER: Final = "it is tried again"
_REFUSALS: Final = {
    0x84: (Why.PROTOCOL_VERSION, "set mqtt.protocol to a version of MQTT that it speaks"),
    0x85: (Why.CLIENT_ID, "set mqtt.client_id to one that it allows"),
    0x86: (Why.BAD_CREDENTIALS, "are mqtt.username and mqtt.password_file right?"),
    0x87: (Why.NOT_AUTHORIZED, "are mqtt.username and mqtt.password_file right, and may this user connect?"),
    0x88: (Why.BROKER_BUSY, _LATER),
    0x89: (Why.BROKER_BUSY, _LATER),
    0x8A: (Why.NOT_AUTHORIZED, "we are banned; its log may tell why"),
    0x8C: (Why.ENHANCED_AUTH, "it wants the enhanced authentication of MQTT 5, which is not supported"),
    0x97: (Why.BROKER_BUSY, "a quota of the broker is used up"),
    0x9C: (Why.BROKER_REFUSES, "it names another server: set mqtt.host to that"),
    0x9D: (Why.BROKER_REFUSES, "it has moved: set mqtt.host to where"),
    0x9F: (Why.BROKER_BUSY, "too many connections at a time; " + _LATER),
}
"""By the reason codes of MQTT 5, section 3.2.2.2."""
