"""The labels are right: each incident against the same simulation without it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from detector.simulate.fabric import planned, simulate
from detector.simulate.noise import robust_deviation
from detector.simulate.scenario import (
    DEVICE_COUNTERS,
    DEVICE_SIGNALS,
    EVENTS,
    INTERFACE_SIGNALS,
    Incident,
    Scenario,
)
from detector.simulate.topology import topology

BASE = Scenario(seed=3, duration_s=2 * 3600 + 6000, train_s=2 * 3600, plan="each-kind-once")
COUNTERS = INTERFACE_SIGNALS + DEVICE_COUNTERS
GAPS = ("silent_device", "counter_reset", "periodic_stall")
LOCAL = (*GAPS, "error_burst", "frozen_signal")
SETTLE_S = 900.0


@cache
def series(plan, seed=BASE.seed):
    """Return {(device, interface): (time, {signal: values})} of a simulation."""
    simulation = simulate(replace(BASE, plan=plan, seed=seed))
    entities = {}
    for table in (simulation.interfaces, simulation.devices):
        ports = table["interface"] if "interface" in table.column_names else pa.repeat("", table.num_rows)
        names = pc.binary_join_element_wise(table["device"], ports, "/").combine_chunks().dictionary_encode()
        codes = names.indices.to_numpy()
        signals = [name for name in (*INTERFACE_SIGNALS, *DEVICE_SIGNALS) if name in table.column_names]
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in ("time", *signals)}
        for code, name in enumerate(names.dictionary.to_pylist()):
            mine = np.flatnonzero(codes == code)
            device, port = name.split("/")
            entities[device, port] = columns["time"][mine], {s: columns[s][mine] for s in signals}
    return entities


def only(incident: Incident, seed=BASE.seed):
    """Return the simulation with that incident alone, and the one with none."""
    return series((incident,), seed), series((), seed)


def quantities(time_s, values, signal):
    """Return rates of a counter (a fall, wrapped or reset, is unknown), a gauge as it is."""
    if signal not in COUNTERS:
        return values[1:]
    rate = np.diff(values) / np.diff(time_s)
    return np.where(rate < 0, np.nan, rate)


def deviation(with_it, without, incident, signal):
    """Return the largest difference in the span, in robust deviations, over the entities of the label."""
    worst = 0.0
    for (device, port), (time_s, columns) in with_it.items():
        if device != incident.device or signal not in columns or incident.interface not in ("", port):
            continue
        ours, theirs = (
            quantities(t, c[signal], signal) for t, c in (with_it[device, port], without[device, port])
        )
        inside = (time_s[1:] > incident.start_s) & (time_s[1:] < incident.end_s)
        train = theirs[time_s[1:] < BASE.start_s + BASE.train_s]
        if np.isfinite(train).any():
            unit = robust_deviation(train[np.isfinite(train)]) or 1.0
            worst = max(worst, np.nanmax(np.abs(ours - theirs)[inside]) / unit)
    return worst


def incidents(*events, seeds=(3, 4)):
    return [
        pytest.param(incident, seed, id=f"{incident.event}-{seed}")
        for seed in seeds
        for incident in planned(replace(BASE, seed=seed))
        if incident.event in events
    ]


@pytest.mark.parametrize(
    ("incident", "seed"), incidents(*(e for e in EVENTS if e not in (*GAPS, "frozen_signal")))
)
def test_the_named_signals_deviate_in_the_span(incident, seed):
    with_it, without = only(incident, seed)
    assert incident.signals
    for signal in incident.signals:
        assert deviation(with_it, without, incident, signal) > 1.0, signal
    assert deviation(with_it, without, incident, incident.signals[0]) > 2.0


@pytest.mark.parametrize(("incident", "seed"), incidents(*GAPS))
def test_a_gap_has_no_sample_of_the_device_and_its_interfaces(incident, seed):
    with_it, _ = only(incident, seed)
    for (device, _port), (time_s, _) in with_it.items():
        inside = (time_s >= incident.start_s) & (time_s < incident.end_s)
        if device == incident.device:
            assert not inside.any()
        elif incident.event == "silent_device":  # the others are too short to be sure of a sample
            assert inside.any()


@pytest.mark.parametrize(("incident", "seed"), incidents("frozen_signal", seeds=(3, 4, 5)))
def test_a_frozen_signal_repeats_its_last_value_where_it_would_have_moved(incident, seed):
    with_it, without = only(incident, seed)
    entity = incident.device, incident.interface
    time_s, columns = with_it[entity]
    # The sample before may already have been the value at the begin of the freeze.
    inside = (time_s > incident.start_s + BASE.cadence_s) & (time_s < incident.end_s)
    assert np.ptp(columns[incident.signal][inside]) == 0
    assert moving(without[entity][1][incident.signal][inside]) > 0.6
    for signal in {"in_octets", "out_packets", "cpu_percent"} & set(columns) - {incident.signal}:
        assert moving(columns[signal][inside]) > 0.6


def moving(values):
    """Return the share of the samples that differ from the one before."""
    return (np.diff(values) != 0).mean()


@pytest.mark.parametrize(("incident", "seed"), incidents(*EVENTS))
def test_nothing_changes_before_an_incident(incident, seed):
    with_it, without = only(incident, seed)
    for entity, (time_s, columns) in with_it.items():
        earlier = time_s < incident.start_s
        for signal, values in columns.items():
            np.testing.assert_array_equal(values[earlier], without[entity][1][signal][: earlier.sum()])


@pytest.mark.parametrize(("incident", "seed"), incidents(*LOCAL))
def test_nobody_else_notices_a_local_incident(incident, seed):
    with_it, without = only(incident, seed)
    for entity, (time_s, columns) in with_it.items():
        if entity[0] != incident.device:
            np.testing.assert_array_equal(time_s, without[entity][0])
            for signal, values in columns.items():
                np.testing.assert_array_equal(values, without[entity][1][signal])


@pytest.mark.parametrize(("incident", "seed"), incidents(*EVENTS))
def test_all_is_as_it_would_have_been_soon_after_an_incident(incident, seed):
    with_it, without = only(incident, seed)
    later_s = incident.end_s + SETTLE_S
    for entity, (time_s, columns) in with_it.items():
        other_s, others = without[entity]
        np.testing.assert_array_equal(time_s[time_s > later_s], other_s[other_s > later_s])
        for signal, values in columns.items():
            ours, theirs = values[time_s > later_s], others[signal][other_s > later_s]
            if signal in COUNTERS:
                ours, theirs = (np.mod(np.diff(v), 2.0**32) for v in (ours, theirs))
                # Totals differ, so that fractions are cut elsewhere.
                apart = np.mod(ours - theirs + 2.0**31, 2.0**32) - 2.0**31
                assert np.nanmax(np.abs(apart), initial=0) <= 2
            else:
                assert np.nanmax(np.abs(ours - theirs), initial=0) <= 0.5


def explicit(event, **changes):
    start_s = BASE.start_s + BASE.train_s + 1200
    return Incident(event, start_s, start_s + 300, **changes)


def total(entities, incident, device, port, signal):
    """Return the mean rate over the inner part of the span, 0 where a counter stands still."""
    time_s, columns = entities[device, port]
    inside = (time_s > incident.start_s + 30) & (time_s < incident.end_s - 10)
    return np.nanmean(quantities(time_s[inside], columns[signal][inside], signal))


def test_an_interface_that_is_down_stops_both_ends_and_its_siblings_carry_the_traffic():
    incident = explicit("interface_down", device="leaf2", interface="Ethernet1")
    with_it, without = only(incident)
    fabric = topology(BASE)
    peer = fabric.peer[fabric.port("leaf2", "Ethernet1")]
    for device, port in (("leaf2", "Ethernet1"), (fabric.devices[fabric.owner[peer]], fabric.ports[peer])):
        assert total(with_it, incident, device, port, "in_octets") == 0
        assert total(with_it, incident, device, port, "out_octets") == 0
        sessions = with_it[device, ""][1]["bgp_sessions_established"]
        assert sessions.min() == sessions.max() - 1
    for port in ("Ethernet2", "Ethernet3", "Ethernet4"):
        assert total(with_it, incident, "leaf2", port, "out_packets") > 1.1 * total(
            without, incident, "leaf2", port, "out_packets"
        )


def test_traffic_enters_a_blackhole_and_does_not_leave_while_sessions_stay_up():
    incident = explicit("blackhole", device="leaf3", size=15.0)
    with_it, without = only(incident)
    for port in ("Ethernet1", "Ethernet9"):
        assert total(with_it, incident, "leaf3", port, "out_packets") < 0.1 * total(
            without, incident, "leaf3", port, "out_packets"
        )
        assert total(with_it, incident, "leaf3", port, "in_packets") == total(
            without, incident, "leaf3", port, "in_packets"
        )
    assert np.ptp(with_it["leaf3", ""][1]["bgp_sessions_established"]) == 0


def test_a_surge_overflows_the_queue_of_its_port_and_a_backup_of_the_same_size_does_not():
    at = {"device": "leaf2", "interface": "Ethernet9", "size": 8.0}
    drops = {}
    for event, sink in (("traffic_surge", ("", "")), ("backup_transfer", ("leaf5", "Ethernet9"))):
        incident = explicit(event, **at, sink=sink)
        with_it, without = only(incident)
        more = [total(one, incident, "leaf2", "Ethernet9", "in_octets") for one in (with_it, without)]
        assert more[0] > 1.5 * more[1]
        drops[event] = total(with_it, incident, "leaf2", "Ethernet9", "in_drops")
    assert drops["traffic_surge"] > 0.3
    assert drops["backup_transfer"] < 0.1


def test_a_leak_of_cpu_has_what_it_takes_until_somebody_ends_it():
    incident = explicit("cpu_leak", device="leaf1", size=10.0)
    with_it, without = only(incident)
    (time_s, ours), (_, theirs) = with_it["leaf1", ""], without["leaf1", ""]
    more = ours["cpu_percent"] - theirs["cpu_percent"]
    held = (time_s > incident.start_s + 110) & (time_s < incident.end_s)
    assert more[held].min() > 0.9 * more[held].max()
    assert np.abs(more[time_s > incident.end_s + 10]).max() < 0.1


def test_a_bgp_clear_takes_all_sessions_of_the_device_and_one_share_of_its_neighbours():
    incident = explicit("bgp_clear", device="spine1", size=20.0)
    with_it, _ = only(incident)
    sessions = {
        device: columns["bgp_sessions_established"]
        for (device, port), (_, columns) in with_it.items()
        if not port
    }
    assert sessions["spine1"].min() == 0
    assert sessions["leaf1"].min() == sessions["leaf1"].max() - 2
    assert np.ptp(sessions["spine2"]) == 0


def test_a_frozen_counter_stands_still_while_its_siblings_move_and_then_catches_up():
    incident = explicit("frozen_signal", device="leaf1", interface="Ethernet9", signal="in_octets")
    with_it, without = only(incident)
    time_s, columns = with_it["leaf1", "Ethernet9"]
    inside = (time_s > incident.start_s + 30) & (time_s < incident.end_s)
    assert np.ptp(columns["in_octets"][inside]) == 0
    assert np.ptp(columns["in_packets"][inside]) > 0
    after = time_s > incident.end_s + 60
    np.testing.assert_array_equal(
        columns["in_octets"][after], without["leaf1", "Ethernet9"][1]["in_octets"][after]
    )


def test_a_reboot_restarts_the_counters_at_zero_after_a_short_gap_and_leaves_gauges_alone():
    start_s = BASE.start_s + BASE.train_s + 1200
    incident = Incident("counter_reset", start_s, start_s + 25, "leaf4")
    with_it, without = only(incident)
    for (device, port), (time_s, columns) in with_it.items():
        if device != "leaf4":
            continue
        after = time_s >= incident.end_s
        octets = columns["in_octets" if port else "bgp_updates_received"]
        assert octets[after][0] < 2e9
        assert octets[after][0] < octets[~after][-1]
        assert 10 < time_s[after][0] - time_s[~after][-1] < 60
        if not port:
            there = np.isin(without[device, ""][0], time_s)
            for signal in set(DEVICE_SIGNALS) - set(DEVICE_COUNTERS):
                np.testing.assert_array_equal(columns[signal], without[device, ""][1][signal][there])
