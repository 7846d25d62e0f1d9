"""`detector train` as an operator has it: what is chosen, killed and gone on with, reproducible, told."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.model import bundle
from detector.train.search import JOURNAL, Limits, Search
from detector.train.select import select
from detector.train.workers import Workers
from tests.support.mosquitto import wait_until
from tests.support.pasts import past

QUICK = ["--epochs", "1", "--trials", "2", "--among", "dense", "--jobs", "2"]


def write(timeline, file, **changes):
    """Write a timeline as a dataset."""
    entities, steps, _ = timeline.value.shape
    value = timeline.value.reshape(entities * steps, -1).astype(np.float64)
    columns = {
        "time": np.tile(timeline.step * timeline.definition.step_s, entities),
        "device": np.repeat([name for (name,) in timeline.entities], steps),
        **{name: value[:, index] for index, name in enumerate(timeline.definition.signal_names)},
    }
    pq.write_table(pa.table(columns | changes), file)
    return file


@pytest.fixture(name="recording", scope="module")
def _recording(tmp_path_factory):
    return write(past(3, 1000, 3, bent=True), tmp_path_factory.mktemp("data") / "stream.parquet")


def command(*words):
    return [sys.executable, "-m", "detector.cli", "train", *map(str, words)]


def trained(*words):
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done


def searched(timeline, directory, **changes):
    """Search in a directory; return what was found and in which order it was told."""
    told = []
    settings = {"among": ["dense"], "seed": 0, "limits": Limits(trials=4, jobs=2)} | changes
    with Workers(timeline, directory, 2, 1) as workers:
        search = Search(timeline, directory, workers, tell=lambda one, _: told.append(one), **settings)
        return search.run(), told


def known(candidates):
    return [(one.design, [result.found for result in one.results], one.finished) for one in candidates]


def test_the_same_seed_finds_the_same_and_an_interrupted_search_goes_on_as_if_nothing_had_been(tmp_path):
    timeline = past(3, 800, 3)
    whole, _ = searched(timeline, tmp_path / "whole")
    assert len(whole) == 6, "two baselines and four networks"

    heard = []

    def stop(one, _):
        heard.append(one)
        if len(heard) == 2 * 3 + 5:  # three folds of both baselines, a fold of each network, and one more
            raise KeyboardInterrupt

    limits = Limits(trials=4, jobs=2)
    with Workers(timeline, tmp_path / "cut", 2, 1) as workers, pytest.raises(KeyboardInterrupt):
        Search(timeline, tmp_path / "cut", workers, among=["dense"], seed=0, limits=limits, tell=stop).run()
    again, told = searched(timeline, tmp_path / "cut")
    assert known(again) == known(whole)
    assert len([one for one in told if not one.design.is_baseline]) < 4 * 3, (
        "finished folds were not judged anew"
    )
    assert select(again).why == select(whole).why


def test_train_alone_writes_a_bundle_with_what_was_chosen_and_why(tmp_path, recording):
    done = trained(recording, "--out", tmp_path / "bundle", "--json", *QUICK)
    told = json.loads(done.stdout.splitlines()[-1])
    manifest = bundle.load(tmp_path / "bundle").manifest
    assert told["architecture"] == manifest["architecture"]
    assert [one["architecture"] for one in manifest["selection"]["candidates"]][:2] == ["pca", "ewma"]
    assert manifest["selection"]["why"] in " ".join(done.stderr.split())
    assert sorted(entry.name for entry in (tmp_path / "bundle").iterdir()) == [
        Path(told["version"]).name,
        "champion",
    ]


def loadable(directory):
    """Return what of a bundle's directory a daemon could load, and what else is in it."""
    entries = sorted(directory.iterdir()) if directory.exists() else []
    versions = [entry for entry in entries if (entry / "manifest.json").exists() and not entry.is_symlink()]
    return versions, [entry.name for entry in entries if entry not in versions]


@pytest.mark.parametrize(("architecture", "kilobytes"), [("pca", 1), ("pca", 8), ("dense", 40)])
def test_a_disk_that_fills_up_leaves_nothing_that_can_be_loaded(tmp_path, recording, architecture, kilobytes):
    out = tmp_path / "bundle"
    trained(recording, "--out", out, "--architecture", "ewma")
    before = loadable(out)

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))

    words = (recording, "--out", out, "--architecture", architecture, "--epochs", "1")
    done = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=250, check=False, preexec_fn=full
    )
    if done.returncode == 0:  # it fitted
        assert len(loadable(out)[0]) == 2
        return
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("detector: ")
    assert loadable(out) == before
    bundle.load(out).calibration()


def test_a_search_that_is_killed_goes_on_where_it_was_and_leaves_no_half_bundle(tmp_path, recording):
    out = tmp_path / "bundle"
    words = (recording, "--out", out, *QUICK)
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any("results" in file.read_text() for file in journals(out)), timeout_s=120)
    workers = children(process.pid)
    assert workers
    process.kill()
    process.communicate()
    assert loadable(out)[0] == []
    wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in workers), timeout_s=20)
    before = journals(out)[0].read_text()
    done = trained(*words)
    manifest = bundle.load(out).manifest
    networks = [one for one in manifest["selection"]["candidates"] if one["architecture"] == "dense"]
    assert len(networks) == 2
    assert '"results"' in before, "there was something to go on with"
    assert loadable(out)[1] == ["champion"], done.stderr


def journals(out):
    """Return the journals of the searches that were not finished."""
    return list(out.glob(f".search/*/{JOURNAL}"))


def children(pid):
    """Return the processes that a process has started."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(one) for one in found.stdout.split()]


def test_an_interrupt_ends_the_search_at_once_and_keeps_it(tmp_path, recording):
    out = tmp_path / "bundle"
    words = (recording, "--out", out, *QUICK)
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: journals(out), timeout_s=120)
    begin_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - begin_s < 10
    assert "Traceback" not in said
    assert loadable(out)[0] == []
    assert journals(out)
