"""What is said of training data: holes, drift, signals that never change or say the same."""

import json
from dataclasses import replace

import numpy as np

from detector.train.findings import findings
from tests.support.pasts import past

WHOLE = past(3, 900, 4)


def changed(change, of=WHOLE):
    value, seen = of.value.copy(), of.seen.copy()
    change(value, seen)
    return findings(replace(of, value=value, seen=seen))


def test_of_good_data_there_is_nothing_to_say():
    found = findings(WHOLE)
    assert list(found.lines()) == []
    assert found.hole_s == 0
    assert json.loads(json.dumps(found.told()))["unseen"] == {f"signal{index}": 0.0 for index in range(4)}


def test_what_is_not_seen_is_told_and_the_longest_hole():
    def lost(value, seen):
        seen[:, ::4, 1] = False
        seen[2, 100:130] = False

    found = changed(lost)
    assert found.unseen["signal1"] > 0.25
    assert found.hole_s == 30 * 60
    assert list(found.lines()) == ["not seen, of all steps: signal1 26%"]


def test_before_an_entity_was_there_is_no_hole():
    late = replace(WHOLE, born=np.array([0, 0, 500]))

    def absent(value, seen):
        seen[2, :500] = False

    found = changed(absent, late)
    assert found.hole_s == 0
    assert set(found.unseen.values()) == {0.0}


def test_a_signal_that_moves_from_the_first_third_to_the_last_is_told_of_with_its_direction():
    def drifted(value, seen):
        value[:, :, 2] -= np.linspace(0, 40, value.shape[1])

    found = changed(drifted)
    assert list(found.drift) == ["signal2"]
    assert found.drift["signal2"] < -1.0
    (line,) = found.lines()
    assert line.startswith("moved from the first third of the time to the last, in deviations: signal2 -")


def test_a_signal_of_one_value_is_told_of_even_where_entities_differ():
    def still(value, seen):
        value[:, :, 0] = [[5.0], [6.0], [7.0]]

    found = changed(still)
    assert found.constant == ["signal0"]
    assert found.alike == []
    assert "never changes in this data, any change will be news: signal0" in found.lines()


def test_signals_that_say_the_same_are_grouped_whatever_their_unit():
    def same(value, seen):
        value[:, :, 1] = 8.0 * value[:, :, 0] + 3.0
        value[:, :, 3] = -value[:, :, 0]

    assert changed(same).alike == [["signal0", "signal1", "signal3"]]


def test_many_signals_are_told_of_in_one_line():
    many = past(1, 300, 12)

    def lost(value, seen):
        seen[:, ::2] = False

    (line,) = changed(lost, many).lines()
    assert line.endswith("signal7 50%, and 4 more")


def test_of_next_to_nothing_there_is_nothing_to_say():
    tiny = past(1, 2, 2)
    assert list(findings(tiny).lines()) == []
