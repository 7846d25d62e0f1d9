"""What is told of slow entities and stuck signals, step by step through a stream without a bundle."""

import numpy as np
import pytest

from detector.stream.definition import SILENCE_AUTO, Maintenance, Policy, SignalPolicy
from detector.stream.nouns import Alarm, Span, State
from detector.stream.pipeline import StreamPipeline
from tests.support.streams import GAUGE, START_S, batch, definition, feed

NAMES = ("r0", "r1", "r2", "r3")


class Fabric:
    """Four devices that speak each ten seconds; `paused` do not, and `frozen` repeat themselves."""

    def __init__(self, *signals, maintenances=(), **changed):
        told = definition(*signals, silence_s=SILENCE_AUTO, **changed)
        self.stream = StreamPipeline(told, None, maintenances)
        self.step = 0
        self._rng = np.random.default_rng(0)
        self._last = dict.fromkeys(NAMES, 0.0)

    def live(self, steps, paused=(), frozen=(), every=1):
        """Return what was told: (what, entity, signal, seconds since the start), `-what` where it is over."""
        told = []
        for _ in range(steps):
            self.step += 1
            here = [name for name in NAMES if name not in paused or (every > 1 and self.step % every == 0)]
            self._last |= {name: float(self._rng.normal()) for name in here if name not in frozen}
            for outcome in feed(
                self.stream, *((name, 10.0 * self.step, {0: self._last[name]}) for name in here)
            ):
                at_s = outcome.time_s - START_S
                told += [("silent", *entity, "", at_s) for entity in outcome.silenced]
                told += [("-silent", *entity, "", at_s) for entity in outcome.speaking_again]
                told += [(str(one.what), *one.entity, one.signal, at_s) for one in outcome.begun]
                told += [(f"-{one.what}", *one.entity, one.signal, at_s) for one in outcome.over]
        return told


@pytest.fixture
def fabric():
    one = Fabric()
    assert one.live(200) == []
    return one


def test_a_frozen_gauge_is_told_once_with_its_onset_and_its_value_and_once_when_it_is_over(fabric):
    assert fabric.live(40, frozen=["r1"]) == [("stuck", "r1", "level", 2110.0)]
    (spell,) = fabric.stream.bench.spells.open.values()
    assert (spell.onset_s - START_S, spell.time_s - START_S) == (2000.0, 2400.0)
    assert spell.observed == fabric.stream.bench.spells.stuck.value[1, 0]
    assert fabric.live(20) == [("-stuck", "r1", "level", 2410.0)]
    assert fabric.stream.bench.spells.open == {}
    assert fabric.stream.bench.spells.totals[Alarm.STUCK] == 1


def test_a_publisher_that_slows_down_is_told_with_both_intervals(fabric):
    assert fabric.live(120, paused=["r2"], every=6)[0] == ("slow", "r2", "", 2340.0)
    (spell,) = fabric.stream.bench.spells.open.values()
    assert spell.onset_s - START_S == 2000.0
    assert spell.usual == pytest.approx(10.0)
    assert spell.observed == pytest.approx(60.0, rel=0.2)
    assert fabric.live(20) == [("-slow", "r2", "", 3260.0)]


def test_who_falls_silent_is_neither_slow_nor_stuck_any_more(fabric):
    fabric.live(60, paused=["r2"], every=6, frozen=["r1"])
    assert {(one.what, one.entity) for one in fabric.stream.bench.spells.open.values()} == {
        (Alarm.SLOW, ("r2",)),
        (Alarm.STUCK, ("r1",)),
    }
    told = fabric.live(60, paused=["r1", "r2"])
    assert {line[:2] for line in told} == {
        ("silent", "r1"),
        ("-stuck", "r1"),
        ("silent", "r2"),
        ("-slow", "r2"),
    }
    assert fabric.stream.bench.spells.totals == {Alarm.SILENCE: 2, Alarm.STUCK: 1, Alarm.SLOW: 1}


