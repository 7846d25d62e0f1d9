"""What a scrape says about a snapshot."""

import os
import platform
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from detector import __version__
from detector.edge import metrics
from detector.edge.snapshot import stream_snapshot
from detector.edge.snapshot_groups import GROUPS_MAX, groups_snapshot
from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.stream.nouns import Drop, State
from detector.stream.pipeline import StreamPipeline
from tests.support import snapshots
from tests.support.groups import Story, interfaces
from tests.support.programs import program
from tests.support.streams import COUNTER, GAUGE, START_S, definition, feed

GOLDEN = Path(__file__).parents[1] / "data" / "metrics" / "golden.txt"


def exported(snapshot):
    """Return the registry that exports a snapshot, after one observation of each duration."""
    registry = CollectorRegistry()
    durations = metrics.register(registry, lambda: snapshot)
    durations.tick.observe(0.25)
    durations.inference.observe(0.125)
    durations.score_latency.observe(12)
    return registry


def samples(snapshot, name):
    """Return the values of a family by their labels as sorted pairs."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in exported(snapshot).collect()
        for sample in family.samples
        if sample.name == name
    }


def exposition(snapshot):
    """Return the text without what differs between machines: the process and the versions."""
    text = generate_latest(exported(snapshot)).decode()
    text = text.replace(f'"{__version__}"', '"VERSION"').replace(f'"{platform.python_version()}"', '"PYTHON"')
    return "".join(
        line for line in text.splitlines(keepends=True) if not re.match(r"(# \w+ )?process_", line)
    )


def test_the_exposition_is_the_golden_file():
    """After a wanted change: UPDATE_GOLDEN=1 pytest, then read the difference."""
    text = exposition(snapshots.snapshot())
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_promtool_has_nothing_to_say_but_about_a_name_that_is_a_contract():
    result = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=GOLDEN.read_text(),
        text=True,
        capture_output=True,
        check=False,
    )
    # counter_resets: it counts the resets of counters, so the word is a noun here and not the type.
    contract = "detector_counter_resets_total metric name should not include type 'counter'"
    assert set((result.stdout + result.stderr).split("\n")) - {""} == {contract}


def test_the_library_reads_the_openmetrics_back():
    text = generate_openmetrics(exported(snapshots.snapshot())).decode()
    assert "detector_anomaly_score" in {family.name for family in text_string_to_metric_families(text)}


def test_an_unknown_score_has_no_series():
    scores = samples(snapshots.snapshot(), "detector_anomaly_score")
    assert sorted(scores.values()) == [0.25, 3.5]


def test_the_series_of_a_vanished_entity_vanish():
    gone = snapshots.snapshot(streams=(snapshots.stream(entities=(("leaf2", "Eth1/1"),)),))
    assert "leaf1" in exposition(snapshots.snapshot())
    assert "leaf1" not in exposition(gone)


def test_a_group_has_its_labels_and_its_level_and_no_stream():
    ratio = samples(snapshots.snapshot(), "detector_group_anomalous_ratio")
    assert ratio == {
        (("device", "leaf1"), ("level", "device")): 0.5,
        (("level", "site/rack"), ("rack", "12"), ("site", "fra")): 0.25,
    }
    active = samples(snapshots.snapshot(), "detector_group_active")
    assert list(active.values()) == [1, 0]
    onsets = samples(snapshots.snapshot(), "detector_group_onset_timestamp_seconds")
    assert onsets == {(("device", "leaf1"), ("level", "device")): snapshots.NOW_S - 90}


def test_a_member_of_a_group_s_alarm_has_the_labels_of_its_own_alarm():
    grouped = samples(snapshots.snapshot(), "detector_grouped_active")
    active = samples(snapshots.snapshot(), "detector_anomaly_active")
    assert len(grouped) == 2
    assert set(grouped) <= set(active)


def test_groups_are_exported_up_to_a_limit_and_the_rest_is_counted():
    ports, entities = interfaces(devices=GROUPS_MAX + 200, ports=2, groups=(("device",),))
    story = Story(ports)
    for number, entity in enumerate(entities[:-4:2]):
        story.tell(START_S + 1000 * number, [entity])
    story.tell(START_S + 1e9, entities[-4:])
    streams = (snapshots.stream(labels=("site", "device", "port")),)
    told = snapshots.snapshot(streams=streams, groups=groups_snapshot(story.groups))
    assert len(samples(told, "detector_group_anomalous_ratio")) == GROUPS_MAX
    assert samples(told, "detector_groups_left_out") == {(): 200}
    assert sum(samples(told, "detector_group_active").values()) == 2, "those with an alarm come first"
    assert samples(told, "detector_group_episodes_total") == {(): 2}


def test_where_alarms_are_not_published_nothing_is_said_of_it():
    assert "detector_events" in exposition(snapshots.snapshot())
    assert "detector_events" not in exposition(snapshots.snapshot(events=None))


def test_only_an_open_episode_has_an_onset():
    onsets = samples(snapshots.snapshot(), "detector_anomaly_onset_timestamp_seconds")
    assert list(onsets.values()) == [snapshots.NOW_S - 90]


def test_an_unseen_signal_has_no_observed_series():
    observed = samples(snapshots.snapshot(), "detector_signal_observed")
    assert [dict(labels)["signal"] for labels in observed] == ["ifHCInOctets"]


def test_a_signal_that_left_its_valid_range_has_the_bound_that_it_broke():
    snapshot = snapshots.snapshot(streams=(snapshots.out_of_range(snapshots.interfaces()),))
    bounds = samples(snapshot, "detector_signal_bound")
    assert [(dict(labels)["signal"], bound) for labels, bound in bounds.items()] == [("ifInErrors", 90.0)]
    told = samples(snapshot, "detector_signal_observed")
    assert "ifInErrors" in [dict(labels)["signal"] for labels in told], "however little it contributes"


@pytest.mark.parametrize(("share", "count"), [(0.0099, 0), (0.0101, 1)])
def test_a_contribution_below_one_percent_has_no_series(share, count):
    stream = snapshots.interfaces()
    episode = replace(stream.episodes[0], contribution=np.array([share, 0, 0], np.float32))
    snapshot = snapshots.snapshot(streams=(replace(stream, episodes=(episode,)),))
    assert len(samples(snapshot, "detector_signal_contribution_ratio")) == count


def test_every_reason_of_a_drop_is_exported_as_0_from_the_start():
    start = snapshots.snapshot(messages_dropped={}, streams=(snapshots.stream(),))
    messages = samples(start, "detector_messages_dropped_total")
    dropped = samples(start, "detector_samples_dropped_total")
    reasons = [dict(labels)["reason"] for labels in (*messages, *dropped)]
    assert sorted(reasons) == sorted(Drop)
    assert {*messages.values(), *dropped.values()} == {0}


def test_only_counters_have_resets_each_for_every_reason_from_the_start():
    plain = StreamPipeline(definition(GAUGE, COUNTER), None)
    feed(plain, *[("r", 10.0 * step, {0: 5.0 - step, 1: 5.0 - step}) for step in range(4)])
    taken = stream_snapshot(plain, None)
    assert taken.counter_resets == {
        ("octets", "restart"): 0,
        ("octets", "reset"): 3,
        ("octets", "too_fast"): 0,
    }
    assert taken.counter_looks == {"octets": 3}
    resets = samples(snapshots.snapshot(streams=(taken,)), "detector_counter_resets_total")
    assert list(resets.values()) == [0, 3, 0]


def test_every_state_of_an_entity_is_exported_for_every_stream():
    states = [dict(labels)["state"] for labels in samples(snapshots.snapshot(), "detector_entities")]
    assert states == [*State, *State]


HEARS = MqttSnapshot(connected=True, thread_alive=True, subscribed=True)


@pytest.mark.parametrize(
    ("mqtt", "hears"),
    [
        (HEARS, True),
        (replace(HEARS, unserved=("others/#",)), True),
        (replace(HEARS, unserved=("a/+", "others/#")), False),
        (replace(HEARS, connected=False), False),
        (replace(HEARS, thread_alive=False), False),
        (replace(HEARS, subscribed=False), False),
    ],
)
def test_a_stream_is_heard_while_its_subscriptions_are_served(mqtt, hears):
    assert mqtt.hears(["a/+", "b/+"]) == hears


def test_a_stream_without_a_bundle_has_no_bundle_info():
    streams = [dict(labels)["stream"] for labels in samples(snapshots.snapshot(), "detector_bundle_info")]
    assert streams == ["interfaces"]


def test_drift_that_is_not_known_has_no_series_and_advice_only_where_there_is_something_to_compare_with():
    drift = samples(snapshots.snapshot(), "detector_input_drift_ratio")
    advised = samples(snapshots.snapshot(), "detector_retrain_advised")
    assert [dict(labels)["signal"] for labels in drift] == ["ifHCInOctets", "ifInErrors"]
    assert advised == {(("stream", "interfaces"),): 1}
    calm = replace(snapshots.interfaces(), retrain_advised=False)
    assert list(samples(snapshots.snapshot(streams=(calm,)), "detector_retrain_advised").values()) == [0]


def test_in_the_first_day_nothing_is_known_of_the_budget():
    used = samples(snapshots.snapshot(), "detector_alarm_budget_used_ratio")
    exceeded = samples(snapshots.snapshot(), "detector_alarm_budget_exceeded")
    assert used == {(("stream", "interfaces"),): 2.5}
    assert exceeded == {(("stream", "interfaces"),): 1}


def test_before_the_first_snapshot_the_program_and_its_durations_are_exported():
    names = {family.name for family in exported(None).collect() if family.name.startswith("detector_")}
    assert names == {
        "detector_build",
        "detector_tick_duration_seconds",
        "detector_inference_duration_seconds",
        "detector_score_latency_seconds",
    }


def test_a_second_registration_is_refused():
    registry = exported(None)
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.register(registry, lambda: None)
