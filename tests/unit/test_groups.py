"""Which entities share an episode, and by which group it goes."""

import numpy as np
import pytest

from detector.stream.crowd import SLOWLY_STEPS, TOGETHER_STEPS
from detector.stream.nouns import Alarm, Spell
from tests.support.groups import WEEK_S, Story, interfaces, stream
from tests.support.streams import START_S as NOW_S

STEP_S = 10.0
TOGETHER_S, SLOWLY_S = TOGETHER_STEPS * STEP_S, SLOWLY_STEPS * STEP_S


def device(entities, name):
    return [entity for entity in entities if entity[1] == name]


@pytest.fixture
def fabric():
    """Return a story of ten devices of 24 interfaces at one site, and their devices, and the interfaces."""
    ports, entities = interfaces(groups=(("site",), ("device",)))
    devices = stream("devices", ("device",), [(f"d0.{number}",) for number in range(10)])
    return Story(ports, devices), entities


def only(gathering):
    (episode,) = gathering.begun.values()
    return episode


def test_one_alarm_alone_is_no_group(fabric):
    story, ports = fabric
    assert not story.tell(NOW_S, ports[:1]).begun
    assert story.groups.episode_of(("interfaces", ports[0])) is None


def test_two_interfaces_of_a_device_that_turn_anomalous_together_are_one_alarm(fabric):
    story, ports = fabric
    story.tell(NOW_S, ports[:1])
    episode = only(story.tell(NOW_S + STEP_S, ports[1:2]))
    assert episode.group == (("device",), ("d0.0",))
    assert list(episode.members) == story.names(ports[:2])
    assert episode.onset_s == NOW_S


def test_an_interface_and_its_device_are_in_one_group_though_their_streams_differ(fabric):
    story, ports = fabric
    story.tell(NOW_S, ports[:1])
    episode = only(story.tell(NOW_S, [("d0.0",)], stream="devices"))
    assert [key[0] for key in episode.members] == ["interfaces", "devices"]


def test_what_is_noticed_late_and_began_together_is_together(fabric):
    story, ports = fabric
    story.tell(NOW_S, ports[:1])
    assert story.tell(NOW_S + 600, silent=ports[1:2], onset_s=NOW_S).begun


def test_half_an_hour_later_is_not_together(fabric):
    story, ports = fabric
    story.tell(NOW_S, ports[:1])
    assert not story.tell(NOW_S + 1800, ports[1:2]).begun


def test_more_of_them_are_too_many_for_chance_even_where_it_takes_minutes(fabric):
    story, ports = fabric
    begun = [story.tell(NOW_S + number * 100, ports[number : number + 1]).begun for number in range(4)]
    assert [bool(each) for each in begun].index(True) in (2, 3)


def test_two_ends_of_a_link_and_their_devices_are_one_alarm_of_the_site():
    ports, entities = interfaces()
    places = [("s0", f"d0.{number}") for number in range(10)]
    story = Story(ports, stream("devices", ("site", "device"), places))
    story.tell(NOW_S, [entities[0], entities[24]])
    episode = only(story.tell(NOW_S + STEP_S, places[:2], stream="devices"))
    assert episode.group == (("site",), ("s0",))
    assert len(episode.members) == 4


def test_a_device_that_dies_is_the_group_and_its_neighbours_are_members(fabric):
    story, ports = fabric
    dead = device(ports, "d0.3")
    neighbours = [device(ports, "d0.1")[0], device(ports, "d0.2")[0]]
    story.tell(NOW_S + STEP_S, neighbours, onset_s=NOW_S)
    episode = only(story.tell(NOW_S + 60, silent=dead, onset_s=NOW_S))
    assert episode.group == (("device",), ("d0.3",))
    assert set(episode.members) == set(story.names(dead + neighbours))


def test_a_site_that_dies_is_one_alarm():
    ports, entities = interfaces(sites=3)
    story = Story(ports)
    dead = [entity for entity in entities if entity[0] == "s1"]
    episode = only(story.tell(NOW_S, silent=dead))
    assert (episode.group, len(episode.members)) == ((("site",), ("s1",)), len(dead))


