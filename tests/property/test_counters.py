"""A device counts as fast as its line is, is looked at whenever, wraps and restarts: what is told is true.

The device here is the truth: it counts, brings what it shows up to date every `refresh_s`, has `bits`, and
knows when it started.
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from detector.stream.align import Align
from detector.stream.counters import SPAN_SHARE_MIN, WRAP_RATE_FACTOR, Counters
from detector.stream.definition import BITS_AUTO, Signal, Witness
from tests.support.streams import START_S, definition, samples

STEP_S = 0.5  # so short that no look here is too brief for a rate
WINDOW_STEPS = 1200
LINE = 2.0**24
"""Octets a second. In the longest spacing 32 bits are not counted through more than once."""
SPACING_S = st.sampled_from([0.25, 4.5, 9.5, 10.0, 10.5, 22.0, 40.0])
LAG_S = 0.5
"""What an operator adds to the refresh of the device, to be on the safe side."""
REFRESH_S = st.sampled_from([0.25, 4.0, 10.0])
WITNESSES = (
    Witness("told", "uptime", 0.01),
    Witness("told", "uptime"),
    Witness("told", "boot_time"),
    Witness("told", "boot_id"),
)


class Story(NamedTuple):
    """What happened, look by look: when, the counter shown, all that was counted, and the life it was in."""

    at_s: np.ndarray
    shown: np.ndarray
    total: np.ndarray
    life: np.ndarray
    started_s: np.ndarray


@st.composite
def stories(draw, bits, restarts):
    spacing_s = draw(st.lists(SPACING_S, min_size=4, max_size=40))
    at_s = np.cumsum(spacing_s)
    seconds = int(at_s[-1]) + 2
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    load = draw(st.sampled_from([1.0, 0.5, 1e-3, 1e-6]))
    rate = np.floor(LINE * load * random.choice([0.0, 0.01, 0.5, 1.0], seconds, p=[0.2, 0.3, 0.3, 0.2]))
    counted = np.r_[0, np.cumsum(rate)]
    refresh_s = draw(REFRESH_S)
    # Lives last for 100 s or more: a device in a boot loop shows nothing that could be checked.
    started_s = np.cumsum(np.r_[-1e6, 1e6 + random.uniform(100, 400, seconds // 100 if restarts else 0)])
    life = np.searchsorted(started_s, at_s, side="right") - 1
    refreshed_s = np.maximum(np.floor(at_s / refresh_s) * refresh_s, np.maximum(started_s[life], 0.0))
    total = np.floor(np.interp(refreshed_s, np.arange(seconds + 1), counted))
    first = np.floor(np.interp(np.maximum(started_s, 0.0), np.arange(seconds + 1), counted))
    # A device starts at 0, at the top, or where its memory was left. 64 bits never wrap: no double has all.
    offsets = [0, 5, 2**31, 2**32 - 10**6] + ([] if bits == 32 else [2**33, 2**40])
    shown = total - first[life] + random.choice(offsets, len(started_s)).astype(float)[life]
    shown = shown % 2.0**32 if bits == 32 else shown
    return refresh_s, Story(at_s + START_S, shown, total, life, started_s + START_S)


def told(witness, story):
    """Return what the device says of itself at each look."""
    up_s = story.at_s - story.started_s[story.life]
    if witness.kind == "uptime":
        return np.floor(up_s / witness.unit_s) % 2.0**32
    return story.started_s[story.life] if witness.kind == "boot_time" else story.life.astype(float)


def rates_of(story, refresh_s, bits, rate_max=LINE, witness=None):
    signal = Signal("octets", kind="counter", bits=bits, rate_max=rate_max)
    witnesses = () if witness is None else (witness,)
    counters = Counters(
        definition(
            signal,
            witnesses=witnesses,
            refresh_s=refresh_s + LAG_S,
            step_s=STEP_S,
            window_steps=WINDOW_STEPS,
        )
    )
    counters.resize(1)
    rates = []
    for index, (at_s, shown) in enumerate(zip(story.at_s, story.shown, strict=True)):
        if witness is not None:
            counters.hear(samples((0, 1, at_s - START_S, told(witness, story)[index])))
        rates.append(counters.rates(np.array([0]), np.array([at_s]), np.array([shown]))[0])
    return np.array(rates), counters


def check_growth(story, rates):
    """All that was told between two looks without a restart is all that was counted there.

    Of what a counter grew from the 0 that a restart left, nothing may be told.
    """
    base, left = 0, False
    for index in range(1, len(rates)):
        if story.life[index] != story.life[index - 1]:
            assert np.isnan(rates[index]), "a restart is a gap"
            base, left = index, story.shown[index] == 0
        elif not np.isnan(rates[index]):
            growth = rates[index] * (story.at_s[index] - story.at_s[base])
            assert growth == pytest.approx(story.total[index] - story.total[base], rel=1e-9, abs=1e-3)
            base, left = index, False
        elif left and story.shown[index] > 0:
            base, left = index, False


@settings(max_examples=300)
@given(
    data=st.data(), bits=st.sampled_from([32, 64]), declared=st.booleans(), witness=st.sampled_from(WITNESSES)
)
def test_with_a_witness_every_restart_is_a_gap_and_every_wrap_is_growth(data, bits, declared, witness):
    refresh_s, story = data.draw(stories(bits=bits, restarts=True))
    rates, _ = rates_of(story, refresh_s, bits if declared else BITS_AUTO, witness=witness)
    check_growth(story, rates)
    assert (rates[~np.isnan(rates)] >= 0).all()


@settings(max_examples=300)
@given(data=st.data(), bits=st.sampled_from([32, 64, BITS_AUTO]), witness=st.sampled_from([None, *WITNESSES]))
def test_no_rate_is_negative_or_beyond_what_the_line_and_one_refresh_can_make(data, bits, witness):
    refresh_s, story = data.draw(stories(bits=32, restarts=True))
    rates, _ = rates_of(story, refresh_s, bits, witness=witness)
    spacing_s = np.diff(story.at_s, prepend=-np.inf)
    known = ~np.isnan(rates)
    assert (rates[known] >= 0).all()
    assert (rates[known] <= LINE * (1 + (refresh_s + LAG_S) / spacing_s[known]) * (1 + 1e-9)).all()


@given(data=st.data(), bits=st.sampled_from([32, BITS_AUTO]))
def test_without_any_help_all_growth_is_told_where_nothing_fell(data, bits):
    refresh_s, story = data.draw(stories(bits=32, restarts=False))
    rates, counters = rates_of(story, refresh_s, bits, rate_max=np.inf)
    if not counters.discontinuities.any():
        check_growth(story, rates)
    assert (rates[~np.isnan(rates)] >= 0).all()


@given(
    hole_steps=st.integers(2, 30),
    flushed_s=st.integers(1, 79).map(lambda eighths: eighths / 8),
    gap_s=st.sampled_from([2.0**-12, 2.0**-7, 2.0**-4]),
)
def test_a_queue_that_is_emptied_at_once_is_never_a_spike(hole_steps, flushed_s, gap_s):
    """A counter of 1,000 a second is read every 10 s; what was read in a hole comes at its end, as if new."""
    assume(flushed_s + gap_s * (hole_steps + 1) < 10)  # the queue is empty before the next look
    reads_s = np.arange(200.0, 660.0, 10.0)
    queued = (reads_s > 300) & (reads_s <= 300 + 10 * hole_steps)
    flush_s = reads_s[queued][-1] + flushed_s
    at_s = np.where(queued, flush_s + gap_s * np.cumsum(queued), reads_s)
    order = np.argsort(at_s, kind="stable")
    align = Align(definition(Signal("octets", kind="counter"), refresh_s=15.0, window_steps=12))
    align.resize(1)
    align.add(samples(*((0, 0, at_s[index], 1000.0 * reads_s[index]) for index in order)))
    steps = list(align.close(START_S + 700.0))
    rates = np.array([step.value[0, 0] for step in steps if len(step.row)])
    known = rates[~np.isnan(rates)]
    assert (known <= 1000.0 / SPAN_SHARE_MIN).all()
    assert (rates[1:9] == 1000.0).all(), "before"
    assert (rates[-4:] == 1000.0).all(), "and after"


ANY_VALUES = st.lists(
    st.integers(0, 2**33)
    | st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1])
    | st.integers(2**32 - 10**6, 2**32),
    min_size=2,
    max_size=30,
)


LOOK_S = 10.0


def looked_at(values, bits):
    """Return the rates of values `LOOK_S` apart, and the highest rate before each that was recent."""
    counters = Counters(definition(Signal("octets", kind="counter", bits=bits), refresh_s=15.0))
    counters.resize(1)
    rates, high = [], [0.0]
    for index, value in enumerate(values):
        at_s = START_S + LOOK_S * index
        rates.append(float(counters.rates(np.array([0]), np.array([at_s]), np.array([float(value)]))[0]))
        high.append(np.fmax(high[-1], rates[-1]))
    return np.array(rates), np.array(high[:-1])


@given(values=ANY_VALUES)
def test_bits_that_are_found_out_are_never_worse_than_32_of_32(values):
    low = [value % 2**32 for value in values]
    assert np.array_equal(looked_at(low, BITS_AUTO)[0], looked_at(low, 32)[0], equal_nan=True)


@given(values=ANY_VALUES)
def test_bits_that_are_found_out_are_never_worse_than_64_of_64_that_passed_32(values):
    high = [value + 2**32 for value in values]
    assert np.array_equal(looked_at(high, BITS_AUTO)[0], looked_at(high, 64)[0], equal_nan=True)


@given(values=ANY_VALUES)
@example(values=[0, 1, 858993460, 0, 4294967296])
@example(values=[2**32 - 9, 2**32 - 8, 2**32 - 6, 2**32 - 3, 0, 0, 2**33])
def test_of_64_bits_that_did_not_pass_32_a_restart_is_at_worst_a_burst_like_others_before(values):
    """The price of not being told: near the top of 32 bits a restart may look like a wrap, never a spike.

    Such a restart may leave a 0. Who knows of it doubts the growth from there, for it may have taken longer;
    who does not tells it, and that it is all of what the counter then shows.
    """
    found_out, high = looked_at(values, BITS_AUTO)
    declared, _ = looked_at(values, 64)
    differs = ~((found_out == declared) | (np.isnan(found_out) & np.isnan(declared)))
    worst = np.isnan(declared) & differs
    value = np.array(values)
    fell = np.diff(value, prepend=0) < 0
    taken_for_wrap = worst & fell
    assert (found_out[taken_for_wrap] <= WRAP_RATE_FACTOR * high[taken_for_wrap] * (1 + 1e-9)).all()
    assert (value[taken_for_wrap] < 2**32).all()
    for index in np.flatnonzero(worst & ~fell):
        left = np.flatnonzero(value[:index])[-1] + 1  # where the 0 was first seen that it grew from
        assert taken_for_wrap[left]
        assert found_out[index] == value[index] / (LOOK_S * (index - left))
