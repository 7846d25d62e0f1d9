"""A dataset, a judge and labels: what is judged, what becomes of events, and the control.

Windows have four steps; an episode opens with the second score above 1 in three steps.
"""

from dataclasses import replace

import numpy as np
import pytest

from detector.evaluate import judged
from detector.evaluate.metrics import average_precision, vus_pr
from detector.evaluate.quality import ranked
from detector.stream.definition import Signal
from detector.stream.nouns import Alarm as What
from tests.support.evaluations import NAN, STEP_S, dataset, evaluated, event, spiky
from tests.support.streams import START_S, definition

pytestmark = pytest.mark.usefixtures("prompt_scores")

A, B = ("a",), ("b",)
ON_A, ON_B = {"device": "a"}, {"device": "b"}


def steps_of(alarms):
    return [(alarm.first - round(START_S / STEP_S), alarm.last - round(START_S / STEP_S)) for alarm in alarms]


def test_a_fault_with_an_alarm_of_its_own_is_found_and_another_alarm_is_false():
    found = evaluated(dataset({A: spiky(100, (30, 40), (70, 75))}), event(28, 42))
    # Told with the second step above 1, over with the third calm one.
    assert steps_of(found.judged.alarms) == [(31, 42), (71, 77)]
    assert steps_of(found.false) == [(71, 77)]
    quality = found.detector
    assert (quality.faults, quality.found, quality.alarmed, quality.delay_s) == (1, 1, 1, 30.0)
    assert (quality.episodes, quality.right, quality.false, quality.precision) == (2, 1, 1, 0.5)


def test_free_time_is_what_no_label_covers_and_its_share_in_alarm_is_counted():
    quality = evaluated(dataset({A: spiky(100, (30, 40), (70, 75))}), event(28, 42)).detector
    assert quality.free_days == pytest.approx(85 * STEP_S / 86400)
    assert quality.alarm_share == pytest.approx(7 / 85)
    assert quality.false_a_day == pytest.approx(1 / quality.free_days)
    low, high = quality.false_a_day_interval
    assert (low * quality.free_days, high * quality.free_days) == pytest.approx((0.0253, 5.572), rel=1e-3)


def test_scores_are_measured_for_each_entity_with_a_fault_and_the_mean_counts():
    values = {A: spiky(200, (30, 40)), B: spiky(200, (50, 51)), ("c",): spiky(200)}
    found = evaluated(dataset(values), event(28, 42, ON_A), event(100, 120, ON_B), vus_window_steps=20)
    for at, (first, last) in enumerate([(28, 42), (100, 120)]):
        label = np.zeros(200, bool)
        label[first - 1 : last] = True
        score = ranked(found.judged.score(at))
        assert found.entities[at].vus_pr == vus_pr(label, score, 20)
        assert found.entities[at].average_precision == average_precision(label, score)
    assert np.isnan(found.entities[2].vus_pr)
    assert found.detector.vus_pr == np.mean([one.vus_pr for one in found.entities[:2]])


def test_a_step_without_a_score_ranks_below_all_others_and_is_counted():
    values = spiky(40, (30, 35))
    values[10:20] = NAN
    found = evaluated(dataset({A: values}), event(12, 18))
    score = found.judged.score(0)
    # The first window is full with the fourth step; in the gap, and while too much of a window is carried on,
    # nothing is scored.
    assert np.isnan(score[:3]).all()
    assert np.isnan(score[10:20]).all()
    assert found.unscored == np.isnan(score).sum() < 20
    label = np.zeros(40, bool)
    label[11:18] = True
    assert found.entities[0].average_precision == average_precision(label, ranked(score))
    assert set(ranked(score)[np.isnan(score)]) == {float(np.nanmin(score)) - 1.0}
    assert not ranked(np.full(3, np.nan)).any()


def test_what_is_marked_for_training_runs_before_and_is_not_judged():
    found = evaluated(
        dataset({A: spiky(60, (10, 20), (40, 45))}, train_steps=30), event(38, 46), event(9, 21)
    )
    assert len(found.judged.score(0)) == 30
    assert found.unscored == 0, "the window was full before"
    assert steps_of(found.judged.alarms) == [(41, 47)]
    assert found.left_out == {"are outside of what is judged": 1}
    assert found.detector.faults == 1


def test_an_alarm_that_is_open_when_judging_begins_is_time_in_alarm_and_no_episode():
    found = evaluated(dataset({A: spiky(60, (25, 40))}, train_steps=30), event(55, 58))
    assert (found.detector.episodes, found.detector.false) == (0, 0)
    assert found.detector.alarm_share == pytest.approx(12 / 26)