def test_an_episode_grows_when_the_rest_of_the_site_follows():
    ports, entities = interfaces()
    story = Story(ports)
    first = only(story.tell(NOW_S, silent=device(entities, "d0.0")))
    rest = [entity for entity in entities if entity[1] != "d0.0"]
    grown = story.tell(NOW_S + STEP_S, silent=rest)
    assert not grown.begun
    assert list(grown.grown) == [first.id] == list(story.groups.episodes)
    assert first.group == (("site",), ("s0",))
    assert len(first.members) == len(entities)


def test_two_episodes_that_turn_out_to_be_one_go_on_as_the_older():
    ports, entities = interfaces(devices=200, ports=4)
    story = Story(ports)
    older = only(story.tell(NOW_S, device(entities, "d0.0")[:2]))
    others = [device(entities, f"d0.{number}")[0] for number in (5, 6, 7, 8)]
    story.tell(NOW_S + 20, device(entities, "d0.1")[:1], onset_s=NOW_S + TOGETHER_S)
    told = story.tell(NOW_S + 30, [*others, device(entities, "d0.1")[1]], onset_s=NOW_S + TOGETHER_S)
    assert not told.begun
    assert list(story.groups.episodes) == [older.id]
    assert len(older.members) == 8


def test_an_episode_that_is_taken_in_is_told():
    ports, entities = interfaces(devices=200, ports=4)
    story = Story(ports)
    older = only(story.tell(NOW_S, device(entities, "d0.0")[:2]))
    younger = only(story.tell(NOW_S + 100, device(entities, "d0.1")[:2]))
    assert younger.id > older.id
    between = [device(entities, f"d0.{number}")[0] for number in range(2, 12)]
    told = story.tell(NOW_S + 110, between, onset_s=NOW_S + 50)
    assert told.absorbed == {younger.id: older}
    assert list(story.groups.episodes) == [older.id]
    assert {story.groups.episode_of(key) for key in older.ever} == {older}


def test_a_member_that_is_well_again_leaves_and_the_last_one_ends_the_episode(fabric):
    story, ports = fabric
    episode = only(story.tell(NOW_S, ports[:2]))
    assert not story.tell(NOW_S + 100, end=ports[:1]).ended
    assert story.groups.episode_of(("interfaces", ports[0])) is None
    assert story.tell(NOW_S + 200, end=ports[1:2]).ended == {episode.id: episode}
    assert not story.groups.episodes


def test_a_member_that_was_well_belongs_to_it_again_however_late(fabric):
    story, ports = fabric
    episode = only(story.tell(NOW_S, ports[:2]))
    story.tell(NOW_S + 100, end=ports[:1])
    story.tell(NOW_S + 86400, ports[:1])
    assert story.groups.episode_of(("interfaces", ports[0])) is episode


def test_an_episode_outlives_the_moment_when_its_anomaly_becomes_silence(fabric):
    story, ports = fabric
    episode = only(story.tell(NOW_S, ports[:2]))
    told = story.tell(NOW_S + 60, end=ports[:2], silent=ports[:2])
    assert not told.ended
    assert not told.begun
    assert list(episode.members) == story.names(ports[:2])


def test_who_comes_soon_after_is_a_member_and_who_comes_a_day_later_is_not(fabric):
    story, ports = fabric
    episode = only(story.tell(NOW_S, ports[:2]))
    story.tell(NOW_S + SLOWLY_S, ports[2:3])
    story.tell(NOW_S + 86400, ports[3:4])
    belongs = [story.groups.episode_of(key) is episode for key in story.names(ports[:4])]
    assert belongs == [True, True, True, False]


def test_where_half_of_a_group_is_anomalous_the_rest_is_no_news(fabric):
    story, ports = fabric
    episode = only(story.tell(NOW_S, ports[:12]))
    story.tell(NOW_S + 86400, ports[12:13])
    assert story.groups.episode_of(("interfaces", ports[12])) is episode


def test_a_second_incident_of_a_group_is_an_episode_of_its_own(fabric):
    story, ports = fabric
    first = only(story.tell(NOW_S, ports[:2]))
    second = only(story.tell(NOW_S + 86400, ports[4:6]))
    assert second.group == first.group
    assert len(story.groups.episodes) == 2
    standing = next(one for one in story.groups.standings() if one.group == first.group)
    assert standing.onset_s == second.onset_s


