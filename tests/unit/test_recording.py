"""Closed steps become Parquet files that the trainer can read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from detector.edge.recording import Recorder, is_recorded, read_metadata
from detector.stream.definition import Definition, Signal

DEFINITION = Definition(
    name="interfaces",
    entity=("device", "interface"),
    signals=(Signal("octets", "counter"), Signal("state")),
    step_s=10.0,
    window_steps=6,
)
NEW_YEAR_S = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC


def steps(time_s, rows=2):
    """Return the arguments of `add`: row `n` has octets `n`, and its state was seen where `n` is even."""
    value = np.stack([np.arange(rows), np.full(rows, 7)], axis=1).astype(np.float32)
    seen = np.stack([np.ones(rows, bool), np.arange(rows) % 2 == 0], axis=1)
    entities = [("leaf1", f"eth{n}") for n in range(rows)]
    return np.full(rows, time_s), entities, value, seen


def recorder(directory, rows_max=100, flush_s=60.0, monotonic=lambda: 0.0, definition=DEFINITION):
    return Recorder(directory, definition, rows_max, flush_s, monotonic)


def files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_a_recording_is_a_dataset_with_null_where_nothing_was_seen(tmp_path):
    recording = recorder(tmp_path)
    recording.add(*steps(NEW_YEAR_S + 10))
    recording.add(*steps(NEW_YEAR_S + 20))
    table = parquet.read_table(recording.close())
    assert table.schema.names == ["time", "device", "interface", "octets", "state"]
    assert table.schema.types == [pa.float64(), pa.string(), pa.string(), pa.float32(), pa.float32()]
    assert table["time"].to_pylist() == [NEW_YEAR_S + 10] * 2 + [NEW_YEAR_S + 20] * 2
    assert table["interface"].to_pylist() == ["eth0", "eth1", "eth0", "eth1"]
    assert table["octets"].to_pylist() == [0.0, 1.0, 0.0, 1.0]
    assert table["state"].to_pylist() == [7.0, None, 7.0, None]


def test_a_file_is_named_by_stream_date_and_time_of_its_first_step(tmp_path):
    recording = recorder(tmp_path)
    recording.add(*steps(NEW_YEAR_S - 10))
    recording.add(*steps(NEW_YEAR_S + 10))
    assert recording.close() == tmp_path / "interfaces" / "2025-12-31" / "235950-0.parquet"


def test_the_same_time_again_never_overwrites_a_file(tmp_path):
    for _ in range(3):
        recording = recorder(tmp_path)
        recording.add(*steps(NEW_YEAR_S))
        recording.close()
    assert [path.name for path in files(tmp_path)] == [f"000000-{n}.parquet" for n in range(3)]


def test_the_metadata_says_that_counters_have_become_rates(tmp_path):
    recording = recorder(tmp_path)
    recording.add(*steps(NEW_YEAR_S))
    assert read_metadata(recording.close()) == {
        "format": 1,
        "stream": "interfaces",
        "kinds": "rates",
        "step_s": 10.0,
        "signals": ["octets", "state"],
    }


def test_a_folder_with_a_recording_in_it_holds_rates(tmp_path):
    recorder(tmp_path / "recordings", rows_max=1).add(*steps(NEW_YEAR_S))
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


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(ValueError, match=r"[Pp]arquet"):
        read_metadata(tmp_path / "torn.parquet")


def test_a_file_is_written_when_rows_max_is_reached(tmp_path):
    recording = recorder(tmp_path, rows_max=4)
    assert recording.add(*steps(NEW_YEAR_S)) is None
    assert files(tmp_path) == []
    assert recording.add(*steps(NEW_YEAR_S + 10)) == files(tmp_path)[0]
    assert parquet.read_metadata(files(tmp_path)[0]).num_rows == 4
    assert recording.close() is None


def test_a_file_is_written_when_flush_s_has_passed_even_if_no_row_comes(tmp_path):
    now_s = 100.0
    recording = recorder(tmp_path, flush_s=60.0, monotonic=lambda: now_s)
    assert recording.add(*steps(NEW_YEAR_S)) is None
    now_s = 159.0
    assert recording.add(*steps(NEW_YEAR_S, rows=0)) is None
    now_s = 160.0
    assert recording.add(*steps(NEW_YEAR_S, rows=0)) is not None
    now_s = 1000.0
    assert recording.add(*steps(NEW_YEAR_S, rows=0)) is None
    assert recording.add(*steps(NEW_YEAR_S)) is None


def test_a_recorder_without_rows_writes_nothing(tmp_path):
    recording = recorder(tmp_path)
    recording.add(*steps(NEW_YEAR_S, rows=0))
    assert recording.close() is None
    assert files(tmp_path) == []


def test_it_counts_rows_and_whose_they_are_once_they_are_written(tmp_path):
    recording = recorder(tmp_path)
    recording.add(*steps(NEW_YEAR_S))
    recording.add(*steps(NEW_YEAR_S + 10, rows=3))
    assert (recording.rows_total, recording.entities_total) == (0, 0)
    recording.close()
    assert (recording.rows_total, recording.entities_total) == (5, 3)


def test_it_counts_no_more_entities_than_may_live_at_once(tmp_path):
    recording = recorder(tmp_path, rows_max=1, definition=replace(DEFINITION, entities_max=3))
    for rows in (2, 20, 50):
        recording.add(*steps(NEW_YEAR_S, rows))
    assert recording.entities_total == 3
    assert len(recording._entities) == 20, "what comes after is not kept"


@pytest.mark.parametrize("inside", ["", "deeper/and/deeper"])
def test_a_probe_makes_the_directory_and_leaves_nothing_in_it(tmp_path, inside):
    recorder(tmp_path / inside).probe()
    assert (tmp_path / inside / "interfaces").is_dir()
    assert files(tmp_path) == []


def test_a_probe_finds_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        recorder(tmp_path / "file" / "x").probe()


def test_two_columns_of_one_name_are_refused(tmp_path):
    twice = Definition("s", ("device", "state"), (Signal("state"),), 10.0, 6)
    with pytest.raises(ValueError, match="a column stands twice in time, device, state, state"):
        recorder(tmp_path, definition=twice)


def test_a_directory_that_cannot_be_written_loses_its_rows_and_not_the_next(tmp_path):
    recording = recorder(tmp_path)
    (tmp_path / "interfaces").touch()
    recording.add(*steps(NEW_YEAR_S))
    with pytest.raises(OSError, match="interfaces"):
        recording.close()
    (tmp_path / "interfaces").unlink()
    recording.add(*steps(NEW_YEAR_S + 10))
    table = parquet.read_table(recording.close())
    assert set(table["time"].to_pylist()) == {NEW_YEAR_S + 10}


def test_a_write_that_fails_leaves_no_file_behind(tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError("No space left on device")

    recording = recorder(tmp_path)
    recording.add(*steps(NEW_YEAR_S))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        recording.close()
    assert files(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = ["tests/unit", "."]
from test_recording import NEW_YEAR_S, recorder, steps
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # all bytes are written, the name is not given
recording = recorder(Path(sys.argv[1]))
recording.add(*steps(NEW_YEAR_S))
recording.close()
"""


def test_a_kill_while_writing_leaves_no_file_under_a_final_name(tmp_path, request):
    root = request.config.rootpath
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(files(tmp_path)) == 1
    assert list(tmp_path.rglob("*.parquet")) == []
