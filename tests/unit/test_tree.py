"""The files of recordings: whole or not there, swept after a kill, deleted where they are too many."""

import fcntl
import os
import re
import subprocess
import sys

import pytest

from detector.edge import tree
from detector.edge.tree import Limits, sweep, whole_file

NEW_YEAR_S = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC
DAY_S = 86_400.0


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def write(directory, time_s, data=b"x"):
    with whole_file(directory, time_s, ".parquet") as (file, path):
        file.write(data)
    return path


# Whole files


def test_a_file_has_its_name_only_once_it_is_complete(tmp_path):
    with whole_file(tmp_path, NEW_YEAR_S + 3661, ".parquet") as (file, path):
        file.write(b"half")
        assert files(tmp_path) == ["2026-01-01/.010101-0.parquet.tmp"]
    assert files(tmp_path) == ["2026-01-01/010101-0.parquet"]
    assert path.read_bytes() == b"half"


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), whole_file(tmp_path, NEW_YEAR_S, ".parquet"):
        raise KeyError
    assert files(tmp_path) == []


@pytest.mark.parametrize(("time_s", "name"), [(0.0, "1970-01-01"), (253_402_300_800.0, "9999-12-31")])
def test_every_time_that_is_one_has_a_day(tmp_path, time_s, name):
    assert write(tmp_path, time_s).parent.name == name


def test_two_who_write_at_once_get_two_names(tmp_path):
    with whole_file(tmp_path, NEW_YEAR_S, ".parquet") as (one, path_one):
        one.write(b"one")
        with whole_file(tmp_path, NEW_YEAR_S, ".parquet") as (two, path_two):
            two.write(b"two")
    assert (path_one.read_bytes(), path_two.read_bytes()) == (b"one", b"two")
    assert files(tmp_path) == ["2026-01-01/000000-0.parquet", "2026-01-01/000000-1.parquet"]


WRITERS = """
import sys
from pathlib import Path
from detector.edge.tree import whole_file
for _ in range(100):
    with whole_file(Path(sys.argv[1]), 0.0, ".parquet") as (file, path):
        file.write(b"x")
"""


