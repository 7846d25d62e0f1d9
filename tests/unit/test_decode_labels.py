"""Who a record is about: from the topic or the payload, cleaned, taken apart, and allowed or not."""

import time
import tracemalloc

import pytest

from detector.stream.decode import decoder, labels
from detector.stream.decode.labels import LABEL_CHARS_MAX, entity_reader
from detector.stream.decode.patterns import PROGRAM_MAX, TEXT_CHARS_MAX, pattern_reader
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Drop, Message

ARRIVAL_S = 1_760_000_003.5
SITE_AND_DEVICE = "(?P<site>[a-z]+)-(?P<device>.+)"


def stream(*entity, topic="t/#", payload_format="json", **layout):
    return Definition(
        "x", entity or ("device",), (Signal("temp"),), 10.0, 60, topic, payload_format, Layout(**layout)
    )


def decode(definition, payload, topic="t/any"):
    reader = decoder(definition)
    batch = Batch()
    drop = reader.decode(Message(topic, payload, ARRIVAL_S), reader.template.match(topic), batch)
    return drop or batch.entities


def test_the_topic_comes_before_the_record_and_the_record_before_the_envelope():
    read = entity_reader(stream("device"))
    assert read({"device": "t"}, {"device": "r"}, {"device": "e"}) == ("t",)
    assert read({"device": ""}, {"device": "r"}, {"device": "e"}) == ("r",)
    assert read({}, {"device": ""}, {"device": "e"}) == ("e",)
    assert read({}, {}, None) is Drop.ENTITY_MISSING


# Cleaning


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        (" r1 ", "r1"), ("r1\r\n", "r1"), ("r1\0", "r1"), ("r1 \0\0", "r1"), ("\tr1", "r1"),
        ("\u00a0r1", "r1"), ("\0\u00a0\0r1", "r1"),
        ("a b", "a b"), ("a\tb", "a\ufffdb"), ("a\0b", "a\ufffdb"), ("a\x7f\x85b", "a\ufffd\ufffdb"),
        ("uplink \ud83d", "uplink \ufffd"), ("\ude00\ud83d", "\ufffd\ufffd"),
        ("a\u202eb", "a\ufffdb"), ("a\u2028b", "a\ufffdb"), ("a\u00a0b", "a\u00a0b"), ("é😀", "é😀"),
        (" " * 5000 + "r1", "r1"), ("x" * LABEL_CHARS_MAX + "\n", "x" * LABEL_CHARS_MAX),
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_means_nothing_is_taken_away_and_what_cannot_be_shown_replaced(sent, label):
    assert entity_reader(stream())({}, {"device": sent}, None) == (label,)
    assert entity_reader(stream())({"device": sent}, None, None) == (label,)


@pytest.mark.parametrize("sent", [" ", "\0", "\r\n\0", "\u00a0"])
def test_a_label_of_white_space_alone_is_none(sent):
    assert entity_reader(stream())({}, {"device": sent}, None) is Drop.ENTITY_MISSING


@pytest.mark.parametrize(
    "sent", ["x" * (LABEL_CHARS_MAX + 1), "x" * 1_000_000, "\t" * 1_000 + "x" + "\0" * 300 + "x"]
)
def test_a_label_that_is_too_long_is_refused_and_not_cut(sent):
    assert entity_reader(stream())({}, {"device": sent}, None) is Drop.WRONG_SHAPE


# Allowing


@pytest.mark.parametrize(
    ("device", "allowed"),
    [
        ("r1", True), ("r2", False), ("R1", False), ("r11", False), ("", None), (" r1\n", True),
        ("edge-", True), ("edge-7", True), ("edge", False), ("my-edge-7", False),
        ("7.lab", True), (".lab", True), ("7.lab2", False), (7, True), ("*", False),
    ],
)  # fmt: skip
def test_a_label_is_allowed_by_its_whole_or_by_one_of_its_ends(device, allowed):
    definition = stream(allow=(("device", ("r1", "edge-*", "*.lab", "7")),))
    expected = {True: (str(device).strip(),), False: Drop.LABEL_REFUSED, None: Drop.ENTITY_MISSING}[allowed]
    assert entity_reader(definition)({}, {"device": device}, None) == expected