def test_an_entity_that_is_forgotten_is_anomalous_no_more(fabric):
    story, ports = fabric
    episode = only(story.tell(NOW_S, silent=ports[:2]))
    one = story.streams["interfaces"]
    one.forget(one.roster.find(ports[:2]))
    one.rows_of([("s9", "d9", "p9"), ("s9", "d9", "p8")])
    gathering = story.groups.sync()
    assert (gathering.ended, gathering.time_s) == ({episode.id: episode}, NOW_S)
    assert not story.tell(NOW_S + 10).ended
    assert story.groups.standings() == []


def test_an_entity_that_was_never_heard_is_silent_since_that_was_told(fabric):
    story, ports = fabric
    story.tell(NOW_S, silent=ports[:2], onset_s=np.nan)
    (episode,) = story.groups.episodes.values()
    assert episode.onset_s == NOW_S


def test_an_entity_has_one_place_for_all_of_its_alarms(fabric):
    story, ports = fabric
    story.tell(NOW_S, ports[:2])
    story.tell(NOW_S, silent=ports[:2])
    story.tell(NOW_S, end=ports[:2])
    assert [one.anomalous for one in story.groups.standings()] == [2, 2]
    story.tell(NOW_S, speaking=ports[:2])
    assert story.groups.standings() == []


def test_an_entity_is_anomalous_until_the_last_of_its_signals_moves_again(fabric):
    story, ports = fabric
    spells = [Spell(Alarm.STUCK, 0, ports[0], signal, NOW_S, NOW_S, 7.0, np.nan) for signal in ("a", "b")]
    story.tell(NOW_S, begun=spells)
    story.tell(NOW_S, over=spells[:1])
    assert [one.anomalous for one in story.groups.standings()] == [1, 1]
    story.tell(NOW_S, over=spells[1:])
    assert story.groups.standings() == []


def test_a_group_stands_with_how_many_of_how_many():
    ports, entities = interfaces(sites=2, devices=2, ports=4)
    story = Story(ports)
    episode = only(story.tell(NOW_S, entities[:3]))
    stands = {one.group: one[1:] for one in story.groups.standings()}
    assert stands == {
        (("site", "device"), ("s0", "d0.0")): (3, 4, episode.onset_s),
        (("site",), ("s0",)): (3, 8, None),
    }


def test_one_entity_is_no_group():
    story = Story(stream("interfaces", ("device", "port"), [("d1", "p1"), ("d2", "p1")]))
    assert not story.tell(NOW_S, [("d1", "p1")]).begun
    assert story.groups.standings() == []


def test_without_levels_there_are_no_groups():
    story = Story(stream("interfaces", ("device",), [("d1",), ("d2",)]))
    assert not story.tell(NOW_S, [("d1",), ("d2",)]).begun
    assert story.groups.standings() == []


def test_warming_entities_do_not_count():
    one, entities = interfaces(devices=1, ports=4)
    one.bench.judged = lambda: np.arange(one.roster.rows) < 2
    story = Story(one)
    story.tell(NOW_S, entities[:1])
    assert {standing.entities for standing in story.groups.standings()} == {2}


@pytest.mark.parametrize("budget", [1.0, 20.0])
def test_chance_makes_no_more_false_group_alarms_than_one_entity_may_have(budget):
    """Ten devices of 24 interfaces with false alarms at their budget: too few of them meet."""
    ports, entities = interfaces(budget=budget)
    story = Story(ports)
    rng = np.random.default_rng(1)
    weeks = 120 / budget
    events = []
    for begin_s in rng.uniform(0, weeks * WEEK_S, rng.poisson(len(entities) * budget * weeks)):
        onset_s = begin_s // STEP_S * STEP_S
        noticed_s = onset_s + STEP_S * rng.integers(1, 4)
        entity = entities[rng.integers(len(entities))]
        events += [(noticed_s, 1, entity, onset_s), (noticed_s + rng.exponential(600), 0, entity, onset_s)]
    false, open_ = 0, set()
    for time_s, begins, entity, onset_s in sorted(events):
        if begins and entity not in open_:
            open_.add(entity)
            false += len(story.tell(time_s, [entity], onset_s=onset_s).begun)
        elif not begins:
            open_.discard(entity)
            story.tell(time_s, end=[entity])
    assert false <= budget * weeks
    assert false > 0, "it would take less than it may"


def test_every_alarm_is_told_of_an_entity():
    assert {alarm.value for alarm in Alarm} == {"anomaly", "silence", "slow", "stuck"}
