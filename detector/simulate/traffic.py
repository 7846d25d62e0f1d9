"""The data plane: what crosses every port, octets, packets, errors and drops a second.

Hosts send; each host's traffic goes to the leaves in fixed shares; leaves spread what leaves the rack
over the links to the spines (ECMP); what arrives at a leaf goes to its hosts. Loads therefore add up,
and what goes out at one end of a link comes in at the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.simulate.noise import counts, generator, robust_deviation, shots, wander
from detector.simulate.scenario import Incident, Scenario
from detector.simulate.topology import Topology, Traits
from detector.stream.nouns import Doubles

DAY_S = 86_400.0
HOST_OCTETS_S = 8e6
"""The mean load of a host's port; an uplink of the default fabric carries about twice as much."""
LOCAL_SHARE = 0.15
"""Of a host's traffic, about how much stays in the rack."""
ERRORS_S, DROPS_S = 0.002, 0.005
"""Errors and drops a second at a port's mean load."""
LOAD_RATIO_MAX = 4.0
"""Of a port's mean load, beyond which errors and drops grow no more."""
SURGE_DROPPED = 1e-4
"""Of the packets of a surge, the share that its port cannot queue."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What hosts send and receive, octets a second.

    `sent` `(steps, hosts)` is without the backups; `flows` `(steps, leaves, leaves)`, from and to, is with
    them. `backup_sent` and `backup_received` `(steps, hosts)` are theirs; `surge` is what of `sent` is one.
    """

    sent: Doubles
    surge: Doubles
    flows: Doubles
    backup_sent: Doubles
    backup_received: Doubles


def traffic(
    scenario: Scenario, fabric: Topology, habits: Traits, incidents: tuple[Incident, ...]
) -> dict[str, Doubles]:
    """Return the rate of every interface signal, `(steps, ports)` each."""
    alive = _alive(scenario, fabric, incidents)
    demand = _demand(scenario, fabric, habits, incidents, alive)
    passed = _passed(scenario, fabric, demand, alive, incidents)
    octets_in, octets_out = _octets(scenario, fabric, demand, alive, passed)
    size_out = _packet_octets(scenario, fabric, "out")
    size_in = np.where(fabric.peer < 0, _packet_octets(scenario, fabric, "in"), size_out[:, fabric.peer])
    rates = {
        "in_octets": octets_in,
        "out_octets": octets_out,
        "in_packets": octets_in / size_in,
        "out_packets": octets_out / size_out,
        "in_errors": _mishaps(scenario, "in_errors", octets_in, ERRORS_S),
        "in_drops": _mishaps(scenario, "in_drops", octets_in, DROPS_S),
        "out_drops": _mishaps(scenario, "out_drops", octets_out, DROPS_S),
    }
    rates["in_drops"][:, fabric.hosts] += SURGE_DROPPED * demand.surge / size_in[:, fabric.hosts]
    _burst_errors(scenario, fabric, incidents, rates)
    return rates


def _demand(
    scenario: Scenario,
    fabric: Topology,
    habits: Traits,
    incidents: tuple[Incident, ...],
    alive: Doubles,
) -> Demand:
    hosts, leaf = fabric.hosts, fabric.host_leaf
    sent = _load(scenario, fabric, habits)
    surge, backup_sent, backup_received = np.zeros((3, *sent.shape))
    leaves = len(fabric.devices) - fabric.spines
    flows_backup = np.zeros((scenario.steps, leaves, leaves))
    for incident in incidents:
        if incident.event not in ("traffic_surge", "backup_transfer"):
            continue
        source = np.searchsorted(hosts, fabric.port(incident.device, incident.interface))
        span = scenario.span(incident)
        size = incident.size or 0.0
        extra = size * robust_deviation(sent[: scenario.train_steps, source]) * _plateau(len(sent[span]))
        if incident.event == "traffic_surge":
            surge[span, source] += extra
        else:
            sink = np.searchsorted(hosts, fabric.port(*incident.sink))
            backup_sent[span, source] += extra
            backup_received[span, sink] += extra
            flows_backup[span, leaf[source], leaf[sink]] += extra
    sent = (sent + surge) * alive[:, hosts]
    shares = _shares(scenario, fabric)
    flows = np.stack([sent[:, leaf == k] @ shares[leaf == k] for k in range(leaves)], axis=1)
    return Demand(sent, surge, flows + flows_backup, backup_sent, backup_received)


