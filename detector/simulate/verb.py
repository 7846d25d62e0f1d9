"""What `detector simulate` makes of its command line."""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import replace
from pathlib import Path

from detector.simulate.fabric import Simulation, simulate
from detector.simulate.scenario import TRAIN_CADENCES_MIN, Scenario

FLAGS = {
    "duration_s": "--hours (in seconds)",
    "train_s": "--train-hours (in seconds)",
    "cadence_s": "--cadence",
    "start_s": "--start",
    "devices": "--devices",
    "interfaces": "--interfaces",
    "seed": "--seed",
}
"""What a value of the scenario is called on the command line."""
VALUES = re.compile(r"^(devices|interfaces|seed)\b|\b(duration_s|train_s|cadence_s|start_s)\b")
"""Where a message of the scenario names a value; `devices` further on is a word of its prose."""
LIVE_TRAIN_CADENCES = 3 * TRAIN_CADENCES_MIN
"""How long nothing breaks live, where nobody says: long enough for windows to fill, and to be waited for."""
TOPICS = "telegraf/<device>/interfaces and telegraf/<device>/devices"
SETTINGS = "detector.toml"
"""What the settings of the streams are called, in the directory of the dataset."""


def simulation_of(asked: argparse.Namespace) -> Simulation:
    """Return the simulation that was asked for. Live, it begins now; as a dataset, it ends now.

    Raises:
        ValueError: A number is out of its range; the message names its flag.
    """
    if not asked.speed >= 0:
        raise ValueError(f"--speed is {asked.speed}, not 0 or more")
    duration_s = 3600.0 * asked.hours
    train_s = 0.75 * duration_s if asked.train_hours is None else 3600.0 * asked.train_hours
    if asked.train_hours is None and not asked.out:  # live, and no data to train on
        train_s = min(train_s, LIVE_TRAIN_CADENCES * asked.cadence)
    start_s = asked.start
    if start_s is None:
        start_s = time.time() - (0.0 if asked.live else duration_s)
    try:
        scenario = Scenario(
            seed=asked.seed,
            devices=asked.devices,
            interfaces=asked.interfaces,
            start_s=start_s,
            duration_s=duration_s,
            cadence_s=asked.cadence,
            train_s=train_s,
            plan=asked.plan,
        )
    except ValueError as error:
        raise ValueError(VALUES.sub(lambda value: FLAGS[value[0]], str(error))) from None
    on_grid_s = start_s // asked.cadence * asked.cadence
    try:
        return simulate(replace(scenario, start_s=on_grid_s))
    except ValueError as error:  # of a plan by name, only that there is no room for it
        raise ValueError(f"{error}; give more --hours, or fewer --train-hours") from None


def hint(simulation: Simulation, speed: float, out: Path | None) -> str:
    """Return what to know of a live simulation: where it goes, what reads it, when something happens."""
    begins = [row["start"] for row in simulation.labels.to_pylist() if row["kind"] == "fault"]
    if not begins:
        first = "no fault in it (--plan each-kind-once has eight)"
    elif speed == 0:
        first = "as fast as the broker takes it"
    else:
        minutes = (min(begins) - simulation.scenario.start_s) / speed / 60
        first = f"the first fault comes after {minutes:.1f} minutes"
    clock = "" if speed == 1 else '; its time is not the wall\'s: the streams need clock = "data"'
    settings = f"{out / SETTINGS}" if out else f"the {SETTINGS} that --out DIRECTORY writes"
    return f"publishing to {TOPICS}, {first}; streams as in {settings}{clock}"


def told(simulation: Simulation) -> list[str]:
    """Return a line for each thing that will happen."""
    return [
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(row['start']))} {row['end'] - row['start']:.0f} s "
        f"{row['kind']} {row['event']} {row['device']} {row['interface']}".rstrip()
        for row in simulation.labels.to_pylist()
    ]
