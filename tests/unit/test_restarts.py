"""What a device says of its own restarts, and what its counters are worth then.

A step here is 10 s, a window 40 s. Readings are ten seconds apart where nothing else is said.
"""

import numpy as np
import pytest

from detector.stream.counters import Counters
from detector.stream.definition import BITS_AUTO, Signal, Witness
from detector.stream.nouns import Discontinuity
from detector.stream.restarts import Restarts
from tests.support.streams import START_S, definition, samples

TICKS = Witness("sysUpTime", "uptime", 0.01)
SECONDS = Witness("uptime", "uptime")
BOOT_TIME = Witness("since", "boot_time")
BOOT_ID = Witness("boot", "boot_id")
TOP_S = 2.0**32 / 100
"""After this time ticks begin at 0 again."""
TOP = 2.0**32


def lives(witness, *readings):
    """Return what happened between readings (seconds, told): a restart (R), none (-), or nobody knows (?)."""
    restarts = Restarts(witness)
    restarts.resize(1)
    row = np.array([0])
    found = ""
    for index, (at_s, told) in enumerate(readings):
        now_s = np.array([START_S + at_s])
        restarts.hear(row, now_s, np.array([told], float))
        if index:
            restarted, running = restarts.between(row, np.array([START_S + readings[index - 1][0]]), now_s)
            found += "R" if restarted[0] else "-" if running[0] else "?"
    return found


def each_10_s(*told):
    return [(10.0 * index, one) for index, one in enumerate(told)]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([1000, 2000, 3000], "--"),
        ([100_000, 101_000, 400, 1400], "-R-"),
        ([100_000, 101_000, 0, 1000], "-R-"),
        ([100_000, 100_000, 100_000], "--"),  # an agent that caches
        ([100_000, 100_700, 102_300], "--"),  # jitter
        ([100_000, 99_700, 101_000], "--"),  # a little back: another processor's
        ([100_000, 99_400, 101_000], "R-"),
    ],
)
def test_an_uptime_that_falls_or_is_less_than_the_time_between_is_a_restart(told, found):
    assert lives(TICKS, *each_10_s(*told)) == found
    assert lives(SECONDS, *each_10_s(*(one / 100 for one in told))) == found


def test_an_uptime_that_rose_by_less_than_the_time_between_is_a_restart():
    """Up for 8 s, and 20 s later for 9 s."""
    assert lives(TICKS, (0.0, 800), (20.0, 900), (40.0, 2900)) == "R-"
    assert lives(TICKS, (0.0, 300), (12.0, 1100)) == "-", "clocks are not that exact"


@pytest.mark.parametrize(
    ("witness", "top"),
    [
        (TICKS, 2.0**32),
        (SECONDS, TOP_S),
        (Witness("u", "uptime", 1e-3), 2.0**32),
        (Witness("u", "uptime", 1e-3), TOP_S * 1e3),
    ],
)
def test_an_uptime_that_begins_at_0_again_when_its_bits_are_full_is_no_restart(witness, top):
    """Also where an agent made seconds or milliseconds of the ticks."""
    ten = 10 / witness.unit_s
    assert lives(witness, *each_10_s(top - 1.5 * ten, top - 0.5 * ten, 0.5 * ten, 1.5 * ten)) == "---"
    assert lives(witness, *each_10_s(top / 2, top / 2 + ten, 0.5 * ten, 1.5 * ten)) == "-R-"


def test_an_uptime_that_begins_at_0_again_while_nobody_looks_is_no_restart():
    assert lives(SECONDS, (0.0, TOP_S - 300), (600.0, 300), (610.0, 310)) == "--"
    assert lives(SECONDS, (0.0, TOP_S - 300), (600.0, 200), (610.0, 210)) == "R-"


def test_a_message_that_waited_in_a_queue_is_no_restart():
    """The broker was away: six messages of ten seconds each arrive within one, and the next on time."""
    queued = [(60.0 + 0.1 * index, 1e6 + 1000 * index) for index in range(6)]
    assert lives(TICKS, (0.0, 1e6 - 1000), *queued, (70.0, 1e6 + 6000)) == "-------"


def test_what_was_told_just_before_a_restart_was_before_it():
    """Up at 2 s: a clock that is off by seconds is not off by more than what it said at 0 s."""
    restarts = Restarts(SECONDS)
    restarts.resize(1)
    row = np.array([0])
    for at_s, up_s in ((-10.0, 490.0), (0.0, 500.0), (10.0, 8.0)):
        restarts.hear(row, np.array([START_S + at_s]), np.array([up_s]))
    restarted, _ = restarts.between(
        np.zeros(2, int), START_S + np.array([-10.0, 0]), START_S + np.array([0.0, 10])
    )
    assert restarted.tolist() == [False, True]