def test_a_star_alone_allows_everything_and_no_text_nothing():
    assert decode(stream(allow=(("device", ("*",)),)), b'{"device":"a","temp":1}') == [("a",)]
    assert decode(stream(allow=(("device", ()),)), b'{"device":"a","temp":1}') is Drop.LABEL_REFUSED


def test_every_label_has_to_be_allowed_wherever_it_comes_from():
    definition = stream("site", "device", topic="{site}/#", allow=(("device", ("a",)), ("site", ("fra",))))
    for site, device, taken in (("fra", "a", True), ("fra", "b", False), ("muc", "a", False)):
        fate = decode(definition, b'{"device":"%s","temp":1}' % device.encode(), f"{site}/x")
        assert fate == ([(site, device)] if taken else Drop.LABEL_REFUSED)


def test_a_record_that_is_refused_costs_the_others_nothing():
    reader = decoder(stream(allow=(("device", ("a",)),)))
    batch = Batch()
    payload = b'[{"device":"a","temp":1},{"device":"b","temp":2}]'
    assert reader.decode(Message("t/x", payload, ARRIVAL_S), {}, batch) is None
    assert (batch.entities, batch.dropped) == ([("a",)], {Drop.LABEL_REFUSED: 1})


@pytest.mark.parametrize(
    ("allow", "message"),
    [
        ((("host", ("a",)),), "allow: 'host' is no label of the entity"),
        ((("device", ("a*b",)),), r"allow: 'a\*b': a \* stands at one end"),
        ((("device", ("*a*",)),), r"allow: '\*a\*': a \* stands at one end"),
        ((("device", ("**",)),), r"allow: '\*\*': a \* stands at one end"),
    ],
)
def test_what_is_allowed_has_to_make_sense(allow, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        decoder(stream(allow=allow))


# Patterns


@pytest.mark.parametrize(
    ("host", "fate"),
    [
        ("fra-core-1", [("fra", "core-1")]), (" fra-core-1\0", [("fra", "core-1")]),
        ("fra-\ud83d", [("fra", "\ufffd")]), ("fra", Drop.ENTITY_MISSING), ("FRA-1", Drop.ENTITY_MISSING),
        ("fra-" + "x" * LABEL_CHARS_MAX, Drop.ENTITY_MISSING), ("", Drop.ENTITY_MISSING),
        (None, Drop.ENTITY_MISSING), ({}, Drop.ENTITY_MISSING),
    ],
)  # fmt: skip
def test_named_groups_of_a_field_are_labels(host, fate):
    read = entity_reader(stream("site", "device", patterns=(("host", SITE_AND_DEVICE),)))
    assert read({}, {"host": host}, None) == (fate if isinstance(fate, Drop) else fate[0])


def test_a_pattern_looks_where_a_label_would_be_found():
    read = entity_reader(stream("site", "device", patterns=(("a.host", SITE_AND_DEVICE),)))
    assert read({}, {"a": {"host": "fra-1"}}, None) == ("fra", "1")
    assert read({}, {}, {"a.host": "fra-2"}) == ("fra", "2")
    of_a_label = stream("site", "device", labels=(("host", "a.h"),), patterns=(("host", SITE_AND_DEVICE),))
    assert entity_reader(of_a_label)({}, {"a": {"h": "fra-3"}}, None) == ("fra", "3")
    assert entity_reader(of_a_label)({"host": "muc-4"}, {"a": {"h": "fra-3"}}, None) == ("muc", "4")


def test_a_group_goes_before_what_the_label_would_be_and_no_match_leaves_it():
    read = entity_reader(stream(patterns=(("device", r"(?P<device>[^.]+)\..+"),)))
    assert read({"device": "r1.example.net"}, None, None) == ("r1",)
    assert read({}, {"device": "r1.example.net"}, None) == ("r1",)
    assert read({"device": "r1"}, None, None) == ("r1",)


def test_an_empty_group_is_no_label():
    patterns = (("host", "(?P<device>.*)-(x|(?P<site>y))"),)
    read = entity_reader(stream("site", "device", patterns=patterns, labels=(("device", "id"),)))
    assert read({}, {"host": "-x", "id": 7, "site": "s"}, None) == ("s", "7")
    assert read({}, {"host": "d-y", "id": 7, "site": "s"}, None) == ("y", "d")


def test_the_topic_has_groups_too_and_they_go_before_its_levels():
    definition = stream(
        "site", "device", topic="t/{device}/#", patterns=(("topic", r"t/(?P<site>\w+)_(?P<device>\w+)/.*"),)
    )
    assert decode(definition, b'{"temp":1}', "t/fra_r1/x") == [("fra", "r1")]
    assert decode(definition, b'{"temp":1,"site":"muc"}', "t/r1/x") == [("muc", "r1")]
    assert decode(definition, b'{"temp":1}', "t/r1/x") is Drop.ENTITY_MISSING
    assert decoder(definition).template.labels == ("device", "site")


@pytest.mark.parametrize("topic", ["t/\udc80", "t/\0", "t/" + "x" * 65_000])
def test_any_topic_can_be_looked_into(topic):
    assert decode(stream(patterns=(("topic", "t/(?P<device>.)"),)), b'{"temp":1}', topic) in (
        [("\ufffd",)],
        Drop.ENTITY_MISSING,
    )


def test_a_text_that_is_too_long_is_not_looked_into():
    definition = stream(patterns=(("topic", "t/(?P<device>r1).*"),))
    longest = "t/r1" + "x" * (TEXT_CHARS_MAX - 4)
    assert decode(definition, b'{"temp":1}', longest) == [("r1",)]
    assert decode(definition, b'{"temp":1}', longest + "x") is Drop.ENTITY_MISSING


def test_a_pattern_of_the_topic_can_name_the_signal():
    definition = stream(
        topic="t/+", payload_format="value", patterns=(("topic", "t/(?P<device>.+)_(?P<signal>.+)"),)
    )
    assert decode(definition, b"1", "t/r1_temp") == [("r1",)]
    assert decode(definition, b"1", "t/r1_hum") is Drop.NO_SIGNAL
    assert decode(definition, b"1", "t/r1") is Drop.NO_SIGNAL


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(?P<device>.*", r"missing \): \(\?P<device>\.\*"),
        (r"(?P<device>.)\1", r"invalid escape sequence: \\1"),
        ("(?=a)(?P<device>.)", r"invalid perl operator: \(\?="),
        ("(.*)", r"no named group, as in \(\?P<device>\.\+\)"),
        ("(?P<site>.*)", "'site' is no label of the entity"),
        ("(?P<device>.{1000})", f"more than {PROGRAM_MAX} instructions"),
        ("(?P<device>\ud800)", ".*surrogates not allowed"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused_with_the_reason(expression, message):
    for source in ("host", "topic"):
        with pytest.raises(ValueError, match=f"^pattern .*: {message}$"):
            decoder(stream(patterns=((source, expression),)))


@pytest.mark.parametrize(
    "expression",
    ["(?P<device>(x+x+)+y)", "(?P<device>(.*)*)z", "(?P<device>(a?){60}a{60})", "(?P<device>(.*.*.*){30})!"],
)
def test_no_pattern_stalls(expression):
    read = pattern_reader(expression)
    for text in ("x" * TEXT_CHARS_MAX, "a" * TEXT_CHARS_MAX, "é" * 200 + "a" * 800):
        start_s = time.perf_counter()
        read(text)
        assert time.perf_counter() - start_s < 0.5  # `re` would take longer than the universe has had


def test_a_pattern_remembers_no_more_texts_than_its_limit(monkeypatch):
    monkeypatch.setattr(labels, "TEXTS_MAX", 100)
    tracemalloc.start()
    read = entity_reader(stream(patterns=(("host", "(?P<device>.+)"),)))
    held_bytes = []
    for index in range(2000):
        assert read({}, {"host": f"r{index}"}, None) == (f"r{index}",)
        if index in (1, 100, 1999):
            held_bytes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    first, full, last = held_bytes
    assert full - first > 10_000
    assert last - full < 5_000
