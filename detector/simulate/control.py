"""The control plane and the machine: BGP, CPU, temperature, memory of every device."""

from __future__ import annotations

import numpy as np

from detector.simulate.noise import counts, decayed, generator, robust_deviation, shots, wander
from detector.simulate.scenario import Incident, Scenario
from detector.simulate.topology import Topology
from detector.stream.nouns import Doubles

UPDATES_S = 0.2
"""BGP updates a second that a device receives in quiet times."""
CHURN_TAU_S = 30.0
"""How long updates go on after a session has changed."""
TEMPERATURE_TAU_S = 180.0
"""How slowly the temperature follows the CPU."""
BYTES_PER_ROUTE = 4096.0


def control(
    scenario: Scenario, fabric: Topology, incidents: tuple[Incident, ...], octets: Doubles
) -> dict[str, Doubles]:
    """Return every device signal, `(steps, devices)` each; `bgp_updates_received` is a rate.

    Args:
        scenario: What is simulated.
        fabric: Its devices and ports.
        incidents: What happens.
        octets: What leaves every port, octets a second, `(steps, ports)`.
    """
    sessions = _sessions(scenario, fabric, incidents)
    updates = _updates(scenario, fabric, incidents, sessions)
    cpu = _cpu(scenario, fabric, incidents, octets, updates)
    rng = generator(scenario.seed, "machine")
    devices = len(fabric.devices)
    routes = _routes(scenario, sessions)
    memory = rng.uniform(2e9, 6e9, devices) + BYTES_PER_ROUTE * routes
    memory = memory + 3e6 * wander(rng, (scenario.steps, devices), 600 / scenario.cadence_s)
    return {
        "cpu_percent": cpu,
        "temperature_celsius": _temperature(scenario, cpu),
        "memory_used_bytes": 4096.0 * np.round(memory / 4096.0),
        "bgp_updates_received": updates,
        "bgp_sessions_established": sessions,
        "routes": routes,
    }


def _sessions(scenario: Scenario, fabric: Topology, incidents: tuple[Incident, ...]) -> Doubles:
    """Return the established sessions, one a fabric link; a session is lost at both ends."""
    links = fabric.uplink.ravel()
    ends = fabric.owner[links], fabric.owner[fabric.peer[links]]
    up = np.ones((scenario.steps, len(links)))
    for incident in incidents:
        span = scenario.span(incident)
        if incident.event == "interface_down":
            port = fabric.port(incident.device, incident.interface)
            up[span, (links == port) | (fabric.peer[links] == port)] = 0.0
        elif incident.event == "bgp_clear":
            # They are back after the first third; forwarding goes on meanwhile (graceful restart).
            lost = slice(span.start, span.start + max((span.stop - span.start) // 3, 2))
            device = fabric.device(incident.device)
            up[lost, (ends[0] == device) | (ends[1] == device)] = 0.0
    sessions = np.zeros((scenario.steps, len(fabric.devices)))
    for end in ends:
        np.add.at(sessions.T, end, up.T)
    return sessions


def _updates(
    scenario: Scenario, fabric: Topology, incidents: tuple[Incident, ...], sessions: Doubles
) -> Doubles:
    """Return the updates that each device receives a second."""
    rng = generator(scenario.seed, "updates")
    cadence_s = scenario.cadence_s
    # Far away something flaps about every half hour, and all devices hear of it.
    news = 1.0 + 4.0 * shots(rng, (scenario.steps, 1), 1800 / cadence_s, 60 / cadence_s)
    expected = UPDATES_S * cadence_s * news * rng.lognormal(0.0, 0.3, len(fabric.devices))
    quiet = counts(rng.random(sessions.shape), np.minimum(expected, 200.0)) / cadence_s
    changes = np.abs(np.diff(sessions, axis=0, prepend=sessions[:1])) / sessions[0]
    impulses = changes + 0.1 * changes.sum(axis=1, keepdims=True)
    updates = quiet + decayed(impulses, CHURN_TAU_S / cadence_s)
    for incident in incidents:
        if incident.event == "bgp_clear":
            device, span = fabric.device(incident.device), scenario.span(incident)
            fading = np.exp(-2.0 * np.linspace(0, 1, len(updates[span])))
            deviation = robust_deviation(quiet[: scenario.train_steps, device])
            updates[span, device] += (incident.size or 0.0) * deviation * fading
    return updates


def _routes(scenario: Scenario, sessions: Doubles) -> Doubles:
    """Return the routes: their number goes with the sessions, and breathes by one or two."""
    rng = generator(scenario.seed, "routes")
    full = rng.integers(300, 900, sessions.shape[1])
    breath = np.round(wander(rng, sessions.shape, 900 / scenario.cadence_s))
    routes: Doubles = np.maximum(np.round(full * sessions / sessions[0]) + breath, 0.0)
    return routes


def _cpu(
    scenario: Scenario,
    fabric: Topology,
    incidents: tuple[Incident, ...],
    octets: Doubles,
    updates: Doubles,
) -> Doubles:
    """Return the CPU load: it follows the traffic and the updates, and some task runs now and then."""
    rng = generator(scenario.seed, "cpu")
    cadence_s, shape = scenario.cadence_s, updates.shape
    load = np.zeros(shape)
    np.add.at(load.T, fabric.owner, octets.T)
    load /= load[: scenario.train_steps or None].mean(axis=0)
    tasks = 8.0 * shots(rng, shape, 2400 / cadence_s, 60 / cadence_s)
    noise = 1.0 * wander(rng, shape, 60 / cadence_s)
    cpu = rng.uniform(4, 12, shape[1]) + 14.0 * load + 5.0 * np.log1p(updates) + tasks + noise
    for incident in incidents:
        if incident.event == "cpu_leak":
            device, span = fabric.device(incident.device), scenario.span(incident)
            # It takes what it gets for a third of its time, and has it until somebody ends it.
            ramp = np.minimum(np.linspace(0, 3, len(cpu[span])), 1.0)
            deviation = robust_deviation(cpu[: scenario.train_steps, device])
            cpu[span, device] += (incident.size or 0.0) * deviation * ramp
    return np.clip(cpu, 0.0, 100.0).round(1)


def _temperature(scenario: Scenario, cpu: Doubles) -> Doubles:
    """Return the temperature to half a degree: it lags the CPU, and each room has its own."""
    rng = generator(scenario.seed, "temperature")
    tau_steps = TEMPERATURE_TAU_S / scenario.cadence_s
    wanted = rng.uniform(30, 38, cpu.shape[1]) + 0.35 * cpu
    reached = decayed((1.0 - np.exp(-1.0 / tau_steps)) * wanted, tau_steps, wanted[0])
    noise = 0.3 * wander(rng, cpu.shape, 600 / scenario.cadence_s)
    halves: Doubles = np.round(2.0 * (reached + noise))
    return halves / 2.0
