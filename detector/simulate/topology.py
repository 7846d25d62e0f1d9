"""Who is connected to whom, and in what the devices differ.

A quarter of the devices are spines. Every leaf has the same number of links (lanes) to every spine;
its other ports face hosts. A spine has a port for each lane of each leaf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.simulate.noise import generator
from detector.simulate.scenario import Scenario
from detector.stream.nouns import Bools, Doubles, Ints

STALL_PERIOD_S = (600.0, 1200.0)
STALL_S = (20.0, 40.0)


@dataclass(frozen=True, slots=True)
class Topology:
    """Devices (spines first) and ports, both by index.

    `owner` `(ports,)` is the port's device. `peer` `(ports,)` is the port at the other end of a fabric
    link, -1 at a host. `uplink` and `downlink` `(leaves, spines, lanes)` are the ports at the leaf's
    and the spine's end of a link.
    """

    devices: tuple[str, ...]
    spines: int
    ports: tuple[str, ...]
    owner: Ints
    peer: Ints
    uplink: Ints
    downlink: Ints

    @property
    def hosts(self) -> Ints:
        """The ports that face a host."""
        return np.flatnonzero(self.peer < 0)

    @property
    def host_leaf(self) -> Ints:
        """The leaf of each of `hosts`, counted from 0."""
        return self.owner[self.hosts] - self.spines

    def device(self, name: str) -> int:
        """Return a device's index.

        Raises:
            ValueError: There is no such device.
        """
        if name not in self.devices:
            raise ValueError(f"no device {name!r} in the fabric: {', '.join(self.devices)}")
        return self.devices.index(name)

    def port(self, device: str, interface: str) -> int:
        """Return a port's index.

        Raises:
            ValueError: There is no such port.
        """
        owner = self.device(device)
        for port in np.flatnonzero(self.owner == owner):
            if self.ports[port] == interface:
                return int(port)
        raise ValueError(f"no interface {interface!r} at {device}")


def topology(scenario: Scenario) -> Topology:
    """Return the fabric of a scenario."""
    spines = scenario.devices // 4 or 1
    leaves = scenario.devices - spines
    # A third of a leaf's ports at most goes up, as in real racks.
    lanes = min(scenario.interfaces // leaves, scenario.interfaces // (3 * spines)) or 1
    spine_ports, leaf_ports = leaves * lanes, scenario.interfaces
    owner = np.repeat(np.arange(scenario.devices), [spine_ports] * spines + [leaf_ports] * leaves)
    leaf, spine, lane = np.indices((leaves, spines, lanes))
    uplink = spines * spine_ports + leaf * leaf_ports + spine * lanes + lane
    downlink = spine * spine_ports + leaf * lanes + lane
    peer = np.full(len(owner), -1)
    peer[uplink], peer[downlink] = downlink, uplink
    numbers = [
        *(np.arange(spine_ports) for _ in range(spines)),
        *(np.arange(leaf_ports) for _ in range(leaves)),
    ]
    return Topology(
        devices=(*(f"spine{k + 1}" for k in range(spines)), *(f"leaf{k + 1}" for k in range(leaves))),
        spines=spines,
        ports=tuple(f"Ethernet{number + 1}" for number in np.concatenate(numbers)),
        owner=owner,
        peer=peer,
        uplink=uplink,
        downlink=downlink,
    )


@dataclass(frozen=True, slots=True)
class Traits:
    """In what the devices differ, by device index.

    `legacy` devices have 32-bit counters; `no_temperature` report none, `no_drops` no `in_drops`;
    `stalling` stalls at `stalls_s` `(stalls, 2)`, begin and end, the whole time through; backups go to
    the port `backup_sink`. `phase` `(devices,)` is where its day begins, in radians.
    """

    legacy: Bools
    no_temperature: Bools
    no_drops: Bools
    stalling: int
    stalls_s: Doubles
    backup_sink: int
    phase: Doubles


def traits(scenario: Scenario, fabric: Topology) -> Traits:
    """Return what makes the devices of a scenario differ."""
    rng = generator(scenario.seed, "traits")
    count = scenario.devices

    def some(wanted: int) -> Bools:
        return np.isin(np.arange(count), rng.choice(count, wanted, replace=False))

    return Traits(
        legacy=some(2),
        no_temperature=some(2),
        no_drops=some(1),
        stalling=int(rng.integers(count)),
        stalls_s=_stalls(rng, scenario),
        backup_sink=int(rng.choice(fabric.hosts)),
        phase=rng.normal(0.0, 0.5, count),
    )


def _stalls(rng: np.random.Generator, scenario: Scenario) -> Doubles:
    period_s = rng.uniform(*STALL_PERIOD_S)
    begin_s = np.arange(scenario.start_s + rng.uniform(0, period_s), scenario.end_s, period_s)
    return np.stack([begin_s, begin_s + rng.uniform(*STALL_S, len(begin_s))], axis=1)
