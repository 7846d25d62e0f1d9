"""Messages as they came are on the disk when `write` returns, each line whole, whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from detector.edge.capture import Skip, read_capture
from detector.edge.raw import RawRecorder
from detector.stream.nouns import Message

AT_S = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC


def message(n=0, arrival_s=AT_S):
    return Message("net/a", b"%d" % n, arrival_s, packet_id=n + 1, qos=1)


def files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


def read(*paths):
    """Return the payloads of captures as numbers, and what was skipped."""
    skipped = Counter()
    return [int(one.payload) for path in paths for one in read_capture(path, skipped)], skipped


def test_what_is_written_can_be_read_at_once(tmp_path):
    recorder = RawRecorder(tmp_path)
    recorder.write([message(0), message(1)])
    assert read(recorder.path) == ([0, 1], {})
    recorder.write([message(2)])
    assert files(tmp_path) == [recorder.path] == [tmp_path / "_raw" / "2026-01-01" / "000000-0.ndjson"]
    assert read(recorder.path) == ([0, 1, 2], {})
    state = recorder.snapshot()
    assert (state.messages_total, state.files_total, state.errors_total) == (3, 1, 0)
    assert state.bytes_total == recorder.path.stat().st_size


def test_before_it_returns_the_bytes_are_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda handle: synced.append(os.fstat(handle).st_size))
    recorder = RawRecorder(tmp_path)
    for n in range(3):
        recorder.write([message(n)])
        assert synced[-1] == recorder.snapshot().bytes_total
    assert len(synced) == 3


def test_no_messages_make_no_file(tmp_path):
    recorder = RawRecorder(tmp_path)
    assert recorder.write([]) is None
    assert recorder.close() is None
    assert files(tmp_path) == []


@pytest.mark.parametrize(("later_s", "names"), [(3599, 1), (3600, 2), (90_000, 2), (-3600, 1)])
def test_an_hour_has_a_file_of_its_own(tmp_path, later_s, names):
    recorder = RawRecorder(tmp_path)
    recorder.write([message(0)])
    first = recorder.path
    finished = recorder.write([message(1, AT_S + later_s)])
    assert finished == (first if names == 2 else None)
    assert len(files(tmp_path)) == names
    assert read(*files(tmp_path)) == ([0, 1], {})


def test_a_file_that_is_large_is_followed_by_another(tmp_path):
    recorder = RawRecorder(tmp_path, file_bytes_max=200)
    finished = [recorder.write([message(n)]) for n in range(6)]
    assert [path.name if path else None for path in finished] == [
        None,
        None,
        "000000-0.ndjson",
        None,
        "000000-1.ndjson",
        None,
    ]
    assert recorder.close().name == "000000-2.ndjson"
    assert read(*files(tmp_path)) == (list(range(6)), {})


def test_a_restart_and_another_recorder_have_files_of_their_own(tmp_path):
    one, other = RawRecorder(tmp_path), RawRecorder(tmp_path)
    for n, recorder in enumerate((one, other, one, other)):
        recorder.write([message(n)])
    assert one.path != other.path
    assert read(one.path, other.path) == ([0, 2, 1, 3], {})


def test_a_file_that_somebody_deletes_is_followed_by_another(tmp_path):
    recorder = RawRecorder(tmp_path)
    recorder.write([message(0)])
    recorder.path.unlink()
    recorder.write([message(1)])
    assert read(*files(tmp_path)) == ([1], {})


@pytest.mark.parametrize("failing", ["write", "fdatasync"])
def test_what_fails_is_taken_back_and_can_be_written_again(tmp_path, monkeypatch, failing):
    recorder = RawRecorder(tmp_path)
    recorder.write([message(0)])
    real = os.write

    def fail(handle, data=b""):
        if data:
            real(handle, data[:50])  # as a disk that is full in the midst of a line
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            recorder.write([message(1), message(2)])
    assert [path.name for path in files(tmp_path)] == ["000000-0.ndjson"], "no empty files are left"
    monkeypatch.undo()
    recorder.write([message(1), message(2)])
    assert read(*files(tmp_path)) == ([0, 1, 2], {})
    state = recorder.snapshot()
    assert (state.messages_total, state.files_total, state.errors_total) == (3, 2, 3)


def test_a_directory_that_cannot_be_made_is_an_error_and_no_end(tmp_path):
    (tmp_path / "_raw").touch()
    recorder = RawRecorder(tmp_path)
    with pytest.raises(OSError, match="_raw"):
        recorder.write([message(0)])
    (tmp_path / "_raw").unlink()
    recorder.write([message(0)])
    assert read(*files(tmp_path)) == ([0], {})


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = ["tests/unit", "."]
from test_raw import RawRecorder, message
recorder = RawRecorder(Path(sys.argv[1]))
recorder.write([message(0), message(1)])
write = os.write
def torn(handle, data):
    write(handle, data[:-20])
    os.kill(os.getpid(), signal.SIGKILL)
os.write = torn
recorder.write([message(2), message(3)])
"""


def test_a_kill_in_the_midst_of_a_line_costs_what_was_not_acknowledged(tmp_path, request):
    root = request.config.rootpath
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read(*files(tmp_path)) == ([0, 1, 2], {Skip.TORN: 1})
    RawRecorder(tmp_path).write([message(2), message(3)])
    assert read(*files(tmp_path)) == ([0, 1, 2, 2, 3], {Skip.TORN: 1})
