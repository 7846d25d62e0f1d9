"""By which labels entities are grouped."""

import pytest

from detector.stream.levels import group_labels, levels, levels_of, reader
from tests.support.streams import definition

PORTS = ("site", "device", "port")


def stream(*entity, **changed):
    return definition(entity=entity, **changed)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, (("site",), ("site", "device"))),
        ({"groups": ()}, ()),
        ({"groups": (("device",),)}, (("device",),)),
        (
            {"group_patterns": (("device", "(?P<role>[a-z]+).*"),)},
            (("role",), ("site",), ("site", "device")),
        ),
    ],
)
def test_a_stream_brings_in_what_it_names_or_its_prefixes_and_what_its_patterns_find(changed, found):
    assert levels_of(stream(*PORTS, **changed)) == found


def test_a_level_counts_once_in_whatever_order_its_labels_stand():
    both = [stream(*PORTS), stream("device", "site", "peer"), stream("device")]
    assert levels(both) == (("site",), ("site", "device"), ("device",))


def test_a_group_is_named_by_the_values_of_its_labels():
    read = reader(stream(*PORTS), ("device", "site"))
    assert read(("fra", "leaf1", "p1")) == ("leaf1", "fra")


def test_a_stream_without_the_labels_of_a_level_takes_no_part_in_it():
    assert reader(stream("peer"), ("device",)) is None


def test_a_pattern_finds_a_label_in_a_label():
    one = stream("device", group_patterns=(("device", "(?P<site>[a-z]+)-(?P<rack>[0-9]+)-.*"),))
    assert set(group_labels(one)) == {"device", "site", "rack"}
    assert reader(one, ("site",))(("fra-12-leaf1",)) == ("fra",)
    assert reader(one, ("device", "rack"))(("fra-12-leaf1",)) == ("fra-12-leaf1", "12")


def test_whom_a_pattern_does_not_fit_is_in_no_group_of_its_labels():
    one = stream("device", group_patterns=(("device", "(?P<site>[a-z]+)-.*"),))
    assert reader(one, ("site",))(("leaf1",)) is None
    assert reader(one, ("device",))(("leaf1",)) == ("leaf1",)
