"""What the log says of slow entities and stuck signals."""

import logging

import numpy as np
import pytest

from detector.journal_spells import SPELLS_TOLD, tell_spells
from detector.stream.definition import Signal
from detector.stream.groups import Gathering, Groups
from detector.stream.nouns import Alarm, Spell
from tests.support.streams import definition

STREAM = definition(Signal("level", unit="°C"), Signal("flow"))
SLOW = Spell(Alarm.SLOW, 0, ("r0",), "", 100.0, 460.0, 60.0004, 10.0)
STUCK = Spell(Alarm.STUCK, 1, ("r1",), "level", 200.0, 500.0, 21.5, np.nan)


@pytest.fixture
def lines(caplog):
    """Return a function that tells spells, and what was logged then: (level, event, facts)."""

    def tell(begun=(), over=()):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            tell_spells(STREAM, begun, over, Groups([]), Gathering(0.0))
        return [(record.levelname, record.message, record.facts) for record in caplog.records]

    return tell


def test_a_slow_entity_is_told_with_both_intervals(lines):
    ((level, event, facts),) = lines([SLOW])
    assert (level, event) == ("WARNING", "slow")
    assert facts == {
        "device": "r0",
        "stream": "tests",
        "id": facts["id"],
        "onset_s": 100.0,
        "interval_s": 60.0,
        "expected_s": 10.0,
    }


def test_a_stuck_signal_is_told_with_its_value_and_unit(lines):
    ((level, event, facts),) = lines([STUCK])
    assert (level, event) == ("WARNING", "stuck")
    assert (facts["device"], facts["signal"], facts["value"]) == ("r1", "level", "21.5 °C")
    ((_, _, unitless),) = lines([STUCK._replace(signal="flow")])
    assert unitless["value"] == "21.5"
    assert unitless["id"] != facts["id"]


def test_the_end_has_the_id_of_the_begin_and_says_how_long(lines):
    begun = lines([SLOW, STUCK])
    over = lines((), [SLOW, STUCK])
    assert [line[:2] for line in over] == [("INFO", "slow over"), ("INFO", "stuck over")]
    assert [line[2]["lasted_s"] for line in over] == [360.0, 300.0]
    assert [line[2]["id"] for line in over] == [line[2]["id"] for line in begun]


def test_of_many_the_first_have_lines_and_the_rest_one(lines):
    many = [STUCK._replace(row=row, entity=(f"r{row}",)) for row in range(SPELLS_TOLD + 5)]
    told = lines(many, many)
    assert len(told) == 2 * (SPELLS_TOLD + 1)
    assert told[-2:] == [
        ("WARNING", "slow and stuck, more begun", {"stream": "tests", "spells": 5}),
        ("INFO", "slow and stuck, more over", {"stream": "tests", "spells": 5}),
    ]