def _plateau(steps: int) -> Doubles:
    """Return a shape in 0 to 1 that rises within three steps."""
    return np.minimum(np.arange(1, steps + 1) / 3.0, 1.0)


def _load(scenario: Scenario, fabric: Topology, habits: Traits) -> Doubles:
    """Return what each host sends: a daily rhythm times slow and fast noise, and bursts on top."""
    rng = generator(scenario.seed, "load")
    hosts, steps, cadence_s = len(fabric.hosts), scenario.steps, scenario.cadence_s
    level = HOST_OCTETS_S * rng.lognormal(0.0, 0.4, hosts)
    phase = habits.phase[fabric.owner[fabric.hosts]] + rng.normal(0.0, 0.2, hosts)
    time_s = scenario.start_s % DAY_S + cadence_s * np.arange(steps)[:, None]
    rhythm = 1.0 + 0.35 * np.sin(2 * np.pi * time_s / DAY_S + phase)
    slow, fast = (wander(rng, (steps, hosts), tau_s / cadence_s) for tau_s in (1200, 60))
    noise = 0.12 * slow + 0.10 * fast
    bursts = shots(rng, (steps, hosts), 2400 / cadence_s, 40 / cadence_s)
    return level * rhythm * (np.exp(noise) + 0.6 * bursts)


def _shares(scenario: Scenario, fabric: Topology) -> Doubles:
    """Return which share of each host's traffic goes to which leaf, `(hosts, leaves)`."""
    rng = generator(scenario.seed, "shares")
    leaves = len(fabric.devices) - fabric.spines
    shares = rng.dirichlet(np.full(leaves, 3.0), len(fabric.hosts)) * (1.0 - LOCAL_SHARE)
    shares[np.arange(len(fabric.hosts)), fabric.host_leaf] += LOCAL_SHARE
    return shares


def _alive(scenario: Scenario, fabric: Topology, incidents: tuple[Incident, ...]) -> Doubles:
    """Return 1 where a port is up, else 0; a link is down at both ends. `(steps, ports)`."""
    alive = np.ones((scenario.steps, len(fabric.ports)))
    for incident in incidents:
        if incident.event == "interface_down":
            port = fabric.port(incident.device, incident.interface)
            alive[scenario.span(incident), port] = 0.0
            if fabric.peer[port] >= 0:
                alive[scenario.span(incident), fabric.peer[port]] = 0.0
    return alive


def _passed(
    scenario: Scenario, fabric: Topology, demand: Demand, alive: Doubles, incidents: tuple[Incident, ...]
) -> Doubles:
    """Return which share of what enters a device leaves it, `(steps, devices)`."""
    passed = np.ones((scenario.steps, len(fabric.devices)))
    holes = [incident for incident in incidents if incident.event == "blackhole"]
    if holes:
        _, octets_out = _octets(scenario, fabric, demand, alive, passed)
    for hole in holes:
        device = fabric.device(hole.device)
        normal = octets_out[: scenario.train_steps, fabric.owner == device].sum(axis=1)
        lost = (hole.size or 0.0) * robust_deviation(normal) / float(np.median(normal))
        passed[scenario.span(hole), device] = max(1.0 - lost, 0.0)
    return passed


