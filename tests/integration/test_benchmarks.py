"""The benchmarks run: small, short, and with books that add up."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.support import quality
from tests.support.daemon import ROOT
from tests.support.programs import program


def run(*words):
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=280)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whom it has stopped would not even hear of its end
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("way", [(), ("--direct",)], ids=["mosquitto", "stub"])
def test_the_ingest_benchmark_counts_every_message(way):
    program("mosquitto")
    small = ("--rounds", "1", "--devices", "10", "--interfaces", "5")
    said = run("tests.benchmark.ingest", *small, "--only", "bare,bare5,ours,ours5,ours-qos1", *way)
    # 50 entities; two of paho with 1 step of warm-up and 12 of a turn, three of the daemon with 34 and 12.
    assert "all of 8,200 messages counted" in said


def test_the_books_of_a_short_soak_add_up():
    program("mosquitto")
    said = run("tests.benchmark.soak", "--seconds", "9", "--rate", "500", "--cap", "300")
    assert "the books add up" in said
    assert "entities_max" in said


def test_the_groups_are_timed_while_they_find_a_device_and_a_site():
    said = run("tests.benchmark.groups", "--entities", "4000")
    assert [int(line.split()[-4]) for line in said.splitlines()[1:]] == [0, 0, 1, 1, 1]


def test_the_books_of_drift_and_budget_are_timed():
    said = run("tests.benchmark.upkeep", "cost", "--entities", "1000")
    assert "of the rest of it; at the end of a day" in said


def test_the_experiments_say_what_a_variant_is_worth(tmp_path):
    quality.servers(tmp_path / "smd", "machine", ("m1", "m2"), 60.0)
    words = ("--data", str(tmp_path), "--sets", "smd", "--variants", "as-it-is,slow")
    said = run("tests.benchmark.scoring", *words)
    worth = {line.split()[0]: float(line.split()[1]) for line in said.splitlines()[1:]}
    assert worth["slow"] < worth["as-it-is"], "it lags behind"
