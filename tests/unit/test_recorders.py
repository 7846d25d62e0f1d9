"""All that a recorder writes: one stream's trouble is its own, and everything is counted."""

import logging

import pytest

from detector import settings
from detector.edge.snapshot import RecordedSnapshot
from detector.recorders import Recorders
from detector.settings import SettingsError
from detector.stream.pipeline import StreamPipeline
from tests.support.streams import definition, feed

DEVICES = """
[record]
directory = "{directory}"
rows_max = 100

[[streams]]
name = "devices"
topic = "devices/{{device}}"
entity = ["device"]
clock = "data"
step_s = 10.0
[streams.signals]
level = {{}}
"""


@pytest.fixture
def made(tmp_path):
    """Return recorders of two streams, and the settings that they were made of."""
    text = DEVICES.format(directory=tmp_path / "tree")
    _, _, stream = text.partition("[[streams]]")
    file = tmp_path / "detector.toml"
    file.write_text(text + "[[streams]]" + stream.replace('"devices"', '"ports"'), "utf-8")
    loaded = settings.load(file)
    return Recorders(loaded), loaded


def outcomes(name, steps):
    """Return what a stream of that name makes of a record every ten seconds, and the stream."""
    stream = StreamPipeline(definition(name=name), None)
    records = [("leaf1", 10.0 * n, {0: float(n)}) for n in range(steps)]
    return stream, feed(stream, *records)


def record(writing, name, steps):
    stream, closed = outcomes(name, steps)
    for outcome in closed:
        writing.add(stream, outcome)


def said(caplog, event):
    """Return the facts of each line that tells of an event."""
    return [one.facts for one in caplog.records if one.getMessage() == event]


def test_the_end_writes_all_streams_and_tells_of_each(made, caplog, tmp_path):
    writing, _ = made
    caplog.set_level(logging.INFO)
    record(writing, "devices", 3)
    writing.close()
    lines = [(line["stream"], line["rows"], line["entities"]) for line in said(caplog, "recorded")]
    assert lines == [("devices", 3, 1), ("ports", 0, 0)]
    assert [one.levelname for one in caplog.records] == ["INFO", "WARNING"], "nothing recorded is a warning"
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_stream_that_cannot_be_written_does_not_take_the_next_with_it(made, caplog, tmp_path):
    writing, _ = made
    caplog.set_level(logging.INFO)
    for name in ("devices", "ports"):
        record(writing, name, 3)
    (tmp_path / "tree" / "devices").rmdir()
    (tmp_path / "tree" / "devices").touch()
    writing.close()
    [lost] = said(caplog, "rows not recorded")
    assert (lost["stream"], lost["rows"]) == ("devices", 3)
    assert [(line["stream"], line["rows"]) for line in said(caplog, "recorded")] == [
        ("devices", 0),
        ("ports", 3),
    ]
    assert next(tmp_path.rglob("*.parquet")).parts[-3] == "ports"
    devices, ports = writing.snapshot().streams
    assert devices == RecordedSnapshot("devices", 0, 0, 0, 1, 3, 0)
    assert (ports.rows_total, ports.files_total, ports.errors_total) == (3, 1, 0)


def test_a_restart_writes_no_step_twice_and_removes_what_a_kill_left(made, caplog, tmp_path):
    writing, loaded = made
    record(writing, "devices", 3)
    writing.close()
    [file] = tmp_path.rglob("*.parquet")
    (file.parent / ".000000-5.parquet.tmp").write_bytes(b"half")
    again = Recorders(loaded)
    assert [line["files"] for line in said(caplog, "unfinished files removed")] == [1]
    record(again, "devices", 5)
    again.close()
    assert again.snapshot().streams[0].rows_repeated_total == 3
    assert again.snapshot().streams[0].rows_total == 2
    assert not list(tmp_path.rglob(".*.tmp"))


def test_the_oldest_recordings_give_way_and_that_is_told(made, caplog, tmp_path):
    writing, loaded = made
    caplog.set_level(logging.INFO)
    few = loaded.record.model_copy(update={"bytes_max": 1})
    writing = Recorders(loaded.model_copy(update={"record": few}))
    record(writing, "devices", 150)
    writing.flush()
    state = writing.snapshot()
    assert (state.tree_bytes, state.tree_bytes_max) == (0, 1)
    assert (state.deleted_files_total, state.deleted_bytes_total) == (1, state.streams[0].bytes_total)
    [line] = said(caplog, "recordings deleted")
    assert (line["files"], line["newest"].suffix) == (1, ".parquet")
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_directory_that_cannot_be_made_is_wrong_settings(made, tmp_path):
    _, loaded = made
    (tmp_path / "taken").touch()
    wrong = loaded.record.model_copy(update={"directory": tmp_path / "taken"})
    with pytest.raises(SettingsError, match=r"record\.directory: .*taken"):
        Recorders(loaded.model_copy(update={"record": wrong}))