def test_a_first_uptime_dates_the_restart_even_if_none_was_told_before():
    restarts = Restarts(TICKS)
    restarts.resize(1)
    restarts.hear(np.array([0]), np.array([START_S]), np.array([3000.0]))
    from_s = START_S + np.array([-100.0, -50, -40, -30, -20, -10, 0])
    restarted, running = restarts.between(np.zeros(6, int), from_s[:-1], from_s[1:])
    assert restarted.tolist() == [False, False, True, False, False, False]
    assert running.tolist() == [False, False, False, True, True, True]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([START_S - 1e6] * 3, "--"),
        ([START_S - 1e6, START_S - 1e6 + 1, START_S - 1e6], "--"),  # computed from an uptime
        ([START_S - 1e6, START_S + 4, START_S + 4], "R-"),
        ([START_S - 9e6, START_S - 8e6, START_S - 8e6], "R-"),  # of a clock that is wrong by weeks
        ([START_S - 8e6, START_S - 9e6, START_S - 9e6], "R-"),
        ([START_S - 1e6, START_S + 1e6, START_S + 1e6], "R-"),  # and of one that is ahead
        ([0, START_S - 30, START_S - 30], "R-"),  # its clock was set: it may have restarted
        ([1e3 * (START_S - 1e6), 1e9 * (START_S - 1e6), START_S - 1e6], "--"),  # in any unit
        ([1e9 * (START_S - 1e6), 1e9 * (START_S + 4)], "R"),
    ],
)
def test_another_boot_time_is_a_restart(told, found):
    assert lives(BOOT_TIME, *each_10_s(*told)) == found


@pytest.mark.parametrize(
    ("told", "found"), [([7, 7, 8, 8, 7], "-R-R"), ([0, 0, 123456], "-R"), ([4e9, 4e9 + 1], "R")]
)
def test_another_boot_id_is_a_restart(told, found):
    assert lives(BOOT_ID, *each_10_s(*told)) == found


def test_nobody_knows_before_and_after_what_was_told():
    restarts = Restarts(BOOT_ID)
    restarts.resize(1)
    one = np.array([0])
    assert [answer.tolist() for answer in restarts.between(one, one - 10.0, one + 0.0)] == [[False], [False]]
    restarts.hear(one, np.array([100.0]), np.array([7.0]))
    restarts.hear(one, np.array([200.0]), np.array([7.0]))
    spans = np.array([[90.0, 110], [100, 150], [110, 210]])
    restarted, running = restarts.between(np.zeros(3, int), spans[:, 0], spans[:, 1])
    assert (restarted.any(), running.tolist()) == (False, [False, True, False])


def test_of_several_restarts_in_a_step_all_between_them_is_of_no_use():
    """Up at 0, 20 and 60 s; looks at 10, 30, 50 and 70 s, all told at once."""
    restarts = Restarts(SECONDS)
    restarts.resize(2)
    restarts.hear(np.array([0, 1]), np.full(2, 10.0), np.array([10.0, 10.0]))
    at_s = np.array([30.0, 50, 70])
    restarts.hear(np.r_[0, 0, 0, 1], np.r_[at_s, 70.0], np.array([10.0, 30, 10, 70]))
    looks_s = np.array([10.0, 30, 50, 70])
    restarted, _ = restarts.between(np.zeros(3, int), looks_s[:-1], looks_s[1:])
    assert restarted.tolist() == [True, True, True]
    restarted, running = restarts.between(np.ones(3, int), looks_s[:-1], looks_s[1:])
    assert (restarted.tolist(), running.tolist()) == ([False] * 3, [True] * 3)


@pytest.mark.parametrize(
    ("told", "found"),
    [([110, 120, 130], "---"), ([110, 120, 5], "--R"), ([110, 5, 15], "-R-"), ([5, 15, 25], "R--")],
)
def test_what_is_told_at_once_is_judged_one_by_one(told, found):
    restarts = Restarts(SECONDS)
    restarts.resize(1)
    restarts.hear(np.array([0]), np.array([0.0]), np.array([100.0]))
    at_s = np.array([10.0, 20, 30])
    restarts.hear(np.zeros(3, int), at_s, np.array(told, float))
    restarted, running = restarts.between(np.zeros(3, int), at_s - 10, at_s)
    assert restarted.tolist() == [one == "R" for one in found]
    assert running[found.rfind("R") + 1 :].all()


def test_what_comes_too_late_or_twice_is_no_news():
    """From another stream, nobody has put it in order."""
    restarts = Restarts(BOOT_ID)
    restarts.resize(1)
    one = np.array([0])
    for at_s, told in ((0.0, 7.0), (20.0, 8.0), (10.0, 7.0), (20.0, 9.0), (30.0, 8.0)):
        restarts.hear(one, np.array([at_s]), np.array([told]))
    restarted, running = restarts.between(one, np.array([20.0]), np.array([30.0]))
    assert (restarted.tolist(), running.tolist()) == ([False], [True])


