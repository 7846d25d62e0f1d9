"""Closed steps become files that the trainer can read, each row once, whatever happens meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from pyarrow import parquet

from detector.edge.recorder import Recorder
from detector.stream.definition import Definition, Signal

DEFINITION = Definition(
    name="interfaces",
    entity=("device", "interface"),
    signals=(Signal("octets", "counter"), Signal("state")),
    step_s=10.0,
    window_steps=6,
)
NEW_YEAR_S = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC


def step(time_s, rows=2, octets=0.0):
    """Return the arguments of `add`."""
    value = np.full((rows, 2), octets, np.float32)
    return time_s, [("leaf1", f"eth{n}") for n in range(rows)], value, np.ones((rows, 2), bool)


def recorder(directory, rows_max=100, flush_s=60.0, monotonic=lambda: 0.0, definition=DEFINITION):
    return Recorder(directory, definition, rows_max, flush_s, monotonic)


def record(directory, *steps):
    """Record steps in one life; return the recorder."""
    recording = recorder(directory)
    for one in steps:
        recording.add(*one)
    recording.flush(everything=True)
    return recording


def files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


def rows(directory):
    """Return all rows on the disk as (seconds since new year, interface, octets), sorted."""
    table = parquet.read_table(directory / "interfaces")
    columns = (table[name].to_pylist() for name in ("time", "interface", "octets"))
    return sorted((time_s - NEW_YEAR_S, *rest) for time_s, *rest in zip(*columns, strict=True))


# When and where


def test_a_file_is_named_by_stream_date_and_time_of_its_first_step(tmp_path):
    record(tmp_path, step(NEW_YEAR_S + 10), step(NEW_YEAR_S + 20))
    assert files(tmp_path) == [tmp_path / "interfaces" / "2026-01-01" / "000010-0.parquet"]


def test_each_day_has_its_own_file(tmp_path):
    record(tmp_path, *(step(NEW_YEAR_S + at_s) for at_s in (-20, -10, 0, 10)))
    assert files(tmp_path / "interfaces") == [
        tmp_path / "interfaces" / "2025-12-31" / "235940-0.parquet",
        tmp_path / "interfaces" / "2026-01-01" / "000000-0.parquet",
    ]
    assert [row[0] for row in rows(tmp_path)] == [-20, -20, -10, -10, 0, 0, 10, 10]


def test_a_file_is_written_when_rows_max_is_reached(tmp_path):
    recording = recorder(tmp_path, rows_max=4)
    recording.add(*step(NEW_YEAR_S))
    assert recording.flush() == []
    assert files(tmp_path) == []
    recording.add(*step(NEW_YEAR_S + 10))
    assert recording.flush() == files(tmp_path)
    assert len(rows(tmp_path)) == 4
    assert recording.flush(everything=True) == []


def test_a_file_is_written_when_flush_s_has_passed_even_if_no_step_comes(tmp_path):
    now_s = 100.0
    recording = recorder(tmp_path, flush_s=60.0, monotonic=lambda: now_s)
    recording.add(*step(NEW_YEAR_S))
    now_s = 159.0
    assert recording.flush() == []
    now_s = 160.0
    assert len(recording.flush()) == 1
    now_s = 1000.0
    recording.add(*step(NEW_YEAR_S + 10))
    assert recording.flush() == []


def test_a_recorder_without_rows_writes_nothing(tmp_path):
    recording = record(tmp_path, step(NEW_YEAR_S, rows=0))
    assert (files(tmp_path), recording.files_total) == ([], 0)


def test_it_counts_what_is_written_once_it_is(tmp_path):
    recording = recorder(tmp_path)
    recording.add(*step(NEW_YEAR_S))
    recording.add(*step(NEW_YEAR_S + 10, rows=3))
    assert (recording.rows_total, recording.entities_total, recording.files_total) == (0, 0, 0)
    [path] = recording.flush(everything=True)
    assert (recording.rows_total, recording.entities_total, recording.files_total) == (5, 3, 1)
    assert recording.bytes_total == path.stat().st_size


def test_it_counts_no_more_entities_than_may_live_at_once(tmp_path):
    recording = recorder(tmp_path, rows_max=1, definition=replace(DEFINITION, entities_max=3))
    for at_s, count in ((0, 2), (10, 20), (20, 50)):
        recording.add(*step(NEW_YEAR_S + at_s, count))
        recording.flush()
    assert recording.entities_total == 3
    assert len(recording._entities) == 20, "what comes after is not kept"


def test_two_columns_of_one_name_are_refused(tmp_path):
    twice = Definition("s", ("device", "state"), (Signal("state"),), 10.0, 6)
    with pytest.raises(ValueError, match="a column stands twice in time, device, state, state"):
        recorder(tmp_path, definition=twice)


# No row twice


def test_a_restart_goes_on_in_the_tree(tmp_path):
    for at_s in (0, 10, 20):
        record(tmp_path, step(NEW_YEAR_S + at_s, rows=1))
    assert [path.name for path in files(tmp_path)] == [f"0000{at:02d}-0.parquet" for at in (0, 10, 20)]


def test_a_step_that_is_there_is_not_written_again_after_a_restart(tmp_path):
    record(tmp_path, *(step(NEW_YEAR_S + at_s, octets=1) for at_s in (0, 10)))
    again = record(tmp_path, *(step(NEW_YEAR_S + at_s, octets=2) for at_s in (0, 10, 20)))
    assert (again.rows_total, again.rows_repeated_total) == (2, 4)
    assert [(at_s, octets) for at_s, _, octets in rows(tmp_path)] == [
        (0, 1),
        (0, 1),
        (10, 1),
        (10, 1),
        (20, 2),
        (20, 2),
    ]


def test_of_a_step_that_is_there_the_other_entities_are_written(tmp_path):
    record(tmp_path, step(NEW_YEAR_S, rows=2, octets=1))
    again = record(tmp_path, step(NEW_YEAR_S, rows=4, octets=2))
    assert again.rows_repeated_total == 2
    assert rows(tmp_path) == [(0, "eth0", 1), (0, "eth1", 1), (0, "eth2", 2), (0, "eth3", 2)]
    assert [path.name for path in files(tmp_path)] == ["000000-0.parquet", "000000-1.parquet"]


def test_a_step_before_the_newest_that_is_not_there_is_written(tmp_path):
    record(tmp_path, *(step(NEW_YEAR_S + at_s) for at_s in (0, 20)))
    again = record(tmp_path, step(NEW_YEAR_S + 10))
    assert (again.rows_total, again.rows_repeated_total) == (2, 0)


def test_a_clock_that_goes_back_writes_no_row_twice_in_one_life_either(tmp_path):
    recording = recorder(tmp_path)
    for at_s in (0, 10, 0):
        recording.add(*step(NEW_YEAR_S + at_s))
    recording.flush(everything=True)
    for at_s in (10, 20):
        recording.add(*step(NEW_YEAR_S + at_s))
    recording.flush(everything=True)
    assert (recording.rows_total, recording.rows_repeated_total) == (6, 4)
    assert len(set(rows(tmp_path))) == len(rows(tmp_path)) == 6


def test_days_come_again_too(tmp_path):
    days = [step(NEW_YEAR_S + 86_400 * day, rows=1) for day in range(5)]
    record(tmp_path, *days)
    again = record(tmp_path, *days)
    assert (again.rows_total, again.rows_repeated_total) == (0, 5)


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path):
    folder = tmp_path / "interfaces" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "000000-0.parquet").write_bytes(b"")
    recording = record(tmp_path, step(NEW_YEAR_S))
    assert recording.rows_total == 2
    assert sorted(path.name for path in folder.iterdir()) == ["000000-0.parquet", "000000-1.parquet"]


def test_what_was_deleted_is_not_there_any_more(tmp_path):
    recording = record(tmp_path, *(step(NEW_YEAR_S + at_s) for at_s in (0, 10)))
    files(tmp_path)[0].unlink()
    recording.add(*step(NEW_YEAR_S))
    recording.flush(everything=True)
    assert (recording.rows_repeated_total, len(rows(tmp_path))) == (0, 2)


def test_a_name_that_was_free_again_is_another_file(tmp_path):
    recording = record(tmp_path, step(NEW_YEAR_S))
    for _ in range(2):
        recording.add(*step(NEW_YEAR_S))  # it is there: its file is read
        files(tmp_path)[0].unlink()
        recording._written._files.clear()
        recording.add(*step(NEW_YEAR_S))
        assert recording.flush(everything=True) == files(tmp_path)
    recording.add(*step(NEW_YEAR_S))
    assert (recording.rows_total, recording.rows_repeated_total) == (6, 6)


# A disk that fails


def test_a_directory_that_cannot_be_written_loses_its_rows_and_not_the_next(tmp_path):
    recording = recorder(tmp_path)
    (tmp_path / "interfaces").touch()
    recording.add(*step(NEW_YEAR_S))
    with pytest.raises(OSError, match="interfaces"):
        recording.flush(everything=True)
    assert (recording.errors_total, recording.rows_lost_total, recording.rows_total) == (1, 2, 0)
    (tmp_path / "interfaces").unlink()
    recording.add(*step(NEW_YEAR_S + 10))
    recording.flush(everything=True)
    assert [at_s for at_s, *_ in rows(tmp_path)] == [10, 10]


def test_a_day_that_cannot_be_written_does_not_take_the_next_with_it(tmp_path):
    (tmp_path / "interfaces").mkdir()
    (tmp_path / "interfaces" / "2025-12-31").touch()
    recording = recorder(tmp_path)
    for at_s in (-10, 0):
        recording.add(*step(NEW_YEAR_S + at_s))
    with pytest.raises(OSError, match="2025-12-31"):
        recording.flush(everything=True)
    assert (recording.rows_lost_total, recording.rows_total) == (2, 2)


FULL = """
import resource, sys
from pathlib import Path
sys.path[:0] = ["tests/unit", "."]
from test_recorder import NEW_YEAR_S, files, recorder, rows, step
here = Path(sys.argv[1])
recording = recorder(here)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a disk that is full in the midst of a file
recording.add(*step(NEW_YEAR_S))
try:
    recording.flush(everything=True)
except OSError as error:
    print(error, files(here), recording.rows_lost_total)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
recording.add(*step(NEW_YEAR_S + 10))
recording.flush(everything=True)
print(recording.rows_total, recording.bytes_total == files(here)[0].stat().st_size, len(rows(here)))
"""


def test_a_disk_that_is_full_in_the_midst_of_a_file_leaves_nothing_of_it(tmp_path, request):
    root = request.config.rootpath
    said = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], cwd=root, text=True, capture_output=True, check=False
    )
    assert said.stdout.splitlines() == ["[Errno 27] File too large [] 2", "2 True 2"], said.stderr


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = ["tests/unit", "."]
from test_recorder import NEW_YEAR_S, record, step
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # all bytes are written, the name is not given
record(Path(sys.argv[1]), step(NEW_YEAR_S))
"""


def test_a_kill_while_writing_leaves_no_file_under_a_final_name(tmp_path, request):
    (tmp_path / "interfaces" / "2026-01-01").mkdir(parents=True)
    root = request.config.rootpath
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in files(tmp_path)] == [".000000-0.parquet.tmp"]
    record(tmp_path, step(NEW_YEAR_S))
    assert [path.name for path in files(tmp_path)] == [".000000-0.parquet.tmp", "000000-1.parquet"]
