"""What `detector simulate` makes of its command line."""

from __future__ import annotations

import argparse
import re
import time

from detector.simulate.fabric import Simulation, simulate
from detector.simulate.scenario import Scenario

FLAGS = {
    "duration_s": "--hours",
    "train_s": "--train-hours",
    "cadence_s": "--cadence",
    "start_s": "--start",
    "devices": "--devices",
    "interfaces": "--interfaces",
    "seed": "--seed",
}
"""What a value of the scenario is called on the command line."""


def simulation_of(asked: argparse.Namespace) -> Simulation:
    """Return the simulation that was asked for. Live, it begins now; as a dataset, it ends now.

    Raises:
        ValueError: A number is out of its range; the message names its flag.
    """
    duration_s = 3600.0 * asked.hours
    train_s = 0.75 * duration_s if asked.train_hours is None else 3600.0 * asked.train_hours
    start_s = asked.start
    if start_s is None:
        start_s = time.time() - (0.0 if asked.live else duration_s)
    try:
        return simulate(
            Scenario(
                seed=asked.seed,
                devices=asked.devices,
                interfaces=asked.interfaces,
                start_s=float(int(start_s / asked.cadence)) * asked.cadence,
                duration_s=duration_s,
                cadence_s=asked.cadence,
                train_s=train_s,
                plan=asked.plan,
            )
        )
    except ValueError as error:
        named = re.sub(rf"^({'|'.join(FLAGS)})\b", lambda name: f"{FLAGS[name[0]]}: {name[0]}", str(error))
        raise ValueError(named) from None


def hint(simulation: Simulation, speed: float) -> str:
    """Return what to know of a live simulation: where it goes, and when something happens."""
    scenario = simulation.scenario
    begins = [row["start"] for row in simulation.labels.to_pylist() if row["kind"] == "fault"]
    first = "no fault in it"
    if begins and speed > 0:
        first = f"the first fault comes after {(min(begins) - scenario.start_s) / speed / 60:.0f} minutes"
    clock = "" if speed == 1 else '; its time runs faster than the wall\'s: the streams need clock = "data"'
    return f"publishing to telegraf/<device>/interfaces and telegraf/<device>/devices, {first}{clock}"


def told(simulation: Simulation) -> list[str]:
    """Return a line for each thing that will happen."""
    return [
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(row['start']))} {row['end'] - row['start']:.0f} s "
        f"{row['kind']} {row['event']} {row['device']} {row['interface']}".rstrip()
        for row in simulation.labels.to_pylist()
    ]
