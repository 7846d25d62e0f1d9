"""Whatever the scenario, the simulation keeps its promises."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.simulate.fabric import simulate
from detector.simulate.noise import counts
from detector.simulate.scenario import DEVICE_SIGNALS, INTERFACE_SIGNALS, SLOT_CADENCES_MIN, Scenario

CADENCES = st.sampled_from([1.0, 5.0, 10.0, 30.0])


@st.composite
def scenarios(draw):
    cadence_s = draw(CADENCES)
    devices = draw(st.integers(3, 12))
    ports_min = max(devices - (devices // 4 or 1), (devices // 4 or 1) + 1)
    return Scenario(
        seed=draw(st.integers(0, 2**40)),
        devices=devices,
        interfaces=draw(st.integers(ports_min, ports_min + 8)),
        start_s=float(draw(st.integers(0, 2**31))),
        cadence_s=cadence_s,
        train_s=draw(st.integers(60, 150)) * cadence_s,
        duration_s=(150 + draw(st.integers(11 * SLOT_CADENCES_MIN, 300))) * cadence_s,
        plan="each-kind-once",
    )


@settings(max_examples=25, deadline=None)
@given(scenarios())
@example(  # a slot that is shorter than a stall, at the end
    Scenario(
        seed=161,
        devices=3,
        interfaces=2,
        cadence_s=1.0,
        train_s=60.0,
        duration_s=315.0,
        plan="each-kind-once",
    )
)
def test_every_scenario_gives_ordered_whole_and_labelled_data(scenario):
    simulation = simulate(scenario)
    for table, signals in ((simulation.interfaces, INTERFACE_SIGNALS), (simulation.devices, DEVICE_SIGNALS)):
        time_s = table["time"].to_numpy()
        assert (np.diff(time_s) >= 0).all()
        assert scenario.start_s <= time_s[0]
        assert time_s[-1] < scenario.end_s
        entity = [c for c in ("device", "interface") if c in table.column_names]
        assert table.group_by(["time", *entity]).aggregate([]).num_rows == table.num_rows
        for signal in signals:
            values = table[signal].drop_null().to_numpy()
            assert np.isfinite(values).all()
            assert ((values >= 0) & (values < 2**53)).all()
    devices = set(simulation.devices["device"].to_pylist())
    for label in simulation.labels.to_pylist():
        assert label["device"] in devices
        assert scenario.start_s + scenario.train_s <= label["start"] < label["end"] <= scenario.end_s


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 60), st.integers(0, 2**32))
def test_counts_have_the_mean_and_variance_of_poisson(mean, seed):
    uniform = np.random.default_rng(seed).random(4000)
    drawn = counts(uniform, np.full(4000, mean))
    assert abs(drawn.mean() - mean) <= 6 * np.sqrt(mean / 4000) + 0.01
    assert (np.diff(drawn[np.argsort(uniform)]) >= 0).all()
