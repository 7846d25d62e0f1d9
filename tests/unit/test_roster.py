"""Which row each entity lives in."""

import numpy as np

from detector.stream.nouns import Drop
from detector.stream.roster import NO_ROW, ROWS_FIRST, Roster


def test_rows_double_up_to_the_cap_and_no_further():
    roster = Roster(200)
    seen = []
    for index in range(200):
        assert roster.admit((str(index),)) >= 0
        seen.append(roster.rows)
    assert sorted(set(seen)) == [ROWS_FIRST, 2 * ROWS_FIRST, 200]
    assert roster.taken().all()


def test_beyond_the_cap_entities_are_refused_and_counted():
    roster = Roster(1)
    assert roster.admit(("a",)) == 0
    assert roster.admit(("b",)) == NO_ROW[Drop.ENTITIES_MAX] < 0
    assert roster.get(("b",)) is None
    assert (len(roster), roster.rows, roster.refused) == (1, 1, {Drop.ENTITIES_MAX: 1})


def test_every_entity_has_a_row_of_its_own():
    roster = Roster(1000)
    rows = {roster.admit((str(index),)) for index in range(500)}
    assert len(rows) == len(roster) == 500
    assert all(roster.entities[roster.get((str(index),))] == (str(index),) for index in range(500))


def test_a_row_is_used_again_once_its_entity_is_forgotten():
    roster = Roster(2)
    roster.admit(("a",))
    roster.admit(("b",))
    roster.forget(np.array([0]))
    assert roster.get(("a",)) is None
    assert roster.taken().tolist() == [False, True]
    assert roster.admit(("c",)) == 0
    assert roster.entities == [("c",), ("b",)]


def test_a_device_takes_no_more_rows_than_its_own_and_leaves_the_others_theirs():
    roster = Roster(4, device_entities_max=2)
    full = NO_ROW[Drop.DEVICE_ENTITIES_MAX]
    assert [roster.admit(("r1", str(port))) for port in range(4)] == [0, 1, full, full]
    assert [roster.admit(("r2", str(port))) for port in range(2)] == [2, 3]
    assert roster.admit(("r1", "4")) == full < 0
    assert roster.admit(("r3", "0")) == NO_ROW[Drop.ENTITIES_MAX]
    assert roster.refused == {Drop.DEVICE_ENTITIES_MAX: 3, Drop.ENTITIES_MAX: 1}
    roster.forget(np.array([0, 0, 2]))
    assert roster.admit(("r1", "9")) >= 0
    assert roster.admit(("r1", "8")) == full


def test_an_entity_without_labels_has_a_row():
    assert Roster(1).admit(()) == 0


def test_forgetting_a_free_row_does_nothing():
    roster = Roster(4)
    roster.admit(("a",))
    roster.forget(np.array([0, 3]))
    roster.forget(np.array([0]))
    assert len({roster.admit((str(index),)) for index in range(4)}) == 4


def test_an_empty_roster_has_no_rows():
    assert Roster(10).taken().tolist() == []


def sharing(roster, places, labels):
    return sorted(roster.sharing(places, labels))


def test_those_who_share_labels_are_found_before_and_after_others_come_and_go():
    roster = Roster(8)
    for entity in (("r1", "eth0"), ("r1", "eth1"), ("r2", "eth0")):
        roster.admit(entity)
    assert sharing(roster, (0,), ("r1",)) == [0, 1]
    assert sharing(roster, (1,), ("eth0",)) == [0, 2]
    assert sharing(roster, (0, 1), ("r1", "eth1")) == [1]
    roster.admit(("r1", "eth2"))
    roster.forget(np.array([0, 2]))
    assert sharing(roster, (0,), ("r1",)) == [1, 3]
    assert sharing(roster, (1,), ("eth0",)) == []
    roster.admit(("r2", "eth0"))
    assert sharing(roster, (1,), ("eth0",)) == sharing(roster, (0,), ("r2",)) == [2]


def test_nobody_shares_labels_that_nobody_has():
    assert sharing(Roster(8), (0,), ("r1",)) == []
