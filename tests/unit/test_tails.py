"""The tail of raw scores: what it says of a budget is what fresh data does."""

import numpy as np
import pytest

from detector.stream.calibration import WEEK_S, edge
from detector.train.tails import _groups, opening, peaks_over, tails
from tests.support.streams import GAUGE, definition

STREAM = definition(GAUGE, close_steps=5)


def series(random, steps):
    """Return scores whose logarithms have an exponential tail, smoothed as scores are."""
    noise = random.exponential(size=steps + 30)
    return np.log(np.convolve(noise**3, np.full(5, 0.2))[30 : 30 + steps])


def episodes(beyond, level):
    return len(peaks_over(level, opening(beyond, STREAM), STREAM.close_steps))


def test_what_opens_an_episode_is_the_score_that_enough_of_the_last_ones_reach():
    assert opening(np.array([0.0, 5.0, 1.0, 4.0, 0.0, 0.0]), STREAM).tolist() == [1.0, 4.0, 1.0, 0.0]
    assert not len(opening(np.zeros(2), STREAM))


def test_exceedances_close_together_are_one_peak():
    values = np.zeros(30)
    values[[3, 5, 9, 20]] = [2.0, 4.0, 3.0, 5.0]
    assert peaks_over(1.0, values, 5).tolist() == [4.0, 5.0]
    assert peaks_over(1.0, values, 1).tolist() == [2.0, 4.0, 3.0, 5.0]
    assert not len(peaks_over(9.0, values, 5))


@pytest.mark.parametrize("budget", [1.0, 10.0])
def test_the_edge_that_a_budget_gives_is_kept_by_fresh_data(budget):
    """Twenty entities of eight days teach, two hundred such spans are looked at."""
    random = np.random.default_rng(1)
    steps = 8 * 8640
    learnt = tails([series(random, steps) for _ in range(20)], STREAM)
    level = edge(learnt, budget, STREAM.step_s)
    found = sum(episodes(series(random, steps), level) for _ in range(200))
    accepted = budget * 200 * steps * STREAM.step_s / WEEK_S
    assert 0.5 < found / accepted < 2.0


def test_incidents_of_some_entities_do_not_move_the_edge_of_all():
    random = np.random.default_rng(2)
    clean = [series(random, 20_000) for _ in range(10)]
    before = edge(tails(clean, STREAM), 1.0, STREAM.step_s)
    troubled = [one.copy() for one in clean]
    for one in troubled[:5]:
        for start in random.integers(0, 19_900, 10):
            one[start : start + 50] += 5.0
    assert edge(tails(troubled, STREAM), 1.0, STREAM.step_s) == pytest.approx(before, abs=1.0)


def test_short_series_are_looked_at_together_and_none_is_a_tail_too():
    random = np.random.default_rng(3)
    together = tails([series(random, 500) for _ in range(25)], STREAM)
    assert len(together.level) == 2
    alone = tails([series(random, 12_500)], STREAM)
    assert together.level.mean() == pytest.approx(alone.level[0], abs=0.5)
    for nothing in ([], [np.zeros(1)], [np.zeros(100)]):
        assert np.isfinite(edge(tails(nothing, STREAM), 1.0, STREAM.step_s))


def test_a_score_that_is_far_above_opens_at_once():
    stream = definition(GAUGE, open_at_once=2.0)
    assert opening(np.array([0.0, 0.0, 5.0, 1.0]), stream) == pytest.approx([5.0 - np.log(2.0), 1.0])


def test_a_short_rest_goes_with_the_group_before_it_and_none_is_lost():
    long, other, rest = (np.full(count, float(count)) for count in (6000, 5500, 300))
    groups = _groups([long, other, rest])
    assert [[len(one) for one in group] for group in groups] == [[6000], [5500, 300]]
    assert [[len(one) for one in group] for group in _groups([long, rest])] == [[6000, 300]]
