"""What a recording says of itself and of its rows."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from detector.edge.recording import Step, is_recorded, read_entities, read_metadata, read_span, to_table
from detector.stream.definition import Definition, Signal

DEFINITION = Definition(
    name="interfaces",
    entity=("device", "interface"),
    signals=(
        Signal("octets", "counter", 32, rate_max=1.25e9, field="ifInOctets"),
        Signal("state", aggregate="max", words=(("up", 1.0),)),
    ),
    step_s=10.0,
    window_steps=6,
    refresh_s=15.0,
)
NEW_YEAR_S = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC


def step(time_s, rows=2):
    """Return a step: row `n` has octets `n`, and its state was seen where `n` is even."""
    value = np.stack([np.arange(rows), np.full(rows, 7)], axis=1).astype(np.float32)
    seen = np.stack([np.ones(rows, bool), np.arange(rows) % 2 == 0], axis=1)
    return Step(time_s, [("leaf1", f"eth{n}") for n in range(rows)], value, seen)


def recorded(path, *steps):
    parquet.write_table(to_table(DEFINITION, steps), path)
    return path


def test_a_recording_is_a_dataset_with_null_where_nothing_was_seen():
    table = to_table(DEFINITION, [step(NEW_YEAR_S + 10), step(NEW_YEAR_S + 20)])
    assert table.schema.names == ["time", "device", "interface", "octets", "state"]
    assert table.schema.types == [pa.float64(), pa.string(), pa.string(), pa.float32(), pa.float32()]
    assert table["time"].to_pylist() == [NEW_YEAR_S + 10] * 2 + [NEW_YEAR_S + 20] * 2
    assert table["interface"].to_pylist() == ["eth0", "eth1", "eth0", "eth1"]
    assert table["octets"].to_pylist() == [0.0, 1.0, 0.0, 1.0]
    assert table["state"].to_pylist() == [7.0, None, 7.0, None]


def test_a_step_without_some_entities_keeps_the_rows_of_the_others():
    rest = step(NEW_YEAR_S, rows=3).without({("leaf1", "eth1"), ("leaf9", "eth0")})
    assert list(rest.entities) == [("leaf1", "eth0"), ("leaf1", "eth2")]
    assert rest.value.tolist() == [[0, 7], [2, 7]]
    assert rest.seen.tolist() == [[True, True], [True, True]]


def test_the_metadata_says_that_counters_have_become_rates_and_which_signals_were_counters(tmp_path):
    assert read_metadata(recorded(tmp_path / "a.parquet", step(NEW_YEAR_S))) == {
        "format": 1,
        "stream": "interfaces",
        "kinds": "rates",
        "step_s": 10.0,
        "window_steps": 6,
        "refresh_s": 15.0,
        "signals": ["octets", "state"],
        "definitions": {
            "octets": {"kind": "counter", "bits": 32, "rate_max": 1.25e9},
            "state": {"aggregate": "max", "words": {"up": 1.0}},
        },
    }


def test_a_folder_with_a_recording_in_it_holds_rates(tmp_path):
    (tmp_path / "recordings").mkdir()
    recorded(tmp_path / "recordings" / "a.parquet", step(NEW_YEAR_S))
    parquet.write_table(pa.table({"time": [10.0]}), tmp_path / "raw.parquet")
    assert is_recorded([tmp_path / "raw.parquet", tmp_path / "recordings"])
    assert not is_recorded([tmp_path / "raw.parquet"])


def test_a_dataset_that_is_no_recording_has_no_metadata(tmp_path):
    parquet.write_table(pa.table({"time": [1.0]}), tmp_path / "other.parquet")
    assert read_metadata(tmp_path / "other.parquet") is None


@pytest.mark.parametrize("text", [b'{"format": 2}', b"[1]", b"no json", b"\xff"])
def test_a_recording_of_another_format_is_refused(tmp_path, text):
    table = pa.table({"time": [1.0]}).replace_schema_metadata({b"detector": text})
    parquet.write_table(table, tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="not a recording of format 1"):
        read_metadata(tmp_path / "other.parquet")


@pytest.mark.parametrize("read", [read_metadata, read_span, lambda path: read_entities(path, ["device"])])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, read):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(ValueError, match=r"[Pp]arquet"):
        read(tmp_path / "torn.parquet")


def test_the_span_is_that_of_all_rows_whatever_their_order(tmp_path):
    path = tmp_path / "a.parquet"
    table = to_table(DEFINITION, [step(NEW_YEAR_S + at_s) for at_s in (20, 40, 10, 30)])
    parquet.write_table(table, path, row_group_size=3)
    assert read_span(path) == (NEW_YEAR_S + 10, NEW_YEAR_S + 40)


@pytest.mark.parametrize("columns", [{"device": ["a"]}, {"time": pa.array([], pa.float64())}])
def test_a_file_without_times_has_no_span(tmp_path, columns):
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="time"):
        read_span(tmp_path / "a.parquet")


def test_the_entities_of_a_recording_are_told_by_time(tmp_path):
    path = recorded(tmp_path / "a.parquet", step(NEW_YEAR_S, rows=2), step(NEW_YEAR_S + 10, rows=1))
    labels = DEFINITION.entity
    assert read_entities(path, labels) == {
        NEW_YEAR_S: {("leaf1", "eth0"), ("leaf1", "eth1")},
        NEW_YEAR_S + 10: {("leaf1", "eth0")},
    }
    assert read_entities(path, ["device", "peer"]) == {}
