"""Who is silent: steps of 10 s, and two entities."""

import numpy as np
import pytest

from detector.stream.definition import SILENCE_AUTO
from detector.stream.silence import Silence
from tests.support.streams import definition


def silence(**changed):
    made = Silence(definition(**changed))
    made.resize(2)
    return made


def turns(one):
    return one.turns(np.zeros(len(one.silent), bool))


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
    assert [each.tolist() for each in turns(one)] == [[0], []]
    assert [each.tolist() for each in turns(one)] == [[], []]
    one.resize(4)
    one.welcome(rows(0))
    one.hear(rows(0), 10.0)
    assert [each.tolist() for each in turns(one)] == [[], [0]]
    one.part(rows(0))
    turns(one)
    one.forget(rows(0))
    assert [each.tolist() for each in turns(one)] == [[], []], "a free row does not speak"
    assert not one.gone.any()
    assert np.isnan(one.spoken_s[0])


# What is learnt

PERIOD_S = 10.0


def stream(*speakers, until_s, entities=4, deaf=(), **changed):
    """Let entities speak each ten seconds but where `speakers` say otherwise; return who is told, and when.

    `speakers` are (entity, from, until): it does not speak between. `deaf` is a span in which we do not hear.
    """
    one = Silence(definition(silence_s=SILENCE_AUTO, **changed))
    one.resize(entities)
    told = []
    for time_s in np.arange(PERIOD_S, until_s, PERIOD_S):
        one.listen(not (deaf and deaf[0] <= time_s < deaf[1]), time_s)
        paused = {entity for entity, from_s, end_s in speakers if from_s < time_s < end_s}
        one.hear(rows(*sorted(set(range(entities)) - paused)), time_s)
        one.fall(time_s)
        silenced, speaking = turns(one)
        told += [(time_s, "silent", row) for row in silenced.tolist()]
        told += [(time_s, "speaking", row) for row in speaking.tolist()]
    return one, told


def test_with_auto_one_is_silent_after_what_is_far_beyond_its_habit():
    one, told = stream((2, 1000, 1400), until_s=2000)
    assert told == [(1070, "silent", 2), (1400, "speaking", 2)]
    assert not one.unheard


def test_nobody_speaks_the_second_time_as_the_first():
    twice = [(row, at_s, at_s + 500) for row in range(4) for at_s in (1000, 2000)]
    one, told = stream(*twice, until_s=2490)
    assert (told, one.unheard) == ([], True)


def test_most_of_a_stream_may_fall_silent_while_one_speaks():
    _, told = stream(*[(row, 1000, 3000) for row in (0, 1, 2)], until_s=2000)
    assert told == [(1070, "silent", row) for row in (0, 1, 2)]


def test_where_nobody_speaks_nobody_is_silent():
    """What they share has died; afterwards everybody has the time that it takes to speak again."""
    all_of_them = [(row, 1000, 2000) for row in range(4)]
    one, told = stream(*all_of_them, until_s=1990)
    assert (told, one.unheard, one.overdue().all()) == ([], True, True)
    slow_to_return = [(0, 1000, 2040), (1, 1000, 5000), *all_of_them[2:]]
    one, told = stream(*slow_to_return, until_s=3000)
    assert (told, one.unheard) == ([(2070, "silent", 1)], False)


def test_who_has_died_with_others_is_silent_though_the_rest_speaks_seldom():
    """While that one pauses nobody speaks; its word shows that others could."""
    dead = [(row, 1000, 99_999) for row in (0, 1, 2)]
    seldom = [(3, at_s, at_s + 300) for at_s in range(0, 4000, 300)]
    one, told = stream(*dead, *seldom, until_s=4000)
    assert told == [(1270, "silent", row) for row in (0, 1, 2)]
    assert not one.unheard


def test_that_nobody_speaks_teaches_nothing():
    pauses = [(row, at_s, at_s + 600) for row in range(4) for at_s in range(1000, 9000, 1000)]
    _, told = stream(*pauses, (0, 11_000, 20_000), until_s=12_000)
    assert told == [(11_070, "silent", 0)]


def test_two_that_fall_silent_together_are_silent():
    _, told = stream(*[(row, 1000, 3000) for row in range(2)], until_s=2000, entities=2)
    assert told == [(1070, "silent", 0), (1070, "silent", 1)]


@pytest.mark.parametrize("clock", ["wall", "data"])
def test_while_we_are_deaf_nobody_is_silent_and_nothing_is_learnt(clock):
    """One of two does not speak for ever after the outage of the broker."""
    pauses = (0, 1000, 9999), (1, 1000, 1600)
    one, told = stream(*pauses, until_s=2000, entities=2, deaf=(1000, 1600), clock=clock)
    assert told == [(1670, "silent", 0)], "as long after the outage as ever"
    assert one.patience_s()[1] == 60.0


def test_on_a_clock_of_the_data_pauses_begin_with_the_first_word_after_we_were_deaf():
    """The time of the data stands while nothing comes, and jumps then."""
    one = Silence(definition(silence_s=SILENCE_AUTO))
    one.resize(1)
    for time_s in np.arange(10.0, 1000.0, 10.0):
        one.hear(rows(0), time_s)
        one.fall(time_s)
    one.listen(False, 990.0)
    one.listen(True, 990.0)
    one.fall(5000.0)
    one.hear(rows(0), 5010.0)
    assert [each.tolist() for each in turns(one)] == [[], []]
    one.fall(5100.0)
    assert [each.tolist() for each in turns(one)] == [[0], []]


def test_a_clock_that_goes_back_begins_anew():
    one, _ = stream(until_s=1000)
    one.forget(rows(0, 1, 2, 3))
    one.restart()
    for time_s in np.arange(10.0, 500.0, 10.0):
        one.hear(rows(0, 1, 2), time_s)
        one.fall(time_s)
    one.hear(rows(1, 2), 570.0)
    one.fall(570.0)
    assert turns(one)[0].tolist() == [0]


def test_after_a_goodbye_there_is_no_interval():
    one, _ = stream(until_s=500)
    one.part(rows(0))
    one.welcome(rows(0))
    one.hear(rows(0), 100_000.0)
    assert one.patience_s()[0] == 60.0


def test_of_whom_nobody_wants_to_hear_is_told_when_somebody_does():
    one = silence(silence_s=30.0)
    one.hear(rows(0), 10.0)
    one.fall(100.0)
    held = np.array([True, False])
    assert [each.tolist() for each in one.turns(held)] == [[], []]
    assert not one.told[0]
    assert [each.tolist() for each in turns(one)] == [[0], []]
    assert [each.tolist() for each in one.turns(held)] == [[], []], "what was told stays so"
    one.hear(rows(0), 110.0)
    assert [each.tolist() for each in one.turns(held)] == [[], [0]]


def test_intervals_with_maintenance_in_them_teach_nothing():
    one, _ = stream(until_s=500)
    one.excuse(np.array([True, False, False, False]))
    one.hear(rows(0, 1, 2, 3), 100_000.0)
    assert one.patience_s()[0] == 60.0
    assert one.patience_s()[1] > 100_000.0