def test_the_spells_of_who_is_forgotten_are_over(fabric):
    fabric.live(40, frozen=["r1"])
    fabric.stream.forget(np.array([1]))
    assert fabric.live(1, paused=["r1"]) == [("-stuck", "r1", "level", 2410.0)]
    assert fabric.stream.bench.spells.open == {}


@pytest.mark.parametrize(
    "policy",
    [Policy(match=(("device", ("r1",)),), mute=True), Policy(signals=(("level", SignalPolicy(weight=0.0)),))],
)
def test_of_whom_nobody_wants_to_hear_nothing_is_told(policy):
    one = Fabric(GAUGE, policies=(policy,))
    assert one.live(200) == []
    assert one.live(60, frozen=["r1"]) == []
    assert one.stream.bench.spells.stuck.active[1, 0]


def in_maintenance(*spans):
    """Return a fabric of which r1 is in maintenance between seconds after the start."""
    one = Fabric(maintenances=(Maintenance("work", match=(("device", ("r1",)),)),))
    one.stream.bench.maintained.plan("work", [Span(START_S + begin, START_S + end) for begin, end in spans])
    return one


def test_a_spell_that_is_open_goes_on_in_maintenance_and_none_begins():
    one = in_maintenance((2150, 3000))
    assert one.live(200) == []
    assert one.live(40, frozen=["r1"]) == [("stuck", "r1", "level", 2110.0)]
    assert one.live(50) == [], "in maintenance what is seen says nothing"
    assert one.live(20) == [("-stuck", "r1", "level", 3010.0)]


def test_what_stands_still_in_maintenance_is_stuck_when_it_goes_on_after_it():
    one = in_maintenance((2000, 2400))
    assert one.live(200) == []
    assert one.live(60, frozen=["r1"]) == [("stuck", "r1", "level", 2510.0)]


def test_what_stands_still_in_maintenance_again_and_again_teaches_nothing():
    one = in_maintenance(*((at_s, at_s + 400) for at_s in range(2000, 6000, 1000)))
    assert one.live(200) == []
    for _ in range(4):
        assert one.live(40, frozen=["r1"]) + one.live(60) == []
    assert one.live(30, frozen=["r1"]) == [("stuck", "r1", "level", 6110.0)]


def test_who_is_in_maintenance_is_no_witness():
    """Of two devices the one that moves is in maintenance, so that nobody says that the other should."""
    one = in_maintenance((2000, 2400))
    assert one.live(200) == []
    assert one.live(40, frozen=["r0"], paused=["r2", "r3"]) == [
        ("silent", name, "", 2070.0) for name in ("r2", "r3")
    ]


def test_while_we_do_not_hear_nobody_is_silent():
    """Also where there are too few to tell a stream that died from its entities."""
    few = StreamPipeline(definition(silence_s=SILENCE_AUTO, clock="wall"), None)
    told = []
    for step in range(1, 200):
        at_s = START_S + 10.0 * step
        few.listen(not 100 <= step < 150, at_s)
        if step < 100:
            few.add(batch(("r0", 10.0 * step, {0: 1.0})), np.array([at_s]))
        told += [outcome.time_s for outcome in few.tick(at_s) if outcome.silenced]
        assert (few.bench.states()[0] is State.UNHEARD) == (106 <= step < 157)
    assert told == [START_S + 1570.0], "a minute after we heard again"


def test_where_nobody_is_heard_all_are_unheard_and_nobody_is_silent(fabric):
    """The data clock stands with it, so that time goes on for the stream alone, as by the wall."""
    told = [
        outcome.silenced for at_s in range(2010, 2400, 10) for outcome in fabric.stream.tick(START_S + at_s)
    ]
    assert not any(told)
    assert fabric.stream.bench.silence.unheard
    assert fabric.stream.bench.states()[:4] == [State.UNHEARD] * 4
    fabric.step = 240
    assert fabric.live(3, paused=["r1"]) == []
    assert [state is State.UNHEARD for state in fabric.stream.bench.states()[:4]] == [
        False,
        True,
        False,
        False,
    ]
    assert fabric.live(10, paused=["r1"]) == [("silent", "r1", "", 2480.0)]
