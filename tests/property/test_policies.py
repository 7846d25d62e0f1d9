"""Policies come to what a naive reader makes of them, for every entity, whoever was there before."""

from fnmatch import fnmatchcase

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.definition import Policy, Signal, SignalPolicy
from detector.stream.policy import SIDES, Policies, broken, tolerated
from tests.support.streams import definition

TEXTS = st.sampled_from(["leaf1", "leaf2", "Leaf1", "spine1", "eth0", "eth10", "", "[x]", "a\nb"])
GLOBS = st.sampled_from(["*", "leaf*", "leaf?", "[ls]*1", "[!l]*", "eth0", "eth*0", "[[]x]", "*\n*", "?*"])
LABELS = ("device", "port")
NAMES = ("a", "b", "c")
NUMBERS = st.sampled_from([None, 0.0, 0.5, 1.0, 7.25])
BOUNDS = st.sampled_from([None, -np.inf, -8.0, 0.0, 0.1, np.inf])

SAID = st.builds(
    SignalPolicy,
    direction=st.sampled_from([None, *SIDES]),
    deviation_min=NUMBERS,
    deviation_min_ratio=NUMBERS,
    valid_min=BOUNDS,
    valid_max=BOUNDS,
    weight=NUMBERS,
)
POLICY = st.builds(
    Policy,
    match=st.dictionaries(st.sampled_from(LABELS), GLOBS).map(lambda globs: tuple(globs.items())),
    signals=st.dictionaries(st.sampled_from(NAMES), SAID).map(lambda each: tuple(each.items())),
    mute=st.sampled_from([None, False, True]),
    budget=NUMBERS,
)
STREAM = st.builds(
    lambda said, directions, each: definition(
        *[
            Signal(name, direction=direction, policy=one)
            for name, direction, one in zip(NAMES, directions, said, strict=True)
        ],
        entity=LABELS,
        policies=tuple(each),
    ),
    st.lists(SAID, min_size=3, max_size=3),
    st.lists(st.sampled_from(list(SIDES)), min_size=3, max_size=3),
    st.lists(POLICY, max_size=6),
)


def naive(stream, entity, name, key, default):
    """Return what the last word on a key of a signal is."""
    (signal,) = [one for one in stream.signals if one.name == name]
    value = getattr(signal.policy, key)
    value = default if value is None else value
    for policy in stream.policies:
        fits = all(fnmatchcase(entity[LABELS.index(label)], glob) for label, glob in policy.match)
        for about, said in policy.signals:
            if fits and about == name and getattr(said, key) is not None:
                value = getattr(said, key)
    return value


def naive_of_all(stream, entity, key, default):
    value = default
    for policy in stream.policies:
        if all(fnmatchcase(entity[LABELS.index(label)], glob) for label, glob in policy.match):
            value = value if getattr(policy, key) is None else getattr(policy, key)
    return value


@given(STREAM, st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_the_last_policy_that_says_a_key_has_its_way(stream, entities):
    made = Policies(stream)
    rows = np.arange(len(entities))
    made.resize(len(entities))
    for row, entity in enumerate(entities):
        made.admit(row, ("eth0", "leaf1"))  # somebody else lived there before
        made.forget(np.array([row]))
        made.admit(row, entity)
        _ = made.budget  # asked between admissions
    lines = made._table.lines
    for row, entity in zip(rows, entities, strict=True):
        assert made.muted[row] == naive_of_all(stream, entity, "mute", default=False)
        assert made.budget[row] == naive_of_all(stream, entity, "budget", 1.0)
        line = made._index[row]
        for index, signal in enumerate(stream.signals):

            def last(key, default, signal=signal, entity=entity):
                return naive(stream, entity, signal.name, key, default)

            assert lines.side[line, index] == SIDES[last("direction", signal.direction)]
            assert lines.deviation_min[line, index] == last("deviation_min", 0.0)
            assert lines.deviation_min_ratio[line, index] == last("deviation_min_ratio", 0.0)
            weight = last("weight", 1.0)
            assert lines.weight[line, index] == weight
            bounds = (last("valid_min", -np.inf), last("valid_max", np.inf))
            bounds = np.array(bounds if weight else (-np.inf, np.inf), np.float32)
            assert [lines.valid_min[line, index], lines.valid_max[line, index]] == bounds.tolist()


VALUES = st.floats(-1e6, 1e6, width=32)


@given(VALUES, VALUES, st.floats(0, 1e6, width=32), st.floats(0, 1000, width=32))
def test_a_deviation_counts_when_it_is_large_enough_by_both_measures(observed, expected, least, ratio):
    cells = [np.array([[one]], np.float32) for one in (observed, expected, least, ratio)]
    deviation = abs(cells[0] - cells[1])
    counts = deviation >= cells[2] and deviation >= cells[3] * abs(cells[1])
    assert tolerated(*cells)[0, 0] == (not counts)


@given(
    st.lists(VALUES, min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
    st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
)
def test_a_bound_is_told_where_it_is_broken_and_nowhere_else(observed, seen, lows, highs):
    cells = [np.array([one], np.float32) for one in (observed, lows, highs)]
    found = broken(cells[0], np.array([seen]), cells[1], cells[2])
    beyond = [
        was_seen and not low <= value <= high
        for value, was_seen, low, high in zip(*[cells[0][0], seen, cells[1][0], cells[2][0]], strict=True)
    ]
    assert (found is None) == (not any(beyond))
    if found is not None:
        assert (~np.isnan(found[0])).tolist() == beyond
