"""Which topic filters cover one another, and which only share topics."""

import pytest

from detector.stream.filters import covers, outermost, overlap


@pytest.mark.parametrize(
    ("one", "other", "covered", "shared"),
    [
        ("a/+", "a/b", True, True),
        ("a/#", "a/+/c", True, True),
        ("a/#", "a", True, True),
        ("a/+/#", "a/b", True, True),
        ("#", "+/a", True, True),
        ("a/+", "a/+", True, True),
        ("a/b", "a/+", False, True),
        ("a/+", "a/#", False, True),
        ("a/+/c", "a/b/+", False, True),
        ("+/b", "a/#", False, True),
        ("a/+", "b/+", False, False),
        ("a/+", "a/b/c", False, False),
        ("a/b/c/#", "a/b", False, False),
        ("#", "$SYS/#", False, False),
        ("+/b", "$SYS/b", False, False),
        ("$SYS/#", "$SYS/b", True, True),
    ],
)
def test_filters_cover_and_overlap(one, other, covered, shared):
    assert (covers(one, other), overlap(one, other)) == (covered, shared)


def test_of_filters_the_outermost_are_left_in_their_order():
    assert outermost(["a/b", "c", "a/+", "a/+", "a/#", "d/+"]) == ["c", "a/#", "d/+"]
