"""Settings: strict, layered, secretive; the reference file is complete and true."""

import logging
import os
import re
import shutil
import tempfile
import tomllib
import typing
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le, Lt

from detector import (
    daemon_settings,
    event_settings,
    maintenance_settings,
    message_settings,
    mqtt_settings,
    policy_settings,
    secret_files,
    settings,
    stream_settings,
    transport_settings,
)
from detector.settings import SettingsError, load
from detector.simulate.output import stream_settings as simulated
from detector.stream.decode import FORMATS
from detector.stream.definition import SILENCE_AUTO, Policy, SignalPolicy

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config/detector.toml"
BROKEN = ROOT / "tests/data/config"
SECRET = "correct horse battery staple"
NOBODY = 65534

TABLES = {
    "mqtt": mqtt_settings.MqttSettings,
    "http": daemon_settings.HttpSettings,
    "log": daemon_settings.LogSettings,
    "record": daemon_settings.RecordSettings,
    "bundles": daemon_settings.BundleSettings,
    "events": event_settings.EventSettings,
    "streams": stream_settings.StreamSettings,
    "streams.payload": message_settings.PayloadSettings,
    "streams.restart": message_settings.RestartSettings,
    "streams.signals.cpu_percent": message_settings.SignalSettings,
}
EXAMPLES = {
    "streams.policies": policy_settings.PolicySettings,
    "streams.policies.signals.in_errors": policy_settings.SignalPolicySettings,
    "maintenance": maintenance_settings.MaintenanceSettings,
}
"""Tables that the reference shows and does not have: they are commented out, with each of their keys."""
KEYS = [(table, key) for table, model in TABLES.items() for key in model.model_fields]
SHOWN = KEYS + [(table, key) for table, model in EXAMPLES.items() for key in model.model_fields]
LEAVES = [one for one in SHOWN if not any(table.startswith(".".join(one)) for table, _ in SHOWN)]
UNSET_LINE = re.compile(r"^#([a-z_]+) = .*$", re.MULTILINE)
EXAMPLE = re.compile(r"^#\[.*?(?=^$)", re.MULTILINE | re.DOTALL)
PLAIN = EXAMPLE.sub("", REFERENCE.read_text("utf-8"))
"""The reference without those tables, and with them:"""
WITH_EXAMPLES = EXAMPLE.sub(
    lambda block: re.sub("^#(?! )", "", block[0], flags=re.MULTILINE), REFERENCE.read_text("utf-8")
)

