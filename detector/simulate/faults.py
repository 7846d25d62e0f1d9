"""Planning: which incidents happen, where and when.

The time after training is cut into slots, one incident each, so that no two of them overlap and
every one has quiet time around it. Types are dealt from shuffled decks of all types.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detector.simulate.noise import generator
from detector.simulate.scenario import (
    DEVICE_SIGNALS,
    EVENTS,
    FAULTS,
    INTERFACE_SIGNALS,
    SLOT_CADENCES_MIN,
    Event,
    Incident,
    Scenario,
)
from detector.simulate.topology import STALL_PERIOD_S, Topology, Traits
from detector.stream.nouns import Ints

SLOT_SHARE_MAX = 0.6
"""Of its slot, the most that an incident takes."""
FREEZABLE = (*INTERFACE_SIGNALS[:4], "cpu_percent", "memory_used_bytes")
"""Signals that always move, so that one that does not is a fault."""
BACKUPS_EVERY_S = 900.0
"""About how often a backup runs in the training part."""


def plan(scenario: Scenario, fabric: Topology, habits: Traits) -> tuple[Incident, ...]:
    """Return the labelled incidents of a scenario in time order.

    Raises:
        ValueError: The time after training is too short for them, or one of an explicit plan is wrong.
    """
    if not isinstance(scenario.plan, str):
        for incident in scenario.plan:
            _check(incident, scenario, fabric)
        return tuple(sorted(scenario.plan, key=lambda incident: incident.start_s))
    count = _count(scenario)
    if count == 0:
        return ()
    slot_s = (scenario.duration_s - scenario.train_s) / count
    if slot_s < SLOT_CADENCES_MIN * scenario.cadence_s:
        raise ValueError(
            f"{count} incidents in the {scenario.duration_s - scenario.train_s:g} s after training:"
            f" each needs {SLOT_CADENCES_MIN} cadences, {SLOT_CADENCES_MIN * scenario.cadence_s:g} s"
        )
    rng = generator(scenario.seed, "plan")
    decks = [rng.permutation(list(EVENTS)) for _ in range(-(-count // len(EVENTS)))]
    incidents = (
        _incident(str(event), (scenario.train_s + slot * slot_s, slot_s), scenario, fabric, habits)
        for slot, event in enumerate(np.concatenate(decks)[:count])
    )
    return tuple(sorted(incidents, key=lambda incident: incident.start_s))


def backups(scenario: Scenario, fabric: Topology, habits: Traits) -> tuple[Incident, ...]:
    """Return the backups of the training part: normal, and not labelled."""
    slots = int(scenario.train_s // BACKUPS_EVERY_S)
    return tuple(
        _incident("backup_transfer", (slot * BACKUPS_EVERY_S, BACKUPS_EVERY_S), scenario, fabric, habits)
        for slot in range(slots)
    )


def _count(scenario: Scenario) -> int:
    if scenario.plan == "none":
        return 0
    if scenario.plan == "each-kind-once":
        return len(EVENTS)
    per_hour = scenario.faults_per_hour * len(EVENTS) / len(FAULTS)
    return int((scenario.duration_s - scenario.train_s) / 3600 * per_hour)


def _incident(
    name: str, slot: tuple[float, float], scenario: Scenario, fabric: Topology, habits: Traits
) -> Incident:
    """Draw an incident of a type in a slot, from a generator of the slot's own.

    The slot is (begin, length) in seconds of the scenario, so that a scenario tells the same story
    whenever it starts.
    """
    begin_s, slot_s = slot
    rng = generator(scenario.seed, "incident", name, begin_s)
    event = EVENTS[name]
    if name == "periodic_stall":
        middle_s = scenario.start_s + begin_s + slot_s / 2
        # One of those that happen anyway; where the time is too short for one, one more.
        own = [[middle_s, min(middle_s + min(event.duration_s[0], slot_s / 2), scenario.end_s)]]
        stalls = [s for s in habits.stalls_s.tolist() if abs(s[0] - middle_s) < STALL_PERIOD_S[1] / 2]
        inside = [s for s in stalls if scenario.start_s + scenario.train_s <= s[0] and s[1] <= scenario.end_s]
        start_s, end_s = min(inside or own, key=lambda stall: abs(stall[0] - middle_s))
        return Incident(name, start_s, end_s, fabric.devices[habits.stalling])
    least_s = event.cadences_min * scenario.cadence_s
    duration_s = min(max(_log_uniform(rng, event.duration_s), least_s), SLOT_SHARE_MAX * slot_s)
    # Whole cadences from the start, as the physics has them, but for gaps in what is exported.
    if name != "counter_reset":
        duration_s = max(duration_s // scenario.cadence_s, 2) * scenario.cadence_s
    offset_s = begin_s + rng.uniform(0, slot_s - duration_s - scenario.cadence_s)
    start_s = scenario.start_s + -(-offset_s // scenario.cadence_s) * scenario.cadence_s
    size = _log_uniform(rng, event.size) if event.size else None
    return _place(rng, Incident(name, start_s, start_s + duration_s, "", size=size), fabric, habits)


def _place(rng: np.random.Generator, incident: Incident, fabric: Topology, habits: Traits) -> Incident:
    """Return the incident at a device, an interface and a signal where it can happen."""
    port = int(rng.choice(_ports(incident.event, fabric, habits)))
    owner = int(fabric.owner[port])
    device, interface = fabric.devices[owner], fabric.ports[port]
    if incident.event == "frozen_signal":
        signal = str(rng.choice(FREEZABLE))
        at = interface if signal in INTERFACE_SIGNALS else ""
        return replace(incident, device=device, interface=at, signal=signal)
    if incident.event == "backup_transfer":
        sink = (fabric.devices[fabric.owner[habits.backup_sink]], fabric.ports[habits.backup_sink])
        return replace(incident, device=device, interface=interface, sink=sink)
    return replace(incident, device=device, interface=interface if EVENTS[incident.event].port else "")


def _ports(event: str, fabric: Topology, habits: Traits) -> Ints:
    where = EVENTS[event].port
    ports = fabric.hosts if where == "host" else np.arange(len(fabric.ports))
    if where == "leaf":
        ports = ports[fabric.owner[ports] >= fabric.spines]
    if event == "backup_transfer":
        ports = ports[fabric.owner[ports] != fabric.owner[habits.backup_sink]]
    elif event in ("error_burst", "traffic_surge"):
        ports = ports[~habits.no_drops[fabric.owner[ports]]]
    return ports


def _log_uniform(rng: np.random.Generator, between: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(between))))


def _check(incident: Incident, scenario: Scenario, fabric: Topology) -> None:
    """Refuse an incident of an explicit plan that cannot happen."""
    event: Event | None = EVENTS.get(incident.event)
    if event is None:
        raise ValueError(f"no event {incident.event!r}; known: {', '.join(EVENTS)}")
    if not scenario.start_s + scenario.train_s <= incident.start_s < incident.end_s <= scenario.end_s:
        raise ValueError(
            f"{incident.event} from {incident.start_s} to {incident.end_s} is not after training"
        )
    if (incident.size is None) != (event.size is None):
        raise ValueError(f"{incident.event} has {'a' if event.size else 'no'} size")
    if incident.size is not None and not 0 < incident.size < np.inf:
        raise ValueError(f"{incident.event} has the size {incident.size}, not a number above 0")
    fabric.device(incident.device)
    if event.port or incident.signal in INTERFACE_SIGNALS:
        port = fabric.port(incident.device, incident.interface)
        if event.port == "host" and port not in fabric.hosts:
            raise ValueError(f"{incident.event} is at a host's port, not at {incident.interface}")
    elif incident.interface:
        raise ValueError(f"{incident.event} is a whole device's, not of {incident.interface}")
    if incident.event == "backup_transfer" and fabric.port(*incident.sink) not in fabric.hosts:
        raise ValueError(f"the sink of a backup is a host's port, not {incident.sink[1]}")
    if (incident.signal in INTERFACE_SIGNALS + DEVICE_SIGNALS) != (incident.event == "frozen_signal"):
        raise ValueError(f"{incident.event} with the signal {incident.signal!r}")
