"""What intervals teach: how long an entity may pause, and whether it has become slow."""

import numpy as np
import pytest

from detector.stream.rhythm import KNOWN, KNOWN_BY_CHANCE, NORMAL_S, Rhythm

DAY_S = 86400.0
START_S = 1.7e9


class Publisher:
    """The only entity of a stream, or the first of some."""

    def __init__(self, rows=1):
        self.rhythm = Rhythm()
        self.rhythm.resize(rows)
        self.now_s = START_S
        self.began_slow = []

    def speak(self, *intervals_s, row=0):
        for interval_s in intervals_s:
            was_slow = self.rhythm.slow[row]
            self.now_s += interval_s
            self.rhythm.learn(np.array([row]), np.array([float(interval_s)]), self.now_s)
            if self.rhythm.slow[row] and not was_slow:
                self.began_slow.append(self.rhythm.slow_since_s[row] - START_S)
        return self

    @property
    def patience_s(self):
        return float(self.rhythm.patience_s(np.ones(len(self.rhythm.slow), bool))[0])


def by_chance(mean_s, count, seed=0):
    return np.maximum(1.0, np.random.default_rng(seed).exponential(mean_s, count))


@pytest.mark.parametrize(
    ("intervals_s", "least_s", "most_s"),
    [
        ([1] * 500, 60, 60),  # nothing is news within a minute
        ([10] * 500, 60, 60),
        ([60] * 500, 240, 240),
        ([3600] * 100, 4 * 3600, 4 * 3600),
        ([10] * 30 + [40], 80, 80),  # twice what it has just done
        ([10] * 30 + [40] + [10] * 30, 60, 60),
        ([10] * 30 + [600] + [10] * 30, 60, 60),  # once is no habit,
        (([10] * 30 + [600]) * 2 + [10] * 30, 60, 60),  # and twice is none
        (([10] * 30 + [600]) * 3 + [10] * 30, 1200, 2000),
        (([10] * 35 + [40]) * 20, 80, 120),  # a router that stalls each six minutes
        ([1, 1, 1, 3600] * 30, 3 * 3600, 40 * 3600),  # bursts
        (by_chance(60, 5000), 600, 2400),
        (by_chance(600, 5000), 6000, 24000),
    ],
)
def test_it_may_pause_for_longer_than_is_its_habit(intervals_s, least_s, most_s):
    assert least_s <= round(Publisher().speak(*intervals_s).patience_s, 1) <= most_s


def test_who_publishes_on_change_needs_longer_than_the_longest_pause_that_it_often_has():
    one = Publisher()
    night_s = 8 * 3600.0
    for day in range(4):
        one.speak(*by_chance(60, 900, day), night_s)
    one.speak(*by_chance(60, 100, 9))
    assert one.patience_s > 1.5 * night_s


def test_an_accident_of_who_publishes_on_change_counts_until_enough_is_known():
    one = Publisher().speak(*by_chance(60, 100), 6 * 3600.0)
    assert one.speak(*by_chance(60, KNOWN_BY_CHANCE - 102, 1)).patience_s > 12 * 3600.0
    assert one.speak(60, 60).patience_s < 3600.0


def test_who_publishes_on_change_hardly_ever_pauses_for_too_long_in_its_first_hours():
    too_long = 0
    for seed in range(20):
        one = Publisher()
        for interval_s in 60.0 * np.exp(1.5 * np.random.default_rng(seed).standard_normal(KNOWN_BY_CHANCE)):
            too_long += interval_s > one.patience_s
            one.speak(max(1.0, interval_s))
    assert too_long <= 1


def test_a_habit_of_who_has_a_rhythm_is_forgotten_in_a_day():
    """Three outages of ten minutes within an hour are told no more; tomorrow they are."""
    one = Publisher().speak(*(([10] * 100 + [600]) * 3), *[10] * 100)
    assert one.patience_s > 900
    assert one.speak(*[10] * 8640).patience_s < 400
    assert one.speak(*[10] * 8640).patience_s < 120


def test_who_has_said_little_may_pause_for_longer():
    patiences_s = [Publisher().speak(*[100.0] * count).patience_s for count in (KNOWN, 100, 10_000)]
    assert patiences_s == sorted(patiences_s, reverse=True)
    assert patiences_s[0] > 500


