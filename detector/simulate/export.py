"""What the devices export of the truth: samples at jittered times, with gaps and stale counters.

A counter is evaluated at the time when the device last refreshed it. That one rule gives repeated
values (not refreshed since), frozen ones and, counted from the last reboot, resets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.simulate.noise import generator
from detector.simulate.scenario import DEVICE_COUNTERS, Incident, Scenario
from detector.simulate.topology import Topology, Traits
from detector.stream.nouns import Bools, Doubles, Ints

JITTER = 0.04
"""Of the cadence: the deviation of the time of a sample."""
JITTER_MAX = 0.1
HOLES_EVERY = 700
"""About how many samples lie between two holes."""
HOLE_LONG_SHARE = 0.5
"""Of the holes, how many take three samples; the others take two."""
STALE_SHARE = 0.08
"""Of the samples, how many repeat the counters of the one before."""
COUNTER_START_MAX = {32: 2**32, 64: 2**52}
"""Counters start below. A float64 column holds integers up to 2**53; no real 64-bit counter gets that far."""


@dataclass(frozen=True, slots=True)
class Records:
    """Samples of all entities of a stream in time order; NaN where a signal was not seen.

    `time_s` and `entity` (a device's or a port's index) are `(records,)`, as is every signal.
    """

    time_s: Doubles
    entity: Ints
    signals: dict[str, Doubles]


def export_interfaces(
    scenario: Scenario,
    fabric: Topology,
    habits: Traits,
    incidents: tuple[Incident, ...],
    rates: dict[str, Doubles],
) -> Records:
    """Return what is seen of the interfaces, given the rate of each signal `(steps, ports)`."""
    totals = {signal: _integral(rate, scenario.cadence_s) for signal, rate in rates.items()}
    parts = []
    for port, owner in enumerate(fabric.owner):
        happens = _of(incidents, fabric.devices[owner], fabric.ports[port])
        times_s, kept = _times(scenario, habits, int(owner), happens)
        refreshed_s = _refreshed(scenario, times_s, f"port {port}", happens)
        columns = {}
        for signal, total in totals.items():
            bits = 32 if habits.legacy[owner] else 64
            first = _counter_start(scenario, signal, port, bits)
            seen_s = _frozen(refreshed_s, signal, happens)
            value = _counted(scenario, total[:, port], seen_s, first, happens)
            columns[signal] = np.mod(value, 2.0**bits)[kept]
        if habits.no_drops[owner]:
            columns["in_drops"] = np.full(int(kept.sum()), np.nan)
        parts.append(Records(times_s[kept], np.full(int(kept.sum()), port), columns))
    return _in_time_order(parts)


def export_devices(
    scenario: Scenario,
    fabric: Topology,
    habits: Traits,
    incidents: tuple[Incident, ...],
    truth: dict[str, Doubles],
) -> Records:
    """Return what is seen of the devices, given each signal (of a counter its rate) `(steps, devices)`."""
    truth = truth | {signal: _integral(truth[signal], scenario.cadence_s) for signal in DEVICE_COUNTERS}
    parts = []
    for device, name in enumerate(fabric.devices):
        happens = _of(incidents, name, "")
        times_s, kept = _times(scenario, habits, device, happens)
        refreshed_s = _refreshed(scenario, times_s, f"device {device}", happens)
        columns = {}
        for signal, values in truth.items():
            if signal in DEVICE_COUNTERS:
                first = _counter_start(scenario, signal, device, 64)
                seen_s = _frozen(refreshed_s, signal, happens)
                columns[signal] = _counted(scenario, values[:, device], seen_s, first, happens)[kept]
            else:
                seen_s = _frozen(times_s, signal, happens)
                step = ((seen_s - scenario.start_s) / scenario.cadence_s).astype(int)
                columns[signal] = values[step, device][kept]
        if habits.no_temperature[device]:
            columns["temperature_celsius"] = np.full(int(kept.sum()), np.nan)
        parts.append(Records(times_s[kept], np.full(int(kept.sum()), device), columns))
    return _in_time_order(parts)


def _of(incidents: tuple[Incident, ...], device: str, interface: str) -> tuple[Incident, ...]:
    """Return the incidents of an entity, those of its device included."""
    return tuple(i for i in incidents if i.device == device and i.interface in ("", interface))


def _times(
    scenario: Scenario, habits: Traits, device: int, happens: tuple[Incident, ...]
) -> tuple[Doubles, Bools]:
    """Return the times at which a device would export, whole milliseconds, and whether it does."""
    rng = generator(scenario.seed, "times", device)
    steps = np.arange(scenario.steps)
    jitter = np.clip(JITTER * rng.standard_normal(len(steps)), -JITTER_MAX, JITTER_MAX)
    offset = steps + rng.uniform(JITTER_MAX, 1 - JITTER_MAX) + jitter
    times_s = scenario.start_s + np.round(scenario.cadence_s * offset, 3)
    begins = rng.random(len(steps)) < 1.0 / HOLES_EVERY
    hole = begins | np.roll(begins, 1) | (np.roll(begins, 2) & (rng.random(len(steps)) < HOLE_LONG_SHARE))
    kept = ~hole & (times_s < scenario.end_s)
    gaps_s = [
        (i.start_s, i.end_s)
        for i in happens
        if i.event in ("silent_device", "counter_reset", "periodic_stall")
    ]
    if device == habits.stalling:
        gaps_s += [(begin_s, end_s) for begin_s, end_s in habits.stalls_s.tolist()]
    for begin_s, end_s in gaps_s:
        kept &= (times_s < begin_s) | (times_s >= end_s)
    return times_s, kept


def _refreshed(scenario: Scenario, times_s: Doubles, entity: str, happens: tuple[Incident, ...]) -> Doubles:
    """Return when the counters in each sample were taken: now, or for stale ones at an earlier sample."""
    stale = generator(scenario.seed, "stale", entity).random(len(times_s)) < STALE_SHARE
    # A device that exports about as often as it refreshes is never two refreshes behind.
    fresh = ~stale | np.r_[True, stale[:-1]]
    refreshed_s = times_s[np.maximum.accumulate(np.where(fresh, np.arange(len(times_s)), 0))]
    for incident in happens:
        if incident.event == "counter_reset":
            # What was known before the reboot is lost with it.
            lost = (times_s >= incident.end_s) & (refreshed_s < incident.end_s)
            refreshed_s = np.where(lost, incident.end_s, refreshed_s)
    return refreshed_s


def _frozen(seen_s: Doubles, signal: str, happens: tuple[Incident, ...]) -> Doubles:
    """Return the times with those in a freeze of the signal held at its begin."""
    for incident in happens:
        if incident.event == "frozen_signal" and incident.signal == signal:
            inside = (seen_s >= incident.start_s) & (seen_s < incident.end_s)
            seen_s = np.where(inside, incident.start_s, seen_s)
    return seen_s


def _integral(rate: Doubles, cadence_s: float) -> Doubles:
    """Return the totals at the begin of every step and at the end of the last, `(steps + 1, …)`."""
    return np.concatenate([np.zeros((1, rate.shape[1])), np.cumsum(rate * cadence_s, axis=0)])


def _counter_start(scenario: Scenario, signal: str, entity: int, bits: int) -> float:
    """Return where a counter begins; rare events have not been many."""
    below = COUNTER_START_MAX[bits] if "octets" in signal or "packets" in signal else 100_000
    return float(generator(scenario.seed, "start", signal, entity).integers(below))


def _counted(
    scenario: Scenario, total: Doubles, seen_s: Doubles, first: float, happens: tuple[Incident, ...]
) -> Doubles:
    """Return a counter at the times `seen_s`: from `first`, and from 0 after each reboot."""
    edges_s = scenario.start_s + scenario.cadence_s * np.arange(len(total))
    since_start = np.interp(seen_s, edges_s, total)
    value = since_start + first
    for incident in happens:
        if incident.event == "counter_reset":
            at_reboot = np.interp(incident.end_s, edges_s, total)
            value = np.where(seen_s >= incident.end_s, since_start - at_reboot, value)
    return np.floor(value)


def _in_time_order(parts: list[Records]) -> Records:
    time_s = np.concatenate([part.time_s for part in parts])
    order = np.argsort(time_s, kind="stable")
    return Records(
        time_s[order],
        np.concatenate([part.entity for part in parts])[order],
        {name: np.concatenate([part.signals[name] for part in parts])[order] for name in parts[0].signals},
    )
