"""The table of `tests.benchmark.quality`: when a bar is met, and when a figure is worse."""

from math import isnan, nan

import pytest

from tests.benchmark.quality import table
from tests.benchmark.quality.figures import BUDGET, LESS, MEASURES, MORE, Figure, Measure, pooled, rate

LEAST = Measure("smd", "a", MORE, 0.6, 0.01)
MOST = Measure("smd", "b", LESS, 0.3, 0.02)
NEAR = Measure("smd", "c", BUDGET, 2.0, 0.1)
TOUCHED = Measure("smd", "d", BUDGET, 1.5, 0.1, interval=True)


@pytest.mark.parametrize(
    ("measure", "value", "met"),
    [
        (LEAST, 0.6, True),
        (LEAST, 0.59, False),
        (LEAST, nan, None),
        (MOST, 0.3, True),
        (MOST, 0.31, False),
        (NEAR, 0.5, True),
        (NEAR, 0.49, False),
        (NEAR, 2.0, True),
        (NEAR, 2.1, False),
        (Measure("smd", "e", MORE, None, 0.1), 0.5, None),
    ],
)
def test_a_bar_is_met_at_least_at_most_or_within_a_factor(measure, value, met):
    assert measure.met(Figure(value)) is met


@pytest.mark.parametrize(
    ("low", "high", "met"), [(0.0, 0.6, False), (0.0, 0.7, True), (1.4, 3.0, True), (1.6, 3.0, False)]
)
def test_few_false_alarms_are_judged_by_their_interval(low, high, met):
    assert TOUCHED.met(Figure(0.5 * (low + high), low=low, high=high)) is met


@pytest.mark.parametrize(
    ("measure", "then", "now", "worse"),
    [
        (LEAST, 0.60, 0.595, False),
        (LEAST, 0.60, 0.58, True),
        (LEAST, 0.60, 0.70, False),
        (MOST, 0.20, 0.23, True),
        (MOST, 0.20, 0.10, False),
        (NEAR, 0.8, 1.25, False),
        (NEAR, 1.25, 1.5, True),
        (NEAR, 0.8, 0.6, True),
        (NEAR, 0.5, 0.0, True),
        (LEAST, 0.6, nan, True),
        (LEAST, nan, 0.1, False),
        (LEAST, nan, nan, False),
    ],
)
def test_worse_is_beyond_the_spread_and_what_is_said_no_more(measure, then, now, worse):
    assert measure.worse(Figure(now), Figure(then)) is worse


def test_rates_are_pooled_by_their_counts():
    both = pooled([rate(3, 30.0), rate(1, 10.0)], accepted=0.05)
    assert both.value == pytest.approx(2.0)
    assert both.low < 2.0 < both.high
    assert isnan(rate(0, 0.0).value)


def test_a_table_comes_back_as_it_was_written(tmp_path):
    told = {"smd": {"pca": {"VUS-PR": Figure(0.5712, 0.0672), "false": rate(3, 30.0)}}}
    table.write(told, tmp_path / "table.json")
    back = table.read(tmp_path / "table.json")["smd"]["pca"]
    assert back["VUS-PR"].value == 0.5712
    assert back["false"].count == 3
    assert isnan(back["VUS-PR"].low)
    assert table.read(tmp_path / "none.json") == {}


def test_only_what_was_measured_is_compared():
    then = {"smd": {"pca": {"VUS-PR": Figure(0.6)}}, "asd": {"pca": {"VUS-PR": Figure(0.6)}}}
    now = {"smd": {"pca": {"VUS-PR": Figure(0.5)}}}
    assert list(table.differences(now, then, ["pca"])) == [
        (True, "smd, pca: VUS-PR: 0.600 -> 0.500  worse by more than 0.01")
    ]


def test_no_two_rows_of_the_table_are_one():
    assert len({(measure.group, measure.name) for measure in MEASURES}) == len(MEASURES)
