"""A small fabric with two faults, and bundles that the real trainer has made of its history."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from detector.simulate.fabric import Simulation, simulate
from detector.simulate.output import Published, messages, stream_settings, write
from detector.simulate.scenario import Incident, Scenario

STEP_S = 1.0
WINDOW_STEPS = 12
STREAMS = ("interfaces", "devices")
TRAIN_S = 900.0
LIVE_S = 1_750_000_000.0 + TRAIN_S
"""When the history ends. Tests count from here: the link is down from 60 to 90, BGP is cleared at 150."""
DOWN = ("leaf1", "Ethernet1")
CLEARED = "leaf2"
PLAN = (
    Incident("interface_down", LIVE_S + 60, LIVE_S + 90, *DOWN),
    Incident("bgp_clear", LIVE_S + 150, LIVE_S + 180, CLEARED, size=50.0),
)


@dataclass(frozen=True)
class Fabric:
    """A simulation, written to `directory` with its settings `detector.toml`."""

    directory: Path
    simulation: Simulation

    @property
    def config(self) -> Path:
        """The settings: both streams, on the clock of the data, each with its bundle."""
        return self.directory / "detector.toml"

    def settings(self, *lines: str, bundles: bool = True) -> str:
        """Return the settings with further lines for each stream, and perhaps without the bundles."""
        text = self.config.read_text().replace('clock = "data"', "\n".join(['clock = "data"', *lines]))
        kept = (line for line in text.splitlines() if bundles or not line.startswith("bundle"))
        return "\n".join(kept)

    def between(self, start_s: float, end_s: float, without: str = "") -> list[Published]:
        """Return the messages from one time after the history to another, perhaps without a device's."""
        begin_s, until_s = LIVE_S + start_s, LIVE_S + end_s
        return [one for one in self._live() if begin_s <= one[0] < until_s and f"/{without}/" not in one[1]]

    def _live(self) -> Iterator[Published]:
        return messages(self.simulation)


def samples(published: list[Published]) -> int:
    """Return how many samples are in messages."""
    return sum(len(orjson.loads(payload)["fields"]) for _, _, payload in published)


def make_fabric(directory: Path) -> Fabric:
    """Simulate, and write the data and the settings; a quarter of an hour of history is quick to train on."""
    scenario = Scenario(
        seed=3,
        devices=4,
        interfaces=4,
        start_s=LIVE_S - TRAIN_S,
        duration_s=TRAIN_S + 300.0,
        cadence_s=STEP_S,
        train_s=TRAIN_S,
        plan=PLAN,
    )
    fabric = Fabric(directory, simulate(scenario))
    write(fabric.simulation, directory)
    fabric.config.write_text(stream_settings(directory, STEP_S, WINDOW_STEPS))
    return fabric


def train(fabric: Fabric, architecture: str) -> None:
    """Put the bundles where the settings look for them; both streams at once."""
    commands = [_command(fabric, stream, architecture) for stream in STREAMS]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()


def _command(fabric: Fabric, stream: str, architecture: str) -> list[str]:
    data, out = fabric.directory / f"{stream}.parquet", fabric.directory / "bundles" / stream
    words = ["train", data, "--config", fabric.config, "--stream", stream, "--out", out]
    words += ["--architecture", architecture, "--epochs", "3"]
    return [sys.executable, "-m", "detector.cli", *map(str, words)]