def test_each_entity_is_judged_from_its_own_first_record_to_its_last():
    late = np.concatenate([np.full(50, NAN), spiky(50, (20, 30))])
    found = evaluated(dataset({A: spiky(100), B: late}), event(68, 82, ON_B))
    assert [len(found.judged.score(at)) for at in (0, 1)] == [100, 50]
    assert (found.detector.found, found.detector.false) == (1, 0)


def test_a_spell_of_silence_is_an_alarm_without_an_explanation():
    values = np.concatenate([spiky(40), np.full(20, NAN), spiky(20)])
    data = dataset({A: values, B: spiky(80)})
    found = evaluated(data, event(41, 60, ON_A, signals=("level",)), stream=definition(silence_s=60.0))
    assert [(alarm.what, len(alarm.contribution)) for alarm in found.judged.alarms] == [(What.SILENCE, 0)]
    assert (found.detector.found, found.detector.explained) == (1, 0)


def test_a_stuck_signal_is_an_alarm_that_names_it_until_it_moves():
    values = np.random.default_rng(0).normal(scale=0.01, size=(3, 500))
    values[0, 300:400] = 0.001
    data = dataset(dict(zip([A, B, ("c",)], values, strict=True)))
    found = evaluated(data, event(301, 400, ON_A, signals=("level",)))
    (alarm,) = found.judged.alarms
    assert (alarm.what, alarm.at, alarm.contribution.tolist()) == (What.STUCK, 0, [[1.0]])
    assert steps_of([alarm])[0][1] == 400
    assert (found.detector.found, found.detector.explained, found.detector.first) == (1, 1, 1)


def test_changes_count_neither_way_and_bait_is_nothing():
    data = dataset({A: spiky(200, (30, 35), (80, 85), (150, 155))})
    events = [event(28, 38, kind="change"), event(78, 88, kind="bait"), event(148, 158)]
    found = evaluated(data, *events)
    quality = found.detector
    assert steps_of(found.false) == [(81, 87)]
    assert (quality.faults, quality.found, quality.right) == (1, 1, 1)
    assert (quality.baits, quality.baits_alarmed) == (1, 1)
    assert quality.free_days == pytest.approx((200 - 11 - 11) * STEP_S / 86400)
    assert np.isnan(evaluated(data, events[0]).detector.vus_pr), "a change is nothing to be found"
    # The score of the change is not held against it; that of the bait is.
    without = evaluated(data, *events[1:])
    assert without.detector.average_precision < quality.average_precision < 1


def test_where_entities_are_connected_what_happens_elsewhere_meanwhile_does_not_count():
    data = dataset({A: spiky(100, (30, 40)), B: spiky(100, (32, 38))})
    apart = evaluated(data, event(28, 42, ON_A)).detector
    connected = evaluated(data, event(28, 42, ON_A), connected=True).detector
    assert (apart.false, connected.false) == (1, 0)
    assert connected.free_days == pytest.approx(apart.free_days - 15 * STEP_S / 86400)


def test_the_time_in_which_an_event_still_explains_an_alarm_counts_neither_way():
    data = dataset({A: spiky(100, (30, 40), (50, 55))})
    strict, lenient = (evaluated(data, event(28, 42), after_steps=after).detector for after in (0, 10))
    assert (strict.false, lenient.false) == (1, 0)
    assert lenient.free_days == pytest.approx(strict.free_days - 10 * STEP_S / 86400)


def test_a_stream_of_one_entity_without_a_name_is_judged_too():
    found = evaluated(
        dataset({(): spiky(100, (30, 40))}, labels=()), event(28, 42), stream=definition(entity=())
    )
    assert (found.detector.found, found.detector.false) == (1, 0)


def test_an_event_of_a_device_is_judged_on_each_of_its_interfaces():
    values = {("a", "e1"): spiky(60, (30, 34)), ("a", "e2"): spiky(60), ("b", "e1"): spiky(60)}
    data = dataset(values, labels=("device", "interface"))
    found = evaluated(data, event(28, 36, ON_A), stream=definition(entity=("device", "interface")))
    assert [np.isnan(one.vus_pr) for one in found.entities] == [False, False, True]
    assert (found.detector.faults, found.detector.found) == (1, 1)


def test_events_that_this_stream_cannot_show_are_left_out_with_the_reason():
    events = [
        event(28, 36, ON_A),
        event(28, 36, {"device": "z"}),
        event(28, 36, ON_A, signals=("routes",)),
        event(500, 600, ON_A),
    ]
    found = evaluated(dataset({A: spiky(60, (30, 34))}), *events)
    assert found.detector.faults == 1
    assert sorted(found.left_out) == [
        "are of entities that are not in the data",
        "are outside of what is judged",
        "show in no signal of the stream",
    ]


