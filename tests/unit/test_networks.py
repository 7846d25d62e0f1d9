"""The zoo: every architecture on the one contract, saved without code, blind where it has to be."""

from itertools import product

import numpy as np
import pytest

from detector.model import runtime
from detector.model.design import NETWORKS, OBJECTIVES, Design, usual
from detector.model.networks import build, multiplications
from detector.model.phases import phases

# Keras asks TensorFlow's variables for numpy arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

STEPS, SIGNALS, STEP_S = 16, 3, 60.0
VALUE = np.random.default_rng(0).normal(size=(5, STEPS, SIGNALS)).astype(np.float32)
SEEN = np.ones(VALUE.shape, bool)
END_S = 1e6 + STEP_S * np.arange(5)


def made(design):
    """Return a network, and what it expects of the newest step."""
    lags = STEPS - max(design.hidden_steps, 1)
    network = build(design, STEPS, SIGNALS, lags)
    return network, runtime.runner(network, STEP_S)


def inputs(network, value=VALUE):
    told = [phases(END_S, STEPS, STEP_S)] if len(network.inputs) > 2 else []
    return [value, SEEN.astype(np.float32), *told]


@pytest.mark.parametrize(("architecture", "objective"), list(product(NETWORKS, OBJECTIVES)))
def test_each_comes_back_from_its_file_and_says_the_same(tmp_path, architecture, objective):
    network, reconstruct = made(Design(architecture, objective, calendar="week"))
    network.save(tmp_path / "network.keras")
    loaded = runtime.load_network(tmp_path / "network.keras")
    expected = reconstruct(VALUE, SEEN, END_S)
    assert network(inputs(network)).shape == VALUE.shape
    np.testing.assert_array_equal(runtime.runner(loaded, STEP_S)(VALUE, SEEN, END_S), expected)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("hidden", [1, 2, 4])
def test_what_the_objective_hides_is_not_looked_at(architecture, hidden):
    for highway in ("none", "pca"):
        _, reconstruct = made(Design(architecture, masked_steps=hidden, highway=highway))
        other = VALUE.copy()
        other[:, -hidden:] = 99.0
        expected = reconstruct(VALUE, SEEN, END_S)
        np.testing.assert_array_equal(reconstruct(other, SEEN, END_S), expected)
        other[:, -hidden - 1] = 99.0
        assert (reconstruct(other, SEEN, END_S) != expected).any()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_time_of_day_is_told_where_the_design_says_so(architecture):
    _, knows = made(Design(architecture, calendar="day"))
    _, ignores = made(Design(architecture))
    later_s = END_S + 6 * 3600.0
    assert (knows(VALUE, SEEN, END_S) != knows(VALUE, SEEN, later_s)).any()
    np.testing.assert_array_equal(ignores(VALUE, SEEN, END_S), ignores(VALUE, SEEN, later_s))
    np.testing.assert_array_equal(  # of a day, nothing of the week
        knows(VALUE, SEEN, END_S), knows(VALUE, SEEN, END_S + 86_400.0)
    )


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_level_that_history_never_had_moves_what_is_expected_and_nothing_else(architecture):
    _, reconstruct = made(Design(architecture, highway="none"))
    moved = reconstruct(VALUE + np.float32(5.0), SEEN, END_S)
    np.testing.assert_allclose(moved, reconstruct(VALUE, SEEN, END_S) + 5.0, atol=1e-4)


def test_a_design_that_is_none_is_refused():
    for wrong in ({"objective": "x"}, {"calendar": "x"}, {"highway": "x"}):
        with pytest.raises(ValueError, match="unknown"):
            Design("conv1d", **wrong)
    with pytest.raises(ValueError, match="unknown architecture"):
        Design("x")
    with pytest.raises(ValueError, match="no network"):
        build(Design("pca"), STEPS, SIGNALS, 3)
    with pytest.raises(ValueError, match="hidden steps"):
        build(Design("conv1d", masked_steps=STEPS), STEPS, SIGNALS, 1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_told_of_a_design_makes_it_again(objective):
    design = Design("gru", objective, masked_steps=2, noise=0.5 if objective == "denoising" else 0.3)
    told = design.told()
    again = Design.of("gru", told)
    assert again.told() == told
    assert ("noise" in told) == (objective == "denoising")
    assert ("masked_steps" in told) == (objective == "masked")
    assert Design("pca").told() == {}


def test_what_a_network_costs_is_counted_by_weights_and_steps():
    dense, gru = (made(usual(name, SIGNALS))[0] for name in ("dense", "gru"))
    assert multiplications(gru) > multiplications(dense) > dense.count_params() // 2
    # Every weight of a recurrent layer works in every step.
    layer = next(layer for layer in gru.layers if layer.name.startswith("gru"))
    assert multiplications(gru) > layer.count_params() * STEPS


@pytest.mark.parametrize(("signals", "width"), [(1, 16), (8, 16), (19, 32), (38, 64), (500, 64)])
def test_more_signals_have_a_wider_network(signals, width):
    assert usual("lstm", signals).width == width


def test_phases_go_around_once_a_day_and_once_a_week():
    found = phases(np.array([0.0, 43_200.0, 604_800.0]), 2, 3600.0)
    assert found.shape == (3, 2, 4)
    np.testing.assert_allclose(found[0, -1], [0, 1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found[1, -1, :2], [0, -1], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)
    np.testing.assert_allclose(found[0, 0], phases(np.array([-3600.0]), 1, 3600.0)[0, 0], atol=1e-6)
