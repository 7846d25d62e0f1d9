"""`detector train` as an operator has it: what is chosen, killed and gone on with, reproducible, told."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.model import bundle
from detector.train.search import Limits, Search
from detector.train.select import select
from detector.train.workers import Workers
from tests.support.pasts import past

QUICK = ["--epochs", "2", "--trials", "2", "--among", "dense", "--jobs", "2"]


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
    return write(past(4, 1500, 4, bent=True), tmp_path_factory.mktemp("data") / "stream.parquet")


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
    with Workers(timeline, directory, 2, 2) as workers:
        search = Search(timeline, directory, workers, tell=lambda one, _: told.append(one), **settings)
        return search.run(), told


def known(candidates):
    return [(one.design, [result.found for result in one.results], one.finished) for one in candidates]


def test_the_same_seed_finds_the_same_and_an_interrupted_search_goes_on_as_if_nothing_had_been(tmp_path):
    timeline = past(3, 1500, 3)
    whole, _ = searched(timeline, tmp_path / "whole")
    assert len(whole) == 6, "two baselines and four networks"

    heard = []

    def stop(one, _):
        heard.append(one)
        if len(heard) == 2 * 3 + 5:  # three folds of both baselines, a fold of each network, and one more
            raise KeyboardInterrupt

    limits = Limits(trials=4, jobs=2)
    with Workers(timeline, tmp_path / "cut", 2, 2) as workers, pytest.raises(KeyboardInterrupt):
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
