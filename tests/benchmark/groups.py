"""What it costs to know who belongs together, against what it costs to judge.

    python -m tests.benchmark.groups --entities 100000

A stream of interfaces, forty a device and 250 devices a site, is judged step by step by a network that costs
nothing; then the same outcomes are taken by the groups, with alarms made up: none, those of chance at the
budget, a device, a site, everything. Printed are milliseconds a step and the share of judging one, which is
without a network: with one it is less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detector.stream.bench import Judge
from detector.stream.groups import Groups
from detector.stream.nouns import Bools, Doubles, Entity, Floats, Outcome, Samples
from detector.stream.pipeline import StreamPipeline
from tests.support.streams import GAUGE, calibration, definition

PORTS, DEVICES = 40, 250
WINDOW_STEPS, SIGNALS = 30, 4
STEP_S, START_S = 10.0, 1_760_000_000.0
WEEK_S = 7 * 86400.0


def nothing(value: Floats, _seen: Bools, _end_s: Doubles) -> Floats:
    """Expect what was last seen."""
    return value[:, -2]


def interfaces(count: int) -> list[Entity]:
    return [
        (f"s{number // PORTS // DEVICES}", f"d{number // PORTS}", f"p{number % PORTS}")
        for number in range(count)
    ]


def stream(entities: Sequence[Entity]) -> StreamPipeline:
    signals = tuple(replace(GAUGE, name=f"level{number}") for number in range(SIGNALS))
    one = definition(
        *signals,
        entity=("site", "device", "port"),
        step_s=STEP_S,
        window_steps=WINDOW_STEPS,
        entities_max=len(entities),
    )
    pipeline = StreamPipeline(one, Judge(nothing, calibration(SIGNALS)))
    pipeline.rows_of(list(entities))
    return pipeline


def judged(pipeline: StreamPipeline, steps: int) -> tuple[Outcome, float]:
    """Judge some steps; return the last outcome and the milliseconds of the fastest step."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(pipeline.roster.rows), SIGNALS)
    signals = np.tile(np.arange(SIGNALS), pipeline.roster.rows)
    fastest_ms, outcomes = np.inf, list[Outcome]()
    for step in range(steps):
        at_s = np.full(len(rows), START_S + step * STEP_S)
        pipeline.add_samples(Samples(rows, signals, at_s, rng.normal(size=len(rows))))
        begin_s = time.perf_counter()
        outcomes += pipeline.tick(START_S + (step + 0.5) * STEP_S)
        if step > WINDOW_STEPS:
            fastest_ms = min(fastest_ms, 1e3 * (time.perf_counter() - begin_s))
    return replace(outcomes[-1], onsets=(), closures=(), silenced=(), speaking_again=()), fastest_ms


def taken(
    groups: Groups, pipeline: StreamPipeline, plain: Outcome, ill: Sequence[Entity]
) -> tuple[float, int]:
    """Return the milliseconds of a step in which some fall silent, and how many alarms of groups begin."""
    best_ms, begun = np.inf, 0
    for _ in range(3):
        begin_s = time.perf_counter()
        gathering = groups.take(pipeline, replace(plain, silenced=ill))
        best_ms, begun = min(best_ms, 1e3 * (time.perf_counter() - begin_s)), len(gathering.begun)
        groups.take(pipeline, replace(plain, speaking_again=ill))
    return best_ms, begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entities", type=int, default=100_000)
    asked = parser.parse_args()
    entities = interfaces(asked.entities)
    pipeline = stream(entities)
    plain, step_ms = judged(pipeline, WINDOW_STEPS + 5)
    print(f"{asked.entities:,} entities; judging a step, without a network: {step_ms:.1f} ms")
    chance = max(round(asked.entities * STEP_S / WEEK_S), 1)
    groups = Groups([pipeline])
    groups.sync()
    cases = [("nobody", 0), ("chance", chance), ("a device", PORTS), ("a site", PORTS * DEVICES)]
    for name, count in [*cases, ("everything", asked.entities)]:
        ms, begun = taken(groups, pipeline, plain, entities[:count])
        cost = f"{ms:8.2f} ms, {ms / step_ms:7.2%}"
        print(f"{name:>10}: {count:>7,} turn anomalous: {cost}; {begun} alarms of groups")


if __name__ == "__main__":
    main()
