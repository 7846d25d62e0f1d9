"""How the benchmark on real telemetry tells what was found and what was a false alarm."""

import math

import numpy as np
import pytest

from detector.evaluate.events import Episode, Event
from tests.benchmark.cisco_data import is_counter
from tests.benchmark.cisco_judge import (
    Seen,
    alarm_share,
    device_hours,
    episodes_of,
    false_episodes,
    findings,
)

LEAF, PORT, SPINE = ("devices", "leaf", ""), ("interfaces", "leaf", "eth0"), ("devices", "spine", "")
TIMES_S = np.arange(0.0, 1000.0, 10.0)


def fault(start_s=400.0, end_s=500.0, device="leaf", kind="fault"):
    return Event(start_s, end_s, "clear_bgp", kind, {"device": device})


def episode(start_s, end_s, key=LEAF):
    entity = {"device": key[1]} | ({"interface": key[2]} if key[2] else {})
    return Episode(key[0], entity, start_s, end_s, start_s + 20.0)


def series(*high, peak=2.0):
    return TIMES_S, np.where(np.isin(TIMES_S, high), peak, 0.5)


def seen(*episodes, **scores):
    keys = {"leaf": LEAF, "port": PORT, "spine": SPINE}
    return Seen({keys[name]: scores.get(name, series()) for name in keys}, episodes)


def test_a_fault_is_found_by_an_episode_of_its_device_or_of_an_interface_of_it():
    assert findings([fault()], seen(episode(410, 480)))[0].found
    assert findings([fault()], seen(episode(410, 480, PORT)))[0].found
    assert not findings([fault()], seen(episode(410, 480, SPINE)))[0].found


def test_an_episode_that_is_open_since_before_does_not_find_a_fault():
    (finding,) = findings([fault()], seen(episode(100, 900)))
    assert not finding.found
    assert finding.open_for_s == 300.0


def test_an_episode_long_after_the_onset_or_after_the_next_fault_of_the_device_does_not_find_it():
    assert not findings([fault(400, 900)], seen(episode(530, 600)))[0].found
    first, second = findings([fault(400), fault(450)], seen(episode(450, 600)))
    assert (first.found, second.found) == (False, True)


def test_the_delay_runs_from_the_onset_to_the_first_score_above_1():
    (finding,) = findings([fault(395)], seen(leaf=series(300, 430), port=series(410, peak=3.0)))
    assert (finding.delay_s, finding.score_max) == (15.0, 3.0)
    assert math.isnan(findings([fault()], seen())[0].delay_s)


def test_the_rank_counts_the_devices_that_score_higher():
    (finding,) = findings([fault()], seen(leaf=series(410), spine=series(420, peak=3.0)))
    assert finding.rank == 2


@pytest.mark.parametrize("unseen", [fault(device="other"), fault(970, 1000), fault(kind="change")])
def test_what_nobody_can_see_or_is_no_fault_is_not_judged(unseen):
    assert not findings([unseen], seen())


def test_an_episode_is_false_where_its_onset_is_in_no_labelled_interval():
    inside = [episode(390, 700), episode(620, 700, SPINE)]
    outside = [episode(389, 395), episode(621, 700, PORT)]
    assert false_episodes([fault()], inside + outside) == outside


def test_device_hours_count_each_device_once_and_leave_the_labels_out():
    free = np.sum((TIMES_S < 390) | (TIMES_S > 620))
    assert device_hours([fault()], seen(), 10.0) == 2 * free * 10.0 / 3600.0


def test_an_episode_that_never_ends_shows_in_the_share_of_the_time_in_alarm():
    # leaf is in alarm in 630..990, 37 of the 39 + 37 free steps of either device.
    assert alarm_share([fault()], seen(episode(410, 990)), "devices") == 37 / (2 * (39 + 37))


def test_an_episode_of_written_scores_begins_with_the_first_score_above_1_that_opened_it():
    scores = np.array([0.5, 2.0, 0.5, 1.5, 3.0, 0.5, 0.5])
    active = np.array([0, 0, 0, 0, 1, 1, 0], bool)
    (one,) = episodes_of(PORT, TIMES_S[:7], scores, active, 5)
    assert (one.start_s, one.told_s, one.end_s, one.score_max) == (10.0, 40.0, 50.0, 3.0)
    assert one.entity == {"device": "leaf", "interface": "eth0"}


def test_rates_and_memory_are_gauges_and_what_only_grows_is_a_counter():
    assert is_counter("bytes-sent")
    assert is_counter("fib:0/0/CPU0:discard-packets")
    assert not is_counter("output-bytes-rate")
    assert not is_counter("memory-bytes-free")