def test_of_whom_is_forgotten_nobody_knows_anything():
    restarts = Restarts(BOOT_ID)
    restarts.resize(2)
    for at_s, told in ((0.0, 7.0), (10.0, 8.0), (20.0, 8.0)):
        restarts.hear(np.array([0, 1]), np.full(2, at_s), np.full(2, told))
    from_s, until_s = np.array([0.0, 10, 0, 10]), np.array([10.0, 20, 10, 20])
    restarts.forget(np.array([0]))
    restarted, running = restarts.between(np.array([0, 0, 1, 1]), from_s, until_s)
    assert restarted.tolist() == [False, False, True, False]
    assert running.tolist() == [False, False, False, True]
    restarts.hear(np.array([0]), np.array([30.0]), np.array([9.0]))
    assert not restarts.between(np.array([0]), np.array([20.0]), np.array([30.0]))[0].any()


# Counters


def counted(witnesses, *readings, signals=("octets",), bits=BITS_AUTO, rate_max=np.inf):
    """Return what readings (seconds, told or None of each witness, values) give: rates, and why not."""
    columns = [Signal(name, kind="counter", bits=bits, rate_max=rate_max) for name in signals]
    counters = Counters(definition(*columns, witnesses=witnesses, refresh_s=10.0))
    counters.resize(1)
    width, rates = len(signals), []
    for at_s, told, values in readings:
        heard = [(0, width + index, at_s, one) for index, one in enumerate(told) if one is not None]
        counters.hear(samples(*heard))
        rates.append(
            counters.rates(np.arange(width), np.full(width, START_S + at_s), np.array(values, float)).tolist()
        )
    reasons = {
        reason.value: count
        for reason, count in zip(Discontinuity, counters.discontinuities.sum(axis=0).tolist(), strict=True)
        if count
    }
    return [[None if np.isnan(one) else one for one in each] for each in rates], reasons


def story(witnesses, *readings, **changes):
    """Return what one counter gives, of readings ten seconds apart."""
    timed = [(10.0 * index, told, [value]) for index, (told, value) in enumerate(readings)]
    rates, reasons = counted(witnesses, *timed, **changes)
    return [one for (one,) in rates], reasons


UP = [[1000.0 * index] for index in range(1, 9)]
"""What a device says in ticks that runs on."""


def test_a_restart_is_a_gap_even_if_the_counter_is_higher_than_before():
    readings = ([90_000], 500), ([91_000], 1500), ([700], 9000), ([1700], 9100)
    assert story([TICKS], *readings) == ([None, 100, None, 10], {"restart": 1})


def test_a_restart_is_a_gap_even_if_it_could_have_been_a_wrap():
    readings = ([90_000], TOP - 2e5), ([91_000], TOP - 1e5), ([700], 100), ([1700], 1100)
    assert story([TICKS], *readings) == ([None, 1e4, None, 100], {"restart": 1})


def test_a_counter_that_stood_still_over_a_restart_has_no_rate():
    assert story([TICKS], ([90_000], 0), ([91_000], 0), ([700], 0), ([1700], 0)) == (
        [None, 0, None, 0],
        {"restart": 1},
    )


@pytest.mark.parametrize("bits", [32, BITS_AUTO])
def test_without_a_restart_a_fall_is_a_wrap_whatever_the_rate_was_before(bits):
    """A backup starts, at twenty times the traffic; at the second look nothing was known at all."""
    idle = [TOP - 1.1e8, TOP - 1e8, 1e8, 3e8]
    assert story([TICKS], *zip(UP, idle, strict=False), bits=bits) == ([None, 1e6, 2e7, 2e7], {})
    assert story([TICKS], *zip(UP, idle[1:], strict=False), bits=bits) == ([None, 2e7, 2e7], {})
    assert story([], *(([], value) for value in idle), bits=bits)[1] == {"reset": 1}


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([1e9 - 1e4, 1e9, 5000, 15000], {}),  # 32 bits: cleared at a quarter of the range
        ([1e15 - 1e4, 1e15, 5000, 15000], {}),  # 64 bits, as its values say
        ([1e9 - 1e4, 1e9, 5000, 15000], {"bits": 64}),
        ([3.9e9 - 1e4, 3.9e9, 5000, 15000], {"rate_max": 1e7}),  # more than the line can carry
    ],
)
def test_without_a_restart_a_fall_that_is_no_wrap_is_a_reset(values, changes):
    """An operator cleared the counters, or somebody replaced a card."""
    assert story([TICKS], *zip(UP, values, strict=False), **changes) == (
        [None, 1000, None, 1000],
        {"reset": 1},
    )