MESSAGES = {
    "not-toml": "{path}: Expected ']' at the end of a table declaration (at line 1, column 6)",
    "unknown-table": "mqqt: unknown key",
    "unknown-key": "mqtt.hots: unknown key",
    "unknown-stream-key": "streams.0.window: unknown key",
    "unknown-signal-key": "streams.0.signals.octets.type: unknown key",
    "wrong-type": "mqtt.port: Input should be a valid integer, unable to parse string as an integer",
    "out-of-range": "mqtt.port: Input should be less than or equal to 65535",
    "host-empty": "mqtt.host: String should have at least 1 character",
    "not-finite": "record.flush_s: Input should be a finite number",
    "not-a-choice": "log.level: Input should be 'debug', 'info', 'warning' or 'error'",
    "two-secrets": "mqtt: give password or password_file, not both",
    "password-without-username": "mqtt: a password needs a username",
    "failover-without-port": "mqtt.failover: number 1 is not host:port:"
    " a port of 1 to 65535 stands behind the host, and an IPv6 address in brackets",
    "host-with-password": "mqtt.host: a host is a name or an address alone;"
    " port, username, password_file and tls are keys of their own",
    "persistent-without-name": "mqtt: persistent needs a client_id and a qos of 1 or 2",
    "overload-unknown": "streams.0.overload: Input should be 'drop_oldest', 'drop_newest' or 'block'",
    "secret-of-wrong-type": "mqtt.password: Input should be a valid string",
    "tls-file-without-tls": "mqtt: tls_ca_file needs tls = true",
    "tls-key-without-certificate": "mqtt: tls_key_file needs tls_certificate_file",
    "tls-version-too-old": "mqtt.tls_version_min: Input should be '1.2' or '1.3'",
    "tls-alpn": "mqtt.tls_alpn: '' is not the name of a protocol",
    "tls-server-name": "mqtt.tls_server_name: 'https://broker' is not the name of a host",
    "tls-unchecked": "mqtt.tls_insecure: there is no such switch, the broker's certificate is always checked;"
    " say in tls_ca_file who signed it, and in tls_server_name which name it has",
    "two-key-passwords": "mqtt: give tls_key_password or tls_key_password_file, not both",
    "enhanced-auth": "mqtt.auth_method: enhanced authentication of MQTT 5 is not supported;"
    " use username and password_file, or a client certificate",
    "websocket-without-transport": 'mqtt: websocket_path needs transport = "websockets"',
    "websocket-path": "mqtt.websocket_path: String should match pattern '^/[!-~]*$'",
    "stream-without-topic": "streams.0.topic: Field required",
    "stream-without-signals": "streams.0.signals: Field required",
    "stream-without-entity": "streams.0.entity: List should have at least 1 item after validation, not 0",
    "stream-name": "streams.0.name: String should match pattern '^[a-zA-Z][a-zA-Z0-9_-]{0,62}$'",
    "two-of-a-name": "streams: two streams are named 'interfaces'",
    "unknown-format": f"streams.0.format: unknown format 'xml'; known: {', '.join(sorted(FORMATS))}",
    "topic-template": "streams.0.topic: topic template 'telegraf/{device/x':"
    " level '{device' is neither literal nor {label}",
    "topic-shared": "streams.0.topic: topic template '$share/a/{device}':"
    " a shared subscription would tear windows apart",
    "label-illegal": "streams.0.entity: 'if-name' is not a legal Prometheus label name",
    "label-reserved": "streams.0.entity: 'job' is taken: anomalous, instance, job, le, level, reason, score,"
    " signal, state, stream, time, train",
    "allow-not-a-label": "streams.0: allow: 'site' is no label of the entity",
    "allow-star-within": "streams.0: allow: 'a*b': a * stands at one end",
    "pattern-malformed": "streams.0: pattern '(?P<device>.+': missing ): (?P<device>.+",
    "pattern-not-a-label": "streams.0: pattern '(?P<site>.+)': 'site' is no label of the entity",
    "pattern-too-large": "streams.0: pattern '(?P<device>.{1000})': more than 1000 instructions",
    "pattern-without-group": "streams.0: pattern '(.+)': no named group, as in (?P<device>.+)",
    "label-twice": "streams.0.entity: a label stands twice",
    "signal-is-a-label": "streams.0: signals: 'device' is the name of another column",
    "signal-is-a-column": "streams.0: signals: 'time' is the name of another column",
    "signal-without-name": "streams.0: signals: '' is not a name",
    "word-never-comes": "streams.0.signals.state.words: ' up' never comes:"
    " white space around a text does not count",
    "word-of-a-counter": "streams.0.signals.octets: a counter has no words: it counts",
    "word-without-number": "streams.0.signals.state.words.up: Input should be a valid number,"
    " unable to parse string as a number",
    "records-not-a-label": "streams.0: records: 'port' is no label of the entity",
    "records-malformed": "streams.0: records: '{if-name}' is neither a key nor {label}",
    "scale-of-zero": "streams.0.signals.octets.scale: a scale of 0 would make all values one",
    "offset-of-a-counter": "streams.0.signals.octets: a counter has no offset: its rate is what is judged",
    "unit-unreadable": "streams.0.signals.octets.unit: 'bit\\n/s' is no unit",
    "step-too-short": "streams.0.step_s: Input should be greater than or equal to 0.1",
    "open-steps": "streams.0: open_steps is more than open_window_steps",
    "restart-stream-unknown": "streams: interfaces: restart.stream: no other stream is named 'device'",
    "restart-stream-of-its-own": "streams: interfaces: restart.stream: no other stream is named 'interfaces'",
    "restart-stream-silent": "streams: interfaces: restart.stream: 'devices' does not tell of restarts",
    "restart-stream-of-other-labels": "streams: interfaces: restart.stream: 'devices' has other labels",
    "silence-after-expiry": "streams.0: silence_s is not less than expire_s",
    "silence-unreadable": 'streams.0.silence_s: "auto", or a number above 0 to 2592000',
    "silence-below-step": "streams.0: silence_s or expire_s is less than step_s:"
    " every entity would be silent",
    "records-of-another-format": "streams.0: payload.records is not for format 'csv'",
    "time-of-another-format": "streams.0: payload.time is not for format 'senml'",
    "time-unit-of-another-format": "streams.0: payload.time_unit is not for format 'senml'",
    "time-unit-of-no-time": "streams.0: payload.time_unit is of no time: time is 'none'",
    "labels-of-another-format": "streams.0: payload.labels is not for format 'value'",
    "labels-not-a-label": "streams.0: labels: 'devise' is no label of the entity",
    "bits-of-a-gauge": "streams.0: signals.octets.bits is for counters",
    "rate-max-of-a-gauge": "streams.0: signals.octets.rate_max is for counters",
    "rate-max-field-of-a-gauge": "streams.0: signals.octets.rate_max_field is for counters",
    "rate-max-scale-without-field": "streams.0: signals.octets.rate_max_scale needs rate_max_field",
    "aggregate-of-a-counter": "streams.0: signals.octets.aggregate is for gauges:"
    " of a counter the increase counts",
    "uptime-unit-without-uptime": "streams.0: restart.uptime_unit needs uptime",
    "offline-payloads-without-topic": "streams.0: offline_payloads needs offline_topic",
    "budget-of-an-unknown-label": "streams.0: budget_of: 'site' is no label of the entity",
    "device-entities-beyond-all": "streams.0: device_entities_max is more than entities_max",
    "session-of-an-old-protocol": 'mqtt: session_s needs protocol = "5"',
    "receive-max-of-an-old-protocol": 'mqtt: receive_max needs protocol = "5"',
    "payload-of-another-format": "streams.0: payload.columns is not for format 'json'",
    "value-with-several-signals": "streams.0: stream 'interfaces':"
    " several signals need {signal} in the topic",
    "offline-topic-of-nobody": "streams.0: offline_topic 'status/{site}': its labels name who falls silent,"
    " some or all of: device",
    "range-of-nothing": "streams.0.signals.octets: valid_min is above valid_max",
    "policy-of-an-unknown-label": "streams.0: policies.0.match: 'site' is no label of the entity",
    "policy-of-an-unknown-signal": "streams.0: policies.0.signals: 'errors' is no signal of the stream",
    "policy-that-says-nothing": "streams.0: policies.0.match: of these entities nothing is said",
    "policy-of-a-signal-that-says-nothing": "streams.0: policies.0.signals.octets: nothing is said",
    "policy-range-of-nothing": "streams.0: policies.1.signals.octets:"
    " with the range of the stream, valid_min is above valid_max",
    "policy-weight": "streams.0.policies.0.signals.octets.weight: Input should be greater than or equal to 0",
    "policy-not-a-number": "streams.0.policies.0.signals.octets.valid_max: not a number",
    "policy-empty-glob": "streams.0.policies.0.match.device: String should have at least 1 character",
    "groups-unknown-label": "streams.0: groups: 'site' is no label of the entity, and no pattern finds it",
    "groups-empty": "streams.0: groups: []: a group has a label at least, and none twice",
    "group-pattern-of-an-unknown-label": "streams.0: group_patterns: 'host' is no label of the entity",
    "group-pattern-illegal": "streams.0: group_patterns: '__site' is not a legal Prometheus label name",
    "group-pattern-taken": "streams.0: group_patterns: 'device' is taken",
    "group-pattern-unused": "streams.0: group_patterns: 'site' is in none of groups",
    "group-pattern-malformed": "streams.0: pattern '(?P<site>.+': missing ): (?P<site>.+",
    "maintenance-of-no-kind": "maintenance.0: give one of calendar, cron and topic",
    "maintenance-of-two-kinds": "maintenance.0: give one of calendar, cron and topic",
    "maintenance-cron": "maintenance.0.cron: Bad hour",
    "maintenance-cron-of-six-fields": "maintenance.0.cron: not five fields:"
    " minute, hour, day of the month, month, day of the week",
    "maintenance-cron-without-duration": "maintenance.0: cron needs duration_s",
    "maintenance-duration-of-a-topic": "maintenance.0: duration_s needs cron",
    "maintenance-max-of-cron": "maintenance.0: max_s needs topic",
    "maintenance-zone": "maintenance.0.timezone: 'Mars/Phobos' is no time zone, as Europe/Berlin is",
    "maintenance-topic": "maintenance.0.topic: topic template 'maintenance/{device':"
    " level '{device' is neither literal nor {label}",
    "maintenance-on-and-off": "maintenance.0: a payload is both on and off",
    "maintenance-of-an-unknown-stream": "maintenance: lab: streams: no stream is named 'devices'",
    "maintenance-of-an-unknown-label": "maintenance: lab: 'site' is no label of the stream 'interfaces'",
    "maintenance-of-nobody": "maintenance: lab: no stream has the labels device, site",
    "maintenance-two-of-a-name": "maintenance: two are named 'lab'",
    "events-without-topic": "events: qos needs topic",
    "events-topic-of-all": "events.topic: 'alarms/{stream}': one level is {stream}, and another one {entity}",
    "events-topic-of-the-broker": "events.topic: '{entity}/{stream}':"
    " a level of its own stands before {entity}, or the broker's could",
    "events-topic-unknown-brace": "events.topic: 'alarms/{site}/{stream}/{entity}':"
    " only {stream} and {entity} stand for something",
    "events-topic-wildcard": "events.topic: 'alarms/+/{stream}/{entity}'"
    " is no topic that anybody may publish to",
    "events-topic-is-read": "events.topic: stream interfaces reads telegraf/+/interfaces,"
    " and would take alarms for something else",
    "events-status-is-read": "events.topic: stream interfaces reads telegraf/+/interfaces,"
    " and would take alarms for something else",
    "events-topic-switches": "events.topic: maintenance lab reads alarms/+/+,"
    " and would take alarms for something else",
    "events-status-of-an-entity": "events.topic: status_topic is the topic of an entity",
    "two-problems": "mqtt.port: Input should be greater than or equal to 1\n"
    "mqtt.qos: Input should be 0, 1 or 2",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in list(settings.os.environ):
        if name.upper().startswith("DETECTOR_"):
            monkeypatch.delenv(name)


def written(tmp_path, text):
    file = tmp_path / "detector.toml"
    file.write_text(text, "utf-8")
    return file


def refusal(path=None, flags=None):
    with pytest.raises(SettingsError) as caught:
        load(path, flags)
    return str(caught.value)


# Refusals


@pytest.mark.parametrize("name", MESSAGES)
def test_a_broken_file_is_refused_with_the_key(name):
    path = BROKEN / f"{name}.toml"
    assert refusal(path) == MESSAGES[name].replace("{path}", str(path))


def test_every_broken_file_has_its_message():
    assert {file.stem for file in BROKEN.glob("*.toml")} == set(MESSAGES) | {"good"}


def test_the_file_that_the_broken_ones_vary_is_good():
    assert [stream.name for stream in load(BROKEN / "good.toml").streams] == ["interfaces"]


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "none.toml"
    assert refusal(path) == f"{path}: No such file or directory"


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    assert refusal(path) == f"{path}: not UTF-8"
    assert refusal(tmp_path) == f"{tmp_path}: Is a directory"


@pytest.mark.parametrize(
    "name",
    [
        "DETECTOR_MQT__HOST",
        "DETECTOR_MQTT__HOTS",
        "DETECTOR_MQTT_HOST",
        "DETECTOR_MQTT",
        "DETECTOR_MQTT__HOST__NAME",
        "DETECTOR_STREAMS",
        "detector_mqt__host",
    ],
)
def test_an_unknown_variable_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "{}")
    assert refusal() == f"{name}: unknown variable"


