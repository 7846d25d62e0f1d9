"""The verbs that work on data: replay, record, train and score, one after the other, as a user would."""

import json
import signal
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from detector.edge import datasets, replay
from detector.edge.publisher import publish_messages
from detector.model.bundle import load_for
from detector.settings import load
from tests.support.bundles import LIVE_S, STEP_S
from tests.support.daemon import detector, running
from tests.support.mosquitto import running_mosquitto

TOPIC = "telegraf/{device}/devices"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def live(fabric, tmp_path_factory):
    """Return the raw data of the devices since the end of the history, as a file."""
    path = tmp_path_factory.mktemp("data") / "devices.parquet"
    table = pq.read_table(fabric.directory / "devices.parquet")
    pq.write_table(table.filter(pc.greater_equal(table["time"], LIVE_S)), path)
    return path


@pytest.fixture(scope="module")
def recording(fabric, live, broker, tmp_path_factory):
    """Return the folder that `detector record` wrote while `detector replay` published the raw data."""
    directory = tmp_path_factory.mktemp("record")
    settings = fabric.settings(bundles=False)
    with running(directory, settings, verb="record", broker=broker.port) as daemon:
        daemon.wait_until_ready()
        words = ["replay", live, "--topic", TOPIC, "--mqtt.host", "127.0.0.1", "--mqtt.port", broker.port]
        said = detector(*words, "--speed", 0)
        assert said.returncode == 0, said.stderr
        count = pq.read_metadata(live).num_rows
        assert f"{count} messages published" in said.stderr
        daemon.wait_for(lambda: daemon.total("detector_messages_received_total") == count)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    return directory / "recordings" / "devices"


def score(bundle, data, out):
    """Score data; return the rows by time and device."""
    said = detector("score", data, "--bundle", bundle, "--out", out)
    assert said.returncode == 0, said.stderr
    rows = pq.read_table(out).to_pylist()
    return {(row["time"], row["device"]): (row["score"], row["anomalous"]) for row in rows}


@pytest.fixture(scope="module")
def scores(trained, live, tmp_path_factory):
    """Return the path of what `detector score` wrote, and its rows by time and device."""
    out = tmp_path_factory.mktemp("scores") / "scores.parquet"
    return out, score(trained.directory / "bundles" / "devices", live, out)


@pytest.fixture(scope="module")
def baseline_scores(baseline, live, tmp_path_factory):
    """Return the rows of what `detector score` wrote with a baseline, by time and device."""
    out = tmp_path_factory.mktemp("scores") / "scores.parquet"
    return score(baseline.directory / "bundles" / "devices", live, out)


def test_a_recording_holds_rates_where_the_messages_held_counters(live, recording):
    raw, recorded = pq.read_table(live), pq.read_table(recording)
    counter = raw["bgp_updates_received"].drop_null().to_numpy()
    rate = recorded["bgp_updates_received"].drop_null().to_numpy()
    assert 0 <= rate.min() <= rate.max() < counter.min()
    # A clear sends the same updates, counted or as rates over time.
    device = pc.equal(recorded["device"], "leaf2")
    sent = raw.filter(pc.equal(raw["device"], "leaf2"))["bgp_updates_received"].drop_null().to_numpy()
    assert np.nansum(recorded.filter(device)["bgp_updates_received"].to_numpy()) == pytest.approx(
        np.ptp(sent), rel=0.1
    )
    metadata = json.loads(pq.read_schema(next(recording.rglob("*.parquet"))).metadata[b"detector"])
    assert metadata["kinds"] == "rates"


def test_a_replayed_recording_is_warned_of_and_raw_data_is_not(recording, live, broker):
    words = ["--topic", TOPIC, "--mqtt.host", "127.0.0.1", "--mqtt.port", broker.port, "--speed", 0]
    warnings = [detector("replay", data, *words).stderr.count("as gauges") for data in (recording, live)]
    assert warnings == [1, 0]


def test_the_daemon_takes_a_bundle_that_was_trained_on_a_recording_alone(fabric, recording, tmp_path):
    said = detector("train", recording, "--out", tmp_path / "bundle", "--architecture", "pca")
    assert said.returncode == 0, said.stderr
    (printed,) = tomllib.loads(said.stdout.rpartition("\n\n")[0])["streams"]
    assert printed["signals"]["bgp_updates_received"]["kind"] == "counter"
    definition = load(fabric.config).stream("devices").definition()
    assert load_for(definition, tmp_path / "bundle").version


def test_score_writes_a_row_for_each_scored_step(scores):
    path, rows = scores
    schema = pq.read_schema(path)
    assert schema.names == ["time", "device", "score", "anomalous"]
    assert [schema.field(name).type for name in ("time", "device", "anomalous")] == [
        pa.float64(),
        pa.string(),
        pa.bool_(),
    ]
    assert len(rows) == pq.read_metadata(path).num_rows
    # The sessions of leaf2 are cleared from 150 to 180.
    assert rows[LIVE_S + 170, "leaf2"][0] > 1
    assert [rows[LIVE_S + at_s, "leaf2"][1] for at_s in (140, 170, 240)] == [False, True, False]


