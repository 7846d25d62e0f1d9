"""Scores and alarms against labels, as the reference packages measure them."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from detector.evaluate.metrics import affiliation, average_precision, poisson_interval, spells, vus_pr

GOLDEN = orjson.loads((Path(__file__).parents[1] / "data/evaluate/golden.json").read_bytes())


def mask(text):
    return np.array(list(text)) == "1"


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_the_numbers_are_those_of_the_reference_packages(case):
    label, alarm, score = mask(case["label"]), mask(case["alarm"]), np.array(case["score"])
    assert vus_pr(label, score, case["window_steps"], case["thresholds"]) == pytest.approx(
        case["vus_pr"], abs=1e-9
    )
    assert average_precision(label, score) == pytest.approx(case["average_precision"], abs=1e-12)
    assert affiliation(label, alarm) == pytest.approx(
        (case["affiliation_precision"], case["affiliation_recall"]), abs=1e-9
    )


def test_the_golden_cases_have_ties_and_events_at_both_ends():
    labels = [mask(case["label"]) for case in GOLDEN]
    assert any(label[0] for label in labels)
    assert any(label[-1] for label in labels)
    assert any(len(set(case["score"])) < len(case["score"]) / 5 for case in GOLDEN)


def test_a_perfect_score_has_the_highest_average_precision_and_a_constant_one_the_share_of_the_labels():
    label = mask("0011100000")
    assert average_precision(label, label.astype(float)) == 1.0
    assert average_precision(label, np.ones(10)) == 0.3


def test_without_a_label_there_is_nothing_to_measure():
    nothing, score = np.zeros(50, bool), np.arange(50.0)
    assert np.isnan(average_precision(nothing, score))
    assert np.isnan(vus_pr(nothing, score))
    assert np.isnan(affiliation(nothing, ~nothing)).all()


def test_an_alarm_that_is_the_event_is_nearest_and_no_alarm_finds_nothing():
    label = mask("0001100000")
    assert affiliation(label, label) == (1.0, 1.0)
    precision, recall = affiliation(label, np.zeros(10, bool))
    assert np.isnan(precision)
    assert recall == 0.0


def test_an_alarm_further_away_is_worse():
    label = np.zeros(1000, bool)
    label[500:520] = True
    far = [affiliation(label, np.roll(label, by)) for by in (5, 50, 300)]
    assert [precision for precision, _ in far] == sorted((one[0] for one in far), reverse=True)
    assert [recall for _, recall in far] == sorted((one[1] for one in far), reverse=True)


def test_spells_are_half_open():
    assert spells(mask("1100011")).tolist() == [[0, 2], [5, 7]]
    assert spells(mask("000")).tolist() == []


# The table of Garwood's limits.
@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (7, 2.814, 14.423), (100, 81.36, 121.63)]
)
def test_what_was_counted_has_an_exact_interval(count, low, high):
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-3)
