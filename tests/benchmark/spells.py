"""Silence, slow and stuck: how often they are told for nothing, how soon of a fault, and at what cost.

    python -m tests.benchmark.spells publishers --days 30     # of many kinds, none of which ever fails
    python -m tests.benchmark.spells simulate --days 5 --seeds 2 3 4 5 6 7
    python -m tests.benchmark.spells cisco --data DIR         # real telemetry, as of `cisco.py`
    python -m tests.benchmark.spells cost                     # of a step, beside the rest of its tick

False is what no labelled fault explains at its place: what is told in the part without faults, of bait, and
elsewhere than at the fault. All of it goes through the stages of the daemon.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from detector.evaluate.offline import outcomes
from detector.settings import load
from detector.simulate.fabric import simulate
from detector.simulate.output import stream_settings, write
from detector.simulate.scenario import Scenario
from detector.stream.bench import Judge
from detector.stream.definition import SILENCE_AUTO, Definition, Signal
from detector.stream.nouns import Alarm, Doubles, Entity, Steps
from detector.stream.pipeline import StreamPipeline
from detector.stream.rhythm import Rhythm
from detector.train import dataset
from tests.benchmark import cisco_data
from tests.support.streams import calibration

DAY_S, YEAR_S = 86400.0, 365 * 86400.0
STEP_S = 10.0
START_S = 1_750_000_000.0
FAULT_OF = {Alarm.SILENCE: "silent_device", Alarm.STUCK: "frozen_signal"}
AFTER_S, BEFORE_S = 120.0, 30.0
"""How long after its end, and before its onset, a fault explains what is told."""
SIGNALS = 8
TIMED_FROM = 123
"""Steps until signals are known and the windows full."""
EARLY_S = 3 * DAY_S
"""Who has said little is told of more often."""


# Publishers that never fail


def publishers(span_s: float, rng: np.random.Generator) -> Iterator[tuple[str, Doubles]]:
    """Yield kinds of publishers, and when they speak."""
    many = int(span_s / STEP_S * 1.3)

    def regular(period_s: float, lost: float = 0.0, jitter: float = 0.02) -> Doubles:
        count = int(span_s / period_s * 1.3)
        times_s = np.cumsum(period_s * (1.0 + jitter * rng.standard_normal(count)))
        return times_s[rng.random(count) >= lost]

    def by_chance(intervals_s: Doubles) -> Doubles:
        return np.cumsum(intervals_s)

    ten = regular(10.0)
    hole = rng.random(len(ten)) < 1 / 700
    hole |= np.roll(hole, 1) | (np.roll(hole, 2) & (rng.random(len(ten)) < 0.5))
    drift_s = np.maximum(10 + 6 * np.sin(np.arange(many) / 3000) + 5 * np.sin(np.arange(many) / 400), 4.0)
    fast = regular(4.5)
    changes = by_chance(rng.exponential(60.0, many))
    hour = changes / 3600 % 24
    yield "each 10 s", ten
    yield "each 10 s, 1 % lost", regular(10.0, 0.01)
    yield "each 10 s, 10 % lost", regular(10.0, 0.1)
    yield "each 10 s, holes of two or three", ten[~hole]
    yield "each 60 s, 1 % lost", regular(60.0, 0.01)
    yield "each 300 s, 1 % lost", regular(300.0, 0.01)
    yield "cadence drifts from 4 to 21 s", np.cumsum(drift_s)
    yield "stalls for 40 s each 360 s", fast[fast % 360 > 40]
    yield "stalls for 100 s each hour", ten[ten % 3600 > 100]
    yield "on change, about each 60 s", changes
    yield "on change, about each 600 s", by_chance(rng.exponential(600.0, many // 30))
    yield "on change, lognormal, sigma 1.5", by_chance(60.0 * np.exp(1.5 * rng.standard_normal(many // 5)))
    yield "on change, Pareto, alpha 1.5", by_chance(20.0 * (1.0 + rng.pareto(1.5, many // 2)))
    yield "five at once, about hourly", np.sort(np.add.outer(ten[::360], np.arange(5.0)).ravel())
    yield "on change, none from 22 to 6 h", changes[(hour > 6) & (hour < 22)]
    yield "on change, none on weekends", changes[changes / DAY_S % 7 < 5]


def lived(times_s: Doubles) -> tuple[list[float], int, float]:
    """Return when a publisher is told silent, how often slow, and its patience in the end."""
    rhythm, row = Rhythm(), np.array([0])
    rhythm.resize(1)
    silences, slow, patience_s = [], 0, np.inf
    steps = np.unique(np.ceil(times_s / STEP_S))
    for step, interval_s in zip(steps[1:].tolist(), (STEP_S * np.diff(steps)).tolist(), strict=True):
        if interval_s - STEP_S > patience_s:
            silences.append(step * STEP_S)
        was_slow = rhythm.slow[0]
        rhythm.learn(row, np.array([interval_s]), START_S + step * STEP_S)
        slow += int(rhythm.slow[0] and not was_slow)
        patience_s = float(rhythm.patience_s(np.ones(1, bool))[0])
    return silences, slow, patience_s


def tell_publishers(days: float) -> None:
    """Print a line a kind."""
    span_s = days * DAY_S
    print(f"{'none fails':36}{'silences: first 3 days':>24}{'later, a year':>15}{'slow':>6}{'patience':>10}")
    for name, times_s in publishers(span_s, np.random.default_rng(0)):
        silences, slow, patience_s = lived(times_s[times_s < span_s])
        late = sum(at_s >= EARLY_S for at_s in silences)
        rate = late / max(span_s - EARLY_S, 1.0) * YEAR_S
        print(f"{name:36}{len(silences) - late:24}{rate:15.1f}{slow:6}{patience_s:9.0f}s")


# Data with labels

Told = tuple[Alarm, Entity, str, float]


def told(data: dataset.Dataset, definition: Definition) -> list[Told]:
    """Return what the stages tell of a dataset: what, of whom, of which signal, when."""
    found: list[Told] = []
    for _, outcome in outcomes(data, replace(definition, silence_s=SILENCE_AUTO), None):
        found += [(Alarm.SILENCE, entity, "", outcome.time_s) for entity in outcome.silenced]
        found += [(spell.what, spell.entity, spell.signal, outcome.time_s) for spell in outcome.begun]
    return found


def tell_simulated(seeds: list[int], days: float) -> None:
    """Print what is false, and how many faults are found how soon."""
    false, delays_s, entity_years = Counter[tuple[str, str, str]](), defaultdict[str, list[float]](list), 0.0
    for seed in seeds:
        scenario = Scenario(seed=seed, start_s=START_S, duration_s=days * DAY_S, train_s=0.2 * days * DAY_S)
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            simulation = simulate(scenario)
            write(simulation, directory)
            (directory / "detector.toml").write_text(stream_settings(directory))
            labels = [label for label in simulation.labels.to_pylist() if label["kind"] == "fault"]
            for stream in ("interfaces", "devices"):
                definition = load(directory / "detector.toml").stream(stream).definition()
                data = dataset.read([directory / f"{stream}.parquet"], definition.entity)
                lines = told(data, definition)
                entity_years += len(data.entities) * days * DAY_S / YEAR_S
                wrong = [line for line in lines if not any(_explains(label, line) for label in labels)]
                false.update((stream, line[0].value, line[2]) for line in wrong)
                _find(labels, lines, stream, delays_s)
    print(f"false: {false.total()} in {entity_years:.1f} entity-years, {dict(false)}")
    for fault, each in sorted(delays_s.items()):
        found = [delay_s for delay_s in each if np.isfinite(delay_s)]
        middle_s, last_s = np.median(found), max(found)
        print(f"{fault:32} found {len(found)} of {len(each)}, after {middle_s:.0f} s, at most {last_s:.0f} s")


def _explains(label: dict[str, object], line: Told) -> bool:
    _, entity, _, at_s = line
    here = label["device"] == entity[0] and (
        not label["interface"] or entity[1:] in ((), (label["interface"],))
    )
    return here and label["start"] - BEFORE_S <= at_s <= label["end"] + AFTER_S


def _find(labels: list[dict], lines: list[Told], stream: str, delays_s: dict[str, list[float]]) -> None:
    for label in labels:
        of_ports = label["event"] == "frozen_signal" and bool(label["interface"])
        if label["event"] in FAULT_OF.values() and of_ports == (stream == "interfaces"):
            mine = [
                line for line in lines if FAULT_OF.get(line[0]) == label["event"] and _explains(label, line)
            ]
            signal = label["signals"] if label["event"] == "frozen_signal" else ""
            delay_s = min((line[3] - label["start"] for line in mine), default=np.inf)
            delays_s[f"{label['event']} {signal}".strip()].append(delay_s)


def tell_cisco(data: Path) -> None:
    """Print what is told of each set; nothing in them is silent, slow or stuck as far as anybody knows."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = load(cisco_data.write_config(directory, data, cisco_data.sets_of(data)))
        for one in cisco_data.sets_of(data):
            for stream in cisco_data.ENTITY:
                pq.write_table(cisco_data.read(data, one, stream), directory / "data.parquet")
                definition = config.stream(stream).definition()
                read = dataset.read([directory / "data.parquet"], definition.entity)
                hours = (read.time_s[-1] - read.time_s[0]) / 3600 * len(read.entities)
                lines = told(read, definition)
                counts = Counter(f"{line[0]} {line[2]}".strip() for line in lines)
                print(f"{one:36}{stream:12}{hours:7.1f} entity-hours  {dict(counts) or 'nothing'}")