def test_without_a_restart_the_line_says_what_a_wrap_may_be():
    """300 MB/s for 10 s are more than half of what 32 bits count."""
    fast = [TOP - 1e9, 2e9, 2e9 + 1e9]
    assert story([TICKS], *zip(UP, fast, strict=False)) == ([None, None, 1e8], {"reset": 1})
    assert story([TICKS], *zip(UP, fast, strict=False), rate_max=3e8) == ([None, 3e8, 1e8], {})


def test_where_one_counter_fell_for_no_wrap_no_other_one_wrapped_though_the_device_runs():
    readings = [(0.0, [1000], [TOP - 2e5, 5e6]), (10.0, [2000], [TOP - 1e5, 6e6]), (20.0, [3000], [10, 20])]
    rates, reasons = counted([TICKS], *readings, signals=("octets", "packets"))
    assert (rates[2], reasons) == ([None, None], {"reset": 2})


def test_all_counters_of_an_entity_start_anew():
    readings = [
        (0.0, [1], [100, 5, 7]),
        (10.0, [1], [200, 5, 9]),
        (20.0, [2], [900, 5, 8]),
        (30.0, [2], [950, 6, 8]),
    ]
    rates, reasons = counted([BOOT_ID], *readings, signals=("octets", "errors", "drops"))
    assert (rates[1:], reasons) == ([[10, 0, 0.2], [None] * 3, [5, 0.1, 0]], {"restart": 3})


def test_a_restart_is_counted_as_one_whatever_else_it_looks_like():
    assert story([BOOT_ID], ([1], 100), ([2], 1e9), ([3], 50), rate_max=1e3)[1] == {"restart": 2}


def test_one_witness_is_enough_to_know_that_the_device_runs():
    readings = [([ticks, None], value) for (ticks,), value in zip(UP, [TOP - 1e5, 1e5], strict=False)]
    assert story([TICKS, BOOT_ID], *readings) == ([None, 2e4], {})


def test_a_restart_that_is_told_in_another_message_counts_whenever_it_comes():
    """At 25 s the uptime says 12 s: the look at 20 s was after the restart at 13 s, or nobody knew then.

    looks     0      10     20     30
    restart           * 13
    told                       25
    """
    octets = [(0.0, [100_000], [100]), (10.0, [None], [200]), (20.0, [None], [30]), (30.0, [None], [130])]
    told = (25.0, [1200], [80])
    rates, reasons = counted([TICKS], *octets[:3], told, octets[3])
    assert ([one for (one,) in rates], reasons) == ([None, 10, None, 10, 10], {"reset": 1})
    early = (16.0, [300], [20])
    rates, reasons = counted([TICKS], *octets[:2], early, *octets[2:])
    assert ([one for (one,) in rates], reasons) == ([None, 10, None, 2.5, 10], {"restart": 1})


def test_a_restart_while_nothing_came_for_a_window_is_a_first_look_and_not_counted():
    rates, reasons = counted([TICKS], (0.0, [90_000], [500]), (60.0, [700], [900]), (70.0, [1700], [950]))
    assert ([one for (one,) in rates], reasons) == ([None, None, 5], {})


def test_any_of_several_witnesses_is_believed():
    """The device runs on, and the interface says that its counters began anew."""
    assert story([TICKS, BOOT_ID], ([1000, 0], 500), ([2000, 0], 600), ([3000, 2500], 700)) == (
        [None, 10, None],
        {"restart": 1},
    )


def test_a_restart_does_not_teach_what_a_wrap_may_be():
    """The burst that it seems to be is no rate; so the fall after it, of no known life, is none either."""
    readings = ([1], 100), ([1], 200), ([2], 4e9), ([None], 4e9 + 100), ([None], 50)
    assert story([BOOT_ID], *readings) == ([None, 10, None, 10, None], {"restart": 1, "reset": 1})


def test_a_row_used_again_is_the_life_of_another_device():
    counters = Counters(definition(Signal("octets", kind="counter"), witnesses=(BOOT_ID, TICKS)))
    counters.resize(2)
    one = np.array([0])
    counters.hear(samples((0, 1, 0, 7.0), (0, 2, 0, 5000.0), (1, 1, 0, 3.0)))
    counters.rates(one, np.array([START_S]), np.array([5.0]))
    counters.forget(one)
    counters.resize(64)
    counters.rates(one, np.array([START_S + 10]), np.array([100.0]))
    counters.hear(samples((0, 1, 20, 8.0), (1, 1, 20, 4.0)))
    assert counters.rates(one, np.array([START_S + 20]), np.array([200.0])) == [10]
    counters.rates(one + 1, np.array([START_S - 10]), np.array([100.0]))
    assert np.isnan(counters.rates(one + 1, np.array([START_S + 20]), np.array([200.0])))
