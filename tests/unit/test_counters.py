"""Counters to rates: what is growth, a wrap, a reset, a first look, a repeat. Restarts: `test_restarts`.

A step here is 10 s, a window 40 s, so that a counter not seen for more than 40 s starts anew.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detector.stream.counters import SPEED_UNKNOWN, Counters
from detector.stream.definition import BITS_AUTO, Signal
from detector.stream.nouns import Discontinuity
from tests.support.streams import START_S, definition, samples

NONE = None
TOP = {32: 2.0**32, 64: 2.0**64, BITS_AUTO: 2.0**32}


def shown(*readings, bits=64, rate_max=np.inf, refresh_s=10.0, window_steps=4):
    """Return the rate that each reading (seconds, value) gives, None for none, and the resets."""
    signal = Signal("octets", kind="counter", bits=bits, rate_max=rate_max)
    counters = Counters(definition(signal, refresh_s=refresh_s, window_steps=window_steps))
    counters.resize(1)
    rates = [rate(counters, at_s, value) for at_s, value in readings]
    return [NONE if np.isnan(one) else float(one) for one in rates], int(counters.discontinuities.sum())


def rate(counters, at_s, value, cell=0):
    return counters.rates(np.array([cell]), np.array([START_S + at_s]), np.array([value], float))[0]


def grid(*values):
    return [(10.0 * index, float(value)) for index, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "rates", "resets"),
    [
        ([5], [NONE], 0),
        ([5, 105, 305], [NONE, 10, 20], 0),
        ([0, 0, 0], [NONE, 0, 0], 0),
        # It falls to a small value: rebooted. The next rate is of what came since.
        ([1000, 2000, 50, 1050], [NONE, 100, NONE, 100], 1),
        ([1000, 2000, 0, 0, 1000], [NONE, 100, NONE, 0, 100], 1),
        # It moved before that, and it does after that: what it repeats was not refreshed.
        ([0, 1000, 2000, 50, 50, 1050], [NONE, 100, 100, NONE, NONE, 50], 1),
        # It falls twice in a row: two resets, no rate between them.
        ([1000, 2000, 50, 40, 140], [NONE, 100, NONE, NONE, 10], 2),
        # A fall at the second look: nothing is known of its rate, so that no wrap is believed.
        ([2.0**64 - 4096, 4096], [NONE, NONE], 1),
    ],
)
def test_growth_first_looks_and_resets(values, rates, resets):
    assert shown(*grid(*values)) == (rates, resets)


@pytest.mark.parametrize("bits", [32, 64, BITS_AUTO])
def test_a_wrap_is_growth(bits):
    top = TOP[bits]
    assert shown(*grid(top - 81920, top - 40960, 0, 40960), bits=bits) == ([NONE, 4096, 4096, 4096], 0)


@pytest.mark.parametrize("bits", [32, 64, BITS_AUTO])
def test_a_fall_that_would_be_a_burst_never_seen_is_a_reset(bits):
    """A reboot from half way would mean growth by half the range in one step, were it a wrap."""
    half, more = TOP[bits] / 2, 40960.0
    assert shown(*grid(half - more, half, more, 2 * more), bits=bits) == ([NONE, 4096, NONE, 4096], 1)


def test_a_wrap_of_32_bits_is_not_believed_of_a_counter_of_64():
    assert shown(*grid(2.0**32 - 2e5, 2.0**32 - 1e5, 0, 1e5), bits=64) == ([NONE, 1e4, NONE, 1e4], 1)


@pytest.mark.parametrize(
    ("values", "rates", "resets"),
    [
        # It passed 32 bits: what falls at the top of 32 bits after that is no wrap,
        ([2.0**32 - 2e5, 2.0**32 + 1e5, 2.0**32 - 1e5, 0, 1e5], [NONE, 3e4, NONE, NONE, 1e4], 2),
        ([2.0**32 - 1e5, 2.0**32, 0, 1e5], [NONE, 1e4, NONE, 1e4], 1),
        # and what falls from the top of 64 bits is one.
        ([2.0**64 - 81920, 2.0**64 - 40960, 0, 40960], [NONE, 4096, 4096, 4096], 0),
        # It never did: of 32 bits, as far as anybody can see.
        ([2.0**32 - 2e5, 2.0**32 - 1e5, 0, 1e5], [NONE, 1e4, 1e4, 1e4], 0),
        # The only mistake it makes: 64 bits that restart just before they would have passed 32.
        ([2.0**32 - 2e5, 2.0**32 - 1e5, 500, 1e5], [NONE, 1e4, 10050, 9950], 0),
    ],
)
def test_bits_are_found_out(values, rates, resets):
    assert shown(*grid(*values), bits=BITS_AUTO) == (rates, resets)


def test_a_row_used_again_does_not_know_how_many_bits_its_predecessor_had():
    counters = Counters(definition(Signal("octets", kind="counter")))
    counters.resize(1)
    rate(counters, 0.0, 2.0**40)
    counters.forget(np.array([0]))
    values = [2.0**32 - 81920, 2.0**32 - 40960, 0.0]
    assert [rate(counters, 10.0 * (1 + index), value) for index, value in enumerate(values)][1:] == [
        4096,
        4096,
    ]


@pytest.mark.parametrize(
    ("values", "rates", "resets"),
    [
        ([0, 100, 1e9, 1e9 + 100, 1e9 + 200], [NONE, 10, NONE, 10, 10], 1),
        # The line is full, and what was missing of the sample before comes with the next.
        ([0, 5000, 25000, 35000], [NONE, 500, 2000, 1000], 0),
        ([0, 5000, 25001, 35001], [NONE, 500, NONE, 1000], 1),
        # At the top of 64 bits: a wrap that the line cannot make is none, however fast it was seen.
        ([2.0**64 - 40960, 2.0**64 - 20480, 0], [NONE, NONE, NONE], 2),
    ],
)
def test_a_growth_that_no_interface_of_that_speed_can_make_is_a_reset(values, rates, resets):
    """1000 a second, and a device that refreshes within 10 s: 20,000 in a step."""
    assert shown(*grid(*values), rate_max=1e3) == (rates, resets)


def lines(*readings, rate_max=1e6):
    """Return which readings (value, speed or None) of a counter are too fast; the speed is in kilos."""
    signal = Signal("octets", kind="counter", rate_max=rate_max, rate_max_field="speed", rate_max_scale=1e3)
    counters = Counters(definition(signal, refresh_s=10.0))
    counters.resize(1)
    rates = []
    for index, (value, speed) in enumerate(readings):
        if speed is not None:
            counters.hear(samples((0, 1, 10.0 * index, speed)))
        rates.append(rate(counters, 10.0 * index, value))
    return [bool(np.isnan(one)) for one in rates[1:]]


@pytest.mark.parametrize(
    ("readings", "too_fast"),
    [
        ([(0, 1), (20_000, 1), (40_001, 1)], [False, True]),
        ([(0, 1), (20_000, None), (40_001, None)], [False, True]),  # said once is enough
        ([(0, 1), (40_000, 2)], [False]),  # the line got faster, and says so
        ([(0, None), (20_000_000, None), (40_000_001, None)], [False, True]),  # not said: rate_max
        *(
            ([(0, 1), (20_000_000, unknown), (40_000_001, unknown)], [False, True])
            for unknown in (0, -1, SPEED_UNKNOWN)
        ),
    ],
)
def test_the_speed_of_the_line_is_what_the_entity_says_of_it(readings, too_fast):
    assert lines(*readings) == too_fast


def test_each_entity_and_each_signal_has_a_speed_of_its_own():
    signals = (
        Signal("in", kind="counter", rate_max_field="down"),
        Signal("speed", field="down"),
        Signal("out", kind="counter", rate_max_field="up", rate_max_scale=2.0),
        Signal("drops", kind="counter"),
    )
    counters = Counters(definition(*signals, refresh_s=0.0, step_s=1.0))
    counters.resize(2)
    counters.hear(samples((0, 1, 0, 1.0), (0, 4, 0, 10.0), (1, 1, 0, 2.0), (1, 4, 0, 20.0)))
    cell = np.array([0, 2, 3, 4, 6, 7])
    counters.rates(cell, np.full(6, START_S), np.zeros(6))
    fast = counters.rates(cell, np.full(6, START_S + 1), np.array([1.5, 20, 1e9, 1.5, 41, 1e9]))
    assert np.isnan(fast).tolist() == [True, False, False, False, True, False]
    assert counters.discontinuities.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert counters.looks.tolist() == [2, 0, 2, 2]
    counters.forget(np.array([0]))
    counters.rates(cell[:1], np.full(1, START_S + 2), np.zeros(1))
    assert counters.rates(cell[:1], np.full(1, START_S + 3), np.full(1, 1e9)) == [1e9]


def test_discontinuities_are_counted_by_their_reason():
    counters = Counters(definition(Signal("octets", kind="counter", rate_max=1e3), refresh_s=10.0))
    counters.resize(1)
    for index, value in enumerate([0, 100, 50, 1e9, 60, 160]):
        rate(counters, 10.0 * index, value)
    counted = dict(zip(Discontinuity, counters.discontinuities[0].tolist(), strict=True))
    assert counted == {Discontinuity.RESTART: 0, Discontinuity.RESET: 2, Discontinuity.TOO_FAST: 1}
    assert counters.looks.tolist() == [5]


def test_a_fall_that_the_line_cannot_make_is_a_reset_and_not_too_fast():
    """It was seen to make 1000 a second, and 3000 would be less than four times as much."""
    counters = Counters(definition(Signal("octets", kind="counter", bits=32, rate_max=1e3), refresh_s=10.0))
    counters.resize(1)
    for index, value in enumerate([2.0**32 - 2e4, 2.0**32 - 1e4, 2e4]):
        rate(counters, 10.0 * index, value)
    assert counters.discontinuities.tolist() == [[0, 1, 0]]


def test_where_one_counter_fell_from_above_its_bits_no_other_one_of_the_entity_wrapped():
    signals = Signal("a", kind="counter", bits=32), Signal("b", kind="counter", bits=32)
    counters = Counters(definition(*signals))
    counters.resize(1)
    cell = np.arange(2)
    for index, values in enumerate([[2.0**33, 2.0**32 - 2e5], [2.0**33 + 5, 2.0**32 - 1e5], [6.0, 0.0]]):
        rates = counters.rates(cell, np.full(2, START_S + 10.0 * index), np.array(values))
    assert np.isnan(rates).all()


def test_a_counter_not_seen_for_longer_than_a_window_starts_anew():
    assert shown((0, 0), (10, 100), (50, 500), (90.1, 900), (100, 999)) == (
        [NONE, 10, 10, NONE, pytest.approx(10)],
        0,
    )


def test_a_reset_poisons_nothing_after_it():
    """Neither a spike at the reset, nor a wrap believed later because of it."""
    before = [1e15 + 1e6 * index for index in range(20)]
    after = [1e6 * index for index in range(20)]
    rates, resets = shown(*grid(*before, *after))
    assert resets == 1
    assert {rate for rate in rates if rate is not NONE} == {1e5}


def test_an_idle_error_counter_shows_one_increment_once():
    values = [7, 7, 7, 8, 8, 8, 8]
    assert shown(*grid(*values)) == ([NONE, 0, 0, 0.1, 0, 0, 0], 0)


def refreshed(every_s, export_s, until_s, rate=1000.0):
    """Readings every `export_s` of a counter that a device brings up to date every `every_s`."""
    at_s = np.arange(0.0, until_s, export_s)
    return list(zip(at_s.tolist(), (rate * every_s * np.floor(at_s / every_s)).tolist(), strict=True))


@pytest.mark.parametrize(("every_s", "export_s"), [(5.0, 4.5), (10.0, 4.5), (10.0, 5.0), (30.0, 10.0)])
def test_a_counter_exported_faster_than_it_is_refreshed_never_shows_0_and_double(every_s, export_s):
    """A look that shows what the one before showed gives no rate; the next growth belongs to both.

    export   |  |  |  |  |  |  |  |
    refresh  |    |    |    |    |
    """
    rates, resets = shown(*refreshed(every_s, export_s, 2000.0), refresh_s=every_s + export_s)
    known = np.array([rate for rate in rates[8:] if rate is not NONE])
    assert resets == 0
    assert known.min() > 0.5 * 1000
    assert known.max() < 1.2 * 1000
    assert known.mean() == pytest.approx(1000, rel=0.15)


def test_a_device_that_stalled_never_shows_a_trickle_and_then_five_times_the_rate():
    """Five steps of 10 s, with a hole of 40 s.

    export   |  |  |  |        |  |  |      After the hole the first look shows what the device had counted
    refresh  |  |  |  :           |  |      by then; the rest comes with the second.
    """
    times_s = [0, 10, 20, 30, 70, 80, 90]
    values = [0, 1000, 2000, 3000, 3100, 8000, 9000]
    rates, resets = shown(*zip(times_s, values, strict=True), refresh_s=15.0, window_steps=60)
    assert (rates, resets) == ([NONE, 100, 100, 100, NONE, 100, 100], 0)


@pytest.mark.parametrize(
    ("times_s", "values", "rates"),
    [
        # It did slow down in the hole: told one sample later.
        ([0, 10, 20, 55, 65, 75], [0, 1000, 2000, 2050, 2100, 2200], [NONE, 100, 100, NONE, 100 / 45, 10]),
        # What one refresh does not explain is told at once.
        ([0, 10, 20, 52, 62], [0, 1000, 2000, 4500, 5500], [NONE, 100, 100, 2500 / 32, 100]),
        # It had not refreshed when the hole ended: neither two thirds of the rate, nor twice.
        ([0, 10, 20, 50, 60], [0, 1000, 2000, 4000, 6000], [NONE, 100, 100, NONE, 100]),
        ([0, 10, 20, 40, 50], [0, 1000, 2000, 3000, 5000], [NONE, 100, 100, NONE, 100]),
        # Nor when it began, nor when it ended.
        ([0, 10, 20, 30, 60, 70], [0, 1000, 2000, 2000, 5000, 7000], [NONE, 100, 100, NONE, NONE, 100]),
        # No hole, no doubt.
        ([0, 10, 20, 38, 48], [0, 1000, 2000, 2090, 3090], [NONE, 100, 100, 5, 100]),
        # It did not move before.
        ([0, 10, 20, 55, 65], [0, 1000, 1000, 1010, 1020], [NONE, 100, 0, 10 / 35, 1]),
    ],
)
def test_after_a_hole_growth_that_lacks_what_one_refresh_brings_has_to_wait(times_s, values, rates):
    found, _ = shown(*zip(times_s, values, strict=True), refresh_s=15.0, window_steps=60)
    assert found == [NONE if one is NONE else pytest.approx(one) for one in rates]


def test_without_a_refresh_each_value_is_taken_as_it_is():
    values = [0, 100, 200, 200, 400, 400, 400]
    assert shown(*grid(*values), refresh_s=0.0)[0] == [NONE, 10, 10, 0, 20, 0, 0]
    readings = (0, 0), (10, 1000), (20, 2000), (55, 2010), (60, 17010)
    assert shown(*readings, refresh_s=0.0)[0] == [NONE, 100, 100, pytest.approx(10 / 35), 3000]


def test_a_counter_that_moved_before_a_hole_and_a_reset_moves_after_them():
    """It shows 10 a second again, and not 0 and 20, where the second look at it repeats the first."""
    readings = [(0, 0), (10, 100), (20, 200), (55, 40), (65, 140), (75, 140), (85, 340)]
    assert shown(*readings, refresh_s=15.0, window_steps=10)[0] == [NONE, 10, 10, NONE, 10, NONE, 10]


def test_a_counter_that_shows_0_after_a_reset_has_no_rate_before_it_grows_twice():
    """It was reset 15 s before it showed the 0, and had counted for 5 s by then.

    export   |  |        |  |  |      That 0 was what it had shown at the reset.
    refresh  |  |     |     |  |
    """
    readings = [(0, 100), (10, 200), (20, 300), (50, 0), (60, 150), (70, 250)]
    assert shown(*readings, refresh_s=15.0, window_steps=10) == ([NONE, 10, 10, NONE, NONE, 10], 1)
    assert shown(*readings, refresh_s=0.0, window_steps=10)[0][-2:] == [15, 10]
    # A count of something rare, which had not moved before.
    readings = [(0, 7), (10, 7), (20, 7), (50, 0), (60, 1), (70, 1)]
    assert shown(*readings, refresh_s=15.0, window_steps=10)[0] == [NONE, 0, 0, NONE, 0.1, 0]


def test_a_counter_that_stops_is_0_once_it_stood_for_the_refresh():
    growing = [(5.0 * index, 100.0 * index) for index in range(5)]
    standing = [(25.0, 400.0), (30.0, 400.0), (35.0, 400.0), (40.0, 400.0)]
    rates, _ = shown(*growing, *standing, refresh_s=15.0)
    assert rates[5:] == [NONE, NONE, 0, 0]


def test_a_counter_that_stops_is_0_even_where_the_refresh_is_longer_than_a_window():
    values = [(10.0 * index, 100.0 * min(index, 4)) for index in range(12)]
    rates, _ = shown(*values, refresh_s=1e6)
    assert rates[-1] == 0


def test_several_samples_in_a_step_are_all_growth_over_all_time():
    counters = Counters(definition(Signal("a", kind="counter"), Signal("b", kind="counter")))
    counters.resize(2)
    cell = np.array([0, 0, 0, 3, 3])
    time_s = START_S + np.array([0.0, 2, 10, 0, 5])
    value = np.array([0.0, 50, 100, 0, 500])
    assert counters.rates(cell, time_s, value).tolist() == [10, 100]
    assert np.isnan(counters.rates(np.array([2]), time_s[:1], value[:1])).all()
    assert counters.rates(cell[:0], time_s[:0], value[:0]).tolist() == []


def test_a_forgotten_row_says_nothing_to_the_next_and_more_rows_change_nothing():
    signals = Signal("a", kind="counter"), Signal("b", kind="counter")
    counters = Counters(definition(*signals))
    counters.resize(2)
    cells, at_s = np.arange(4), np.full(4, START_S)
    counters.rates(cells, at_s, np.zeros(4))
    counters.forget(np.array([0]))
    counters.resize(8)
    rates = counters.rates(cells, at_s + 10, np.full(4, 100.0))
    assert np.isnan(rates[:2]).all()
    assert rates[2:].tolist() == [10, 10]


def test_a_row_used_again_knows_neither_that_its_predecessor_moved_nor_how_fast():
    """The second grows once, stands and falls: no repeat of one that moves, no wrap of one that fast."""
    counters = Counters(definition(Signal("octets", kind="counter", bits=32), refresh_s=10.0))
    counters.resize(1)

    assert [rate(counters, 10.0 * index, 4e8 * index) for index in range(1, 4)][1:] == [4e7, 4e7]
    counters.forget(np.array([0]))
    assert np.isnan(rate(counters, 40.0, 4e9))
    assert rate(counters, 45.0, 4e9 + 5) == 1
    assert rate(counters, 50.0, 4e9 + 5) == 0
    assert np.isnan(rate(counters, 55.0, 5.0))
    assert counters.discontinuities.sum() == 1


@pytest.mark.parametrize(
    ("readings", "rates"),
    [
        # A queue of an hour, after which nothing was known any more.
        ([(3600.0, 1e3), (3600.01, 4e3), (3600.02, 9e3), (3610.02, 9100.0)], [NONE, NONE, NONE, 10.0]),
        # A look that comes soon after it tells nothing either: in 3 s, what was counted in 10 s.
        ([(3600.0, 1e3), (3600.01, 9e3), (3603.0, 9100.0), (3613.0, 9200.0)], [NONE, NONE, NONE, 10.0]),
        # A step ends in the midst of it.
        ([(40.0, 700.0), (40.01, 9e3), (50.01, 9100.0)], [pytest.approx(20.0), NONE, 10.0]),
        # A brief rate is not remembered: by it, the fall would be a wrap.
        ([(41.0, 2.0**32 - 9e3), (44.0, 2.0**32 - 8e3), (54.0, 0.0)], [NONE, NONE, NONE]),
    ],
)
def test_what_comes_together_or_is_brief_tells_no_rate(readings, rates):
    first = [(0.0, 0.0), (10.0, 100.0)]
    assert shown(*first, *readings, bits=32, window_steps=3)[0] == [NONE, 10.0, *rates]


def test_of_samples_that_come_together_the_last_one_is_looked_at():
    counters = Counters(definition(Signal("octets", kind="counter"), refresh_s=0.0))
    counters.resize(2)
    counters.rates(np.array([0, 1]), np.full(2, START_S), np.zeros(2))
    after_s = np.array([9.0, 9.5, 9.75, 10.0, 5.0, 10.0])
    values = np.array([1.0, 2.0, 99.0, 100.0, 150.0, 200.0])
    assert counters.rates(np.array([0, 0, 0, 0, 1, 1]), START_S + after_s, values).tolist() == [10, 20]
    assert counters.looks.tolist() == [3]


def test_a_counter_that_is_sampled_without_a_pause_has_a_rate_each_step():
    counters = Counters(definition(Signal("octets", kind="counter"), refresh_s=15.0))
    counters.resize(1)
    for step in range(3):
        at_s = START_S + 10.0 * step + np.arange(0.125, 10.125, 0.125)
        rates = counters.rates(np.zeros(len(at_s), np.int64), at_s, (at_s - START_S) * 8)
    assert rates == [8.0]


@given(
    increments=st.lists(st.integers(1, 1 << 20), min_size=3, max_size=40),
    spacing_s=st.lists(st.sampled_from([4.0, 4.5, 10.0, 39.0]), min_size=40, max_size=40),
    start=st.integers(0, 1 << 26),
)
def test_with_any_positive_rates_and_wraps_the_total_growth_is_the_truth(increments, spacing_s, start):
    """32 bits, so that a double holds every value; the rates stay within the factor that a wrap may burst."""
    top, steady = 1 << 32, 1 << 20
    took_s = np.array(spacing_s[: len(increments)])
    growth = np.floor((steady + np.array(increments)) * took_s)
    truth = top - start - 20 * steady + np.r_[0, np.cumsum(growth)]
    at_s = np.r_[0, np.cumsum(took_s)]
    assume(truth[1] < top)  # a wrap at the very first growth cannot be told from a reset
    readings = zip(at_s.tolist(), (truth % top).tolist(), strict=True)
    rates, resets = shown(*readings, bits=32, window_steps=60)
    assert resets == 0
    # Where it slowed down in a hole a step tells nothing, and the next one of both.
    told = np.array([0, *(index for index, rate in enumerate(rates) if rate is not NONE)])
    shown_growth = np.array([rates[index] for index in told[1:]]) * np.diff(at_s[told])
    np.testing.assert_allclose(shown_growth, np.diff(truth[told]), rtol=1e-12)
