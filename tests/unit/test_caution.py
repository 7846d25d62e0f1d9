"""What `check` and the daemon say of secrets and certificates before the first connection."""

import json
import subprocess

import pytest

from detector import check
from detector.settings import Settings, SettingsError, load
from tests.support.certificates import DAY, Authority
from tests.support.daemon import command

STREAM = '[[streams]]\nname = "s"\ntopic = "t/{device}"\nentity = ["device"]\n[streams.signals]\nx = {}\n'


@pytest.fixture
def pki(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def written(tmp_path, pki):
    """Write settings with TLS and a client certificate."""

    def write(pair, more=""):
        file = tmp_path / "detector.toml"
        lines = ["[mqtt]", "tls = true", f'tls_ca_file = "{pki.file}"']
        lines += [f'tls_certificate_file = "{pair.certificate}"', f'tls_key_file = "{pair.key}"', more]
        file.write_text("\n".join(lines) + "\n" + STREAM)
        return file

    return write


def test_good_certificates_need_no_word(written, pki):
    lines = check.everything(load(written(pki.client())))
    assert lines == ["stream s: t/+ (json), no bundle: recorded, not scored", "settings ok"]


def test_check_tells_of_a_key_that_all_can_read_and_of_a_certificate_that_ends_soon(written, pki):
    pair = pki.client(begin=-300 * DAY, end=5 * DAY)
    pair.key.chmod(0o644)
    key, certificate, *_, last = check.everything(load(written(pair)))
    assert key.startswith(f"caution: {pair.key}: holds a secret and every user can read it")
    assert certificate.startswith(f"caution: mqtt.tls_certificate_file: {pair.certificate}: expires at ")
    assert last == "settings ok"


PERSISTENT = '[mqtt]\nclient_id = "me"\nqos = 1\npersistent = true\n'


@pytest.mark.parametrize(
    ("mqtt", "topic", "stream", "why"),
    [
        (
            PERSISTENT,
            "t/{device}",
            'format = "value"',
            "its values (value) have no times; with mqtt.persistent",
        ),
        (
            "",
            "t/{device}",
            'format = "value"\noverload = "block"',
            'have no times; with overload = "block"',
        ),
        (PERSISTENT, "homie/#", 'format = "homie"', "its values (homie) have no times"),
        (PERSISTENT, "t/{device}/{signal}", 'format = "influx"', "its values (influx) have no times"),
        (PERSISTENT, "t/{device}", 'format = "influx"', ""),
        (PERSISTENT, "t/{device}", 'overload = "block"', ""),
        (PERSISTENT, "t/{device}", 'payload.time = "none"', "its values (json) have no times"),
        ("", "t/{device}", 'format = "value"', ""),
    ],
)
def test_check_tells_of_values_that_are_queued_and_have_no_time(tmp_path, mqtt, topic, stream, why):
    file = tmp_path / "detector.toml"
    file.write_text(mqtt + STREAM.replace("t/{device}", topic).replace("entity", f"{stream}\nentity"))
    said = [line for line in check.everything(load(file)) if line.startswith("caution: stream s: ")]
    assert [why in line for line in said] == [True] * bool(why)


def test_check_refuses_a_certificate_that_is_over(written, pki):
    pair = pki.client(begin=-2 * DAY, end=-1 * DAY)
    with pytest.raises(SettingsError, match=f"mqtt.tls_certificate_file: {pair.certificate}: expired at "):
        check.everything(load(written(pair)))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('username = "u"\npassword_file = "none"', "mqtt.password_file: none: No such file or directory"),
        ('tls_key_password_file = "none"', "mqtt.tls_key_password_file: none: No such file or directory"),
        (
            'transport = "websockets"\nwebsocket_headers = "x"',
            "mqtt.websocket_headers: line 1 is not Name: value",
        ),
    ],
)
def test_check_refuses_a_secret_that_cannot_be_used(written, pki, more, what):
    with pytest.raises(SettingsError) as caught:
        check.everything(load(written(pki.client(), more)))
    assert str(caught.value) == what


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("#", "# brings every message of the broker"),
        ("+/#", "+/# brings every message of the broker"),
        ("{device}/+/#", "+/+/# brings every message of the broker"),
        ("$SYS/#", "$SYS/# brings every figure of the broker itself"),
        ("telegraf/#", ""),
        ("+/telegraf/#", ""),
        ("{device}/+", ""),  # so many levels and no more
        ("$SYS/broker/load/#", ""),
    ],
)
def test_a_topic_that_leaves_out_nothing_is_told_with_what_to_write_instead(topic, told):
    stream = {"name": "s", "topic": topic, "format": "auto", "entity": ["device"], "signals": {"x": {}}}
    lines = [line for line in check.everything(Settings(streams=[stream])) if "caution" in line]
    instead = "begin the topic with what only the agents of this stream publish under, as in telegraf/#"
    assert lines == ([f"caution: stream s: {told} to this process; {instead}"] if told else [])


