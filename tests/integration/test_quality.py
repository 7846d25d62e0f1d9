"""The table of quality, on small data: every group is measured, kept, and compared."""

import subprocess
import sys

import pytest

from detector.simulate.scenario import Scenario
from tests.benchmark.quality import fabric, table
from tests.benchmark.quality.figures import MEASURES
from tests.support import quality
from tests.support.daemon import ROOT


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    quality.servers(folder / "smd", "machine", ("m1", "m2"), 60.0)
    quality.cisco(folder / "cisco")
    return folder


def measured(data, place, sets, *more):
    words = ["--data", data, "--sets", sets, "--architectures", "pca", "--work", place / "work"]
    command = [
        sys.executable,
        "-m",
        "tests.benchmark.quality",
        *words,
        "--table",
        place / "table.json",
        *more,
    ]
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, text=True, capture_output=True, check=False, timeout=200
    )


def test_every_set_is_measured_and_one_that_is_not_there_is_told_of(data, tmp_path):
    done = measured(data, tmp_path, "smd,tsb,asd,cisco", "--write")
    assert done.returncode == 1
    assert f"NOT MEASURED: asd: there is no {data / 'asd'}" in done.stderr
    written = table.read(tmp_path / "table.json")
    assert written.keys() == {"smd", "tsb", "cisco"}
    for group, columns in written.items():
        assert columns["pca"].keys() == {measure.name for measure in MEASURES if measure.group == group}
    assert written["smd"]["pca"]["faults with a fresh alarm"].value == 1.0
    assert written["smd"]["pca"]["VUS-PR"].value > 0.8
    assert written["smd"]["pca"]["VUS-PR"].control < 0.3
    assert written["tsb"]["pca"]["VUS-PR"].value > 0.8
    assert written["cisco"]["pca"]["BGP clears, their device first in 15 s"].value == 1.0
    assert written["cisco"]["pca"]["shutdowns, their interface first"].value == 1.0
    assert written["cisco"]["pca"]["shutdowns told of within 60 s"].value == 1.0


def test_the_same_again_is_no_difference_and_a_better_table_before_is_one(data, tmp_path):
    assert measured(data, tmp_path, "tsb", "--write").returncode == 0
    again = measured(data, tmp_path, "tsb")
    assert again.returncode == 0
    assert "->" not in again.stdout
    before = table.read(tmp_path / "table.json")
    bundles = list((tmp_path / "work").iterdir())
    (tmp_path / "table.json").write_text('{"tsb": {"pca": {"VUS-PR": {"value": 1.5}}}}', "utf-8")
    worse = measured(data, tmp_path, "tsb")
    assert worse.returncode == 1
    assert "tsb, pca: VUS-PR: 1.500 -> " in worse.stdout
    assert "worse by more than 0.01" in worse.stdout
    assert list((tmp_path / "work").iterdir()) == bundles
    assert before["tsb"]["pca"]["VUS-PR"].value < 1.0


def test_a_simulated_fabric_is_measured_at_each_budget(tmp_path):
    scenario = Scenario(
        seed=3,
        devices=3,
        interfaces=3,
        start_s=fabric.START_S,
        duration_s=86_400.0,
        train_s=43_200.0,
        cadence_s=60.0,
        faults_per_hour=2.0,
    )
    figures = fabric.fabric(scenario, "pca", tmp_path)
    assert figures.keys() == {measure.name for measure in MEASURES if measure.group == "simulate"}
    assert figures["found, bgp_clear"].value > figures["found, bgp_clear"].control
    few, many = (figures[f"budget {budget}: false alarms, of the accepted"] for budget in ("0.1", "10"))
    assert few.count <= many.count
    assert few.exposure == pytest.approx(many.exposure / 100)
