"""What to simulate, and what can happen in it: the nouns of the simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

INTERFACE_SIGNALS = (
    "in_octets",
    "out_octets",
    "in_packets",
    "out_packets",
    "in_errors",
    "in_drops",
    "out_drops",
)
"""The signals of the stream `interfaces`; all are counters."""

DEVICE_SIGNALS = (
    "cpu_percent",
    "temperature_celsius",
    "memory_used_bytes",
    "bgp_updates_received",
    "bgp_sessions_established",
    "routes",
)
"""The signals of the stream `devices`; gauges but for `DEVICE_COUNTERS`."""

DEVICE_COUNTERS = ("bgp_updates_received",)

TRAIN_CADENCES_MIN = 60
"""Sizes are in robust deviations of the training part; fewer samples than this give none."""

DEVICES_MIN = 3
CADENCE_MAX_S = 300.0
FAULTS_PER_HOUR_MAX = 60.0
RECORDS_MAX = 10_000_000
"""Of the interfaces; all of them are held in memory, twelve days of the default fabric."""

SLOT_CADENCES_MIN = 15
"""The shortest share of the time that one incident gets; shorter ones would run into each other."""


@dataclass(frozen=True, slots=True)
class Event:
    """A type of incident.

    `duration_s` and `size` are the ranges that are drawn from, both log-uniformly. A size is in robust
    deviations of the signal that drives the incident, at its entity, over the training part; an
    incident without a size is all or nothing. `signals` are those in which it shows. `port` says at
    which ports it happens; an event without one is a whole device's. `cadences_min` is how many samples it
    takes at least, whatever the cadence: where a device loses three in a row now and then, four are no
    silence, and only samples tell that a value stands still.

    Faults are not to drown in what is normal at the coarse cadence at which weeks are simulated (30 s). In
    four days without a fault the errors and drops of a port come to eleven deviations for two samples, at one
    port of ten to 24; tasks take eight to fourteen of a CPU, but for a minute, and a leak lasts.
    """

    kind: Literal["fault", "bait"]
    signals: tuple[str, ...]
    duration_s: tuple[float, float]
    size: tuple[float, float] | None = None
    port: Literal["", "any", "leaf", "host"] = ""
    cadences_min: int = 2


EVENTS = {
    "interface_down": Event("fault", INTERFACE_SIGNALS[:4], (60, 600), port="leaf"),
    "bgp_clear": Event(
        "fault", ("bgp_updates_received", "bgp_sessions_established", "routes"), (60, 240), (3, 100)
    ),
    "blackhole": Event("fault", ("out_octets", "out_packets"), (60, 600), (3, 15)),
    "error_burst": Event("fault", ("in_errors", "in_drops"), (60, 600), (20, 200), "any"),
    # Unlike a backup it does not back off: what its port cannot queue is dropped.
    "traffic_surge": Event("fault", ("in_octets", "in_packets", "in_drops"), (60, 600), (3, 12), "host"),
    "cpu_leak": Event("fault", ("cpu_percent",), (300, 600), (6, 15)),
    "frozen_signal": Event("fault", (), (180, 600), cadences_min=18),  # the one that the incident names
    "silent_device": Event("fault", INTERFACE_SIGNALS + DEVICE_SIGNALS, (120, 600), cadences_min=12),
    "counter_reset": Event("bait", INTERFACE_SIGNALS + DEVICE_COUNTERS, (10, 29)),
    "periodic_stall": Event("bait", INTERFACE_SIGNALS + DEVICE_SIGNALS, (20, 40)),
    # At the port that sends; the whole path carries it, and the sink's port hands it out.
    "backup_transfer": Event("bait", ("in_octets", "in_packets"), (120, 480), (5, 20), "host"),
}
FAULTS = tuple(name for name, event in EVENTS.items() if event.kind == "fault")
BAITS = tuple(name for name, event in EVENTS.items() if event.kind == "bait")


@dataclass(frozen=True, slots=True)
class Incident:
    """One event at one place: from `start_s` to `end_s`, seconds since the epoch.

    `interface` is empty where the event is the whole device's. `signal` is what a `frozen_signal`
    freezes; `sink` is the (device, interface) that a `backup_transfer` writes to.
    """

    event: str
    start_s: float
    end_s: float
    device: str
    interface: str = ""
    size: float | None = None
    signal: str = ""
    sink: tuple[str, str] = ("", "")

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals in which it shows."""
        return (self.signal,) if self.signal else EVENTS[self.event].signals


