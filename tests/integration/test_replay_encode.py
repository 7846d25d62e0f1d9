"""What a dataset's rows look like as messages, and which datasets cannot be messages at all."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

from detector.edge.datasets import read_parts
from detector.edge.replay import encode, fill, messages
from detector.stream.decode.json_records import json_decode
from detector.stream.decode.telegraf_json import telegraf_decode
from detector.stream.decode.topic import Template
from detector.stream.decode.value import value_decode
from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Batch, Message

LABELS = {"device": "leaf1", "interface": "eth 0"}
FIELDS = {"octets": 2**53, "loss.rate": 0.25, "state": None, "load": float("nan")}
DECODERS = {"json": json_decode, "telegraf-json": telegraf_decode, "value": value_decode}


def read_all(paths):
    return pa.concat_tables(read_parts(paths), promote_options="permissive")


def write(table, path):
    parquet.write_table(pa.table(table), path)
    return [path]


@pytest.mark.parametrize(
    ("payload_format", "topic", "time_s"),
    [
        ("telegraf-json", "telegraf/{device}/{_}/interfaces", 1_700_000_000.25),
        ("json", "net/{device}/+", 1_700_000_000.25),
        ("json", "net/#", 1_700_000_000.25),
        ("value", "net/{device}/{interface}/{signal}", 7.0),  # the time of arrival
    ],
)
def test_the_decoder_of_a_format_reads_back_what_was_encoded(payload_format, topic, time_s):
    signals = tuple(Signal(name) for name in FIELDS)
    definition = Definition("interfaces", ("device", "interface"), signals, 10.0, 6, topic, payload_format)
    decode = DECODERS[payload_format](definition)
    batch = Batch()
    for name, payload in encode(payload_format, "interfaces", LABELS, FIELDS, 1_700_000_000.25, topic):
        labels = Template(topic).match(name)
        assert labels is not None
        assert decode(Message(name, payload, 7.0), labels, batch) is None
    assert set(batch.entities) == {("leaf1", "eth 0")}
    assert set(batch.times_s) == {time_s}
    assert dict(zip(batch.signal, batch.value, strict=True)) == {0: 2.0**53, 1: 0.25}
    assert not batch.dropped


@pytest.mark.parametrize("payload_format", ["telegraf-json", "json", "value"])
def test_a_row_in_which_nothing_was_seen_is_no_message(payload_format):
    assert encode(payload_format, "s", LABELS, {"octets": None}, 1.0, "net/{device}/{signal}") == []


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="cannot write format 'xml'"):
        encode("xml", "s", LABELS, FIELDS, 1.0, "net")


def test_format_json_refuses_one_name_for_two_things():
    with pytest.raises(ValueError, match="one name for two things"):
        encode("json", "s", {"device": "a"}, {"device": 1.0}, 1.0, "net")


@pytest.mark.parametrize("value", ["Gi0/1", "a+b", "a#b", "a\0b", ""])
def test_a_label_that_cannot_be_a_topic_level_is_refused(value):
    with pytest.raises(ValueError, match=r"interface .* cannot be a level of a topic"):
        fill("net/{interface}", {"interface": value})


def test_a_label_that_is_absent_or_a_broken_template_is_refused():
    with pytest.raises(ValueError, match="device '' cannot be a level"):
        fill("net/{device}", {})
    with pytest.raises(ValueError, match="neither literal nor"):
        fill("net/{device", {"device": "a"})


def test_datasets_of_a_folder_are_merged_in_time_order(tmp_path):
    write({"time": [3, 1], "device": ["a", "b"], "octets": [1, 2]}, tmp_path / "b.parquet")
    (tmp_path / "a.csv").write_text("time,device,load\n2.5,c,0.5\n")
    (tmp_path / "labels.txt").write_text("not data")
    table = read_all([tmp_path])
    assert table["time"].to_pylist() == [1.0, 2.5, 3.0]
    published = list(messages(table, "net/{device}", "json", "s"))
    assert [topic for _, topic, _ in published] == ["net/b", "net/c", "net/a"]
    assert published[1][2] == b'{"timestamp":2.5,"device":"c","load":0.5}'


def test_rows_of_one_time_keep_their_order(tmp_path):
    count = 20_000
    paths = write({"time": [1.0] * count, "octets": list(range(count))}, tmp_path / "a.parquet")
    assert read_all(paths)["octets"].to_pylist() == list(range(count))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Rome"])
def test_timestamps_are_utc_seconds(tmp_path, unit, zone):
    moment = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
    column = pa.array([moment], pa.timestamp(unit, zone or "UTC")).cast(pa.timestamp(unit, zone))
    assert read_all(write({"time": column}, tmp_path / "a.parquet"))["time"].to_pylist() == [
        moment.timestamp()
    ]


def test_only_files_that_overlap_in_time_are_in_memory_together(tmp_path):
    for name, times_s in {"c": [1, 2], "a": [5, 9], "e": [7, 8], "b": [9, 10], "d": [11], "f": []}.items():
        write({"time": pa.array(times_s, pa.float64()), name: times_s}, tmp_path / f"{name}.parquet")
    parts = list(read_parts([tmp_path]))
    assert [part["time"].to_pylist() for part in parts] == [[1, 2], [5, 7, 8, 9, 9, 10], [11]]
    assert [part.column_names[1:] for part in parts] == [["c"], ["a", "e", "b"], ["d"]]


def test_entity_columns_may_be_numbers_when_they_are_named(tmp_path):
    table = read_all(write({"time": [1.0], "asn": [65001], "x": [2.0]}, tmp_path / "a.parquet"))
    assert [topic for _, topic, _ in messages(table, "bgp/{asn}", "json", "s", ["asn"])] == ["bgp/65001"]
    with pytest.raises(ValueError, match="no column peer"):
        list(messages(table, "bgp", "json", "s", ["peer"]))


def test_a_column_that_is_neither_text_nor_number_is_refused(tmp_path):
    table = read_all(write({"time": [1.0], "x": [[1.0]]}, tmp_path / "a.parquet"))
    with pytest.raises(ValueError, match=r"column x is list<.*>, neither text nor a number"):
        list(messages(table, "net", "json", "s"))


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"x": [1.0]}, "time"),
        ({"time": ["soon"]}, "column time is string"),
        ({"time": [1.0, None]}, "cells without a time"),
        ({"time": [1.0, float("nan")]}, "cells without a time"),
    ],
)
def test_a_dataset_without_usable_times_is_refused_with_the_name_of_the_file(tmp_path, table, problem):
    with pytest.raises(ValueError, match=rf"a\.parquet: .*{problem}"):
        read_all(write(table, tmp_path / "a.parquet"))


def test_what_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"torn\.parquet"):
        read_all([tmp_path])
    (tmp_path / "torn.parquet").unlink()
    with pytest.raises(ValueError, match=r"no \.parquet or \.csv in"):
        read_all([tmp_path])
    with pytest.raises(FileNotFoundError):
        read_all([tmp_path / "missing.parquet"])