def _octets(
    scenario: Scenario, fabric: Topology, demand: Demand, alive: Doubles, passed: Doubles
) -> tuple[Doubles, Doubles]:
    """Return what enters and what leaves every port, octets a second, `(steps, ports)` each."""
    entering, leaving = np.zeros_like(alive), np.zeros_like(alive)
    rng = generator(scenario.seed, "ecmp")
    up = alive[:, fabric.uplink] * rng.lognormal(0.0, 0.1, fabric.uplink.shape)
    down = alive[:, fabric.uplink] * rng.lognormal(0.0, 0.1, fabric.uplink.shape)
    capacity = up.sum(axis=3)  # (steps, leaves, spines)
    leaf_passed = passed[:, fabric.spines :]
    sent = demand.flows * leaf_passed[:, :, None]
    # What stays in the rack passes the leaf once: on its way out, below.
    arrived = np.diagonal(demand.flows, axis1=1, axis2=2).copy()
    sent[:, np.arange(sent.shape[1]), np.arange(sent.shape[1])] = 0.0
    reached = capacity > 0
    ways = capacity @ np.swapaxes(reached, 1, 2).astype(float)  # (steps, from, to): all spines that join them
    for spine in range(fabric.spines):
        share = capacity[:, :, None, spine] * reached[:, None, :, spine]
        through = sent * np.divide(share, ways, out=np.zeros_like(share), where=ways > 0)
        climbing = through.sum(axis=2)
        falling = through.sum(axis=1) * passed[:, spine, None]
        arrived += falling
        leaving[:, fabric.uplink[:, spine]] = climbing[:, :, None] * _fractions(up[:, :, spine])
        leaving[:, fabric.downlink[:, spine]] = falling[:, :, None] * _fractions(down[:, :, spine])
    delivered = _delivered(scenario, fabric, demand, arrived)
    leaving[:, fabric.hosts] = delivered * alive[:, fabric.hosts] * leaf_passed[:, fabric.host_leaf]
    linked = fabric.peer >= 0
    entering[:, linked] = leaving[:, fabric.peer[linked]]
    entering[:, fabric.hosts] = demand.sent + demand.backup_sent
    return entering, leaving


def _fractions(weights: Doubles) -> Doubles:
    """Return the weights of the lanes as shares of 1; all 0 where no lane is up."""
    total = weights.sum(axis=-1, keepdims=True)
    fractions: Doubles = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return fractions


def _delivered(scenario: Scenario, fabric: Topology, demand: Demand, arrived: Doubles) -> Doubles:
    """Return what each host is to get of what arrived at its leaf, `(steps, hosts)`.

    Backups go to their sink, the rest in shares that wander.
    """
    rng = generator(scenario.seed, "delivery")
    taste = rng.lognormal(0.0, 0.3, len(fabric.hosts))
    taste = taste * np.exp(0.2 * wander(rng, (scenario.steps, len(taste)), 600 / scenario.cadence_s))
    delivered = demand.backup_received.copy()
    for leaf in range(arrived.shape[1]):
        mine = fabric.host_leaf == leaf
        rest = np.maximum(arrived[:, leaf] - delivered[:, mine].sum(axis=1), 0.0)
        delivered[:, mine] += rest[:, None] * _fractions(taste[:, mine])
    return delivered


def _packet_octets(scenario: Scenario, fabric: Topology, way: str) -> Doubles:
    """Return the mean packet size at every port, `(steps, ports)`."""
    rng = generator(scenario.seed, "packets", way)
    ports = len(fabric.ports)
    mean = rng.uniform(500, 1100, ports)
    return mean * np.exp(0.08 * wander(rng, (scenario.steps, ports), 300 / scenario.cadence_s))


def _mishaps(scenario: Scenario, signal: str, octets: Doubles, at_mean_s: float) -> Doubles:
    """Return rare events a second that grow with the square of the load and come in clusters."""
    rng = generator(scenario.seed, signal)
    mean = octets[: scenario.train_steps or None].mean(axis=0)
    ratio = np.minimum(octets / mean, LOAD_RATIO_MAX)
    clusters = np.exp(0.7 * wander(rng, octets.shape, 120 / scenario.cadence_s))
    expected = np.minimum(at_mean_s * scenario.cadence_s * ratio**2 * clusters, 50.0)
    return counts(rng.random(octets.shape), expected) / scenario.cadence_s


def _burst_errors(
    scenario: Scenario, fabric: Topology, incidents: tuple[Incident, ...], rates: dict[str, Doubles]
) -> None:
    """Add the error bursts; half as many packets are dropped as are in error."""
    for incident in incidents:
        if incident.event == "error_burst":
            port, span = fabric.port(incident.device, incident.interface), scenario.span(incident)
            rng = generator(scenario.seed, "burst", incident.device, incident.interface, span.start)
            shape = rng.lognormal(-0.08, 0.4, len(rates["in_errors"][span]))
            for signal, part in (("in_errors", 1.0), ("in_drops", 0.5)):
                deviation = robust_deviation(rates[signal][: scenario.train_steps, port])
                rates[signal][span, port] += part * (incident.size or 0.0) * deviation * shape