Plan = Literal["none", "random", "each-kind-once"] | tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fabric, a span of time, and the plan of what goes wrong in it. The same scenario gives the same data.

    `train_s` of `duration_s` come first and are free of faults; what is normal in this fabric (stalls,
    backups) happens there, too. The plan is `random` (about `faults_per_hour`, with as many baits as
    the share of bait among the types of event), `each-kind-once` (eight faults and three baits evenly
    spread over the rest of the time), `none`, or the incidents themselves.

    Raises:
        ValueError: A value is out of its range; the message names it.
    """

    seed: int = 0
    devices: int = 8
    interfaces: int = 12
    start_s: float = 1_750_000_000.0
    duration_s: float = 86_400.0
    cadence_s: float = 10.0
    train_s: float = 43_200.0
    plan: Plan = "random"
    faults_per_hour: float = 2.0

    def __post_init__(self) -> None:
        spines = self.devices // 4 or 1
        _require(self.seed >= 0, f"seed is {self.seed}, not 0 or more")
        _require(
            self.devices >= DEVICES_MIN,
            f"devices is {self.devices}: a spine and two leaves need {DEVICES_MIN}",
        )
        _require(
            self.interfaces >= max(self.devices - spines, spines + 1),
            f"interfaces is {self.interfaces}: a spine of {self.devices} devices needs a port for each leaf,"
            " and a leaf one for each spine and one for a host",
        )
        _require(
            1 <= self.cadence_s <= CADENCE_MAX_S,
            f"cadence_s is {self.cadence_s}, not in 1 to {CADENCE_MAX_S:g}",
        )
        _require(
            0 <= self.start_s <= 2**32, f"start_s is {self.start_s}, not seconds since the epoch until 2106"
        )
        _require(
            self.cadence_s <= self.duration_s <= RECORDS_MAX * self.cadence_s,
            f"duration_s is {self.duration_s}, not in cadence_s to {RECORDS_MAX:,} cadences",
        )
        records = self.steps * self.devices * self.interfaces
        _require(records <= RECORDS_MAX, f"duration_s gives {records:,} records, over {RECORDS_MAX:,}")
        _require(0 <= self.train_s <= self.duration_s, f"train_s is {self.train_s}, not in 0 to duration_s")
        _require(
            0 < self.faults_per_hour <= FAULTS_PER_HOUR_MAX,
            f"faults_per_hour is {self.faults_per_hour}, not in 0 to {FAULTS_PER_HOUR_MAX:g}",
        )
        _require(
            self.plan == "none" or self.train_s >= TRAIN_CADENCES_MIN * self.cadence_s,
            f"train_s is {self.train_s}: a plan needs {TRAIN_CADENCES_MIN} cadences to size its incidents by",
        )
        if isinstance(self.plan, str):
            _require(
                self.plan in ("none", "random", "each-kind-once"),
                f"plan is {self.plan!r}, not none, random or each-kind-once",
            )

    @property
    def steps(self) -> int:
        """How many cadences the simulation has; the physics is computed once a cadence."""
        return int(-(-self.duration_s // self.cadence_s))

    @property
    def train_steps(self) -> int:
        """How many of them belong to the training part."""
        return int(self.train_s // self.cadence_s)

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + self.duration_s

    def span(self, incident: Incident) -> slice:
        """Return the steps that an incident covers; at least one, unless it is outside of the time."""
        first = round((incident.start_s - self.start_s) / self.cadence_s)
        last = round((incident.end_s - self.start_s) / self.cadence_s)
        return slice(max(first, 0), max(last, first + 1, 0))


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001  # a condition is the argument
    if not holds:
        raise ValueError(otherwise)