@pytest.mark.parametrize(("key", "what"), transport_settings.LEFT_OUT.items())
def test_what_is_left_out_says_why_wherever_it_is_asked_for(monkeypatch, key, what):
    assert refusal(flags={key: "x"}) == f"{key}: {what}"
    name = "DETECTOR_" + key.replace(".", "__").upper()
    monkeypatch.setenv(name, "x")
    assert refusal() == f"{name}: {what}"


def test_a_bad_variable_is_refused_by_its_key(monkeypatch):
    monkeypatch.setenv("DETECTOR_MQTT__PORT", "")
    assert refusal() == "mqtt.port: Input should be a valid integer, unable to parse string as an integer"


@pytest.mark.parametrize(
    "flag", ["mqtt.hots", "mqtt.host.name", "mqtt.", ".host", "streams.0", "_env_file.x"]
)
def test_an_unknown_flag_is_refused(flag):
    assert refusal(flags={flag: "x"}) == f"{flag}: unknown key"


# Layers


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path, monkeypatch):
    file = written(tmp_path, '[mqtt]\nhost = "file"\nclient_id = "file"\nport = 1\n')
    monkeypatch.setenv("DETECTOR_MQTT__HOST", "environment")
    monkeypatch.setenv("DETECTOR_MQTT__CLIENT_ID", "environment")
    mqtt = load(file, {"mqtt.host": "flag"}).mqtt
    assert (mqtt.host, mqtt.client_id, mqtt.port, mqtt.keepalive_s) == ("flag", "environment", 1, 30)


