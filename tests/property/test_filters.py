"""The algebra of topic filters, against paho's matching of topics."""

from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from detector.stream.filters import covers, first_match, narrowness, outermost, overlap

TOPICS = st.lists(st.sampled_from(["a", "b", "", "$x"]), min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.builds(
    lambda levels, tail: "/".join(levels + tail),
    st.lists(st.sampled_from(["a", "b", "", "$x", "+"]), min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(bool) | st.just("#")


@given(st.lists(FILTERS, min_size=1, max_size=5), TOPICS)
@example(["#"], "$x/a")
def test_the_first_filter_that_matches_is_found(filters, topic):
    matching = [index for index, text in enumerate(filters) if topic_matches_sub(text, topic)]
    assert first_match(filters)(topic) == (matching[0] if matching else None)


@given(FILTERS, FILTERS, TOPICS)
@example("a/#", "a", "a")
def test_what_a_filter_matches_all_that_cover_it_match(one, other, topic):
    both = topic_matches_sub(one, topic) and topic_matches_sub(other, topic)
    if covers(one, other) and topic_matches_sub(other, topic):
        assert both
    if both:
        assert overlap(one, other)


@given(FILTERS, FILTERS)
def test_overlap_is_mutual_and_whoever_covers_overlaps(one, other):
    assert overlap(one, other) == overlap(other, one)
    assert covers(one, one)
    if covers(one, other):
        assert overlap(one, other)
        assert narrowness(other) <= narrowness(one)


@given(st.lists(FILTERS, max_size=6))
def test_the_outermost_cover_all_and_none_of_them_another(filters):
    found = outermost(filters)
    assert set(found) <= set(filters)
    assert all(any(covers(wide, text) for wide in found) for text in filters)
    assert not [(a, b) for a in found for b in found if a is not b and covers(a, b)]
