"""The subscriber against a real broker with TLS, client certificates and WebSocket."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import pytest
from paho.mqtt import publish

from detector.edge.mqtt import Subscriber
from detector.edge.reception import Subscription
from detector.mqtt_settings import MqttSettings
from detector.stream.nouns import Drop
from tests.support.certificates import DAY, only_tls_1_2, tls_options
from tests.support.mosquitto import Mosquitto, free_port, wait_until, websocket_options
from tests.support.servers import saying, serving

FILTER = "net/+/x"
PASSWORD = "correct horse battery staple"
VERSIONS = ["1.2", "1.3"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let an attempt follow soon after one that failed: what it fails for does not depend on the pause."""
    monkeypatch.setattr("detector.edge.mqtt.backoff_s", lambda *_: 0.05)


@pytest.fixture(scope="module")
def pair(pki):
    return pki.broker()


@pytest.fixture
def brokers(tmp_path):
    """Start brokers that are gone afterwards; one after the other may have the same port."""
    started = []

    def start(*options, credentials=None, port=0, version="1.3"):
        directory = tmp_path / str(len(started))
        directory.mkdir()
        environment = only_tls_1_2(directory) if version == "1.2" else {}
        started.append(Mosquitto(directory, credentials, port, options, environment=environment))
        started[-1].start()
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


@contextmanager
def subscribed(port, password=None, host="localhost", **settings):
    mqtt = MqttSettings(host=host, port=port, reconnect_max_s=1, **settings)
    subscriber = Subscriber(mqtt, password, [Subscription(FILTER, 0, "drop_oldest")])
    subscriber.start()
    try:
        yield subscriber
    finally:
        subscriber.stop()
        assert not subscriber.snapshot().thread_alive


def trusting(authority, **more):
    return {"tls": True, "tls_ca_file": authority.file, **more}


def introducing(one):
    return {"tls_certificate_file": one.certificate, "tls_key_file": one.key}


def hears(subscriber, broker, count=20, **how):
    """Say that what is published arrives."""
    wait_until(lambda: subscriber.snapshot().subscribed)
    messages = [("net/a/x", b"%d" % n, 1, False) for n in range(count)]
    publish.multiple(messages, "localhost", broker.port, **how)
    heard = []
    wait_until(lambda: heard.extend(subscriber.take(count, 0.1)) or len(heard) == count)
    subscriber.acknowledge(heard)
    return [message.payload for message in heard] == [payload for _, payload, _, _ in messages]


@pytest.fixture
def fails(caplog):
    """Fail unless each attempt fails for one reason, counted each time and told once; return what is said."""
    caplog.set_level(logging.DEBUG)

    def fail(subscriber, reason):
        wait_until(lambda: subscriber.snapshot().connect_failures[reason] >= 2)
        state = subscriber.snapshot()
        assert (state.connected, state.subscribed, state.thread_alive) == (False, False, True)
        assert {one for one, count in state.connect_failures.items() if count} == {reason}
        (told,) = [record for record in caplog.records if record.message == "cannot connect"]
        assert (told.facts["reason"], told.facts["why"]) == (reason, state.failure)
        assert not [record for record in caplog.records if record.exc_info]
        return state.failure

    return fail


# What works


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_over_tls_with_a_client_certificate(
    brokers, pki, pair, client, protocol, version, qos
):
    broker = brokers(*tls_options(pair, pki.file), version=version)
    how = {"ca_certs": str(pki.file), "certfile": str(client.certificate), "keyfile": str(client.key)}
    with subscribed(
        broker.port, protocol=protocol, qos=qos, **trusting(pki), **introducing(client)
    ) as subscriber:
        assert hears(subscriber, broker, tls=how)


def test_an_encrypted_key_is_opened_with_the_password_of_its_file(tmp_path, brokers, pki, pair):
    locked = pki.client("locked", password=PASSWORD)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    broker = brokers(*tls_options(pair, pki.file), "use_identity_as_username true")
    given = introducing(locked) | {"tls_key_password_file": tmp_path / "password"}
    with subscribed(broker.port, **trusting(pki), **given) as subscriber:
        wait_until(lambda: subscriber.snapshot().subscribed)
    assert "u'locked'" in broker.log


