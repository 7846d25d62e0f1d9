"""Whatever arrives: records with samples, or exactly one drop; never an exception."""

import contextlib
import json
import math
import random
import unicodedata

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.stream.decode import FORMATS, decoder
from detector.stream.decode.documents import NESTING_MAX, parse_document
from detector.stream.decode.labels import label_text
from detector.stream.decode.numbers import number_of
from detector.stream.decode.paths import find, parse_path
from detector.stream.decode.times import TIME_MAX_S, parse_time
from detector.stream.decode.topic import Template
from detector.stream.decode.views import document_of, names_of
from detector.stream.nouns import Batch, Drop, Message
from tests.benchmark.fuzz_decode import ARRIVAL_S, CASES, FLAT, SENML, check, mutate

READERS = [(decoder(definition), topic, seeds) for definition, topic, seeds in CASES]
READ_BY_NAME = pytest.mark.parametrize(
    ("reader", "topic", "seeds"), READERS, ids=[definition.name for definition, *_ in CASES]
)

# Keys that the streams look for, so that what is generated gets past the first look-up.
KEYS = st.sampled_from(
    (
        "device", "port", "id", "sys.name", "sys", "name", "data", "ports", "data.ports", "ts", "time",
        "timestamp", "temp", "hum", "counters", "rx", "bytes", "rx.bytes", "tx", "lanes", "lanes.1",
        "1", "link", "metrics", "fields", "tags", "host", "cpu", "usage_idle", "usage_user",
        "tags", "values", "updates", "update", "deletes", "Path", "path", "elem", "val", "key", "prefix",
        "bn", "bt", "bv", "bver", "n", "u", "v", "vs", "t", "s", "Cel", "open", "energy",
    )
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=8)
    | st.sampled_from([1_760_000_000, "2025-10-09T08:53:20Z", "r1", "fra-r1", "up", "7", 10**400])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)


def test_every_format_is_tried():
    assert {definition.format for definition, *_ in CASES} == set(FORMATS)


@READ_BY_NAME
@given(payload=st.binary(max_size=200))
def test_any_bytes_give_records_or_one_drop(reader, topic, seeds, payload):
    check(reader, topic, payload)


@READ_BY_NAME
@given(document=DOCUMENTS)
def test_any_json_gives_records_or_one_drop(reader, topic, seeds, document):
    check(reader, topic, json.dumps(document).encode())


@given(pack=st.lists(st.dictionaries(st.integers(-8, 10) | KEYS, LEAVES | DOCUMENTS, max_size=9), max_size=4))
def test_any_pack_in_cbor_gives_records_or_one_drop(pack):
    with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate, which no CBOR can hold
        check(decoder(SENML), "senml/any", cbor2.dumps(pack))


@READ_BY_NAME
@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_any_damage_to_a_payload_gives_records_or_one_drop(reader, topic, seeds, seed):
    rng = random.Random(seed)
    check(reader, topic, mutate(rng.choice(seeds), rng))


@pytest.mark.parametrize(
    ("definition", "topic", "seeds"), CASES, ids=[definition.name for definition, *_ in CASES]
)
@given(seed=st.integers(0, 2**32), payload=st.none() | st.binary(max_size=200))
def test_any_payload_can_be_shown(definition, topic, seeds, seed, payload):
    rng = random.Random(seed)
    payload = mutate(rng.choice(seeds), rng) if payload is None else payload
    document_of(definition, payload)
    names_of(definition.format, Message(topic, payload, ARRIVAL_S))


@READ_BY_NAME
def test_the_payloads_that_are_damaged_are_whole_before(reader, topic, seeds):
    assert [check(reader, topic, payload) for payload in seeds] == [None] * len(seeds)


@given(
    st.dictionaries(st.sampled_from(["temp", "hum"]), st.floats() | st.integers() | st.booleans(), min_size=1)
)
def test_every_number_is_a_sample_or_is_counted(values):
    reader = decoder(FLAT)
    batch = Batch()
    payload = json.dumps({"device": "a", **values}).encode()
    drop = reader.decode(Message("t/any", payload, ARRIVAL_S), {}, batch)
    assert len(batch.value) + batch.dropped[Drop.NOT_FINITE] == len(values)
    assert (drop is None) == bool(batch.value)
    for signal, value in zip(batch.signal, batch.value, strict=True):
        assert float(value) == float(values[("temp", "hum")[signal]])


@given(st.integers(1, 4 * 10**9), st.sampled_from([("ms", 10**3), ("us", 10**6), ("ns", 10**9)]))
def test_whole_seconds_are_exact_in_every_unit(time_s, unit):
    name, per_second = unit
    assert parse_time(time_s * per_second, name) == time_s
    assert parse_time(str(time_s * per_second), name) == time_s


@given(st.datetimes(timezones=st.timezones()))
def test_every_datetime_after_the_epoch_reads_back(moment):
    read_s = parse_time(moment.isoformat())
    assert read_s == (moment.timestamp() if 0 < moment.timestamp() < TIME_MAX_S else None)


@given(
    DOCUMENTS, st.lists(KEYS | st.sampled_from(["[device=r1]", "[0", "a[x=][1=7]"]), min_size=1, max_size=5)
)
def test_any_path_into_any_document_finds_something_or_none(document, parts):
    find(document, parse_path(".".join(parts)))


BRACKETS = st.recursive(
    st.text('[]{}"\\a', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=4), inner, max_size=3)
    ),
    max_leaves=15,
)


@given(BRACKETS, st.integers(0, NESTING_MAX + 2))
def test_the_levels_of_a_document_are_counted_whatever_is_in_its_texts(document, around):
    for _ in range(around):
        document = [document, "}]"]
    refused = parse_document(json.dumps([document, "[" * NESTING_MAX]).encode()) is Drop.NESTED_TOO_DEEP
    assert refused == (depth([document]) > NESTING_MAX)


def depth(document):
    if not isinstance(document, (dict, list)):
        return 0
    inner = document.values() if isinstance(document, dict) else document
    return 1 + max(map(depth, inner), default=0)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_is_a_clean_label_or_none(text):
    label = label_text(text)
    assert label in (Drop.WRONG_SHAPE, Drop.ENTITY_MISSING) or label_text(label) == label
    assert label.encode()
    assert label == label.strip()
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in label)


@given(st.text(st.characters(exclude_categories=[])), st.lists(st.sampled_from(["up", "Up", "7", "é"])))
def test_any_text_is_a_word_a_finite_number_or_counted(text, words):
    number = number_of(text, dict.fromkeys(words, 0.5))
    assert number in (Drop.NOT_A_NUMBER, Drop.NOT_FINITE) or math.isfinite(number)
    assert text.strip() not in words or number == 0.5


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**18), 10**18))
def test_every_number_reads_the_same_as_text(number):
    assert number_of(str(number), {}) == float(number)


@given(st.lists(st.sampled_from(["a", "b", "{x}", "{_}", "+"]), min_size=1, max_size=5), st.data())
def test_a_topic_that_fits_the_filter_fits_the_template(levels, data):
    names = iter("vwxyz")
    template = Template("/".join(f"{{{next(names)}}}" if level == "{x}" else level for level in levels))
    words = st.text(st.characters(exclude_characters="/+#\0$", exclude_categories=["Cs"]), max_size=3)
    topic = "/".join(data.draw(words) if level == "+" else level for level in template.filter.split("/"))
    assert set(template.match(topic)) == set(template.labels)
