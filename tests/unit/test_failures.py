"""Every way in which a connection fails has one line that says what to do, and a word for the metric."""

import errno
import socket
import ssl

import pytest
from paho.mqtt.client import convert_connack_rc_to_reason_code
from paho.mqtt.enums import ConnackCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from detector.edge.failures import Stage, explain, explain_refusal
from detector.edge.snapshot_mqtt import ConnectFailure
from detector.mqtt_settings import MqttSettings
from detector.settings import SettingsError

PLAIN = MqttSettings()
TLS = MqttSettings(tls=True)


def alert(word):
    """Return an error as OpenSSL's, of which only the word counts."""
    error = ssl.SSLError(1, f"[SSL: {word}]")
    error.reason = word
    return error


ERRORS = [
    (socket.gaierror(-2, "Name or service not known"), Stage.TCP, "name_unresolved", "mqtt.host"),
    (UnicodeError("label too long"), Stage.TCP, "name_unresolved", "label too long"),
    (UnicodeError("odd"), Stage.MQTT, "other", "UnicodeError: odd"),
    (ConnectionRefusedError(111, "Connection refused"), Stage.TCP, "refused", "is the broker running"),
    (TimeoutError("timed out"), Stage.TCP, "timeout", "firewall"),
    (TimeoutError("timed out"), Stage.HANDSHAKE, "timeout", "says nothing"),
    (TimeoutError("timed out"), Stage.MQTT, "timeout", "says nothing"),
    (OSError(errno.EHOSTUNREACH, "No route to host"), Stage.TCP, "unreachable", "No route to host"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), Stage.TCP, "unreachable", "network"),
    (ConnectionResetError(104, "reset"), Stage.HANDSHAKE, "tls_missing", "does this port speak TLS?"),
    (ssl.SSLEOFError(8, "EOF"), Stage.HANDSHAKE, "tls_missing", "does this port speak TLS?"),
    (ConnectionResetError(104, "reset"), Stage.MQTT, "closed", "mqtt.tls"),
    (BrokenPipeError(32, "broken"), Stage.MQTT, "closed", "mqtt.tls"),
    (SettingsError("mqtt.tls_key_file: k: empty"), Stage.TCP, "tls_files", "mqtt.tls_key_file: k: empty"),
    (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), Stage.MQTT, "client_certificate_missing", "wants a client"),
    (
        alert("SSLV3_ALERT_HANDSHAKE_FAILURE"),
        Stage.HANDSHAKE,
        "client_certificate_missing",
        "most often it wants",
    ),
    (alert("TLSV1_ALERT_UNKNOWN_CA"), Stage.MQTT, "client_certificate_refused", "does not trust"),
    (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), Stage.MQTT, "client_certificate_refused", "has expired"),
    (alert("SSLV3_ALERT_CERTIFICATE_REVOKED"), Stage.HANDSHAKE, "client_certificate_refused", "REVOKED"),
    (alert("TLSV1_ALERT_PROTOCOL_VERSION"), Stage.HANDSHAKE, "tls_version", "mqtt.tls_version_min"),
    (alert("WRONG_VERSION_NUMBER"), Stage.HANDSHAKE, "tls_missing", "port"),
    (alert("TLSV1_ALERT_NO_APPLICATION_PROTOCOL"), Stage.HANDSHAKE, "tls", "mqtt.tls_alpn"),
    (alert("TLSV1_UNRECOGNIZED_NAME"), Stage.HANDSHAKE, "certificate_host_name", "mqtt.tls_server_name"),
    (alert("SOMETHING_NEW"), Stage.HANDSHAKE, "tls", "SOMETHING_NEW"),
    (OSError("odd"), Stage.TCP, "other", "OSError: odd"),
    (OSError(errno.EMFILE, "Too many open files"), Stage.TCP, "other", "Too many open files"),
    (ValueError(), Stage.MQTT, "other", "ValueError"),
]


@pytest.mark.parametrize(("error", "stage", "reason", "said"), ERRORS)
def test_an_error_is_explained(error, stage, reason, said):
    failure = explain(error, PLAIN, stage)
    assert failure.reason == reason
    assert said in failure.line
    assert "\n" not in failure.line
    assert len(failure.line) < 250


def test_with_tls_a_connection_that_ends_without_a_word_points_to_certificates():
    assert "mqtt.tls_certificate_file" in explain(ConnectionResetError(), TLS, Stage.MQTT).line


@pytest.mark.parametrize(
    ("first", "reason", "said"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "tls_wanted", "mqtt.tls"),
        (b"\x16\x03\x03", "tls_wanted", "mqtt.tls"),
        (b"\xf0\x10\x18", "enhanced_auth", "enhanced authentication"),
        (b"HTTP/1.1 400 Bad Request\r\n", "not_mqtt", "b'HTTP/1.1 400 Bad'"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not_mqtt", "b'SSH-2.0-OpenSSH_'"),
        (b"\x20\x02\x00\x01", "protocol_version", "mqtt.protocol"),
        (b"\x20", "closed", "without a word"),
        (b"", "closed", "without a word"),
    ],
)
def test_the_first_bytes_tell_what_the_other_side_speaks(first, reason, said):
    failure = explain(ConnectionError("closed"), PLAIN, Stage.MQTT, first)
    assert failure.reason == reason
    assert said in failure.line


@pytest.mark.parametrize("code", [code for code in ConnackCode if code])
def test_every_refusal_of_mqtt_3_is_explained(code):
    failure = explain_refusal(convert_connack_rc_to_reason_code(code))
    assert failure.reason in {
        "protocol_version", "client_id", "broker_busy", "bad_credentials", "not_authorized",
    }  # fmt: skip


REFUSALS = [
    ("Unspecified error", "broker_refuses", "its log may tell"),
    ("Unsupported protocol version", "protocol_version", "mqtt.protocol"),
    ("Client identifier not valid", "client_id", "mqtt.client_id"),
    ("Bad user name or password", "bad_credentials", "mqtt.password_file"),
    ("Not authorized", "not_authorized", "mqtt.password_file"),
    ("Server unavailable", "broker_busy", "tried again"),
    ("Banned", "not_authorized", "banned"),
    ("Bad authentication method", "enhanced_auth", "not supported"),
    ("Quota exceeded", "broker_busy", "quota"),
    ("Use another server", "broker_refuses", "mqtt.host"),
]


@pytest.mark.parametrize(("name", "reason", "said"), REFUSALS)
def test_a_refusal_of_mqtt_5_is_explained(name, reason, said):
    failure = explain_refusal(ReasonCode(PacketTypes.CONNACK, name))
    assert failure.reason == reason
    assert name in failure.line
    assert said in failure.line


def test_every_reason_can_happen():
    told = {reason for _, _, reason, _ in ERRORS} | {reason for _, reason, _ in REFUSALS}
    others = {"tls_wanted", "not_mqtt", "websocket", "certificate_untrusted", "certificate_expired"}
    others |= {"certificate_not_yet_valid", "certificate_wrong"}
    assert told | others == set(ConnectFailure)