def test_an_event_off_the_grid_covers_the_steps_that_it_touches():
    shifted = replace(event(28, 42), start_s=START_S + 276.0, end_s=START_S + 414.0)
    found = evaluated(dataset({A: spiky(100, (30, 40))}), shifted)
    assert found.verdicts[0].event == event(28, 42)


SIGNALS = tuple(Signal(name) for name in ("calm", "loud", "louder", "loudest"))


def explained(*named, columns=(0, 1, 3, 5)):
    table = np.zeros((60, 4))
    table[29:40] = columns
    names = tuple(signal.name for signal in SIGNALS)
    events = [event(28, 42, ON_A, signals=named)]
    return evaluated(dataset({A: table}, names=names), *events, stream=definition(*SIGNALS))


@pytest.mark.parametrize(
    ("named", "first", "among"),
    [
        (("loudest",), 1, 1),
        (("calm", "loudest"), 1, 1),
        (("louder",), 0, 1),
        (("loud",), 0, 1),
        (("calm",), 0, 0),
        (("loudest", "of another stream"), 1, 1),
    ],
)
def test_an_explanation_hits_where_a_labelled_signal_leads(named, first, among):
    quality = explained(*named).detector
    assert (quality.explained, quality.first, quality.among) == (1, first, among)


def test_a_signal_that_contributes_nothing_does_not_lead_though_few_others_do():
    quality = explained("calm", columns=(0, 0, 0, 5)).detector
    assert (quality.explained, quality.among) == (1, 0)


def test_what_leads_by_chance_is_the_control_of_an_explanation():
    control = explained("loudest").control
    assert (control.explained, control.first, control.among) == (1, 0.25, 0.75)
    control = explained("calm", "loudest").control
    assert (control.first, control.among) == pytest.approx((0.5, 1.0))


def test_the_contributions_from_the_onset_to_the_end_of_the_event_explain():
    table = np.zeros((60, 4))
    table[29:34, 1], table[34:45, 3] = 5.0, 9.0
    names = tuple(signal.name for signal in SIGNALS)
    found = evaluated(
        dataset({A: table}, names=names), event(28, 34, signals=("loud",)), stream=definition(*SIGNALS)
    )
    assert steps_of(found.judged.alarms) == [(31, 47)]
    assert found.judged.alarms[0].step[0] - round(START_S / STEP_S) == 30, "dated back to the onset"
    assert found.detector.first == 1


def test_the_control_has_as_many_episodes_and_finds_as_much_as_chance_does():
    spikes = [(first, first + 2) for first in range(20, 3000, 100)]
    events = [event(first, first + 4) for first, _ in spikes]
    found = evaluated(dataset({A: spiky(3100, *spikes)}), *events, vus_window_steps=10)
    assert (found.detector.found, found.detector.false) == (30, 0)
    assert found.control.episodes == 30
    # Fifteen steps before and in an event, of a hundred, begin an episode that finds it.
    assert found.control.found == pytest.approx(30 * 0.15, rel=0.4)
    assert found.control.false > 20
    assert found.control.average_precision == pytest.approx(0.05, abs=0.02)
    assert found.detector.vus_pr > 5 * found.control.vus_pr


def test_the_same_seed_gives_the_same_control():
    data = dataset({A: spiky(300, (30, 40), (200, 205))})
    first, again, other = (evaluated(data, event(28, 42), seed=seed).control for seed in (0, 0, 1))
    assert first == again != other


def test_an_alarm_over_all_that_is_judged_has_one_place_in_the_control():
    found = evaluated(dataset({A: spiky(60, (30, 60))}, train_steps=30), event(40, 45))
    assert steps_of(found.judged.begun()) == [(31, 60)]
    assert found.control.alarm_share == found.detector.alarm_share == 1.0


def test_without_events_the_alarms_are_false_and_the_rest_cannot_be_said():
    quality = evaluated(dataset({A: spiky(100, (30, 40))})).detector
    assert (quality.faults, quality.false) == (0, 1)
    assert np.isnan([quality.vus_pr, quality.delay_s, quality.affiliation_recall]).all()


def test_an_alarm_that_never_ends_keeps_no_contributions_without_end(monkeypatch):
    monkeypatch.setattr(judged, "CONTRIBUTIONS_MAX", 5)
    (alarm,) = evaluated(dataset({A: spiky(100, (30, 90))})).judged.alarms
    assert len(alarm.step) == len(alarm.contribution) == 5


def test_a_step_costs_four_bytes_and_contributions_those_of_alarms_alone():
    found = evaluated(dataset({A: spiky(1000, (30, 40))}), event(28, 42))
    assert found.judged.scores.nbytes == 4 * 1000
    assert sum(len(alarm.contribution) for alarm in found.judged.alarms) < 20
