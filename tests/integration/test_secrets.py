"""No secret is ever shown: not in a log, however talkative, nor on a page, nor in what a verb says."""

from __future__ import annotations

import logging
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from detector import logs
from detector.edge.mqtt import Subscriber
from detector.edge.reception import Subscription
from detector.mqtt_settings import MqttSettings
from tests.support.certificates import Authority, Pair, tls_options
from tests.support.daemon import ROOT, command, running
from tests.support.mosquitto import Mosquitto, wait_until, websocket_options

SECRETS = {
    "password": "correct horse",
    "tls_key_password": "battery staple",
    "websocket_headers": "Authorization: Bearer tr0ub4dor",
    "websocket_path": "/mqtt?X-Signature=incantat10n",
}
SHOWN = ("incantat10n", "correct horse", "battery staple", "tr0ub4dor")
STREAM = '[[streams]]\nname = "s"\ntopic = "net/{device}"\nentity = ["device"]\n[streams.signals]\nx = {}\n'
WAYS = ["toml", "file", "variable", "credential"]


@dataclass
class Setup:
    """Files for a broker behind TLS and WebSocket that wants a certificate, and a client with all secrets."""

    directory: Path
    authority: Authority
    pair: Pair

    def settings(self, way, **changed):
        """Return settings and environment that give the secrets in one way."""
        lines = {
            "username": "reader",
            "tls": True,
            "transport": "websockets",
            "tls_ca_file": self.authority.file,
            "tls_certificate_file": self.pair.certificate,
            "tls_key_file": self.pair.key,
        }
        environment = {}
        if way == "credential":
            environment["CREDENTIALS_DIRECTORY"] = str(self.directory)
        for key, secret in (SECRETS | changed).items():
            file = self.directory / f"mqtt-{key}".replace("_", "-")
            if way in ("file", "credential"):
                file.write_text(secret)
                file.chmod(0o600)
            if way == "file":
                lines[f"{key}_file"] = file
            elif way == "toml":
                lines[key] = secret
            elif way == "variable":
                environment[f"DETECTOR_MQTT__{key.upper()}"] = secret
        text = "".join(
            f"{key} = {str(value).lower() if value is True else repr(str(value))}\n"
            for key, value in lines.items()
        )
        return f'[mqtt]\n{text}[log]\nlevel = "debug"\n', environment


@pytest.fixture
def setup(tmp_path):
    authority = Authority(tmp_path)
    return Setup(tmp_path, authority, authority.client(password=SECRETS["tls_key_password"]))


@pytest.fixture
def broker(setup):
    secured = (*tls_options(setup.authority.broker(), setup.authority.file), "allow_anonymous false")
    running_broker = Mosquitto(
        setup.directory, ("reader", SECRETS["password"]), options=websocket_options(*secured)
    )
    running_broker.start()
    yield running_broker
    running_broker.stop()


def shown(*texts):
    return [secret for secret in SHOWN for text in texts if secret in text]


def pages(daemon):
    paths = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/entities", "/none")
    return [daemon.get(path)[1] for path in paths]


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_that_connects_with_all_secrets_shows_none(setup, broker, way, style):
    text, environment = setup.settings(way)
    with running(
        setup.directory,
        text + STREAM,
        "--log.format",
        style,
        verb="record",
        broker=broker.port,
        environment=environment,
    ) as daemon:
        daemon.wait_until_ready()
        assert not shown(daemon.log, *pages(daemon))
        assert ("mqtt-password" in daemon.log) == (way == "credential"), "which credentials are used is said"


@pytest.mark.parametrize("wrong", SECRETS)
@pytest.mark.parametrize("way", ["file", "variable"])
def test_a_daemon_that_is_refused_shows_none(setup, broker, way, wrong):
    """A wrong header does no harm to mosquitto; a wrong key password is exit 78."""
    text, environment = setup.settings(way, **{wrong: f"{SECRETS[wrong]} tr0ub4dor"})
    arguments = {"verb": "record", "broker": broker.port, "environment": environment}
    with running(setup.directory, text + STREAM, **arguments) as daemon:
        if wrong in ("tls_key_password", "websocket_path"):  # a path has no space
            assert daemon.wait() == 78
            assert f"mqtt.{wrong}" in daemon.log
            assert not shown(daemon.log)
            return
        if wrong == "password":
            daemon.wait_for(lambda: "reason=not_authorized" in daemon.log)
        else:
            daemon.wait_until_ready()
        assert not shown(daemon.log, *pages(daemon))


VERBS = [
    (["check"], 0),
    (["check", "--message", "net/a", "{}"], 1),
    (["check", "--mqtt.port", "x"], 78),
    (["check", "--mqtt.hots", "x"], 78),
    (["record", "--http.host", "203.0.113.1"], 1),
    (["health", "--http.port", "1"], 1),
    (["replay", "data.csv", "--topic", "net/{device}", "--mqtt.port", "1"], 1),
    (["simulate", "--live", "--hours", "0.5", "--plan", "none", "--mqtt.port", "1"], 1),
    (["train", "data.csv", "--out", "x", "--stream", "none"], 78),
]


@pytest.mark.parametrize(("words", "code"), VERBS, ids=[" ".join(words[:2]) for words, _ in VERBS])
@pytest.mark.parametrize("way", ["toml", "variable"])
def test_a_verb_shows_none(setup, way, words, code):
    text, environment = setup.settings(way)
    (setup.directory / "data.csv").write_text("time,device,x\n1,leaf1,2\n")
    (setup.directory / "detector.toml").write_text(text + STREAM)
    done = subprocess.run(
        [*command(words[0]), "--config", "detector.toml", *words[1:]],
        cwd=setup.directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert not shown(done.stdout, done.stderr)


@pytest.mark.parametrize(
    "rest", ["hots = 1", "port = 0", "tls_alpn = ','", 'websocket_headers_file = "x"', "= 1"]
)
def test_settings_that_are_refused_show_none(setup, rest):
    text, _ = setup.settings("toml")
    (setup.directory / "detector.toml").write_text(text.replace("[log]", f"{rest}\n[log]"))
    words = [*command("check"), "--config", str(setup.directory / "detector.toml")]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert (done.returncode, shown(done.stderr.decode(), done.stdout.decode())) == (78, [])


def test_the_trace_of_a_bug_shows_none(setup, broker, monkeypatch, capsys):
    """Raised where everything is known: when the connection is made."""

    def broken(*_arguments, **_more):
        raise RuntimeError("a bug")

    monkeypatch.setattr("detector.edge.websocket.WebSocket.recv_into", broken)
    settings = {key: value for key, value in SECRETS.items() if key != "password"}
    mqtt = MqttSettings(
        host="localhost", port=broker.port, username="reader", password=SECRETS["password"], tls=True,
        transport="websockets", tls_ca_file=setup.authority.file, tls_certificate_file=setup.pair.certificate,
        tls_key_file=setup.pair.key, reconnect_max_s=1, **settings,
    )  # fmt: skip
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.setup("text", "debug")
    subscriber = Subscriber(mqtt, SECRETS["password"], [Subscription("net/+", 0, "drop_oldest")])
    subscriber.start()
    try:
        wait_until(lambda: subscriber.snapshot().connect_failures["other"] >= 1)
    finally:
        subscriber.stop()
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "RuntimeError: a bug" in said
    assert not shown(said, repr(mqtt), subscriber.snapshot().failure)
