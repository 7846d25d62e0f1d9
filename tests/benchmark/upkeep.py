"""Drift and the budget's ledger: how often they complain for nothing, how soon of a shift, and at what cost.

    python -m tests.benchmark.upkeep simulate --days 30 --seeds 2 3
    python -m tests.benchmark.upkeep cost                     # of a step, beside the rest of its tick

Two weeks of a simulated fabric are learnt from, by a linear baseline, for drift asks no network. Then it
lives: as it was, also with faults and baits, with one entity gone wild, and with half of them for good at
some multiple of what they were, from a third of the time on. All goes through the stages of the daemon.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detector.evaluate.offline import outcomes
from detector.model.design import Design
from detector.settings import load
from detector.simulate.fabric import simulate
from detector.simulate.output import stream_settings, write
from detector.simulate.scenario import Scenario
from detector.stream.bench import Judge
from detector.stream.calibration import Days
from detector.stream.definition import Definition, Signal
from detector.stream.drift import HOURS
from detector.stream.nouns import Ints, Steps
from detector.stream.pipeline import StreamPipeline
from detector.train import dataset
from detector.train.dataset import Dataset
from detector.train.fit import fit
from detector.train.timeline import timeline
from tests.support.streams import calibration

DAY_S = 86400.0
START_S = 1_750_032_000.0
"""A midnight."""
TRAIN_DAYS = 14
CADENCE_S = 300.0
WINDOW_STEPS = 24
FAULTS_PER_HOUR = 0.5
WILD, MULTIPLES = 100.0, (1.2, 1.5, 2.0, 4.0)
SIGNALS, STEP_S = 8, 10.0
TIMED_FROM, STEPS = 70, 100
"""Steps until the windows are full, and at all."""


class Story(NamedTuple):
    """How a life went: days are those since it began, `used` what is the middle of them of the budget."""

    advised_days: list[int]
    ratio_max: float
    signal: str
    used: float
    exceeded_days: int


def lived(data: Dataset, definition: Definition, judge: Judge) -> Story:
    """Return what was said at the end of each day of the life."""
    advised, ratio = list[int](), np.zeros(len(definition.signals))
    used, exceeded, today = list[float](), 0, -1
    for stream, outcome in outcomes(data, definition, judge):
        day = int((outcome.time_s - START_S) // DAY_S) - TRAIN_DAYS
        if day == today:
            continue
        today, drift, ledger = day, stream.bench.drift, stream.bench.ledger
        advised += [day] * bool(drift.advised)
        ratio = np.fmax(ratio, drift.ratio)
        used.append(ledger.used)
        exceeded += ledger.exceeded
    worst = int(ratio.argmax())
    middle = float(np.nanmedian(used))
    return Story(advised, float(ratio[worst]), definition.signal_names[worst], middle, exceeded)


def times(data: Dataset, definition: Definition, entities: Ints, multiple: float, from_s: float) -> Dataset:
    """Return the data with all signals of some entities at a multiple from a time on."""
    column = {name: value.copy() for name, value in data.column.items()}
    for entity in entities:
        mine = np.flatnonzero(data.entity == entity)
        first = int(np.searchsorted(data.time_s[mine], from_s))
        later = mine[first:]
        for signal in definition.signals:
            value = column[signal.name]
            base = value[mine[first - 1]] if signal.kind == "counter" else 0.0
            value[later] = base + multiple * (value[later] - base)
    return replace(data, column=column)


def cases(data: Dataset, definition: Definition, shifted_s: float) -> Iterator[tuple[str, Dataset]]:
    """Yield what is done to a life without faults."""
    yield "as it was", data
    yield f"one entity x{WILD:g}", times(data, definition, np.array([0]), WILD, shifted_s)
    half = np.arange(0, len(data.entities), 2)
    for multiple in MULTIPLES:
        yield f"half of the entities x{multiple:g}", times(data, definition, half, multiple, shifted_s)


def tell_simulated(seeds: list[int], days: int) -> None:
    """Print what is said of each case."""
    shift_day = days // 3
    print(f"the shift is at the end of day {shift_day} of {days}")
    for seed in seeds:
        for stream in ("interfaces", "devices"):
            with tempfile.TemporaryDirectory() as name:
                definition, calm = simulated(Path(name), stream, seed, days, plan="none")
                judge = learnt(calm, definition)
                live = calm.only(~calm.train)
                shifted_s = START_S + (TRAIN_DAYS + shift_day) * DAY_S
                for what, data in cases(live, definition, shifted_s):
                    _tell(f"{seed} {stream}, {what}", lived(data, definition, judge))
            with tempfile.TemporaryDirectory() as name:
                definition, faulty = simulated(Path(name), stream, seed, days, plan="random")
                judge = learnt(faulty, definition)
                told = lived(faulty.only(~faulty.train), definition, judge)
                _tell(f"{seed} {stream}, with faults and baits", told)


def simulated(directory: Path, stream: str, seed: int, days: int, plan: Any) -> tuple[Definition, Dataset]:
    """Return a stream of a fabric, two weeks of it marked for training."""
    of = Scenario(
        seed=seed,
        start_s=START_S,
        duration_s=(TRAIN_DAYS + days) * DAY_S,
        train_s=TRAIN_DAYS * DAY_S,
        cadence_s=CADENCE_S,
        plan=plan,
        faults_per_hour=FAULTS_PER_HOUR,
    )
    write(simulate(of), directory)
    settings = directory / "detector.toml"
    settings.write_text(stream_settings(directory, CADENCE_S, WINDOW_STEPS), "utf-8")
    definition = load(settings, {}).stream(stream).definition()
    data = dataset.read([directory / f"{stream}.parquet"], definition.entity)
    return definition, replace(data, train=data.time_s < START_S + TRAIN_DAYS * DAY_S)


def learnt(data: Dataset, definition: Definition) -> Judge:
    """Return a judge of what is marked for training."""
    fitted = fit(timeline(data.only(data.train), definition), Design("ewma"), 0, 1, lambda *_: None)
    return Judge(fitted.network, fitted.calibration)


def _tell(what: str, story: Story) -> None:
    days = story.advised_days
    advice = f"advised from day {days[0]}, {len(days)} days" if days else "never advised"
    print(
        f"{what:40} {advice}; drift at most {story.ratio_max:.2f} ({story.signal});"
        f" budget used {story.used:.1f}, exceeded on {story.exceeded_days} days",
        flush=True,
    )


def tell_cost(rows: int) -> None:
    """Print what the books cost of a tick, and what the end of a day does."""
    signals = tuple(Signal(f"s{index}") for index in range(SIGNALS))
    definition = Definition("cost", ("device",), signals, STEP_S, 60, clock="data", entities_max=rows)
    known = [(str(index),) for index in range(rows)]
    days = Days(np.zeros((rows, SIGNALS), np.float32), np.ones(SIGNALS, np.float32))
    of = replace(calibration(SIGNALS, known), days=days)
    judge = Judge(lambda value, *_: np.zeros((len(value), SIGNALS), np.float32), of)
    stream, rng, spent_s = StreamPipeline(definition, judge), np.random.default_rng(0), list[float]()
    every = stream.rows_of(known)
    stream.bench._keep_books = _timed(stream.bench._keep_books, spent_s)
    first = round(DAY_S / STEP_S) - STEPS + 1  # so that the last but one ends a day
    for step in range(first, first + STEPS + 1):
        if step == first + TIMED_FROM:
            spent_s.clear()
            stream.bench.drift._hours[:] = (1 << HOURS) - 1  # a whole day was judged
            begin = time.perf_counter()
        if step == first + STEPS:
            tick_s = (time.perf_counter() - begin) / (STEPS - TIMED_FROM)
        value = rng.standard_normal((rows, SIGNALS), np.float32)
        list(stream.bench.judge([stream.bench.take(Steps(step, every, value, np.ones(value.shape, bool)))]))
    *each_s, last_s = spent_s
    mine_s = sum(each_s) / len(each_s)
    print(
        f"{rows:,} entities of {SIGNALS} signals: {1e3 * mine_s:.1f} ms of a tick of {1e3 * tick_s:.0f} ms,"
    )
    print(f"{mine_s / (tick_s - mine_s):.1%} of the rest of it; at the end of a day {1e3 * last_s:.1f} ms")


def _timed(function: Callable[..., None], spent_s: list[float]) -> Callable[..., None]:
    def timed(*arguments: Any) -> None:
        begin = time.perf_counter()
        function(*arguments)
        spent_s.append(time.perf_counter() - begin)

    return timed


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("simulate", "cost"))
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--entities", type=int, default=100_000)
    asked = parser.parse_args()
    if asked.what == "simulate":
        tell_simulated(asked.seeds, asked.days)
    else:
        tell_cost(asked.entities)


if __name__ == "__main__":
    main()
