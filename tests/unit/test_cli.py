"""The command line: verbs, exit codes, and what they cost to start."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from detector.stream.decode.documents import NESTING_MAX

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config/detector.toml"
VERBS = ("run", "record", "train", "score", "evaluate", "replay", "simulate", "check", "demo", "health")
OK, FAILED, USAGE, WRONG_CONFIG = 0, 1, 2, 78

SLOW = {"tensorflow", "keras", "pyarrow", "paho", "prometheus_client", "rich", "scipy", "pandas", "amqtt"}
"""What a verb that needs no network, broker or dataset must not import."""

FILTERS = "telegraf/+/interfaces, sensors/+/state"
STREAMS = """
[mqtt]
payload_bytes_max = 4096

[[streams]]
name = "interfaces"
topic = "telegraf/{device}/interfaces"
format = "telegraf-json"
entity = ["device", "interface"]
[streams.signals]
octets = { kind = "counter" }
load = {}

[[streams]]
name = "sensors"
topic = "sensors/{device}/state"
format = "json"
entity = ["device"]
[streams.payload]
time = "at"
[streams.signals]
temperature = {}
"""


def detector(*arguments, stdin=b"", cwd=None, **variables):
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("DETECTOR_")}
    return subprocess.run(
        [sys.executable, "-m", "detector.cli", *arguments],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | variables,
        timeout=120,
        check=False,
    )


def talk(done):
    return done.stderr.decode()


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "detector.toml"
    file.write_text(STREAMS, "utf-8")
    return str(file)


# Exit codes


def test_a_good_file_is_ok():
    done = detector("check", "--config", str(REFERENCE))
    assert (done.returncode, talk(done)) == (OK, "")
    assert done.stdout.decode().splitlines() == [
        "stream interfaces: telegraf/+/interfaces (telegraf-json), no bundle: recorded, not scored",
        "stream devices: telegraf/+/devices (telegraf-json), no bundle: recorded, not scored",
        "settings ok",
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb):
    done = detector(verb, "--help")
    assert done.returncode == OK
    assert done.stdout.decode().startswith(f"usage: detector {verb}")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "required: VERB"),
        (["fly"], "invalid choice: 'fly'"),
        (["check", "stray"], "unrecognized arguments: stray"),
        (["check", "--conf", "x"], "unrecognized arguments: --conf x"),
        (["check", "--mqtt.host"], "--mqtt.host needs a value"),
        (["check", "--mqtt.host", "--config"], "--mqtt.host needs a value"),
        (["check", "--message", "topic"], "--message: expected 2 arguments"),
        (["demo", "--mqtt.host", "broker"], "no flag of this verb: --mqtt.host"),
        (["train", "data.csv"], "required: --out"),
        (["train", "data.csv", "--out", "x", "--epochs", "0"], "'0' is not a positive number"),
        (["train", "data.csv", "--out", "x", "--architecture", "y"], "invalid choice: 'y'"),
        (["simulate"], "give --out DIRECTORY, --live, or both"),
        (
            ["simulate", "--live", "--hours", "1", "--train-hours", "2"],
            "simulate: --train-hours (in seconds) is 7200.0, not in 0 to --hours (in seconds)",
        ),
        (
            ["simulate", "--live", "--hours", "0.1"],
            "simulate: --train-hours (in seconds) is 270.0: a plan needs",
        ),
        (
            ["simulate", "--out", "x", "--hours", "1", "--plan", "each-kind-once"],
            "each needs 15 cadences, 150 s; give more --hours, or fewer --train-hours",
        ),
        (["simulate", "--live", "--cadence", "0"], "simulate: --cadence is 0.0, not in 1 to 300"),
        (["simulate", "--live", "--devices", "1"], "simulate: --devices is 1: a spine and two leaves need 3"),
        (["simulate", "--live", "--speed", "-1"], "simulate: --speed is -1.0, not 0 or more"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, what):
    done = detector(*arguments)
    assert (done.returncode, done.stdout) == (USAGE, b"")
    assert what in talk(done)


def test_wrong_settings_exit_with_78_and_the_key(tmp_path, config):
    for arguments, what in (
        (["check", "--config", str(tmp_path / "none.toml")], "none.toml: No such file or directory"),
        (["check", "--mqtt.port", "0"], "mqtt.port: Input should be greater than or equal to 1"),
        (["check", "--mqtt.hots=x"], "mqtt.hots: unknown key"),
        (["run", "--mqtt.port", "0"], "mqtt.port: "),
        (["run"], "streams: none is defined"),
        (["record"], "streams: none is defined"),
        (["health", "--http.port", "x"], "http.port: "),
        (["train", "x.csv", "--out", "x", "--stream", "no", "--config", config], "--stream: no"),
    ):
        done = detector(*arguments)
        assert (done.returncode, done.stdout) == (WRONG_CONFIG, b""), arguments
        assert talk(done).startswith("detector: ")
        assert what in talk(done)
        assert "Traceback" not in talk(done)


def test_an_unknown_variable_exits_with_78():
    done = detector("check", DETECTOR_MQT__HOST="x")
    assert (done.returncode, talk(done)) == (WRONG_CONFIG, "detector: DETECTOR_MQT__HOST: unknown variable\n")


def test_a_password_file_that_is_missing_exits_with_78(tmp_path):
    flags = ["--mqtt.username", "u", "--mqtt.password_file", str(tmp_path / "none")]
    done = detector("check", *flags)
    assert done.returncode == WRONG_CONFIG
    assert talk(done).startswith("detector: mqtt.password_file: ")


def test_a_bundle_that_is_missing_exits_with_78(tmp_path, config):
    text = STREAMS.replace("entity = [", 'bundle = "none"\nentity = [', 1)
    Path(config).write_text(text, "utf-8")
    for arguments in (["check", "--config", config], ["run", "--config", config, "--http.port", "0"]):
        done = detector(*arguments, cwd=tmp_path)
        assert done.returncode == WRONG_CONFIG
        assert talk(done) == (
            "detector: streams.interfaces.bundle: none: no bundle:"
            " neither manifest.json nor champion is in it\n"
        )
    for arguments in (["score", "--out", "x.parquet"], ["evaluate", "--labels", "labels.csv"]):
        done = detector(*arguments, "data.csv", "--bundle", "none", cwd=tmp_path)
        assert done.returncode == WRONG_CONFIG


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --labels"),
        (["--labels", "x", "--budget", "0"], "argument --budget: '0' is not a number above 0"),
        (["--labels", "x", "--vus-window", "-1"], "'-1' is not a whole number of 0 or more"),
        (["--labels", "x", "--before", "1.5"], "'1.5' is not a whole number of 0 or more"),
    ],
)
def test_evaluate_is_asked_for_what_makes_sense(arguments, message):
    done = detector("evaluate", "data.csv", "--bundle", "none", *arguments)
    assert done.returncode == USAGE
    assert message in talk(done)


def test_a_failure_while_running_exits_with_1_and_one_line(tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    for arguments in (
        ["train", "none.csv", "--out", "x"],
        ["train", "bad.csv", "--out", "x"],
        ["check", "--message", "a", "@none"],
    ):
        done = detector(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (FAILED, b""), talk(done)
        assert talk(done).startswith("detector: ")
        assert talk(done).count("\n") == 1


def test_a_flag_may_stand_before_the_arguments_of_a_verb(tmp_path):
    done = detector("train", "--mqtt.port", "7", "none.csv", "--out", "x", "--stream", "s", cwd=tmp_path)
    assert done.returncode == WRONG_CONFIG
    assert "--stream: s" in talk(done)


@pytest.mark.parametrize(
    "words",
    [
        ["simulate", "--live", "--hours", "0.5", "--plan", "none"],
        ["replay", "data.csv", "--topic", "t/{device}"],
    ],
)
def test_a_broker_that_is_down_is_named(tmp_path, words):
    (tmp_path / "data.csv").write_text("time,device,x\n1,leaf1,2\n")
    done = detector(*words, "--mqtt.host", "127.0.0.1", "--mqtt.port", "1", cwd=tmp_path)
    assert done.returncode == FAILED
    last = talk(done).splitlines()[-1]
    assert last == (
        "detector: no connection to the broker at 127.0.0.1:1: nobody listens there;"
        " is the broker running, and mqtt.port right?"
    )


def test_simulated_data_come_with_settings_that_check_accepts_after_training(tmp_path):
    done = detector("simulate", "--out", "lab", "--hours", "0.5", "--cadence", "5", cwd=tmp_path)
    assert done.returncode == OK, talk(done)
    assert "lab/detector.toml" in talk(done)
    done = detector("check", "--config", "lab/detector.toml", cwd=tmp_path)
    assert f"streams.interfaces.bundle: {tmp_path}/lab/bundles/interfaces: no bundle" in talk(done)
    assert "step_s = 5.0" in (tmp_path / "lab/detector.toml").read_text("utf-8")


def test_the_version_is_told():
    assert detector("--version").stdout.startswith(b"detector ")


def test_a_secret_given_to_a_verb_that_takes_none_is_not_repeated():
    assert "hidden" not in talk(detector("demo", "--mqtt.password=hidden"))


# What it costs to start


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["check", "--config", str(REFERENCE)],
        ["check", "--config", str(REFERENCE), "--message", "telegraf/r1/devices", "{}"],
        ["health", "--http.port", "0"],
    ],
)
def test_a_verb_that_needs_nothing_slow_imports_nothing_slow(arguments):
    code = (
        "import json, sys\n"
        "from detector.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "finally: print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, cwd=ROOT, timeout=120, check=True
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert "detector" in imported
    assert not imported & SLOW
    if arguments[0] == "check":
        assert "numpy" not in imported
    if arguments == ["--help"]:
        assert not imported & {"numpy", "pydantic"}


# check --message


def message(config, topic, payload, **more):
    done = detector("check", "--config", config, "--message", topic, payload, **more)
    assert talk(done) == ""
    return done.returncode, done.stdout.decode().splitlines()


def telegraf(**changes):
    record = {
        "fields": {"octets": 12, "load": 0.5, "other": "text"},
        "name": "interfaces",
        "tags": {"interface": "e0"},
        "timestamp": round(time.time()),
    }
    return json.dumps(record | changes)


def test_a_telegraf_message_is_shown_as_samples(config):
    code, (head, octets, load) = message(config, "telegraf/r1/interfaces", telegraf(timestamp=None))
    assert (code, head) == (OK, "stream interfaces: 2 samples")
    assert octets.startswith('  {device="r1", interface="e0"} 2')
    assert octets.endswith(" octets = 12 (counter)")
    assert load.endswith(" load = 0.5 (gauge)")


def test_a_json_message_is_shown_with_its_time(config):
    payload = '{"at": "2020-01-02T03:04:05Z", "temperature": 21.5}'
    code, (head, sample, hint) = message(config, "sensors/s1/state", payload)
    assert (code, head) == (OK, "stream sensors: 1 samples")
    assert hint.startswith("  payload.time says where the time is")
    start = '  {device="s1"} 2020-01-02T03:04:05+00:00 temperature = 21.5 (gauge), dropped, time_old: '
    assert sample.startswith(start)


def test_records_under_keys_are_held_against_the_stream_too(config):
    keyed = STREAMS.replace('time = "at"', 'records = "ports.{port}"').replace(
        'entity = ["device"]', 'entity = ["device", "port", "slot"]'
    )
    Path(config).write_text(keyed, "utf-8")
    payload = '{"ports": {"e0": {"temperature": 1}, "e1": {"temperature": 2, "load": 3}}}'
    assert message(config, "sensors/s1/state", payload) == (
        FAILED,
        [
            "stream sensors: dropped, entity_missing",
            '  the topic gives: device="s1"',
            "  missing of the entity: slot",
            "  numbers that no signal uses: load",
            "  the message has: ports.e0.temperature, ports.e1.temperature, ports.e1.load",
        ],
    )


def test_who_is_not_allowed_is_named(config):
    allowing = STREAMS.replace('time = "at"', 'time = "at"\nallow = { device = ["s1", "lab-*"] }')
    Path(config).write_text(allowing, "utf-8")
    assert message(config, "sensors/s2/state", '{"temperature": 1}') == (
        FAILED,
        ["stream sensors: dropped, label_refused", '  not allowed: {device="s2"}'],
    )
    assert message(config, "sensors/lab-7/state", '{"temperature": 1}')[0] == OK


def test_a_sample_is_shown_with_what_is_made_of_it(config):
    scaled = 'temperature = { scale = 0.1, offset = -32, unit = "°C", words = { off = 0 } }'
    Path(config).write_text(STREAMS.replace("temperature = {}", scaled), "utf-8")
    for payload, value in (('{"temperature": "815"}', "815"), ('{"temperature": "off"}', "0")):
        _, lines = message(config, "sensors/s1/state", payload)
        assert lines[1].endswith(f" temperature = {value} (gauge, x 0.1, -32, in °C)")


def test_a_time_ahead_of_the_clock_is_told(config):
    code, lines = message(config, "sensors/s1/state", '{"at": "2100-01-01T00:00:00Z", "temperature": 1}')
    assert code == OK
    assert "dropped, time_future: " in lines[1]


def test_a_refused_value_is_counted_beside_the_others(config):
    fields = {"octets": "many", "load": 1}
    code, lines = message(config, "telegraf/r1/interfaces", telegraf(fields=fields))
    assert code == OK
    assert lines[:2] == ["stream interfaces: 1 samples", "  refused: 1 not_a_number"]


@pytest.mark.parametrize(
    ("topic", "payload", "line"),
    [
        ("telegraf/r1/interfaces", "{", "stream interfaces: dropped, not_json"),
        ("telegraf/r1/interfaces", "", "stream interfaces: dropped, payload_empty"),
        ("telegraf/r1/interfaces", "[1]", "stream interfaces: dropped, wrong_shape"),
        ("telegraf/r1/interfaces", "\udcff", "stream interfaces: dropped, not_utf8"),
        ("sensors/s1/state", "x" * 4097, "dropped, payload_too_large: 4097 bytes"),
        (
            "telegraf/r1/devices",
            "{}",
            f"dropped, topic_unknown: no stream reads 'telegraf/r1/devices'; subscribed: {FILTERS}",
        ),
    ],
)
def test_a_refused_message_is_told_with_its_reason_and_exits_with_1(config, topic, payload, line):
    assert message(config, topic, payload) == (FAILED, [line])


def test_a_message_without_a_time_that_can_be_read_is_told_what_to_do(config):
    hint = '  payload.time says where the time is; with "none" that of arrival counts'
    refused = message(config, "sensors/s1/state", '{"at": {}, "temperature": 1}')
    assert refused == (FAILED, ["stream sensors: dropped, time_unreadable", hint])


def test_a_message_without_the_entity_says_which_label_and_what_it_has_instead(config):
    payload = telegraf(tags={"ifName": "e0", "\n": 1})
    names = "fields.octets, fields.load, fields.other, name, tags.ifName, 'tags.\\n', timestamp"
    assert message(config, "telegraf/r1/interfaces", payload) == (
        FAILED,
        [
            "stream interfaces: dropped, entity_missing",
            '  the topic gives: device="r1"',
            "  missing of the entity: interface",
            f"  the message has: {names}",
        ],
    )


def test_a_message_without_a_signal_shows_what_it_has_instead(config):
    payload = telegraf(fields={"octet": 1, "other": "text"}, tags={})
    assert message(config, "telegraf/r1/interfaces", payload) == (
        FAILED,
        [
            "stream interfaces: dropped, no_signal",
            '  the topic gives: device="r1"',
            "  missing of the entity: interface",
            "  not in this message: octets, load",
            "  numbers that no signal uses: octet",
            "  the message has: fields.octet, fields.other, name, timestamp",
        ],
    )


def test_signals_that_are_not_in_a_message_and_numbers_that_are_none_are_named(config):
    fields = {"octets": "many", "load": 1, "queue": {"drops": 1}, "up": True}
    code, lines = message(config, "telegraf/r1/interfaces", telegraf(fields=fields))
    assert (code, lines[-1]) == (OK, "  numbers that no signal uses: queue.drops, up")
    code, lines = message(config, "telegraf/r1/interfaces", telegraf(fields={"octets": 1}))
    assert (code, lines[-1]) == (OK, "  not in this message: load")


def test_of_a_batch_the_records_of_the_stream_are_looked_at(config):
    records = [
        telegraf(fields={"cpu": 1}, tags={}),
        telegraf(),
        telegraf(fields={"load": 1, "x": 1}, tags={}),
    ]
    code, lines = message(config, "telegraf/r1/interfaces", f'{{"metrics": [{",".join(records)}]}}')
    assert (code, lines[-2:]) == (
        OK,
        ["  missing of the entity: interface", "  numbers that no signal uses: x"],
    )


def test_a_json_message_says_where_a_label_was_looked_for_and_which_numbers_are_left(tmp_path, config):
    text = STREAMS.replace('entity = ["device"]', 'entity = ["device", "room"]')
    paths = 'records = "list"\nlabels = { room = "at.room" }'
    Path(config).write_text(text.replace('time = "at"', f'time = "ts"\n{paths}'), "utf-8")
    record = '{"temperature": 1, "ts": 1760000000, "humidity": 2, "at": {"Room": "a"}}'
    code, lines = message(config, "sensors/s1/state", f'{{"list": [{record}]}}')
    assert (code, lines[2:4]) == (
        FAILED,
        ["  missing of the entity: room (at at.room)", "  numbers that no signal uses: humidity"],
    )
    assert lines[4].startswith("  the message has: list.0.temperature, list.0.ts, ")


def test_a_value_of_an_unknown_signal_shows_what_the_topic_gives(config):
    text = STREAMS.replace("sensors/{device}/state", "sensors/{device}/{signal}")
    text = text.replace('format = "json"', 'format = "value"').replace('[streams.payload]\ntime = "at"\n', "")
    Path(config).write_text(text, "utf-8")
    assert message(config, "sensors/s1/humidity", "1") == (
        FAILED,
        [
            "stream sensors: dropped, no_signal",
            '  the topic gives: device="s1", signal="humidity"',
            "  wanted: one of temperature",
        ],
    )


def test_a_value_list_of_another_type_shows_which_are_wanted(config):
    text = STREAMS.replace("sensors/{device}/state", "collectd/{device}/+/+")
    text = text.replace('format = "json"', 'format = "collectd"').replace("temperature", "temperature-cpu")
    Path(config).write_text(text.replace('[streams.payload]\ntime = "at"\n', ""), "utf-8")
    assert message(config, "collectd/s1/sensors/temperature-gpu", "N:1") == (
        FAILED,
        [
            "stream sensors: dropped, no_signal",
            '  the topic gives: device="s1", plugin="sensors", type="temperature", type_instance="gpu"',
            "  wanted: one of temperature-cpu",
            "  the message has: temperature-gpu",
        ],
    )
    code, lines = message(config, "collectd/s1/sensors/temperature-cpu", "N:45.5")
    assert (code, len(lines)) == (OK, 2)
    assert lines[1].endswith(" temperature-cpu = 45.5 (gauge)")


def test_what_tells_of_restarts_is_shown_and_missed_like_a_signal(config):
    told = '[streams.restart]\nuptime = "up"\nboot_id = "boot"\n[streams.payload]\nrecords = "ports"\n'
    text = STREAMS.replace("load = {}", told, 1).replace('"telegraf-json"', '"json"', 1)
    Path(config).write_text(text, "utf-8")
    payload = {"up": 500, "ports": [{"interface": "e0", "octets": 1}], "timestamp": int(time.time())}
    code, lines = message(config, "telegraf/r1/interfaces", json.dumps(payload))
    assert code == OK
    assert lines[0] == "stream interfaces: 2 samples"
    assert lines[2].endswith("up = 500 (uptime)")
    assert lines[3:] == ["  not in this message: boot"]


def test_names_without_end_are_cut_in_number(config):
    fields = {f"n{index}": index for index in range(100)}
    code, lines = message(config, "telegraf/r1/interfaces", telegraf(fields=fields | {"load": 1}))
    assert code == OK
    assert lines[-1].endswith(" n63, and 36 more")


def test_the_deepest_document_is_looked_into(config):
    deep = '{"a":' * NESTING_MAX + "1" + "}" * NESTING_MAX
    code, lines = message(config, "sensors/s1/state", deep)
    assert (code, lines[0]) == (FAILED, "stream sensors: dropped, no_signal")
    assert lines[-1].endswith(" " + ".".join("a" * NESTING_MAX))


def test_a_payload_comes_from_a_file_or_stdin(tmp_path, config):
    (tmp_path / "payload").write_bytes(b'{"temperature": 1}')
    for payload, stdin in ((f"@{tmp_path / 'payload'}", b""), ("-", b'{"temperature": 1}')):
        code, lines = message(config, "sensors/s1/state", payload, stdin=stdin)
        assert (code, lines[0]) == (OK, "stream sensors: 1 samples")


def test_without_a_stream_no_topic_is_known():
    done = detector("check", "--message", "a", "1")
    assert done.returncode == FAILED
    assert done.stdout == b"dropped, topic_unknown: no stream reads 'a'; subscribed: none\n"


# health


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, text = self.server.pages[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(
    ("healthy", "missing", "flags", "code", "line"),
    [
        (200, b"", [], OK, "healthy, ready"),
        (200, b"", ["--ready"], OK, "healthy, ready"),
        (200, b"no broker\nno inbox\n", [], OK, "healthy, not ready: no broker; no inbox"),
        (200, b"no broker\n", ["--ready"], FAILED, "healthy, not ready: no broker"),
        (500, b"", [], FAILED, "not healthy: bad, ready"),
    ],
)
def test_health_says_what_is_missing_and_ready_takes_it_to_heart(healthy, missing, flags, code, line):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        ready = (503, missing) if missing else (200, b"ready\n")
        server.pages = {"/-/healthy": (healthy, b"ok\n" if healthy == 200 else b"bad\n"), "/-/ready": ready}
        threading.Thread(target=server.serve_forever).start()
        done = detector("health", "--http.port", str(server.server_port), *flags)
        server.shutdown()
    assert (done.returncode, done.stdout.decode()) == (code, line + "\n")


def test_health_of_nothing_is_1():
    done = detector("health", "--http.port", "1")
    assert (done.returncode, done.stdout) == (FAILED, b"")
    assert talk(done).startswith("detector: no daemon answers on 127.0.0.1:1: ")


class Babble(http.server.socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"\x20\x02\x00\x00")


def test_health_of_another_program_is_1():
    with http.server.socketserver.TCPServer(("127.0.0.1", 0), Babble) as server:
        threading.Thread(target=server.handle_request).start()
        done = detector("health", "--http.port", str(server.server_address[1]))
    assert (done.returncode, done.stdout) == (FAILED, b"")
    assert "Traceback" not in talk(done)
