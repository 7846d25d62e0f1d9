"""Captures go to a real broker as they came, and what mosquitto_sub has captured is read as it was sent."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections import Counter
from math import inf

import pytest
from paho.mqtt import publish as paho

from detector.edge.capture import read_capture, to_line
from detector.edge.mqtt import Subscriber
from detector.edge.publisher import PACE_S, publish_as_they_came, publish_messages
from detector.edge.reception import Subscription
from detector.edge.replay import is_capture, publish_captures
from detector.mqtt_settings import MqttSettings
from detector.stream.nouns import Message
from detector.transport_settings import TransportSettings
from tests.support.certificates import Authority, tls_options
from tests.support.daemon import detector
from tests.support.mosquitto import Mosquitto, free_port, running_mosquitto, wait_until, websocket_options
from tests.support.programs import program

AT_S = 1_767_225_600.0
STRANGE = [
    ("net/plain", b'{"x": 1.0}'),
    ("net/a b/\xfc", 'ö\n"\\\u2028'.encode()),
    ("net/empty", b""),
    ("net/nul", b"a\0b"),
    ("net/bytes", bytes(range(256))),
    ("net/large", b"x" * 100_000),
]


@pytest.fixture
def broker(tmp_path):
    with running_mosquitto(tmp_path) as running:
        yield running


@contextlib.contextmanager
def subscribed(broker, **settings):
    """A subscriber to everything of this broker that tests publish."""
    tree = MqttSettings(host="127.0.0.1", port=broker.port, protocol="5", qos=2, **settings)
    listening = Subscriber(tree, None, [Subscription("net/#")])
    listening.start()
    try:
        wait_until(lambda: listening.snapshot().subscribed)
        yield listening
    finally:
        listening.stop()


def received(subscriber, count):
    wait_until(lambda: subscriber.snapshot().inbox_messages == count)
    return subscriber.take(count, 0.0)


def written(path, *messages):
    path.write_bytes(b"".join(map(to_line, messages)))
    return path


def replayed(broker, *paths, **options):
    """Publish captures at once; return how many messages, and what was left out."""
    left_out = Counter()
    address = {"host": "127.0.0.1", "port": broker.port, "speed": 0} | options
    return publish_captures(paths, left_out, **address), left_out


def test_topics_and_bytes_arrive_as_they_were_captured(broker, tmp_path):
    path = written(tmp_path / "a.ndjson", *(Message(topic, payload, AT_S) for topic, payload in STRANGE))
    with subscribed(broker) as subscriber:
        assert replayed(broker, path) == (len(STRANGE), {})
        arrived = received(subscriber, len(STRANGE))
    assert [(one.topic, one.payload) for one in arrived] == STRANGE


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_goes_out_with_the_qos_that_it_came_with_or_more(broker, tmp_path, qos):
    messages = [Message("net/a", b"%d" % n, AT_S, packet_id=n, qos=n % 3) for n in range(300)]
    with subscribed(broker) as subscriber:
        assert replayed(broker, written(tmp_path / "a.ndjson", *messages), qos=qos) == (300, {})
        arrived = received(subscriber, 300)
    # Between messages of different QoS a broker keeps no order.
    assert {int(one.payload): one.qos for one in arrived} == {n: max(qos, n % 3) for n in range(300)}


def test_properties_arrive_with_mqtt_5(broker, tmp_path):
    properties = (("site", "fra1"), ("site", "fra2"))
    message = Message("net/a", b"1", AT_S, properties=properties, expires_s=AT_S + 3600)
    with subscribed(broker) as subscriber:
        replayed(broker, written(tmp_path / "a.ndjson", message), protocol="5")
        [arrived] = received(subscriber, 1)
    assert arrived.properties == properties
    assert 3590 < arrived.expires_s - time.time() < inf


def test_what_the_broker_had_stored_is_left_out_unless_it_is_asked_for(broker, tmp_path):
    stored, live = Message("net/a", b"1", AT_S, retained=True), Message("net/b", b"2", AT_S)
    path = written(tmp_path / "a.ndjson", stored, live)
    assert replayed(broker, path) == (1, {"retained": 1})
    with subscribed(broker) as subscriber:
        assert replayed(broker, path, retain=True) == (2, {})
        assert [one.payload for one in received(subscriber, 2)] == [b"1", b"2"]
    with subscribed(broker) as later:
        [one] = received(later, 1)
    assert (one.topic, one.payload, one.retained) == ("net/a", b"1", True)


def test_the_pace_is_that_of_the_arrival(broker, tmp_path):
    path = written(tmp_path / "a.ndjson", *(Message("net/a", b"1", AT_S + n) for n in range(3)))
    begun_s = time.monotonic()
    replayed(broker, path, speed=10)
    assert 0.2 - PACE_S <= time.monotonic() - begun_s < 2


def test_lines_without_a_time_do_not_wait(broker, tmp_path):
    (tmp_path / "a.txt").write_bytes(to_line(Message("net/a", b"0", AT_S)) + b"net/a 1\nnet/b 2\n")
    with subscribed(broker) as subscriber:
        assert replayed(broker, tmp_path / "a.txt", speed=1)[0] == 3
        assert [one.payload for one in received(subscriber, 3)] == [b"0", b"1", b"2"]


def test_the_files_of_a_folder_follow_one_another(broker, tmp_path):
    names = ["2026-01-01/000000-0", "2026-01-01/000000-9", "2026-01-01/000000-10", "2026-01-02/000000-0"]
    for n, name in enumerate(names):
        path = tmp_path / "_raw" / f"{name}.ndjson"
        path.parent.mkdir(parents=True, exist_ok=True)
        written(path, Message("net/a", b"%d" % n, AT_S))
    (tmp_path / "_raw" / "notes.txt").write_text("net/a 9\n")
    with subscribed(broker) as subscriber:
        assert replayed(broker, tmp_path / "_raw") == (4, {})
        assert [int(one.payload) for one in received(subscriber, 4)] == [0, 1, 2, 3]


MEASURED = """
import resource, sys
from collections import Counter
from pathlib import Path
from detector.edge.replay import publish_captures

