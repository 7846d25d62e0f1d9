"""TLS: what is trusted, what is refused, and what is said of it; against a real server in this process."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from detector.edge import tls
from detector.edge.failures import Stage, explain
from detector.edge.snapshot_mqtt import ConnectFailure
from detector.mqtt_settings import MqttSettings
from detector.settings import SettingsError
from tests.support.certificates import DAY, Authority
from tests.support.servers import serving, speaking_tls

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def broker(pki):
    return pki.broker()


def server_context(pair, clients=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def settings(ca, **more):
    return MqttSettings(tls=True, tls_ca_file=ca.file, **more)


def shake(mqtt, port, name="localhost"):
    """Shake hands with a server, say a byte and hear what it says; return the connection, closed."""
    context = tls.context(mqtt)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=mqtt.tls_server_name or name) as connection,
    ):
        try:
            connection.sendall(b"?")
        except OSError as error:
            raise tls.last_word(connection.recv, error) from None
        connection.recv(1)
        return connection.version(), connection.selected_alpn_protocol()


def failure(mqtt, context, name="localhost"):
    """Return how the attempt to shake hands is explained."""
    with serving(speaking_tls(context)) as port, pytest.raises(OSError) as caught:
        shake(mqtt, port, name)
    return explain(caught.value, mqtt, Stage.HANDSHAKE)


def hello(connection):
    connection.sendall(b"!")


# What is accepted


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_broker_of_our_own_ca_is_trusted_by_name_and_by_address(pki, broker, name, version):
    context = server_context(broker, version=getattr(ssl.TLSVersion, version.replace(".", "_")))
    with serving(speaking_tls(context, hello)) as port:
        assert shake(settings(pki), port, name)[0] == version


def test_without_tls_there_is_no_context():
    assert tls.context(MqttSettings()) is None


def test_without_a_ca_the_machine_s_own_are_trusted(broker):
    assert tls.context(MqttSettings(tls=True)).cert_store_stats()["x509_ca"] >= 0
    assert failure(MqttSettings(tls=True), server_context(broker)).reason == "certificate_untrusted"


def test_a_broker_can_be_trusted_by_its_own_certificate(broker):
    mqtt = MqttSettings(tls=True, tls_ca_file=broker.certificate)
    with serving(speaking_tls(server_context(broker), hello)) as port:
        assert shake(mqtt, port)


def test_a_common_name_will_do_where_a_certificate_has_no_other_names(pki):
    with serving(speaking_tls(server_context(pki.broker("localhost", ())), hello)) as port:
        assert shake(settings(pki), port)
    assert failure(settings(pki), server_context(pki.broker("other", ()))).reason == "certificate_host_name"


def test_the_server_name_is_sent_and_checked_in_place_of_the_host(tmp_path, pki):
    asked = []
    context = server_context(pki.broker("elsewhere", ("broker.example.net",)))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving(speaking_tls(context, hello)) as port:
        assert shake(settings(pki, tls_server_name="broker.example.net"), port)
    assert asked == ["broker.example.net"]


@pytest.mark.parametrize(
    ("offered", "known", "chosen"),
    [
        ("mqtt", ["mqtt"], "mqtt"),
        ("x-amzn-mqtt-ca,mqtt", ["mqtt"], "mqtt"),
        ("", ["mqtt"], None),
        ("mqtt", [], None),
    ],
)
def test_protocols_are_offered(pki, broker, offered, known, chosen):
    context = server_context(broker)
    if known:
        context.set_alpn_protocols(known)
    with serving(speaking_tls(context, hello)) as port:
        assert shake(settings(pki, tls_alpn=offered), port)[1] == chosen


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("one_file", [True, False])
def test_a_client_certificate_is_shown_also_with_an_encrypted_key(
    tmp_path, pki, broker, version, password, one_file
):
    pair = pki.client(password=password)
    given = {"tls_certificate_file": pair.certificate, "tls_key_file": pair.key}
    if one_file:
        both = tmp_path / "both.pem"
        both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
        given = {"tls_certificate_file": both}
    if password:
        (tmp_path / "password").write_text(password + "\n")
        given["tls_key_password_file"] = tmp_path / "password"
    seen = []

    def look(connection):
        seen.append(connection.getpeercert()["subject"])
        hello(connection)

    context = server_context(broker, clients=pki.file, version=getattr(ssl.TLSVersion, version))
    with serving(speaking_tls(context, look)) as port:
        shake(settings(pki, **given), port)
    assert seen == [((("commonName", "client"),),)]


def test_a_password_that_is_not_needed_does_no_harm(pki, client):
    given = {"tls_certificate_file": client.certificate, "tls_key_file": client.key}
    assert tls.context(settings(pki, **given, tls_key_password=PASSWORD))


def test_renewed_files_are_used_by_the_next_connection(tmp_path, stranger):
    ours = Authority(tmp_path, "ours")
    context = server_context(ours.broker())
    mqtt = settings(ours)
    good = ours.file.read_bytes()
    ours.file.write_bytes(stranger.file.read_bytes())
    assert failure(mqtt, context).reason == "certificate_untrusted"
    ours.file.write_bytes(good)
    with serving(speaking_tls(context, hello)) as port:
        assert shake(mqtt, port)


# What is refused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_broker_of_another_ca_is_refused(pki, stranger, version):
    reason, line = failure(settings(pki), server_context(stranger.broker(), version=version))
    assert reason is ConnectFailure.CERTIFICATE_UNTRUSTED
    assert line == (
        f"the broker's certificate is signed by nobody whom {pki.file} names"
        " (unable to get local issuer certificate);"
        " put the certificate of the CA that signed the broker's into mqtt.tls_ca_file"
    )


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [(-3 * DAY, -2 * DAY, "certificate_expired"), (2 * DAY, 3 * DAY, "certificate_not_yet_valid")],
)
def test_a_certificate_of_another_time_is_refused(pki, begin, end, reason):
    told = failure(settings(pki), server_context(pki.broker("other time", begin=begin, end=end)))
    assert told.reason == reason
    assert "clock" in told.line


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_certificate_of_another_host_is_refused_and_says_which_name_was_wanted(pki, name):
    told = failure(settings(pki), server_context(pki.broker("other", ("other.example.net",))), name)
    assert told.reason == "certificate_host_name"
    assert f"certificate is not valid for '{name}'" in told.line
    assert "mqtt.tls_server_name" in told.line


def test_the_certificate_of_a_client_is_none_of_a_broker(pki, client):
    told = failure(settings(pki), server_context(client))
    assert told.reason == "certificate_wrong"
    assert "unsuitable certificate purpose" in told.line


def test_an_older_tls_is_refused(pki, broker):
    told = failure(
        settings(pki, tls_version_min="1.3"), server_context(broker, version=ssl.TLSVersion.TLSv1_2)
    )
    assert told.reason == "tls_version"
    assert "mqtt.tls_version_min" in told.line


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_broker_that_wants_a_client_certificate_is_told_apart(pki, broker, version):
    context = server_context(broker, clients=pki.file, version=version)
    told = failure(settings(pki), context)
    assert told.reason == "client_certificate_missing"
    assert "wants a client certificate" in told.line
    assert "mqtt.tls_certificate_file" in told.line


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("begin", "end", "line"),
    [
        (-3 * DAY, -2 * DAY, "our certificate has expired"),
        (-3 * DAY, 2 * DAY, "the broker does not trust who signed our certificate"),
    ],
)
def test_a_client_certificate_that_the_broker_refuses_is_told_apart(
    pki, stranger, broker, version, begin, end, line
):
    signer = pki if end < timedelta() else stranger
    pair = signer.client("bad", begin=begin, end=end)
    context = server_context(broker, clients=pki.file, version=version)
    told = failure(settings(pki, tls_certificate_file=pair.certificate, tls_key_file=pair.key), context)
    assert told.reason == "client_certificate_refused"
    assert line in told.line


# Files


def refusal(**given):
    with pytest.raises(SettingsError) as caught:
        tls.context(MqttSettings(tls=True, **given))
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", ["tls_ca_file", "tls_certificate_file", "tls_key_file"])
def test_a_file_that_is_not_there_is_named(tmp_path, client, key):
    given = {"tls_certificate_file": client.certificate, "tls_key_file": client.key}
    missing = tmp_path / "none.pem"
    assert refusal(**given | {key: missing}) == f"mqtt.{key}: {missing}: No such file or directory"


@pytest.mark.parametrize("content", [b"", b"text", b"\x30\x82\x01\x00", b"-----BEGIN CERTIFICATE-----\n"])
@pytest.mark.parametrize("key", ["tls_ca_file", "tls_certificate_file", "tls_key_file"])
def test_a_file_that_holds_something_else_is_named(tmp_path, client, key, content):
    other = tmp_path / "other.pem"
    other.write_bytes(content)
    given = {"tls_certificate_file": client.certificate, "tls_key_file": client.key}
    said = refusal(**given | {key: other})
    assert said.startswith(
        f"mqtt.{key}: {other}: has no {'key' if key == 'tls_key_file' else 'certificate'} in PEM"
    )


def test_a_certificate_without_its_key_is_told(client):
    said = refusal(tls_certificate_file=client.certificate)
    assert said.startswith(f"mqtt.tls_certificate_file: {client.certificate}: has no key in PEM")


def test_the_key_of_another_certificate_is_told(pki, client):
    other = pki.client("other")
    said = refusal(tls_certificate_file=client.certificate, tls_key_file=other.key)
    assert said == f"mqtt.tls_key_file: {other.key}: is not the key of {client.certificate}"


@pytest.mark.parametrize(
    ("password", "what"),
    [
        (None, "is encrypted; say in mqtt.tls_key_password_file with what"),
        ("wrong", "cannot be opened with mqtt.tls_key_password"),
        ("", "cannot be opened with mqtt.tls_key_password"),
    ],
)
def test_an_encrypted_key_that_cannot_be_opened_is_told_and_nobody_is_asked(pki, password, what):
    pair = pki.client("locked", password=PASSWORD)
    given = {"tls_certificate_file": pair.certificate, "tls_key_file": pair.key}
    assert refusal(**given, tls_key_password=password) == f"mqtt.tls_key_file: {pair.key}: {what}"


def test_a_password_that_is_too_long_for_openssl_is_told(pki):
    pair = pki.client("locked", password=PASSWORD)
    given = {"tls_certificate_file": pair.certificate, "tls_key_file": pair.key}
    assert "mqtt.tls_key_password: " in refusal(**given, tls_key_password="x" * 5000)


# How long they are good


NOW_S = datetime.now(UTC).timestamp()


def doubts(mqtt):
    return [(one.is_over(NOW_S), one.doubt(NOW_S)) for one in tls.validities(mqtt)]


@pytest.mark.parametrize(
    ("begin_days", "end_days", "over", "what"),
    [
        (-100, 265, False, ""),
        (-340, 25, False, "expires at "),
        (-1, 6, False, ""),
        (-6, 1, False, "expires at "),
        (-2, -1, True, "expired at "),
        (1, 2, True, "not valid before "),
    ],
)
def test_a_certificate_that_ends_soon_or_has_ended_is_told(pki, begin_days, end_days, over, what):
    pair = pki.client("timed", begin=begin_days * DAY, end=end_days * DAY)
    (_, ca), (is_over, said) = doubts(
        settings(pki, tls_certificate_file=pair.certificate, tls_key_file=pair.key)
    )
    assert (ca, is_over, bool(said)) == ("", over, bool(what))
    assert said.startswith(what and f"mqtt.tls_certificate_file: {pair.certificate}: {what}")


def test_one_good_ca_of_several_is_enough_and_one_bad_certificate_of_a_chain_is_not(tmp_path, pki):
    over = pki.client("over", begin=-2 * DAY, end=-1 * DAY).certificate
    both = tmp_path / "both.pem"
    both.write_bytes(pki.file.read_bytes() + over.read_bytes())
    assert doubts(MqttSettings(tls=True, tls_ca_file=both)) == [(False, "")]
    assert [over for over, _ in doubts(MqttSettings(tls=True, tls_certificate_file=both))] == [True]


def test_no_file_no_doubt():
    assert doubts(MqttSettings(tls=True)) == []
