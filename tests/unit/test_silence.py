"""Who is silent: steps of 10 s, and two entities."""

import numpy as np

from detector.stream.silence import Silence
from tests.support.streams import definition


def silence(**changed):
    made = Silence(definition(**changed))
    made.resize(2)
    return made


def rows(*each):
    return np.array(each, np.int64)


def test_who_did_not_speak_for_longer_than_silence_s_is_silent():
    """The last word at 10 s; silent when more than 30 s have gone by."""
    one = silence(silence_s=30.0)
    one.hear(rows(0), 0.0)
    one.hear(rows(0), 10.0)
    assert one.fall(40.0)[0].tolist() == []
    assert not one.silent[0]
    quiet, since_s = one.fall(50.0)
    assert (quiet.tolist(), since_s.tolist()) == ([0], [40.0]), "30 s after the last word, noticed later"
    assert one.silent.tolist() == [True, False], "who never spoke is not silent"
    assert one.fall(60.0)[0].tolist() == [], "it is said once"
    one.hear(rows(0), 110.0)
    assert not one.silent[0]


def test_a_goodbye_silences_at_once():
    one = silence(silence_s=30.0)
    one.hear(rows(0), 0.0)
    one.part(rows(0))
    assert one.silent.tolist() == [True, False]
    assert one.fall(100.0)[0].tolist() == []


def test_what_was_said_before_a_goodbye_does_not_undo_it():
    one = silence()
    one.part(rows(0, 1))
    one.hear(rows(0, 1), 10.0)
    assert one.silent.tolist() == [True, True]
    one.welcome(rows(1))
    assert one.silent.tolist() == [True, True], "until a step has heard it"
    one.hear(rows(0, 1), 20.0)
    assert one.silent.tolist() == [True, False]


def test_who_falls_silent_and_who_speaks_again_is_told_once():
    one = silence()
    one.part(rows(0))
    assert [each.tolist() for each in one.turns()] == [[0], []]
    assert [each.tolist() for each in one.turns()] == [[], []]
    one.resize(4)
    one.welcome(rows(0))
    one.hear(rows(0), 10.0)
    assert [each.tolist() for each in one.turns()] == [[], [0]]
    one.part(rows(0))
    one.turns()
    one.forget(rows(0))
    assert [each.tolist() for each in one.turns()] == [[], []], "a free row does not speak"
    assert not one.gone.any()
    assert np.isnan(one.spoken_s[0])