def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before_kib = peak_kib()
broker = {"host": "127.0.0.1", "port": int(sys.argv[2]), "speed": 0}
print(publish_captures([Path(sys.argv[1])], Counter(), **broker), peak_kib() - before_kib)
"""


def test_a_capture_is_published_while_it_is_read(broker, tmp_path, request):
    (tmp_path / "a.ndjson").write_bytes(to_line(Message("net/a", b"x" * 1000, AT_S)) * 50_000)
    command = [sys.executable, "-c", MEASURED, tmp_path / "a.ndjson", str(broker.port)]
    said = subprocess.run(
        command, cwd=request.config.rootpath, text=True, stdout=subprocess.PIPE, check=True
    ).stdout.split()
    assert said[0] == "50000"
    assert int(said[1]) < 20_000, "fifty megabytes of it took more than twenty of memory"


# What mosquitto_sub has captured


@contextlib.contextmanager
def mosquitto_sub(broker, path, *words):
    """mosquitto_sub, subscribed, whose output is captured; it ends by itself after `STRANGE`."""
    command = [program("mosquitto_sub"), "-h", "127.0.0.1", "-p", str(broker.port), "-t", "net/#"]
    with path.open("wb") as output:
        process = subprocess.Popen([*command, "-C", str(len(STRANGE)), *words], stdout=output)
        try:
            wait_until(lambda: "Sending SUBACK" in broker.log)
            yield
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def send(broker, *messages):
    published = [{"topic": topic, "payload": payload, "qos": 1} for topic, payload in messages]
    paho.multiple(published, "127.0.0.1", broker.port)


def test_json_lines_of_mosquitto_sub_are_what_was_sent(broker, tmp_path):
    with mosquitto_sub(broker, tmp_path / "capture", "-F", "%j", "-q", "1"):
        begun_s = time.time()
        send(broker, *STRANGE)
    skipped = Counter()
    messages = list(read_capture(tmp_path / "capture", skipped))
    sound = [(topic, payload) for topic, payload in STRANGE if b"\0" not in payload]
    assert [(one.topic, one.payload) for one in messages] == sound
    assert skipped["altered"] == len(STRANGE) - len(sound), "it ends them at a NUL byte"
    assert all(abs(one.arrival_s - begun_s) < 30 and one.qos == 1 and one.packet_id for one in messages)


def test_plain_lines_of_mosquitto_sub_are_what_was_sent_where_that_fits_into_one(broker, tmp_path):
    with mosquitto_sub(broker, tmp_path / "capture", "-v"):
        send(broker, *STRANGE)
    messages = {one.topic: one.payload for one in read_capture(tmp_path / "capture", Counter())}
    for topic, payload in STRANGE:
        if " " not in topic and b"\n" not in payload:
            assert messages[topic] == payload


def test_properties_that_mosquitto_sub_has_captured_are_read(broker, tmp_path):
    plain = [Message("net/a", b"%d" % n, AT_S, expires_s=AT_S + 60) for n in range(len(STRANGE))]
    sent = [one._replace(properties=(("n", one.payload.decode()),)) for one in plain]
    with mosquitto_sub(broker, tmp_path / "capture", "-F", "%j", "-V", "5"):
        publish_as_they_came(sent, host="127.0.0.1", port=broker.port, protocol="5")
    messages = list(read_capture(tmp_path / "capture", Counter()))
    assert [one.properties for one in messages] == [one.properties for one in sent]
    assert [one.expires_s - one.arrival_s for one in messages] == pytest.approx([60] * len(sent))


# The verb


def test_the_verb_says_what_was_published_and_what_was_not(broker, tmp_path):
    stored = Message("net/a", b"2", AT_S, retained=True)
    path = written(tmp_path / "a.ndjson", Message("net/a", b"1", AT_S), stored)
    with path.open("ab") as file:
        file.write(b'foreign\n{"tst":"2026-01-01T00:00:00Z","topic":"net/a","pay')
    said = detector("replay", path, "--mqtt.host", "127.0.0.1", "--mqtt.port", broker.port, "--speed", 0)
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.splitlines() == [
        "1 messages published",
        "detector: left out: 1 retained, 1 foreign, 1 torn",
    ]


def test_a_broker_with_tls_is_published_to_with_the_name_in_its_certificate(tmp_path):
    authority = Authority(tmp_path)
    secured = Mosquitto(tmp_path, options=tls_options(authority.broker(names=("broker.example.net",))))
    secured.start()
    path = written(tmp_path / "a.ndjson", *(Message("net/a", b"%d" % n, AT_S) for n in range(2000)))
    words = ["--mqtt.host", "127.0.0.1", "--mqtt.port", secured.port, "--mqtt.qos", 1, "--speed", 0]
    trusted = ["--mqtt.tls", "true", "--mqtt.tls_ca_file", authority.file]
    try:
        said = detector("replay", path, *words, *trusted, "--mqtt.tls_server_name", "broker.example.net")
        assert (said.returncode, said.stderr) == (0, "2000 messages published\n")
        for wrong, problem in (
            (trusted, "not valid for '127.0.0.1'"),
            (["--mqtt.tls", "true"], "issuer certificate"),
        ):
            said = detector("replay", path, *words, *wrong)
            assert said.returncode == 1
            assert problem in said.stderr
            assert said.stderr.count("\n") == 1
    finally:
        secured.stop()


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_broker_behind_a_websocket_is_published_to(tmp_path, tls, qos):
    authority = Authority(tmp_path)
    secured = tls_options(authority.broker()) if tls else ()
    broker = Mosquitto(tmp_path, options=websocket_options(*secured))
    broker.start()
    sent = [(float(n), "net/a", b"%d" % n) for n in range(2000)]
    way = TransportSettings(
        transport="websockets", tls=tls, tls_ca_file=authority.file if tls else None, websocket_path="/x"
    )
    try:
        assert publish_messages(sent, port=broker.port, qos=qos, transport=way, speed=0) == 2000
        wait_until(lambda: broker.log.count("Received PUBLISH") == 2000)
    finally:
        broker.stop()


def test_a_certificate_that_cannot_be_used_is_exit_78(tmp_path):
    path = written(tmp_path / "a.ndjson", Message("net/a", b"1", AT_S))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ["--mqtt.host", "127.0.0.1", "--mqtt.port", listener.getsockname()[1], "--mqtt.tls", "true"]
        said = detector("replay", path, *words, "--mqtt.tls_ca_file", "none.pem", cwd=tmp_path)
    assert (said.returncode, said.stderr) == (
        78, "detector: mqtt.tls_ca_file: none.pem: No such file or directory\n",
    )  # fmt: skip


def test_a_broker_that_is_not_there_is_exit_1(tmp_path):
    path = written(tmp_path / "a.ndjson", Message("net/a", b"1", AT_S))
    said = detector("replay", path, "--mqtt.host", "127.0.0.1", "--mqtt.port", free_port())
    assert said.returncode == 1
    assert "nobody listens there" in said.stderr


@pytest.mark.parametrize(
    ("names", "capture"),
    [
        (["a.parquet"], False),
        (["a.csv", "b.parquet"], False),
        (["a.ndjson"], True),
        (["mosquitto.log"], True),
        (["interfaces/2026-01-01/000000-0.parquet"], False),
        (["_raw/2026-01-01/000000-0.ndjson", "_raw/notes.csv.txt"], True),
    ],
)
def test_a_file_is_a_dataset_by_its_suffix_and_a_folder_by_what_is_in_it(tmp_path, names, capture):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if "/" in names[0]:
        assert is_capture([tmp_path]) == capture
    else:
        assert is_capture([tmp_path / name for name in names]) == capture


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a.ndjson", "--topic", "t"], "replay: a capture has its own topics"),
        (["a.parquet"], "replay: a dataset needs a --topic"),
        (["a.ndjson", "a.parquet"], "replay: datasets and captures cannot be published as one"),
        (["empty"], "replay: no .parquet, .csv or .ndjson in empty"),
    ],
)
def test_what_makes_no_sense_is_exit_2(tmp_path, words, problem):
    for name in ("a.ndjson", "a.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    said = detector("replay", *words, cwd=tmp_path)
    assert said.returncode == 2
    assert problem in said.stderr