# Cost


def tell_cost(rows: int) -> None:
    """Print what spells cost of a tick in which every signal of every entity moves."""
    signals = tuple(Signal(f"s{index}", "counter" if index % 4 else "gauge") for index in range(SIGNALS))
    definition = Definition(
        "cost", ("device",), signals, STEP_S, 60, silence_s=SILENCE_AUTO, clock="data", entities_max=rows
    )
    judge = Judge(lambda value, *_: np.zeros((len(value), SIGNALS), np.float32), calibration(SIGNALS))
    stream, rng, spent_s = StreamPipeline(definition, judge), np.random.default_rng(0), [0.0]
    every = stream.rows_of([(str(index),) for index in range(rows)])
    parts = (stream.bench.silence, ("hear", "fall", "turns", "excuse")), (stream.bench.spells, ("take",))
    for part, names in parts:
        for name in names:
            setattr(part, name, _timed(getattr(part, name), spent_s))
    for step in range(1, 128):
        if step == TIMED_FROM:
            spent_s[0], begin = 0.0, time.perf_counter()
        value = rng.standard_normal((rows, SIGNALS), np.float32)
        closed = stream.bench.take(Steps(step, every, value, np.ones(value.shape, bool)))
        list(stream.bench.judge([closed]))
    tick_s = (time.perf_counter() - begin) / (128 - TIMED_FROM)
    mine_s = spent_s[0] / (128 - TIMED_FROM)
    print(
        f"{rows:,} entities of {SIGNALS} signals: {1000 * mine_s:.0f} ms of a tick of {1000 * tick_s:.0f} ms"
    )
    print(
        f"without a network and without samples to read, {mine_s / (tick_s - mine_s):.1%} of the rest of it"
    )


def _timed(function: Callable[..., Any], spent_s: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        answer = function(*arguments)
        spent_s[0] += time.perf_counter() - begin
        return answer

    return timed


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("publishers", "simulate", "cisco", "cost"))
    parser.add_argument("--days", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5, 6, 7])
    parser.add_argument("--data", type=Path, help="the folder of the sets of cisco")
    parser.add_argument("--entities", type=int, default=100_000)
    asked = parser.parse_args()
    if asked.what == "publishers":
        tell_publishers(asked.days)
    elif asked.what == "simulate":
        tell_simulated(asked.seeds, asked.days)
    elif asked.what == "cisco":
        tell_cisco(asked.data)
    else:
        tell_cost(asked.entities)


if __name__ == "__main__":
    main()
