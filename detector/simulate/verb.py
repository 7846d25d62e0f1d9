"""What `detector simulate` makes of its command line."""

from __future__ import annotations

import argparse
import time

from detector.simulate.fabric import Simulation, simulate
from detector.simulate.scenario import Scenario


def simulation_of(asked: argparse.Namespace) -> Simulation:
    """Return the simulation that was asked for. Live, it begins now; as a dataset, it ends now.

    Raises:
        ValueError: A number is out of its range; the message names it.
    """
    duration_s = 3600.0 * asked.hours
    start_s = asked.start
    if start_s is None:
        start_s = time.time() - (0.0 if asked.live else duration_s)
    return simulate(
        Scenario(
            seed=asked.seed,
            devices=asked.devices,
            interfaces=asked.interfaces,
            start_s=float(int(start_s / asked.cadence)) * asked.cadence,
            duration_s=duration_s,
            cadence_s=asked.cadence,
            train_s=3600.0 * asked.train_hours,
            plan=asked.plan,
        )
    )


def told(simulation: Simulation) -> list[str]:
    """Return a line for each thing that will happen."""
    return [
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(row['start']))} {row['end'] - row['start']:.0f} s "
        f"{row['kind']} {row['event']} {row['device']} {row['interface']}".rstrip()
        for row in simulation.labels.to_pylist()
    ]
