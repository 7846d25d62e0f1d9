"""What each part of the scoring is worth: the experiments that it was chosen by, to be run again.

    python -m tests.benchmark.scoring --data DIR [--sets smd,asd] [--variants NAME,...] [--jobs 2] [--write]

Each variant changes one thing of the scoring, trains a bundle with it (`pca`), and is judged like `quality`
judges: by the pipeline of the product at the default budget. The first row is the scoring as it is. VUS-PR
tells how scores rank, fresh alarms and false ones what an operator gets, which also depends on where a
variant's edge comes to lie.

`--write` puts the table beside this module, `scoring.txt`. A variant of smd takes two minutes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from detector.stream import edges, energy, score
from detector.stream.definition import Definition
from detector.stream.score import Scorer
from detector.train import calibrate
from tests.benchmark.quality import servers
from tests.benchmark.quality.figures import FALSE, FRESH, VUS, Figure
from tests.benchmark.quality.words import some_of

TABLE = Path(__file__).with_name("scoring.txt")
TOP = 3
"""Signals, where the highest alone count."""


def _only(view: int) -> Callable[..., Any]:
    """Return `Scorer.errors` with nothing but the one view."""
    both = Scorer.errors

    def errors(self, *given):
        found = both(self, *given)
        return tuple(one if index == view else np.zeros_like(one) for index, one in enumerate(found))

    return errors


def _highest() -> Callable[..., Any]:
    """Return `Scorer._smoothed` with nothing but the highest signals."""
    smoothed = Scorer._smoothed

    def highest(self, *given):
        all_of_them = smoothed(self, *given)
        count = min(TOP, all_of_them.shape[2])
        least = np.sort(all_of_them, axis=2)[:, :, -count:][:, :, :1]
        return np.where(all_of_them >= least, all_of_them, np.float32(0.0))

    return highest


def _energies(of: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return `energies` with another function of the error over its baseline."""

    def energies(error, usual, least, counts):
        z = np.abs(error) / np.maximum(usual, least)
        return np.where(counts, of(z), np.float32(0.0)).astype(np.float32)

    return energies


def _identity(error):
    return np.eye(error.shape[1], dtype=np.float32)


@dataclass(frozen=True)
class Variant:
    """One thing that is different: attributes of modules and classes, or keys of the definition."""

    says: str
    attributes: Mapping[tuple[Any, str], Any] = field(default_factory=dict)
    definition: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    "as-it-is": Variant("the scoring as it is"),
    "past": Variant("the view of the past alone", {(Scorer, "errors"): _only(0)}),
    "peers": Variant("the view of the peers alone", {(Scorer, "errors"): _only(1)}),
    "agree": Variant(
        "both views have to agree: the geometric mean",
        {(score, "together"): lambda one, other: np.sqrt(one * other)},
    ),
    "either": Variant("the higher of both views", {(score, "together"): np.maximum}),
    "unwhitened": Variant("errors of the past as they are", {(calibrate, "_whitening"): _identity}),
    "pooled-peers": Variant("one matrix of peers for all", {(calibrate, "PEERS_CELLS_MAX"): 0}),
    "quick": Variant("one rate, three steps", {(score, "RATES"): (0.33, 0.33)}),
    "middle": Variant("one rate, ten steps", {(score, "RATES"): (0.1, 0.1)}),
    "slow": Variant("one rate, twenty steps", {(score, "RATES"): (0.05, 0.05)}),
    "raw": Variant("the newest step alone", {(score, "RATES"): (1.0, 1.0)}),
    "lingering": Variant("the slow rate without a bound", {(score, "LINGER_MAX"): 1e9}),
    "squares": Variant(
        "squared errors, of ten baselines at most",
        {(score, "energies"): _energies(lambda z: np.minimum(z, 10.0) ** 2)},
    ),
    "sizes": Variant(
        "absolute errors, the tail of a Laplace distribution", {(score, "energies"): _energies(lambda z: z)}
    ),
    "logarithm": Variant(
        "the logarithm, not squared, of a Cauchy tail",
        {(score, "energies"): _energies(lambda z: np.log1p((z / 2.0) ** 2))},
    ),
    "highest": Variant(f"the {TOP} highest signals instead of the mean", {(Scorer, "_smoothed"): _highest()}),
    "fixed": Variant("baselines, levels and medians of the training", definition={"normal_after_s": inf}),
    "taught": Variant(
        "an anomaly teaches the baselines",
        {(energy, "TAUGHT_MAX"): 1e9, (score, "TAUGHT_MAX"): 1e9},
    ),
    "no-median": Variant("no running median", {(score, "TYPICAL_DRIFT"): 0.0}),
    "any-alarm": Variant(
        "every alarm makes a habit, however far beyond the edge",
        {(edges, "SURELY"): inf, (edges, "WEAKNESS"): 1.0, (edges, "HABIT"): 0.2, (edges, "HABIT_MAX"): 0.7},
    ),
    "no-habit": Variant("no habit of alarms", {(edges, "HABIT"): 0.0}),
}


def main() -> int:
    """Run as the command line says; return the exit code."""
    asked = _asked()
    spawn = multiprocessing.get_context("spawn")
    tasks = [(name, of) for name in asked.variants for of in asked.sets]
    with ProcessPoolExecutor(asked.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        running = {task: pool.submit(measure, asked.data, *task) for task in tasks}
        rows = [_head(asked.sets)]
        print(rows[0], flush=True)
        for name in asked.variants:
            rows.append(_row(name, [running[name, of].result() for of in asked.sets]))
            print(rows[-1], flush=True)
    if asked.write:
        TABLE.write_text("\n".join(rows) + "\n", "utf-8")
    return 0


def measure(data: Path, variant: str, name: str) -> dict[str, Figure]:
    """Return the figures of a set with a variant, of a bundle that was trained with it."""
    chosen = VARIANTS[variant]
    read = servers._read

    def changed(folder: Path, name: str) -> tuple[Any, Definition, Any]:
        records, definition, events = read(folder, name)
        return records, replace(definition, **chosen.definition), events

    with ExitStack() as changes, tempfile.TemporaryDirectory() as work:
        for (owner, attribute), value in chosen.attributes.items():
            changes.enter_context(patch.object(owner, attribute, value))
        changes.enter_context(patch.object(servers, "_read", changed))
        return servers.servers(data, name, "pca", Path(work))


def _head(sets: list[str]) -> str:
    measured = "".join(f"{f'{name}: VUS':>12}{'fresh':>8}{'false/day':>11}" for name in sets)
    return f"{'variant':14}{measured}   what is different"


def _row(name: str, sets: list[dict[str, Figure]]) -> str:
    measured = "".join(
        f"{figures[VUS].value:12.3f}{figures[FRESH].value:8.2f}{figures[FALSE].value:11.3f}"
        for figures in sets
    )
    return f"{name:14}{measured}   {VARIANTS[name].says}"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What each part of the scoring is worth.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="one folder a set")
    parser.add_argument("--sets", type=some_of(("smd", "asd")), default=["smd", "asd"])
    parser.add_argument("--variants", type=some_of(tuple(VARIANTS)), default=list(VARIANTS))
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    parser.add_argument("--write", action="store_true", help=f"put the table into {TABLE.name}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
