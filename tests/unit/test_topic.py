"""Topic templates: what they match, what they label, what they subscribe to, what they refuse."""

import pytest

from detector.stream.decode.topic import TOPIC_BYTES_MAX, Template


@pytest.mark.parametrize(
    ("template", "topic", "labels"),
    [
        ("telegraf/{device}/interface", "telegraf/r1/interface", {"device": "r1"}),
        ("telegraf/{device}/interface", "telegraf/r1/cpu", None),
        ("telegraf/{device}/interface", "telegraf/r1", None),
        ("telegraf/{device}/interface", "telegraf/r1/interface/0", None),
        ("telegraf/{device}/interface", "Telegraf/r1/interface", None),
        ("{site}/{_}/{device}", "bern/rack1/r1", {"site": "bern", "device": "r1"}),
        ("{_}/{_}/{device}", "a/b/c", {"device": "c"}),
        ("a/+/{device}", "a/b/r1", {"device": "r1"}),
        ("a/{device}/#", "a/r1", {"device": "r1"}),
        ("a/{device}/#", "a/r1/x/y/z", {"device": "r1"}),
        ("a/{device}/#", "a", None),
        ("#", "anything/at/all", {}),
        ("a//b", "a//b", {}),
        ("a/{device}", "a/", {"device": ""}),
        ("/{device}", "/r1", {"device": "r1"}),
        ("{device}", "r1", {"device": "r1"}),
    ],
)
def test_a_topic_fits_a_template_level_by_level(template, topic, labels):
    assert Template(template).match(topic) == labels


@pytest.mark.parametrize("template", ["#", "+/uptime", "{device}/uptime"])
def test_a_wildcard_at_the_front_leaves_the_brokers_own_topics_out(template):
    assert Template(template).match("$SYS/uptime") is None


def test_the_brokers_own_topics_can_be_named():
    assert Template("$SYS/{what}").match("$SYS/uptime") == {"what": "uptime"}


@pytest.mark.parametrize(
    ("template", "filter_"),
    [
        ("telegraf/{device}/interface", "telegraf/+/interface"),
        ("{_}/+/{device}", "+/+/+"),
        ("a/{device}/#", "a/+/#"),
        ("#", "#"),
        ("plain/topic", "plain/topic"),
        ("/a/", "/a/"),
    ],
)
def test_the_filter_has_a_plus_for_every_level_that_varies(template, filter_):
    assert Template(template).filter == filter_


def test_the_labels_stand_in_the_order_of_the_levels():
    assert Template("{site}/{_}/{device}/+/{port}").labels == ("site", "device", "port")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("", "not empty"),
        ("a\0b", "NUL"),
        ("a/#/b", "'#'"),
        ("a/b#", "'b#'"),
        ("a/b+", "r'b\\+'|'b\\+'"),
        ("a/x{device}", "'x{device}'"),
        ("a/{device", "'{device'"),
        ("a/{}", "'{}'"),
        ("a/{1st}", "'{1st}'"),
        ("a/{if-name}", "'{if-name}'"),
        ("a/{device}\n", "neither literal nor"),
        ("{device}/{device}", "twice"),
        ("$share/group/{device}", "shared subscription"),
        ("a" * (TOPIC_BYTES_MAX + 1), "65535"),
        ("\udc80/{device}", "surrogates not allowed"),
    ],
)
def test_a_malformed_template_is_refused_with_what_is_wrong(template, problem):
    with pytest.raises(ValueError, match=problem):
        Template(template)