def test_processes_that_write_at_once_overwrite_nothing(tmp_path, request):
    command = [sys.executable, "-c", WRITERS, tmp_path]
    processes = [subprocess.Popen(command, cwd=request.config.rootpath) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert files(tmp_path) == sorted(f"1970-01-01/000000-{n}.parquet" for n in range(300))


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert write(tmp_path, NEW_YEAR_S).read_bytes() == b"x"
    (tmp_path / "s" / "2026-01-01").mkdir(parents=True)
    (tmp_path / "s" / "2026-01-01" / ".000000-0.parquet.tmp").touch()
    assert sweep(tmp_path) == 0, "nobody knows whether it is being written"


@pytest.mark.parametrize("inside", ["", "deeper/and/deeper"])
def test_a_probe_makes_the_folder_and_leaves_nothing_in_it(tmp_path, inside):
    tree.probe(tmp_path / inside)
    assert (tmp_path / inside).is_dir()
    assert files(tmp_path) == []


def test_a_probe_finds_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        tree.probe(tmp_path / "file" / "x")


# What a kill leaves


def test_what_nobody_writes_any_more_is_swept_and_the_rest_stays(tmp_path):
    stream = tmp_path / "interfaces"
    write(stream, NEW_YEAR_S)
    day = stream / "2026-01-01"
    for name in (".000010-0.parquet.tmp", ".000020-3.parquet.tmp", ".mine.tmp", "000030-0.parquet.tmp"):
        (day / name).touch()
    with whole_file(stream, NEW_YEAR_S + 40, ".parquet"):
        assert sweep(tmp_path) == 2
    assert [name.split("/")[-1] for name in files(tmp_path)] == [
        ".mine.tmp",
        "000000-0.parquet",
        "000030-0.parquet.tmp",
        "000040-0.parquet",
    ]


def test_nothing_to_sweep_is_no_error(tmp_path):
    assert sweep(tmp_path / "none") == 0


# Limits


def recordings(directory, *sizes):
    """Write a file a minute, the first one ten minutes old; return their paths."""
    paths = []
    for index, size in enumerate(sizes):
        path = write(directory / "interfaces", NEW_YEAR_S + 60 * index, b"x" * size)
        os.utime(path, (0, NEW_YEAR_S + 60 * index))
        paths.append(path)
    return paths


def limits(directory, bytes_max=1000, age_max_s=None, now_s=NEW_YEAR_S + 600, monotonic=lambda: 0.0):
    return Limits(directory, bytes_max, age_max_s, lambda: now_s, monotonic)


def test_the_oldest_are_deleted_until_the_rest_fits(tmp_path):
    paths = recordings(tmp_path, 400, 300, 500, 200)
    limit = limits(tmp_path)
    assert limit.enforce() == paths[:1]
    assert limit.bytes == 1000
    assert (limit.deleted_files_total, limit.deleted_bytes_total, limit.undeleted_files_total) == (1, 400, 0)
    assert limit.enforce() == []


def test_a_file_that_was_added_counts_at_once(tmp_path):
    paths = recordings(tmp_path, 400, 300)
    limit = limits(tmp_path)
    assert limit.enforce() == []
    limit.add(write(tmp_path / "devices", NEW_YEAR_S, b"x" * 900))
    assert limit.enforce() == paths
    assert limit.bytes == 900


def test_what_is_older_than_it_may_be_is_deleted(tmp_path):
    paths = recordings(tmp_path, 1, 1, 1)
    limit = limits(tmp_path, age_max_s=540)
    assert limit.enforce() == paths[:1], "ten minutes old; the next one is nine"


def test_age_counts_from_the_writing_and_not_from_the_times_in_it(tmp_path):
    path = write(tmp_path / "interfaces", NEW_YEAR_S - 365 * DAY_S)
    os.utime(path, (0, NEW_YEAR_S + 600))
    assert limits(tmp_path, age_max_s=60).enforce() == []


def test_what_others_write_is_found_at_the_next_look(tmp_path):
    now_s = 0.0
    limit = limits(tmp_path, monotonic=lambda: now_s)
    limit.enforce()
    paths = recordings(tmp_path, 800, 800)
    assert (limit.enforce(), limit.bytes) == ([], 0)
    now_s = tree.RESCAN_S
    assert limit.enforce() == paths[:1]


def test_a_file_that_is_being_written_stays_and_counts_when_it_is_added(tmp_path):
    writing, other = recordings(tmp_path, 2000, 500)
    limit = limits(tmp_path)
    assert (limit.enforce(writing), limit.bytes) == ([], 500)
    limit.add(writing)
    assert limit.enforce() == [other, writing]


def test_only_recordings_are_counted_and_deleted(tmp_path):
    for name in (
        "interfaces.parquet",
        "interfaces/labels.csv",
        "interfaces/2026-01-01/mine.parquet",
        "interfaces/2026-01-01/deeper/000000-0.parquet",
        "interfaces/notes/000000-0.parquet",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
    before = files(tmp_path)
    limit = limits(tmp_path, age_max_s=1)
    assert (limit.enforce(), limit.bytes) == ([], 0)
    assert files(tmp_path) == before


def test_a_day_that_is_empty_is_removed(tmp_path):
    recordings(tmp_path, 2000)
    limits(tmp_path).enforce()
    assert list((tmp_path / "interfaces").iterdir()) == []
    assert write(tmp_path / "interfaces", NEW_YEAR_S).exists()


def test_what_another_has_deleted_is_not_counted_as_deleted(tmp_path):
    paths = recordings(tmp_path, 800, 800)
    limit = limits(tmp_path, bytes_max=2000)
    limit.enforce()
    paths[0].unlink()
    limit.add(write(tmp_path / "interfaces", NEW_YEAR_S + 120, b"x" * 800))
    assert limit.enforce() == []
    assert (limit.bytes, limit.deleted_files_total, limit.undeleted_files_total) == (1600, 0, 0)


def test_what_cannot_be_deleted_is_counted_and_does_not_stop_the_rest(tmp_path, monkeypatch):
    first, second = recordings(tmp_path, 800, 800)
    unlink = type(first).unlink

    def refuse(path, **options):
        if path == first:
            raise PermissionError
        unlink(path, **options)

    monkeypatch.setattr(type(first), "unlink", refuse)
    limit = limits(tmp_path, bytes_max=700)
    assert limit.enforce() == [second]
    assert (limit.undeleted_files_total, limit.deleted_files_total) == (1, 1)


def test_the_names_are_those_that_the_tree_is_read_by():
    names = tree.names(NEW_YEAR_S, ".ndjson")
    assert [next(names), next(names)] == ["000000-0.ndjson", "000000-1.ndjson"]
    assert re.fullmatch(tree._FINISHED, "000000-1.ndjson")
