"""What a scrape tells of the connection to the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ConnectFailure(StrEnum):
    """Why an attempt to connect failed; `edge/failures.py` says it in words."""

    NAME_UNRESOLVED = "name_unresolved"  # the host's name is not known
    REFUSED = "refused"  # nobody listens there
    UNREACHABLE = "unreachable"  # no way leads to the host
    TIMEOUT = "timeout"  # no answer
    CLOSED = "closed"  # the broker ended the connection without a word
    NOT_MQTT = "not_mqtt"  # something else answers
    TLS_MISSING = "tls_missing"  # TLS to a port that does not speak it
    TLS_WANTED = "tls_wanted"  # no TLS to a port that speaks nothing else
    TLS_VERSION = "tls_version"  # no version that both sides accept
    TLS_FILES = "tls_files"  # our own certificate, key or CA cannot be used
    TLS = "tls"  # anything else in the handshake
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"  # signed by nobody whom we trust
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_HOST_NAME = "certificate_host_name"  # good, but of another host
    CERTIFICATE_WRONG = "certificate_wrong"  # any other fault of the broker's certificate
    CLIENT_CERTIFICATE_MISSING = "client_certificate_missing"
    CLIENT_CERTIFICATE_REFUSED = "client_certificate_refused"
    WEBSOCKET = "websocket"  # the request for a WebSocket is refused
    BAD_CREDENTIALS = "bad_credentials"  # user name or password
    NOT_AUTHORIZED = "not_authorized"  # known, but not let in; or as above, with MQTT 3.1.1
    CLIENT_ID = "client_id"
    PROTOCOL_VERSION = "protocol_version"  # of MQTT
    ENHANCED_AUTH = "enhanced_auth"  # which we leave out
    BROKER_BUSY = "broker_busy"
    BROKER_REFUSES = "broker_refuses"  # for a reason of its own
    OTHER = "other"  # the log has it


@dataclass(frozen=True, slots=True)
class MqttSnapshot:
    """The connection. `received` counts messages by subscription filter, `connect_failures` by reason.

    `heard_s` says by filter when the last one was found to have come.
    `failure` says in words why the newest attempt to connect failed; empty while connected.
    `unserved` are filters that the broker has granted and does not serve, as far as we can see.
    """

    connected: bool = False
    thread_alive: bool = False
    subscribed: bool = False
    reconnects_total: int = 0
    connect_failures: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""
    received: Mapping[str, int] = field(default_factory=dict)
    heard_s: Mapping[str, float] = field(default_factory=dict)
    callback_errors_total: int = 0
    inbox_messages: int = 0
    inbox_messages_max: int = 0
    inbox_bytes: int = 0
    inbox_bytes_max: int = 0
    unserved: tuple[str, ...] = ()

    def hears(self, filters: Iterable[str]) -> bool:
        """Say whether what is published under filters reaches us, as far as we can see."""
        return (
            self.thread_alive
            and self.connected
            and self.subscribed
            and set(self.unserved).isdisjoint(filters)
        )