# mosquitto 2.0.11 sends large messages over WebSocket at 40 kB/s.
@pytest.mark.parametrize(("way", "limit"), [("tls", 900_000), ("ws", 9_000), ("wss", 9_000)])
def test_large_messages_arrive_and_larger_ones_are_skipped(brokers, pki, pair, way, limit):
    plain = free_port()
    secure = tls_options(pair) if way != "ws" else ()
    options = (*secure, f"listener {plain} 127.0.0.1")
    settings = trusting(pki) if secure else {}
    if way != "tls":
        options = websocket_options(*secure, plain=plain)
        settings |= {"transport": "websockets"}
    with subscribed(brokers(*options).port, payload_bytes_max=limit, **settings) as subscriber:
        wait_until(lambda: subscriber.snapshot().subscribed)
        sent = [bytes([n]) * size for n in range(5) for size in (0, 100, limit)]
        too_large = b"x" * (limit + 100_000)
        publish.multiple([("net/a/x", one) for one in (*sent, too_large, b"last")], "localhost", plain)
        heard = []
        wait_until(lambda: heard.extend(subscriber.take(99, 0.1)) or len(heard) == 16)
        assert subscriber.dropped()[Drop.PAYLOAD_TOO_LARGE] == 1
    assert [message.payload for message in heard] == [*sent, b"last"]


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_messages_arrive_over_websocket(brokers, pki, pair, protocol, qos, tls):
    broker = brokers(*websocket_options(*(tls_options(pair) if tls else ())))
    more = trusting(pki) if tls else {}
    how = {"tls": {"ca_certs": str(pki.file)}} if tls else {}
    with subscribed(broker.port, protocol=protocol, qos=qos, transport="websockets", **more) as subscriber:
        assert hears(subscriber, broker, transport="websockets", **how)
        broker.kill()
        wait_until(lambda: not subscriber.snapshot().connected)
        broker.start()
        assert hears(subscriber, broker, transport="websockets", **how)


# What fails, and is mended while the daemon runs


