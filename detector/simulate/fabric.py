"""A simulated leaf-spine fabric: what its devices export, and what went wrong in it, labelled.

    scenario -> topology, traits -> plan of incidents -> traffic -> control plane -> export

Two streams, as fabrics export them: `interfaces` (device, interface) and `devices` (device). Every
file here is one of these arrows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from detector.simulate.control import control
from detector.simulate.export import Records, export_devices, export_interfaces
from detector.simulate.faults import backups, plan
from detector.simulate.scenario import EVENTS, Incident, Scenario
from detector.simulate.topology import topology, traits
from detector.simulate.traffic import traffic


@dataclass(frozen=True, slots=True)
class Simulation:
    """Two datasets and their labels.

    `interfaces` and `devices` have the columns `time` (UTC seconds), the entity's, one float64 column a
    signal (null where not seen) and `train`, in time order. `labels` has `start`, `end`, `device`,
    `interface` (empty: the whole device), `event`, `kind` (`fault` or `bait`), `signals` (in which it
    shows, separated by spaces) and `size` (robust deviations, or null); `incidents` is the same as
    objects.
    """

    scenario: Scenario
    incidents: tuple[Incident, ...]
    interfaces: pa.Table
    devices: pa.Table
    labels: pa.Table


def planned(scenario: Scenario) -> tuple[Incident, ...]:
    """Return the incidents that `simulate` labels, in time order.

    Raises:
        ValueError: They do not fit into the scenario.
    """
    fabric = topology(scenario)
    return plan(scenario, fabric, traits(scenario, fabric))


def simulate(scenario: Scenario) -> Simulation:
    """Return what a fabric exports in a scenario.

    An incident that is taken out of the plan changes nothing before it and nothing that it does not
    touch: every component has a random generator of its own.

    Raises:
        ValueError: The planned incidents do not fit into the scenario.
    """
    fabric = topology(scenario)
    habits = traits(scenario, fabric)
    labelled = plan(scenario, fabric, habits)
    incidents = labelled + backups(scenario, fabric, habits)
    rates = traffic(scenario, fabric, habits, incidents)
    states = control(scenario, fabric, incidents, rates["out_octets"])
    interfaces = export_interfaces(scenario, fabric, habits, incidents, rates)
    devices = export_devices(scenario, fabric, habits, incidents, states)
    owners = [fabric.devices[owner] for owner in fabric.owner]
    return Simulation(
        scenario=scenario,
        incidents=labelled,
        interfaces=_table(scenario, interfaces, {"device": owners, "interface": list(fabric.ports)}),
        devices=_table(scenario, devices, {"device": list(fabric.devices)}),
        labels=_labels(labelled),
    )


def _table(scenario: Scenario, records: Records, names: dict[str, list[str]]) -> pa.Table:
    """Return records as a dataset; `names` has for each entity column the value of every entity."""
    entity = pa.array(records.entity)
    columns = {"time": pa.array(records.time_s)}
    columns |= {column: pa.array(values).take(entity) for column, values in names.items()}
    columns |= {signal: pa.array(values, mask=np.isnan(values)) for signal, values in records.signals.items()}
    columns["train"] = pa.array(records.time_s < scenario.start_s + scenario.train_s)
    return pa.table(columns)


def _labels(incidents: tuple[Incident, ...]) -> pa.Table:
    rows = [
        {
            "start": incident.start_s,
            "end": incident.end_s,
            "device": incident.device,
            "interface": incident.interface,
            "event": incident.event,
            "kind": EVENTS[incident.event].kind,
            "signals": " ".join(incident.signals),
            "size": incident.size,
        }
        for incident in incidents
    ]
    types = {"start": pa.float64(), "end": pa.float64(), "size": pa.float64()}
    names = ("start", "end", "device", "interface", "event", "kind", "signals", "size")
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    return pa.Table.from_pylist(rows, schema=schema)
