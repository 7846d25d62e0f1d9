"""The ids of episodes."""

from detector.stream.identity import ALPHABET, episode_id

NOW_S = 1_760_000_000.0


def test_the_same_episode_has_the_same_id_everywhere():
    assert episode_id(NOW_S, "anomaly", "interfaces", "leaf1", "Ethernet1") == "1k742sg00h1c77vmp"


def test_ids_sort_by_their_onsets():
    ids = [
        episode_id(at_s, "anomaly", "x", str(at_s)) for at_s in (0.0, 0.001, 5.0, NOW_S, NOW_S + 0.1, 3e10)
    ]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {17}
    assert set("".join(ids)) <= set(ALPHABET)


def test_times_that_are_none_of_ours_have_an_id_too():
    assert len({len(episode_id(at_s, "x")) for at_s in (-1e18, 1e18)}) == 1


def test_whose_it_is_makes_the_difference():
    owners = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ("a\x00b", "c"), ("a", "\ud800")]
    assert len({episode_id(NOW_S, *whose) for whose in owners}) == len(owners)