CASES = {
    "wrong CA": ("certificate_untrusted", "put the certificate of the CA that signed"),
    "expired": ("certificate_expired", "certificate has expired"),
    "not yet valid": ("certificate_not_yet_valid", "not yet valid"),
    "wrong host name": ("certificate_host_name", "not valid for 'localhost'"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_broker_with_a_bad_certificate_is_told_and_heard_once_it_has_a_good_one(
    brokers, pki, stranger, pair, fails, version, case
):
    bad = {
        "wrong CA": stranger.broker,
        "expired": lambda: pki.broker("expired", begin=-3 * DAY, end=-2 * DAY),
        "not yet valid": lambda: pki.broker("not yet", begin=2 * DAY, end=3 * DAY),
        "wrong host name": lambda: pki.broker("other", ("other.example.net",)),
    }[case]()
    broker = brokers(*tls_options(bad), version=version)
    reason, said = CASES[case]
    with subscribed(broker.port, **trusting(pki)) as subscriber:
        assert said in fails(subscriber, reason)
        broker.stop()
        mended = brokers(*tls_options(pair), port=broker.port)
        assert hears(subscriber, mended, tls={"ca_certs": str(pki.file)})
        assert subscriber.snapshot().failure == ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ["missing", "of a stranger", "expired"])
def test_a_client_certificate_that_is_missing_or_bad_is_told_and_used_once_its_files_are_good(
    tmp_path, brokers, pki, stranger, pair, fails, version, case
):
    broker = brokers(*tls_options(pair, pki.file), version=version)
    if case == "missing":
        with subscribed(broker.port, **trusting(pki)) as subscriber:
            said = fails(subscriber, "client_certificate_missing")
        assert "wants a client certificate" in said
        assert "mqtt.tls_certificate_file" in said
        return
    signer = pki if case == "expired" else stranger
    bad = signer.client("renewed", begin=-3 * DAY, end=-2 * DAY if case == "expired" else 2 * DAY)
    with subscribed(broker.port, **trusting(pki), **introducing(bad)) as subscriber:
        said = fails(subscriber, "client_certificate_refused")
        assert ("has expired" if case == "expired" else "does not trust who signed") in said
        good = pki.client("fresh")
        bad.key.write_bytes(good.key.read_bytes())
        bad.certificate.write_bytes(good.certificate.read_bytes())
        wait_until(lambda: subscriber.snapshot().subscribed)


def test_files_that_are_half_replaced_are_told_and_do_not_end_the_daemon(brokers, pki, pair, fails):
    broker = brokers(*tls_options(pair, pki.file))
    ours, other = pki.client("ours"), pki.client("other")
    good = ours.key.read_bytes()
    ours.key.write_bytes(other.key.read_bytes())
    with subscribed(broker.port, **trusting(pki), **introducing(ours)) as subscriber:
        said = fails(subscriber, "tls_files")
        assert said == f"mqtt.tls_key_file: {ours.key}: is not the key of {ours.certificate}"
        ours.key.write_bytes(good)
        wait_until(lambda: subscriber.snapshot().subscribed)


@pytest.mark.parametrize(
    ("options", "settings", "reason", "said"),
    [
        ("tls", {}, "closed", "perhaps it speaks TLS on this port (mqtt.tls)"),
        ("tcp", {"tls": True}, "tls_missing", "does this port speak TLS?"),
        ("websockets", {"tls": True}, "tls_missing", "TLS"),
        ("tls1.2", {"tls": True, "tls_version_min": "1.3"}, "tls_version", "mqtt.tls_version_min"),
        ("tcp", {"transport": "websockets"}, "websocket", "is this the port for WebSocket"),
        ("tls", {"transport": "websockets"}, "websocket", "mqtt.tls"),
        ("tls", {"transport": "websockets", "tls": True}, "websocket", "is this the port for WebSocket"),
        ("websockets", {}, "not_mqtt", "HTTP"),
        ("wss", {"transport": "websockets"}, "websocket", "mqtt.tls"),
    ],
)
def test_two_sides_that_speak_past_each_other_are_told_apart(
    brokers, pki, pair, fails, options, settings, reason, said
):
    lines = {
        "tls": tls_options(pair),
        "tls1.2": tls_options(pair),
        "tcp": (),
        "websockets": websocket_options(),
        "wss": websocket_options(*tls_options(pair)),
    }
    broker = brokers(*lines[options], version=options.removeprefix("tls"))
    more = {"tls_ca_file": pki.file} if "tls" in settings else {}
    with subscribed(broker.port, **settings, **more) as subscriber:
        assert said in fails(subscriber, reason)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_wrong_password_over_tls_is_told_and_never_logged(brokers, pki, pair, fails, caplog, protocol):
    broker = brokers(*tls_options(pair), credentials=("reader", "s3cret"))
    settings = trusting(pki, username="reader", protocol=protocol)
    with subscribed(broker.port, PASSWORD, **settings) as subscriber:
        assert "mqtt.password_file" in fails(subscriber, "not_authorized")
    assert PASSWORD not in caplog.text
    assert not [record for record in caplog.records if PASSWORD in str(vars(record))]


# What no mosquitto says


@pytest.mark.parametrize(
    ("protocol", "answer", "reason", "said"),
    [
        ("3.1.1", b"\x20\x02\x00\x01", "protocol_version", "mqtt.protocol"),
        ("5", b"\x20\x02\x00\x01", "protocol_version", "mqtt.protocol"),
        ("3.1.1", b"\x20\x02\x00\x02", "client_id", "mqtt.client_id"),
        ("3.1.1", b"\x20\x02\x00\x03", "broker_busy", "tried again"),
        ("3.1.1", b"\x20\x02\x00\x04", "bad_credentials", "mqtt.username"),
        ("5", b"\x20\x03\x00\x86\x00", "bad_credentials", "mqtt.username"),
        ("5", b"\x20\x03\x00\x8c\x00", "enhanced_auth", "enhanced authentication"),
        ("5", b"\xf0\x08\x18\x06\x15\x00\x03abc", "enhanced_auth", "sent AUTH"),
        ("5", b"\x20\x03\x00\x8a\x00", "not_authorized", "banned"),
        ("3.1.1", b"\x15\x03\x01\x00\x02\x02\x46", "tls_wanted", "set mqtt.tls to true"),
        ("3.1.1", b"", "closed", "without a word"),
        ("5", b"", "closed", "without a word"),
        ("3.1.1", b"SSH-2.0-OpenSSH_9.2\r\n", "not_mqtt", "SSH-2.0"),
        ("3.1.1", b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_mqtt", "HTTP/1.1 400"),
        ("3.1.1", b"\x20\x02", "closed", "without a word"),
        ("3.1.1", b"\x30\x03\x00\x01a", "not_mqtt", "right port"),
    ],
)
def test_a_refusal_is_told_in_words(fails, protocol, answer, reason, said):
    with serving(saying(answer)) as port, subscribed(port, protocol=protocol, canary=False) as subscriber:
        assert said in fails(subscriber, reason)


def test_a_malformed_consent_is_told(fails):
    with serving(saying(b"\x20\x00")) as port, subscribed(port) as subscriber:
        wait_until(lambda: sum(subscriber.snapshot().connect_failures.values()) >= 2)
        assert subscriber.snapshot().failure
        assert subscriber.snapshot().thread_alive


@pytest.mark.parametrize("settings", [{}, {"tls": True}, {"transport": "websockets"}])
def test_a_peer_that_says_nothing_is_given_up_in_time(monkeypatch, fails, settings):
    monkeypatch.setattr("detector.edge.conversation.ANSWER_S", 0.3)

    def talk(connection):
        while connection.recv(4096):
            pass

    monkeypatch.setattr("detector.edge.session.CONNECT_S", 0.3)
    with serving(talk) as port, subscribed(port, **settings) as subscriber:
        wait_until(lambda: subscriber.snapshot().connect_failures["timeout"] >= 1)
        assert "says nothing" in subscriber.snapshot().failure
