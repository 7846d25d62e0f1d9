"""Whoever is remembered is whom a reader that remembers nobody would have found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.decode.labels import entity_reader
from detector.stream.decode.memory import remembering
from detector.stream.decode.topic import Template
from detector.stream.definition import Definition, Layout, Signal

FEW = st.sampled_from(["a", "b"])  # so that names come again
TEXTS = FEW | FEW | st.sampled_from([" a", "\0", "", "1", "true", "edge-1"]) | st.text(max_size=3)
VALUES = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.sampled_from([1, 1.0, 0, 1.5, float("nan")])
    | st.lists(TEXTS, max_size=1)
)
LABELS = st.dictionaries(st.sampled_from(["device", "port", "site"]), TEXTS, max_size=3)
RECORDS = (
    st.none()
    | st.dictionaries(st.sampled_from(["device", "port", "site", "if"]), VALUES, max_size=4)
    | VALUES
)
FEW_NAMES = st.dictionaries(st.sampled_from(["device", "port", "site"]), FEW, min_size=2)
NAMED = st.tuples(FEW_NAMES, FEW_NAMES, st.none()) | st.tuples(LABELS, RECORDS, RECORDS)

LAYOUTS = {
    "plain": Layout(),
    "paths": Layout(labels=(("port", "if"), ("site", "a.b"))),
    "allowed": Layout(allow=(("port", ("a", "edge-*", "1")),)),
    "patterns": Layout(patterns=(("device", "(?P<port>.)(?P<device>.)"),)),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("topic", ["t/{device}", "t/{device}/{port}", "t/{site}/{device}", "t/#"])
@given(given_names=st.lists(NAMED, max_size=12), of_the_topic=st.booleans())
def test_a_reader_that_remembers_finds_what_one_without_memory_finds(
    topic, layout, given_names, of_the_topic
):
    definition = Definition(
        "x", ("device", "port"), (Signal("rx"),), 10.0, 60, topic, layout=layout, entities_max=3
    )
    plain = entity_reader(definition)
    read = remembering(entity_reader(definition), definition)
    for labels, record, envelope in given_names:
        # A topic that fits has all its labels.
        of_topic = {name: labels.get(name, "a") for name in Template(topic).labels}
        named = of_topic if of_the_topic else {**labels, **of_topic}
        assert read(named, record, envelope) == plain(named, record, envelope)
