"""What the log says of the drift of a stream and of its budget: a line when it turns, and no other."""

import logging
from dataclasses import replace

import pytest

from detector.journal_bundles import Upkeep
from tests.support.snapshots import interfaces, snapshot

CALM = replace(interfaces(), retrain_advised=False, budget_exceeded=False)
DRIFT = "ifHCInOctets 1.5, ifInErrors 0.2"


@pytest.fixture
def lines(caplog):
    """Return a function that watches a stream as it changes: (level, event, facts) of each line."""

    def tell(*streams):
        upkeep = Upkeep()
        with caplog.at_level(logging.INFO):
            for one in streams:
                upkeep.watch(snapshot(streams=(one,)))
        return [(record.levelname, record.message, record.facts) for record in caplog.records]

    return tell


def test_advice_is_told_once_with_the_signals_and_once_that_it_is_over(lines):
    advised = replace(CALM, retrain_advised=True)
    facts = {"stream": "interfaces", "drift": DRIFT}
    assert lines(CALM, advised, advised, CALM, CALM) == [
        ("WARNING", "training advised", facts),
        ("INFO", "training advised no longer", facts),
    ]


def test_a_budget_that_is_exceeded_is_told_once_and_each_time_anew(lines):
    exceeded = replace(CALM, budget_exceeded=True)
    told = lines(exceeded, exceeded, CALM, exceeded)
    assert [event for _, event, _ in told] == [
        "budget exceeded",
        "budget exceeded no longer",
        "budget exceeded",
    ]
    assert told[0] == ("WARNING", "budget exceeded", {"stream": "interfaces", "used": 2.5})


def test_of_a_stream_of_which_nothing_is_known_nothing_is_told(lines):
    assert not lines(replace(CALM, retrain_advised=None), CALM)