def test_a_recording_scores_as_the_raw_data_that_it_was_made_of(
    baseline, recording, baseline_scores, tmp_path
):
    recorded = score(baseline.directory / "bundles" / "devices", recording, tmp_path / "scores.parquet")
    raw = {key: value for key, value in baseline_scores.items() if key in recorded}
    assert len(raw) > 0.95 * len(baseline_scores)
    assert [one for one, _ in recorded.values()] == pytest.approx([one for one, _ in raw.values()], abs=1e-3)


def test_the_live_daemon_and_score_agree(trained, live, broker, scores, tmp_path):
    compared = {}
    [table] = datasets.read_parts([live])
    messages = list(replay.messages(table, TOPIC, "telegraf-json", "devices"))
    with running(tmp_path, trained.settings(), broker=broker.port) as daemon:
        daemon.wait_until_ready()
        for begin_s, end_s in [(0, 30), (30, 80), (80, 155), (155, 156), (156, 170), (170, 250)]:
            part = [one for one in messages if begin_s <= one[0] - LIVE_S < end_s]
            publish_messages(part, host="127.0.0.1", port=broker.port, speed=0)
            newest_s = LIVE_S + end_s - 2
            daemon.wait_for(
                lambda at_s=newest_s: any(one["last_sample_s"] == at_s for one in daemon.entities())
            )
            for one in daemon.entities():
                key = one["last_sample_s"], one["labels"]["device"]
                compared[key] = one["score"], one["active"]
    assert len(compared) > 20
    assert any(active for _, active in compared.values())
    for key, (score_live, active) in compared.items():
        assert scores[1][key][0] == pytest.approx(score_live, abs=1e-3), key
        assert scores[1][key][1] == active, key


def evaluate(baseline, data, labels, *words):
    """Evaluate the devices; return what was said."""
    bundle = baseline.directory / "bundles" / "devices"
    return detector("evaluate", data, "--bundle", bundle, "--labels", labels, *words)


def test_evaluate_finds_what_score_writes(baseline, live, baseline_scores):
    said = evaluate(baseline, live, baseline.directory / "labels.csv", "--json")
    assert said.returncode == 0, said.stderr
    assert "1 events show in no signal of the stream: not judged" in said.stderr, "that of the link"
    told = json.loads(said.stdout)
    (cleared,) = told["events"]
    assert (cleared["event"], cleared["found"]) == ("bgp_clear", True)
    assert cleared["signals"] == ["bgp_updates_received", "bgp_sessions_established", "routes"]
    assert told["detector"]["first"] == 1
    assert told["detector"]["vus_pr"] > told["control"]["vus_pr"]
    assert told["steps"] - told["unscored_steps"] == len(baseline_scores)
    # An alarm begins where `score` turns anomalous.
    begun = [
        (time_s, device)
        for (time_s, device), (_, active) in sorted(baseline_scores.items())
        if active and not baseline_scores.get((time_s - STEP_S, device), (0, False))[1]
    ]
    assert (cleared["alarm"]["told_s"], "leaf2") in begun
    told_false = [one for one in told["false_alarms"] if one["what"] == "anomaly"]
    false = [(one["told_s"], one["entity"]["device"]) for one in told_false]
    assert set(false) <= set(begun)
    assert told["detector"]["episodes"] >= len(begun)


def test_evaluate_tells_a_table_and_writes_a_report(baseline, live, tmp_path):
    labels, report = baseline.directory / "labels.csv", tmp_path / "report.html"
    config = ["--config", baseline.config, "--stream", "devices", "--budget", "10"]
    said = evaluate(baseline, live, labels, "--report", report, "--vus-window", "20", *config)
    assert said.returncode == 0, said.stderr
    rows = said.stdout.splitlines()
    assert rows[0].split() == ["detector", "at", "random"]
    assert any(row.startswith("VUS-PR, window 20 ") for row in rows)
    assert any(row.startswith("promised by the budget ") and "1.43" in row for row in rows)
    assert "report in" in said.stderr
    page = report.read_text()
    assert "<h2>Found faults: 1</h2>" in page
    assert "bgp_updates_received" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end\n", "no column `event`"),
        (
            "start,end,event,kind\n1,2,x,alarm\n",
            ":2: kind is 'alarm', not one of fault, restore, change, bait",
        ),
    ],
)
def test_evaluate_says_which_line_of_the_labels_is_wrong(baseline, live, tmp_path, text, message):
    labels = tmp_path / "labels.csv"
    labels.write_text(text)
    said = evaluate(baseline, live, labels)
    assert (said.returncode, said.stdout) == (1, "")
    assert message in said.stderr
    assert "Traceback" not in said.stderr
