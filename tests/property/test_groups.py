"""Whatever happens to the entities of some streams, in whatever order: who is in which group's episode."""

from hypothesis import given, settings
from hypothesis import strategies as st

from detector.stream.crowd import Group
from tests.support.groups import Story, stream
from tests.support.streams import START_S

PORTS = [(f"s{site}", f"d{device}", f"p{port}") for site in (0, 1) for device in (0, 1) for port in (0, 1, 2)]
PEERS = [(f"s{site}", f"d{device}") for site in (0, 1) for device in (0, 1)]
EVENTS = st.tuples(
    st.sampled_from(["interfaces", "peers"]),
    st.sampled_from(["anomaly", "silence", "forgotten"]),
    st.lists(st.integers(0, 11), max_size=8, unique=True),
    st.sampled_from([0.0, 10.0, 30.0, 500.0, 1e5]),
)


def story():
    """Return interfaces and peers of four devices at two sites, that form groups at once."""
    return Story(
        stream("interfaces", ("site", "device", "port"), PORTS, budget=0.001),
        stream("peers", ("site", "device"), PEERS, budget=0.001, step_s=30.0),
    )


def anomalous(told):
    return {key for key, alarms in told.items() if alarms}


def apply(one, told, event, now_s):
    """Tell a change of each named entity: what it is not, it turns; what it is, it ends to be."""
    name, kind, numbers, ago_s = event
    entities = [
        (PORTS if name == "interfaces" else PEERS)[number % (12 if name == "interfaces" else 4)]
        for number in numbers
    ]
    entities = list(dict.fromkeys(entities))
    if kind == "forgotten":
        pipeline = one.streams[name]
        pipeline.forget(pipeline.roster.find(entities))
        pipeline.rows_of(entities)
        told.update({(name, entity): set() for entity in entities})
        return one.tell(now_s, stream=name)
    on = [entity for entity in entities if kind not in told.setdefault((name, entity), set())]
    off = [entity for entity in entities if entity not in on]
    for entity in entities:
        told[name, entity] ^= {kind}
    words = ("begin", "end") if kind == "anomaly" else ("silent", "speaking")
    return one.tell(now_s, stream=name, onset_s=now_s - ago_s, **dict(zip(words, (on, off), strict=True)))


def check(one, told):
    groups = one.groups
    members = [key for episode in groups.episodes.values() for key in episode.members]
    assert len(set(members)) == len(members), "nobody is a member of two"
    assert set(members) <= anomalous(told), "whoever is well is no member"
    for episode in groups.episodes.values():
        assert episode.members, "an episode without members is over"
        assert episode.members.keys() <= episode.ever
        assert all(groups.episode_of(key) is episode for key in episode.members)
    assert {(each.group, each.anomalous, each.entities) for each in groups.standings()} == expected(told)
    for each in groups.standings():
        onsets = [episode.onset_s for episode in groups.episodes.values() if episode.group == each.group]
        assert each.onset_s == (max(onsets) if onsets else None)


def expected(told):
    """Return what the groups stand at, counted plainly."""
    found = set()
    for level in (("site",), ("site", "device")):
        for values in {entity[: len(level)] for entity in PORTS}:
            ill = sum(entity[: len(level)] == values for _, entity in anomalous(told))
            all_ = sum(entity[: len(level)] == values for entity in PORTS + PEERS)
            if ill:
                found.add((Group(level, values), ill, all_))
    return found


@settings(max_examples=300, deadline=None)
@given(events=st.lists(st.tuples(EVENTS, st.sampled_from([0.0, 10.0, 100.0, 1e6])), max_size=25))
def test_members_are_anomalous_and_in_the_end_nothing_is_left(events):
    one, told, now_s = story(), {}, START_S
    names = set()
    for event, pause_s in events:
        now_s += pause_s
        before = set(one.groups.episodes)
        gathering = apply(one, told, event, now_s)
        after = set(one.groups.episodes)
        assert after - before == set(gathering.begun)
        assert before - after == set(gathering.ended) | set(gathering.absorbed)
        assert set(gathering.grown) <= before & after
        names |= after
        check(one, told)
    for name in ("interfaces", "peers"):
        left = [entity for stream_name, entity in told if stream_name == name]
        one.tell(now_s, end=left, speaking=left, stream=name)
    assert not one.groups.episodes
    assert one.groups.standings() == []
    assert not [value for value in vars(one.groups).values() if isinstance(value, dict) and value]
    crowd = one.groups._crowd
    assert not crowd._anomalous and not crowd._of and not crowd._onsets
    census = crowd.census
    lived_in = sum((seats != -1).sum() for seats in census._seats)
    assert sum(census._holders) == lived_in


@settings(max_examples=100, deadline=None)
@given(events=st.lists(EVENTS, max_size=15))
def test_the_same_story_gives_the_same_episodes(events):
    ids = []
    for _ in range(2):
        one, told = story(), {}
        for number, event in enumerate(events):
            apply(one, told, event, START_S + 10 * number)
        ids.append(
            {id_: (episode.group, list(episode.members)) for id_, episode in one.groups.episodes.items()}
        )
    assert ids[0] == ids[1]
