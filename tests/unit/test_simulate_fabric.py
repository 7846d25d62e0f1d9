"""The simulated fabric: what is normal in it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from detector.simulate.fabric import planned, simulate
from detector.simulate.faults import backups
from detector.simulate.scenario import BAITS, DEVICE_SIGNALS, FAULTS, INTERFACE_SIGNALS, Incident, Scenario
from detector.simulate.topology import STALL_S, topology, traits
from detector.simulate.traffic import traffic

QUIET = Scenario(seed=7, duration_s=4 * 3600, train_s=4 * 3600, plan="none")


@pytest.fixture(scope="module")
def quiet():
    return simulate(QUIET)


@pytest.fixture(scope="module")
def rates():
    fabric = topology(QUIET)
    return fabric, traffic(QUIET, fabric, traits(QUIET, fabric), ())


def column(table, signal, **entity):
    keep = np.ones(table.num_rows, bool)
    for name, value in entity.items():
        keep &= table[name].to_numpy(zero_copy_only=False) == value
    return table[signal].to_numpy(zero_copy_only=False)[keep]


def test_the_same_scenario_gives_the_same_data(quiet):
    again = simulate(QUIET)
    assert again.interfaces.equals(quiet.interfaces)
    assert again.devices.equals(quiet.devices)
    assert not simulate(replace(QUIET, seed=8)).interfaces.equals(quiet.interfaces)


def test_a_scenario_tells_the_same_story_on_every_day():
    begun = Scenario(seed=5, start_s=0.0, duration_s=6 * 3600, train_s=3 * 3600, plan="each-kind-once")
    days_s = 20_779 * 86_400.0
    first, later = simulate(begun), simulate(replace(begun, start_s=days_s))
    for name in ("interfaces", "devices", "labels"):
        then, now = getattr(first, name), getattr(later, name)
        for column_name in then.column_names:
            if column_name in ("time", "start", "end"):
                moved_s = np.asarray(now[column_name]) - days_s - np.asarray(then[column_name])
                assert np.abs(moved_s).max() < 1e-5
            elif then[column_name].type == pa.float64():
                # A counter is read at a time of day; that one is rounded by a quarter of a microsecond.
                np.testing.assert_allclose(now[column_name], then[column_name], rtol=1e-9, atol=100.0)
            else:
                assert now[column_name].equals(then[column_name])


def test_the_tables_have_the_layout_of_a_dataset(quiet):
    assert quiet.interfaces.column_names == ["time", "device", "interface", *INTERFACE_SIGNALS, "train"]
    assert quiet.devices.column_names == ["time", "device", *DEVICE_SIGNALS, "train"]
    assert {str(quiet.interfaces.schema.field(signal).type) for signal in INTERFACE_SIGNALS} == {"double"}
    for table, entities in ((quiet.interfaces, 96), (quiet.devices, 8)):
        assert (np.diff(table["time"].to_numpy()) >= 0).all()
        assert table.num_rows == pytest.approx(entities * QUIET.steps, rel=0.02)


def test_the_train_column_ends_where_the_training_part_ends():
    simulation = simulate(replace(QUIET, train_s=7200, duration_s=9000))
    for table in (simulation.interfaces, simulation.devices):
        before = table["time"].to_numpy() < QUIET.start_s + 7200
        assert (table["train"].to_numpy(zero_copy_only=False) == before).all()


def test_the_default_fabric_has_two_spines_and_six_leaves_of_twelve_ports():
    fabric = topology(QUIET)
    assert fabric.devices == ("spine1", "spine2", *(f"leaf{k}" for k in range(1, 7)))
    assert np.bincount(fabric.owner).tolist() == [12] * 8
    linked = np.flatnonzero(fabric.peer >= 0)
    assert (fabric.peer[fabric.peer[linked]] == linked).all()
    assert len(fabric.hosts) == 6 * 8


def test_what_leaves_one_end_of_a_link_enters_the_other(rates):
    fabric, rate = rates
    linked = np.flatnonzero(fabric.peer >= 0)
    for unit in ("octets", "packets"):
        ours, theirs = rate[f"in_{unit}"][:, linked], rate[f"out_{unit}"][:, fabric.peer[linked]]
        np.testing.assert_array_equal(ours, theirs)


def test_loads_add_up_at_every_device(rates):
    fabric, rate = rates
    for device in range(len(fabric.devices)):
        entering = rate["in_octets"][:, fabric.owner == device].sum(axis=1)
        np.testing.assert_allclose(entering, rate["out_octets"][:, fabric.owner == device].sum(axis=1))


def test_errors_and_drops_are_rare_and_more_frequent_under_load(rates):
    _, rate = rates
    for load, signal in (("in_octets", "in_errors"), ("in_octets", "in_drops"), ("out_octets", "out_drops")):
        ratio = rate[load] / rate[load].mean(axis=0)
        assert 0.001 < (rate[signal] > 0).mean() < 0.2
        assert rate[signal][ratio > 1.3].mean() > 1.5 * rate[signal][ratio < 0.8].mean()


def test_the_cpu_follows_the_traffic_and_the_temperature_lags_the_cpu(quiet):
    device = next(
        d
        for d in topology(QUIET).devices
        if np.isfinite(column(quiet.devices, "temperature_celsius", device=d)).all()
    )
    cpu = column(quiet.devices, "cpu_percent", device=device)
    heat = column(quiet.devices, "temperature_celsius", device=device)
    lagged = [np.corrcoef(cpu[: len(cpu) - lag], heat[lag:])[0, 1] for lag in range(30)]
    assert 1 <= int(np.argmax(lagged)) <= 20


def test_two_devices_have_32_bit_counters_that_wrap_and_no_others_do(quiet):
    legacy = set()
    for device in topology(QUIET).devices:
        octets = column(quiet.interfaces, "out_octets", device=device, interface="Ethernet1")
        if (np.diff(octets) < 0).any():
            assert octets.max() < 2**32
            legacy.add(device)
        else:
            assert octets.max() < 2**53
    assert len(legacy) == 2


def test_counters_are_whole_numbers_from_random_starts(quiet):
    first = {}
    for signal in INTERFACE_SIGNALS:
        values = quiet.interfaces[signal].to_numpy(zero_copy_only=False)
        values = values[np.isfinite(values)]
        assert (values == np.floor(values)).all()
        assert values.min() >= 0
        first[signal] = values[:96]
    assert len(np.unique(first["in_octets"])) == 96


def test_some_devices_never_report_some_signals(quiet):
    silent = [
        d
        for d in topology(QUIET).devices
        if np.isnan(column(quiet.devices, "temperature_celsius", device=d)).all()
    ]
    assert len(silent) == 2
    assert quiet.devices["temperature_celsius"].null_count == sum(
        len(column(quiet.devices, "time", device=d)) for d in silent
    )
    assert quiet.interfaces["in_drops"].null_count > 0


def test_a_share_of_the_counter_samples_repeats_the_one_before_in_all_counters(quiet):
    octets = column(quiet.interfaces, "in_octets", device="leaf3", interface="Ethernet9")
    packets = column(quiet.interfaces, "in_packets", device="leaf3", interface="Ethernet9")
    repeated = np.diff(octets) == 0
    assert 0.04 < repeated.mean() < 0.13
    assert (repeated == (np.diff(packets) == 0)).all()


def test_the_cadence_jitters_and_has_holes_of_a_few_samples(quiet):
    stalling = topology(QUIET).devices[traits(QUIET, topology(QUIET)).stalling]
    device = next(d for d in topology(QUIET).devices if d != stalling)
    gaps_s = np.diff(column(quiet.devices, "time", device=device))
    assert 0.1 < gaps_s[gaps_s < 15].std() < 1.0
    assert np.median(gaps_s) == pytest.approx(10, abs=0.1)
    assert 25 < gaps_s.max() < 90


def test_one_device_stalls_again_and_again_in_the_training_part(quiet):
    habits = traits(QUIET, topology(QUIET))
    assert len(habits.stalls_s) >= 10
    time_s = column(quiet.devices, "time", device=topology(QUIET).devices[habits.stalling])
    for begin_s, end_s in habits.stalls_s:
        assert STALL_S[0] <= end_s - begin_s <= STALL_S[1]
        assert not ((time_s >= begin_s) & (time_s < end_s)).any()


def test_backups_run_in_the_training_part_and_are_consistent_end_to_end():
    fabric = topology(QUIET)
    habits = traits(QUIET, fabric)
    usual = backups(QUIET, fabric, habits)
    assert len(usual) == 16
    one = usual[3]
    source, sink = fabric.port(one.device, one.interface), fabric.port(*one.sink)
    assert fabric.owner[source] != fabric.owner[sink]
    without, with_it = traffic(QUIET, fabric, habits, ()), traffic(QUIET, fabric, habits, (one,))
    for unit in ("octets", "packets"):
        more = {
            way: (with_it[f"{way}_{unit}"] - without[f"{way}_{unit}"])[QUIET.span(one)]
            for way in ("in", "out")
        }
        assert (more["in"][:, source] > 0).all()
        assert (more["out"][:, sink] > 0).all()
    sent, got = (with_it[s] - without[s] for s in ("in_octets", "out_octets"))
    np.testing.assert_allclose(sent[:, source], got[:, sink], atol=1e-3)


@pytest.mark.parametrize("device", ["spine1", "leaf2"])
def test_a_partial_blackhole_lets_the_same_share_of_all_that_enters_leave(device):
    fabric, start_s = topology(QUIET), QUIET.start_s + 3600
    hole = Incident("blackhole", start_s, start_s + 300, device, size=5.0)
    rate = traffic(QUIET, fabric, traits(QUIET, fabric), (hole,))
    mine = fabric.owner == fabric.device(device)
    entering, leaving = (rate[s][QUIET.span(hole)][:, mine].sum(axis=1) for s in ("in_octets", "out_octets"))
    share = leaving / entering
    assert 0.1 < share[0] < 0.95
    np.testing.assert_allclose(share, share[0])


def test_at_a_slow_cadence_what_only_samples_tell_still_takes_enough_of_them():
    scenario = Scenario(duration_s=4 * 86_400, train_s=86_400, cadence_s=30.0, faults_per_hour=2)
    least = dict.fromkeys(FAULTS, np.inf)
    for incident in planned(scenario):
        samples = (incident.end_s - incident.start_s) / 30.0
        least[incident.event] = min(least.get(incident.event, np.inf), samples)
    assert least["silent_device"] >= 12
    assert least["frozen_signal"] >= 18
    assert least["blackhole"] < 5


def test_each_kind_once_has_eight_faults_and_three_baits_in_order_after_training():
    scenario = Scenario(duration_s=7200 + 3600, train_s=7200, plan="each-kind-once")
    labels = simulate(scenario).labels.to_pylist()
    assert sorted(label["event"] for label in labels) == sorted(FAULTS + BAITS)
    assert [label["kind"] for label in labels].count("fault") == 8
    assert labels == sorted(labels, key=lambda label: label["start"])
    assert all(scenario.start_s + 7200 <= label["start"] < label["end"] <= scenario.end_s for label in labels)


def test_a_random_plan_has_about_the_asked_for_number_of_faults_an_hour():
    scenario = Scenario(duration_s=86_400, train_s=6 * 3600, faults_per_hour=2)
    kinds = simulate(scenario).labels["kind"].to_pylist()
    assert kinds.count("fault") == pytest.approx(36, abs=2)
    assert kinds.count("bait") == pytest.approx(13, abs=2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"devices": 2}, "devices is 2"),
        ({"devices": 40}, "interfaces is 12: a spine of 40 devices"),
        ({"interfaces": 5}, "interfaces is 5"),
        ({"cadence_s": 0.5}, "cadence_s is 0.5"),
        ({"cadence_s": float("nan")}, "cadence_s is nan"),
        ({"start_s": -1.0}, "start_s is -1.0"),
        ({"duration_s": float("inf")}, "duration_s is inf"),
        ({"duration_s": 30 * 86_400.0}, "duration_s gives 24,883,200 records, over 10,000,000"),
        ({"train_s": 90_000.0}, "train_s is 90000.0"),
        ({"train_s": 10.0}, "train_s is 10.0: a plan needs 60 cadences"),
        ({"faults_per_hour": 0.0}, "faults_per_hour is 0.0"),
        ({"plan": "all"}, "plan is 'all'"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused_with_the_name_of_its_value(wrong, message):
    with pytest.raises(ValueError, match=message):
        Scenario(**wrong)


AFTER_S = Scenario().start_s + 50_000
RIGHT = Incident("error_burst", AFTER_S, AFTER_S + 300, "leaf1", "Ethernet9", size=10.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"event": "fire"}, "no event 'fire'"),
        ({"start_s": 0.0}, "not after training"),
        ({"end_s": AFTER_S}, "not after training"),
        ({"device": "leaf99"}, "no device 'leaf99'"),
        ({"interface": "Ethernet99"}, "no interface 'Ethernet99' at leaf1"),
        ({"interface": ""}, "no interface '' at leaf1"),
        ({"size": None}, "error_burst has a size"),
        ({"size": float("nan")}, "the size nan, not a number above 0"),
        ({"signal": "in_octets"}, "error_burst with the signal"),
        ({"event": "traffic_surge", "interface": "Ethernet1"}, "at a host's port, not at Ethernet1"),
        ({"event": "interface_down"}, "interface_down has no size"),
        ({"event": "silent_device", "size": None}, "a whole device's, not of Ethernet9"),
        ({"event": "frozen_signal", "size": None, "signal": "colour"}, "a whole device's"),
        ({"event": "frozen_signal", "size": None, "signal": "colour", "interface": ""}, "signal 'colour'"),
        ({"event": "backup_transfer"}, "no device ''"),
        ({"event": "backup_transfer", "sink": ("leaf2", "Ethernet1")}, "the sink of a backup"),
    ],
)
def test_an_incident_that_cannot_happen_is_refused(wrong, message):
    simulate_short = Scenario(duration_s=60_000, plan=(replace(RIGHT, **wrong),))
    with pytest.raises(ValueError, match=message):
        simulate(simulate_short)


def test_a_plan_that_does_not_fit_into_the_time_is_refused():
    with pytest.raises(ValueError, match="11 incidents in the 600 s after training"):
        simulate(Scenario(duration_s=4200, train_s=3600, plan="each-kind-once"))
