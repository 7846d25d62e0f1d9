"""Counters to rates: what is growth, a wrap, a reset, a first look, a repeat.

A step here is 10 s, a window 40 s, so that a counter not seen for more than 40 s starts anew.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detector.stream.counters import Counters
from detector.stream.definition import Signal
from tests.support.streams import START_S, definition

NONE = None
TOP = {32: 2.0**32, 64: 2.0**64}


def shown(*readings, bits=64, rate_max=np.inf, refresh_s=10.0):
    """Return the rate that each reading (seconds, value) gives, None for none, and the resets."""
    signal = Signal("octets", kind="counter", bits=bits, rate_max=rate_max)
    counters = Counters(definition(signal, refresh_s=refresh_s))
    counters.resize(1)
    rates = [
        counters.rates(np.array([0]), np.array([START_S + at_s]), np.array([value]))[0]
        for at_s, value in readings
    ]
    return [NONE if np.isnan(rate) else float(rate) for rate in rates], counters.resets_total


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
        # It falls twice in a row: two resets, no rate between them.
        ([1000, 2000, 50, 40, 140], [NONE, 100, NONE, NONE, 10], 2),
        # A fall at the second look: nothing is known of its rate, so that no wrap is believed.
        ([2.0**64 - 4096, 4096], [NONE, NONE], 1),
    ],
)
def test_growth_first_looks_and_resets(values, rates, resets):
    assert shown(*grid(*values)) == (rates, resets)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_wrap_is_growth(bits):
    top = TOP[bits]
    assert shown(*grid(top - 81920, top - 40960, 0, 40960), bits=bits) == ([NONE, 4096, 4096, 4096], 0)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_fall_that_would_be_a_burst_never_seen_is_a_reset(bits):
    """A reboot from half way would mean growth by half the range in one step, were it a wrap."""
    half, more = TOP[bits] / 2, 40960.0
    assert shown(*grid(half - more, half, more, 2 * more), bits=bits) == ([NONE, 4096, NONE, 4096], 1)


def test_a_wrap_of_32_bits_is_not_believed_of_a_counter_of_64():
    assert shown(*grid(2.0**32 - 2e5, 2.0**32 - 1e5, 0, 1e5), bits=64) == ([NONE, 1e4, NONE, 1e4], 1)


def test_a_growth_that_no_interface_of_that_speed_can_make_is_a_reset():
    values = 0, 100, 1e9, 1e9 + 100, 1e9 + 200
    assert shown(*grid(*values), rate_max=1e3) == ([NONE, 10, NONE, 10, 10], 1)


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

    def rate(at_s, value):
        return counters.rates(np.array([0]), np.array([START_S + at_s]), np.array([value]))[0]

    assert [rate(10.0 * index, 4e8 * index) for index in range(1, 4)][1:] == [4e7, 4e7]
    counters.forget(np.array([0]))
    assert np.isnan(rate(40.0, 4e9))
    assert rate(45.0, 4e9 + 5) == 1
    assert rate(50.0, 4e9 + 5) == 0
    assert np.isnan(rate(55.0, 5.0))
    assert counters.resets_total == 1


@given(
    increments=st.lists(st.integers(1, 1 << 20), min_size=3, max_size=40),
    spacing_s=st.lists(st.sampled_from([0.25, 4.5, 10.0, 39.0]), min_size=40, max_size=40),
    start=st.integers(0, 1 << 26),
)
def test_with_any_positive_rates_and_wraps_the_total_growth_is_the_truth(increments, spacing_s, start):
    """32 bits, so that a double holds every value; the rates stay within the factor that a wrap may burst."""
    top, steady = 1 << 32, 1 << 20
    took_s = np.array(spacing_s[: len(increments)])
    growth = np.floor((steady + np.array(increments)) * took_s)
    truth = top - start - steady + np.r_[0, np.cumsum(growth)]
    at_s = np.r_[0, np.cumsum(took_s)]
    assume(truth[1] < top)  # a wrap at the very first growth cannot be told from a reset
    rates, resets = shown(*zip(at_s.tolist(), (truth % top).tolist(), strict=True), bits=32)
    assert resets == 0
    assert rates[0] is NONE
    assert sum(np.array(rates[1:]) * took_s) == pytest.approx(growth.sum(), rel=1e-12)