def test_nobody_is_known_before_it_has_said_enough():
    assert Publisher().patience_s == np.inf
    assert Publisher().speak(*[10] * (KNOWN - 1)).patience_s == np.inf
    assert Publisher().speak(*[10] * KNOWN).patience_s < 120


class Pool:
    @staticmethod
    def of(known, unknown, spoken=1):
        one = Publisher(known + unknown)
        for row in range(known + unknown):
            one.speak(*[10] * (100 if row >= unknown else spoken), row=row)
        return one


def test_a_new_entity_has_the_patience_of_the_others_once_it_has_an_interval():
    assert Pool.of(known=9, unknown=1, spoken=0).patience_s == np.inf
    assert Pool.of(known=9, unknown=1).patience_s == pytest.approx(127, abs=1)
    assert Pool.of(known=9, unknown=1, spoken=4).patience_s == pytest.approx(78, abs=1)
    assert Pool.of(known=5, unknown=5).patience_s == np.inf, "as many of them are not known either"


def test_a_new_entity_that_speaks_seldom_among_the_fast_has_its_own_patience():
    one = Pool.of(known=9, unknown=1, spoken=0).speak(3600)
    assert one.patience_s > 10 * 3600


@pytest.mark.parametrize(
    ("before_s", "after_s", "count"),
    [([10] * 200, 60, 5), ([10] * 200, 30, 18), ([60] * 100, 600, 5), ([10, 20] * 100, 90, 5)],
)
def test_an_interval_that_grows_lastingly_is_slow(before_s, after_s, count):
    one = Publisher().speak(*before_s).speak(*[after_s] * (count - 1))
    assert not one.rhythm.slow[0]
    one.speak(*[after_s] * 2)
    assert one.rhythm.slow[0]
    assert one.began_slow == [sum(before_s)], "since its last word in time"
    usual_s = 2 ** np.mean(np.log2(before_s[-2:]))
    assert one.rhythm.usual_s(np.array([0]))[0] == pytest.approx(usual_s, rel=0.2)
    assert one.speak(*[after_s] * 20).rhythm.pace_s(np.array([0]))[0] == pytest.approx(after_s, rel=0.1)
    assert not one.speak(*before_s[:8]).rhythm.slow[0], "it is over when the old interval is back"


@pytest.mark.parametrize(
    "intervals_s",
    [
        [10] * 200 + [20] * 500,  # less than 2.4 times
        ([10] * 30 + [600]) * 50,  # pauses
        [10, 20] * 300,  # 15 s on a grid of 10 s
        np.clip(14 + 8 * np.sin(np.arange(3000) / 300), 4.5, 22),  # a cadence that drifts
        [60] * 200 + [10] * 500,  # faster
        by_chance(60, 5000),  # no rhythm, nothing to lose
        [*by_chance(10, 2000), *by_chance(100, 2000)],
        [1, 1, 1, 3600] * 100,
        [10] * 20 + [100] * 200,  # too early to say
    ],
)
def test_what_is_not_slow(intervals_s):
    assert Publisher().speak(*intervals_s).began_slow == []


def test_after_a_day_slow_is_normal():
    one = Publisher().speak(*[10] * 200)
    while one.now_s < START_S + 2000 + NORMAL_S:
        one.speak(60)
        assert one.rhythm.slow[0] == (len(one.began_slow) == 1)
    one.speak(60, 60, 60)
    assert not one.rhythm.slow[0]
    one.speak(*[60] * 2000)
    assert len(one.began_slow) == 1
    one.speak(*[600] * 6)
    assert len(one.began_slow) == 2, "and the next change is another one"


def test_a_publisher_that_became_slow_is_not_silent_again_and_again():
    one = Publisher().speak(*[10] * 200)
    silences = 0
    for _ in range(100):
        silences += one.patience_s < 100
        one.speak(100)
    assert silences == 1


def test_a_row_used_again_knows_nothing_of_its_predecessor():
    one = Publisher(2).speak(*[10] * 200, *[100] * 10)
    one.rhythm.forget(np.array([0]))
    assert one.patience_s == np.inf
    assert not one.rhythm.slow[0]
    assert one.speak(*[600] * 100).patience_s == Publisher().speak(*[600] * 100).patience_s


def test_more_rows_change_nothing():
    one = Publisher().speak(*[10] * 100, 70)
    before_s = one.patience_s
    one.rhythm.resize(64)
    assert float(one.rhythm.patience_s(np.arange(64) < 1)[0]) == before_s