def test_a_topic_of_goodbyes_may_be_too_broad_as_well():
    stream = {"name": "s", "topic": "t/{device}", "entity": ["device"], "signals": {"x": {}}}
    lines = check.everything(Settings(streams=[stream | {"offline_topic": "{device}/#"}]))
    assert lines[0].startswith("caution: stream s: +/# brings every message of the broker to this process;")


@pytest.mark.parametrize("verb", ["run", "record", "check"])
def test_a_key_that_does_not_fit_ends_the_program_with_78_and_one_line(tmp_path, written, pki, verb):
    pair = pki.client()
    pair.key.write_bytes(pki.client("other").key.read_bytes())
    done = subprocess.run(
        [*command(verb), "--config", written(pair)], text=True, capture_output=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"detector: mqtt.tls_key_file: {pair.key}: is not the key of {pair.certificate}\n"


def test_a_daemon_with_a_certificate_that_is_over_says_so_and_runs(tmp_path, written, pki):
    pair = pki.client(begin=-2 * DAY, end=-1 * DAY)
    words = [*command("record"), "--config", written(pair), "--log.format", "json"]
    words += ["--http.host", "203.0.113.1"]  # an address of nobody: it ends after the settings
    done = subprocess.run(words, text=True, capture_output=True, check=False, cwd=tmp_path)
    first = json.loads(done.stderr.splitlines()[0])
    assert (done.returncode, first["level"], first["event"]) == (1, "warning", "caution")
    assert first["what"].startswith(f"mqtt.tls_certificate_file: {pair.certificate}: expired at ")


def overlapping(*topics):
    named = [(STREAM.replace('"s"', f'"s{number}"'), topic) for number, topic in enumerate(topics)]
    return "".join(text.replace("t/{device}", topic) for text, topic in named)


def test_check_warns_of_a_topic_of_maintenance_that_overlaps_with_that_of_a_stream(tmp_path):
    file = tmp_path / "detector.toml"
    switch = '[[maintenance]]\nname = "m"\ntopic = "{device}/maintenance"\n'
    file.write_text(overlapping("t/{device}") + switch)
    (line,) = [line for line in check.everything(load(file)) if " overlap" in line]
    assert line.startswith("caution: the filters t/+ and +/maintenance overlap")


@pytest.mark.parametrize(
    ("topics", "pairs"),
    [
        (["t/{device}/x", "t/{device}/#"], []),  # one subscription
        (["t/{device}/x", "t/{device}/x"], []),
        (["t/{device}/x", "t/{device}/y"], []),
        (["t/{device}/x", "{device}/a/x"], [("t/+/x", "+/a/x")]),
        (["t/{device}/x", "{device}/a/x", "{device}/#"], []),  # under which both are
    ],
)
def test_check_warns_of_filters_of_which_each_has_topics_of_the_other_and_its_own(tmp_path, topics, pairs):
    file = tmp_path / "detector.toml"
    file.write_text(overlapping(*topics))
    lines = [line for line in check.everything(load(file)) if " overlap" in line]
    assert [line.partition(" overlap")[0] for line in lines] == [
        f"caution: the filters {one} and {other}" for one, other in pairs
    ]