def test_a_dotenv_file_is_not_read(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("DETECTOR_MQTT__HOST=dotenv\n")
    monkeypatch.chdir(tmp_path)
    assert load(None).mqtt.host == "localhost"


def samples_of_settings():
    texts = {"qos": "2", "protocol": "5", "format": "json", "level": "debug", "tls": "true"}
    texts |= {"tls_version_min": "1.3", "transport": "websockets", "websocket_path": "/x"}
    texts |= {"failover": "backup:1883,[::1]:1884", "persistent": "false", "age_max_s": "60"}
    texts |= {"raw": "true", "topic": EVENTS}
    for table, key in KEYS:
        if not table.startswith("streams") and key not in mqtt_settings.SECRETS:
            default = TABLES[table].model_fields[key].default
            yield table, key, texts.get(key, str(default) if default else "x")


EVENTS = "alarms/{stream}/{entity}"
NEEDS = {
    "password": {"username": "u"},
    "tls_": {"tls": "true"},
    "tls_key_": {"tls_certificate_file": "c"},
    "websocket_": {"transport": "websockets"},
}
"""What has to be set beside settings that begin so."""


def needed_by(key, table="mqtt"):
    """Return the settings of a table without which another one is refused."""
    if table == "events":
        return {} if key == "topic" else {"topic": EVENTS}
    return {
        name: text
        for start, others in NEEDS.items()
        for name, text in others.items()
        if key.startswith(start) and name != key
    }


@pytest.mark.parametrize(("table", "key", "text"), list(samples_of_settings()))
def test_every_setting_of_the_program_is_a_flag_and_a_variable(monkeypatch, table, key, text):
    for name, needed in needed_by(key, table).items():
        monkeypatch.setenv(f"DETECTOR_{table}__{name}".upper(), needed)
    by_flag = load(None, {f"{table}.{key}": text})
    monkeypatch.setenv(f"DETECTOR_{table}__{key}".upper(), text)
    by_variable = load(None)
    assert getattr(getattr(by_flag, table), key) == getattr(getattr(by_variable, table), key)


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load(None).mqtt.port = 1


# Secrets


def test_a_secret_is_never_shown(tmp_path, caplog):
    file = written(tmp_path, f'[mqtt]\nusername = "u"\npassword = "{SECRET}"\n')
    loaded = load(file)
    logging.getLogger("test").warning("settings %s %r", loaded, loaded.mqtt)
    shown = [repr(loaded), str(loaded), loaded.model_dump_json(), str(loaded.model_dump()), caplog.text]
    assert not [text for text in shown if SECRET in text]
    assert settings.password(loaded.mqtt) == SECRET


@pytest.mark.parametrize(
    "rest",
    ['password_file = "x"', "port = 0", "hots = 1", 'qos = "x"'],
)
def test_a_secret_is_not_in_an_error(tmp_path, rest):
    text = f'[mqtt]\nusername = "u"\npassword = "{SECRET}"\n{rest}\n'
    assert SECRET not in refusal(written(tmp_path, text))


def test_a_secret_of_the_wrong_type_is_not_in_the_error(tmp_path):
    assert SECRET not in refusal(written(tmp_path, f'[mqtt]\nusername = "u"\npassword = ["{SECRET}"]\n'))


def test_a_password_comes_from_its_file_without_the_line_break(tmp_path):
    (tmp_path / "secret").write_text(f" {SECRET}\r\n\n")
    flags = {"mqtt.username": "u", "mqtt.password_file": str(tmp_path / "secret")}
    assert settings.password(load(None, flags).mqtt) == f" {SECRET}"


@pytest.mark.parametrize("key", sorted(mqtt_settings.SECRETS))
def test_every_secret_comes_from_the_file_a_variable_a_file_of_its_own_or_a_credential(
    tmp_path, monkeypatch, key
):
    for name, needed in needed_by(key).items():
        monkeypatch.setenv(f"DETECTOR_MQTT__{name}".upper(), needed)
    credential = tmp_path / f"mqtt-{key}".replace("_", "-")
    credential.write_text(SECRET)
    by_toml = load(written(tmp_path, f'[mqtt]\n{key} = "{SECRET}"'))
    by_file = load(None, {f"mqtt.{key}_file": str(credential)})
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    by_credential = load(None)
    monkeypatch.setenv(f"DETECTOR_MQTT__{key}".upper(), SECRET)
    by_variable = load(None)
    assert by_credential.mqtt == by_file.mqtt
    assert by_variable.mqtt == by_toml.mqtt, "what is given goes before a credential"
    assert settings.secret(by_file.mqtt, key) == settings.secret(by_toml.mqtt, key) == SECRET


@pytest.mark.parametrize("key", sorted(mqtt_settings.SECRETS))
def test_a_secret_is_refused_as_a_flag_and_not_repeated(key):
    said = refusal(flags={f"mqtt.{key}": SECRET})
    assert said == (
        f"mqtt.{key}: not as a flag, which every user of this machine can see;"
        f" give mqtt.{key}_file, or the variable DETECTOR_MQTT__{key.upper()}"
    )


def test_credentials_of_certificates_are_found_too(tmp_path, monkeypatch):
    for name in ("mqtt-tls-ca", "mqtt-tls-certificate", "mqtt-tls-key", "mqtt-unknown", "other"):
        (tmp_path / name).touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    mqtt = load(None, {"mqtt.tls": "true", "mqtt.tls_ca_file": "mine"}).mqtt
    assert mqtt.tls_ca_file == Path("mine")
    assert mqtt.tls_certificate_file == tmp_path / "mqtt-tls-certificate"
    assert mqtt.tls_key_file == tmp_path / "mqtt-tls-key"
    assert mqtt.password_file is None


@pytest.fixture
def service():
    """Return a directory that everybody can enter; a test of root may become somebody else in it."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    os.seteuid(os.getuid())
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("mode", "named", "taken"),
    [
        (0o600, "mine", "mqtt-password"),  # as the README makes it, for root alone
        (0o644, "mine", "mine"),  # what is named goes before
        (0o600, "missing", "missing"),  # a wrong name is told, not forgiven
    ],
)
def test_a_file_that_the_service_may_not_read_gives_way_to_the_credential_of_its_key(
    service, monkeypatch, mode, named, taken
):
    credentials = service / "credentials"
    credentials.mkdir()
    (credentials / "mqtt-password").write_text(SECRET)
    (service / "mine").write_text("mine")
    (service / "mine").chmod(mode if os.getuid() == 0 else mode & 0o044)
    flags = {"mqtt.username": "u", "mqtt.password_file": str(service / named)}
    if os.getuid() == 0:
        assert load(None, flags).mqtt.password_file == service / named
        os.seteuid(NOBODY)
    assert load(None, flags).mqtt.password_file == service / named, "there are no credentials"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    mqtt = load(None, flags).mqtt
    assert mqtt.password_file in (service / taken, credentials / taken)
    used = secret_files.used_credentials(dict(mqtt).values())
    assert used == (["mqtt-password"] if taken == "mqtt-password" else [])


def test_a_credential_that_cannot_be_used_is_refused_like_a_setting(tmp_path, monkeypatch):
    (tmp_path / "mqtt-password").write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert refusal() == "mqtt: a password needs a username"


def test_a_secret_that_every_user_can_read_is_told(tmp_path):
    key, password = tmp_path / "key", tmp_path / "password"
    for file, mode in ((key, 0o644), (password, 0o600)):
        file.touch()
        file.chmod(mode)
    flags = {"mqtt.tls": "true", "mqtt.tls_certificate_file": "c", "mqtt.username": "u"}
    flags |= {"mqtt.tls_key_file": str(key), "mqtt.password_file": str(password)}
    told = "{0}: holds a secret and every user can read it; chmod o-rwx {0}"
    assert load(None, flags).warnings == (told.format(key),)
    key.chmod(0o640)
    assert load(None, flags).warnings == ()
    file = written(tmp_path, f'[mqtt]\nusername = "u"\npassword = "{SECRET}"\n')
    file.chmod(0o644)
    assert load(file).warnings == (told.format(file),)
    file.chmod(0o600)
    assert load(file).warnings == ()
    plain = written(tmp_path, '[mqtt]\nusername = "u"\n')
    plain.chmod(0o644)
    assert load(plain).warnings == ()


def test_without_a_password_there_is_none():
    assert settings.password(load(None).mqtt) is None


@pytest.mark.parametrize(
    ("content", "what"), [(None, "No such file or directory"), (b"\n", "empty"), (b"\xff", "not UTF-8")]
)
def test_a_password_file_that_gives_none_is_refused(tmp_path, content, what):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    mqtt = load(None, {"mqtt.username": "u", "mqtt.password_file": str(file)}).mqtt
    with pytest.raises(SettingsError) as caught:
        settings.password(mqtt)
    assert str(caught.value) == f"mqtt.password_file: {file}: {what}"


# What depends on the step


def test_lateness_and_refresh_follow_the_step_and_silence_the_rhythm(tmp_path):
    text = (BROKEN / "good.toml").read_text("utf-8").replace("entity =", "step_s = 30\nentity =")
    definition = load(written(tmp_path, text)).streams[0].definition()
    assert (definition.lateness_s, definition.refresh_s, definition.silence_s) == (30, 45, SILENCE_AUTO)


def test_what_tells_of_restarts_is_a_witness_of_its_kind_and_unit(tmp_path):
    text = (BROKEN / "good.toml").read_text("utf-8")
    text += (
        '[streams.restart]\nuptime = "up.time"\nuptime_unit = "ms"\nboot_time = "since"\nboot_id = "boot"\n'
    )
    witnesses = load(written(tmp_path, text)).streams[0].definition().witnesses
    assert [(one.field, one.kind) for one in witnesses] == [
        ("up.time", "uptime"),
        ("since", "boot_time"),
        ("boot", "boot_id"),
    ]
    assert witnesses[0].unit_s == 0.001
    ticks = text.replace('uptime_unit = "ms"\n', "")
    assert load(written(tmp_path, ticks)).streams[0].definition().witnesses[0].unit_s == 0.01


def test_zero_is_a_lateness_of_its_own(tmp_path):
    text = (BROKEN / "good.toml").read_text("utf-8").replace("entity =", "lateness_s = 0\nentity =")
    assert load(written(tmp_path, text)).streams[0].definition().lateness_s == 0


NO_HOSTS = [
    "mqtt://u:TOPSECRET@b",
    "u:TOPSECRET@b",
    "TOPSECRET@b",
    "b:1883",
    "a b",
    "x/TOPSECRET",
    "::TOPSECRET",
]
HOSTS = ["broker", "broker.example.net.", "my_broker", "192.0.2.1", "::1", "fe80::1%eth0"]


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_is_refused_and_not_repeated(monkeypatch, host):
    monkeypatch.setenv("DETECTOR_MQTT__HOST", host)
    assert "TOPSECRET" not in refusal()
    monkeypatch.delenv("DETECTOR_MQTT__HOST")
    assert "TOPSECRET" not in refusal(flags={"mqtt.failover": f"good:1,{host}:1883"})


@pytest.mark.parametrize("host", HOSTS)
def test_names_and_addresses_are_hosts(host):
    assert load(None, {"mqtt.host": host}).mqtt.host == host


# Policies


def test_what_is_said_of_signals_and_of_some_entities_reaches_the_core(tmp_path):
    text = (BROKEN / "good.toml").read_text("utf-8").replace("entity =", "budget = 0.5\nentity =")
    text = text.replace("octets = {}", 'octets = { direction = "below", deviation_min = 2, valid_max = 9 }')
    text += """
[[streams.policies]]
match = { device = "leaf*" }
mute = true
[streams.policies.signals.octets]
direction = "both"
valid_max = inf
"""
    definition = load(written(tmp_path, text)).streams[0].definition()
    (signal,) = definition.signals
    assert (signal.direction, definition.budget) == ("below", 0.5)
    assert signal.policy == SignalPolicy(deviation_min=2.0, valid_max=9.0)
    said = SignalPolicy(direction="both", valid_max=float("inf"))
    assert definition.policies == (Policy((("device", "leaf*"),), (("octets", said),), mute=True),)


# What is subscribed to


@pytest.mark.parametrize(
    ("topic", "offline", "filters"),
    [
        ("t/{device}/x", "", ("t/+/x",)),
        ("t/{device}/x", "t/{device}/status", ("t/+/x", "t/+/status")),
        ("t/{device}/#", "t/{device}/status", ("t/+/#",)),
        ("t/{device}/{signal}", "t/{device}/status", ("t/+/+",)),
        ("t/{device}/x", "t/{device}/x", ("t/+/x",)),
        ("t/{device}/x", "t/{device}/#", ("t/+/#",)),
        ("t/{device}/x", "t/{_}/{device}", ("t/+/+",)),
        ("t/{device}/#", "t/{device}", ("t/+/#",)),
        ("t/a/{device}", "t/{device}/x", ("t/a/+", "t/+/x")),
    ],
)
def test_goodbyes_are_subscribed_to_where_the_values_do_not_cover_them(tmp_path, topic, offline, filters):
    text = (BROKEN / "good.toml").read_text("utf-8").replace("telegraf/{device}/interfaces", topic)
    file = written(tmp_path, text.replace("entity =", f'offline_topic = "{offline}"\nentity ='))
    assert load(file).streams[0].subscriptions == filters


# The reference


def comment_before(key, table):
    """Return the comment above a key of a table, above its neighbours' where it has none of its own."""
    lines = WITH_EXAMPLES.splitlines()
    header = f"[[{table}]]" if f"[[{table}]]" in lines else f"[{table}]"
    here = next(
        index for index in range(lines.index(header), len(lines)) if re.match(rf"#?{key} = ", lines[index])
    )
    while re.match(r"#?[a-z_]+ = ", lines[here]):
        here -= 1
    first = here
    while lines[first].startswith("# "):
        first -= 1
    return " ".join(line.removeprefix("# ") for line in lines[first + 1 : here + 1])


def bounds(info):
    found = dict.fromkeys((Ge, Gt, Le, Lt))
    for one in info.metadata:
        found[type(one)] = one
    low = str(found[Ge].ge) if found[Ge] else "above 0" if found[Gt] else ""
    high = str(found[Le].le) if found[Le] else "below 1" if found[Lt] else ""
    return " to ".join(part for part in (low, high) if part)


def test_the_reference_loads_and_its_values_are_the_defaults():
    loaded, plain = load(REFERENCE), load(None)
    assert loaded.model_dump(exclude={"streams"}) == plain.model_dump(exclude={"streams"})
    required = {"name", "topic", "entity", "signals", "format"}
    for stream in loaded.streams:
        for key, info in stream_settings.StreamSettings.model_fields.items():
            assert key in required or getattr(stream, key) == info.default
    assert loaded.streams[1].signals["cpu_percent"] == message_settings.SignalSettings()


@pytest.mark.parametrize(("table", "key"), LEAVES)
def test_the_reference_names_and_explains_every_setting(table, key):
    assert len(comment_before(key, table)) > 20 or key in ("port", "name")


@pytest.mark.parametrize(("table", "key"), LEAVES)
def test_the_reference_says_the_range_that_holds(table, key):
    info = (TABLES | EXAMPLES)[table].model_fields[key]
    comment = comment_before(key, table)
    if table != "streams" or key not in ("name", "topic", "entity"):
        assert bounds(info) in comment.lower()
    for choice in typing.get_args(info.annotation):
        if isinstance(choice, (str, int)):
            assert re.search(rf'"?\b{choice}\b"?', comment), choice


def test_what_the_reference_writes_out_stands_in_the_file():
    tree = tomllib.loads(WITH_EXAMPLES)
    unset = {key for table, key in KEYS if TABLES[table].model_fields[key].default is None}
    assert unset == set(UNSET_LINE.findall(PLAIN))
    assert set(tree["mqtt"]) | unset >= set(mqtt_settings.MqttSettings.model_fields)
    assert set(tree["streams"][0]) | unset >= set(stream_settings.StreamSettings.model_fields)


@pytest.mark.parametrize("which", range(len(UNSET_LINE.findall(PLAIN))))
def test_each_unset_line_of_the_reference_can_be_set(tmp_path, which):
    text = PLAIN
    line = list(UNSET_LINE.finditer(text))[which]
    changed = text[: line.start()] + line[0].removeprefix("#") + text[line.end() :]
    if line[1] == "rate_max":  # the signal of which all is shown is a gauge
        changed = changed.replace('\nkind = "gauge"\n', '\nkind = "counter"\n')
    flags = {f"mqtt.{name}": needed for name, needed in needed_by(line[1]).items()}
    assert load(written(tmp_path, changed), flags) != load(written(tmp_path, text), flags)


def test_each_example_of_the_reference_can_be_set_and_says_every_key(tmp_path):
    loaded = load(written(tmp_path, WITH_EXAMPLES))
    (policy,) = loaded.streams[0].policies
    assert policy.model_fields_set == set(policy_settings.PolicySettings.model_fields)
    (signal,) = policy.signals.values()
    assert signal.model_fields_set == set(policy_settings.SignalPolicySettings.model_fields)
    said = set().union(*(one.model_fields_set for one in loaded.maintenance))
    assert said == set(maintenance_settings.MaintenanceSettings.model_fields)


def test_the_streams_of_the_reference_are_those_of_the_simulation(tmp_path):
    theirs = load(written(tmp_path, simulated(tmp_path))).streams
    ours = load(REFERENCE).streams
    assert {one.name: plain(one) for one in ours} == {one.name: plain(one) for one in theirs}


def plain(stream):
    """Return a stream without its bundle, its clock (a simulation is replayed) and the order of signals."""
    return stream.model_dump(exclude={"bundle", "clock"})
