"""Baselines: linear expectations, fitted, saved, and asked as a network is."""

import numpy as np
import pytest

from detector.model import baselines
from detector.model.baselines import Baseline
from detector.train import linear

STEPS, SIGNALS, STEP_S = 12, 3, 600.0


def windows(random, count):
    """Return windows of signals that go on as they were, with one that is the sum of the others."""
    noise = random.normal(size=(count, STEPS, 2)).cumsum(axis=1) * 0.3
    value = np.concatenate([noise, noise.sum(axis=2, keepdims=True)], axis=2).astype(np.float32)
    return value, np.ones(value.shape, bool), np.arange(count) * STEP_S


def missed(baseline, value, *given):
    return float(np.square(value[:, -1] - baseline(value, *given)).mean())


def test_what_goes_on_as_it_was_is_expected():
    random = np.random.default_rng(0)
    parts, fresh = [windows(random, 5000)], windows(random, 1000)
    least = float(np.square(np.diff(fresh[0][:, -2:], axis=1)).mean())
    lags = linear.lags_of(STEPS, SIGNALS)
    for baseline in (linear.pca(parts, [windows(random, 1000)], lags), linear.ewma(parts)):
        assert missed(baseline, *fresh) < 1.1 * least


def test_the_newest_step_is_not_looked_at():
    random = np.random.default_rng(0)
    parts = [windows(random, 500)]
    value, *given = windows(random, 10)
    other = value.copy()
    other[:, -1] = 99.0
    for baseline in (linear.pca(parts, parts, 4), linear.ewma(parts)):
        np.testing.assert_array_equal(baseline(value, *given), baseline(other, *given))


def test_a_signal_that_is_noise_is_expected_at_its_mean_and_one_that_walks_where_it_was():
    random = np.random.default_rng(0)
    value = random.normal(size=(4000, STEPS, 2)).astype(np.float32)
    value[..., 1] = value[..., 1].cumsum(axis=1)
    weights = linear.ewma([(value, np.ones(value.shape, bool), np.zeros(4000))]).weights
    assert weights[-1, 0] < 0.2
    assert weights[-1, 1] > 0.9
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-5)


def test_constant_signals_have_components_too():
    value = np.full((200, STEPS, SIGNALS), 2.0, np.float32)
    parts = [(value, np.ones(value.shape, bool), np.zeros(200))]
    for baseline in (linear.pca(parts, parts, 3), linear.ewma(parts)):
        np.testing.assert_allclose(baseline(*parts[0]), 2.0, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, SIGNALS), (4, SIGNALS, SIGNALS)])
def test_what_is_saved_comes_back(tmp_path, shape):
    random = np.random.default_rng(0)
    made = Baseline(random.normal(size=shape).astype(np.float32), np.ones(SIGNALS, np.float32))
    made.save(tmp_path / "baseline.npz")
    read = baselines.read(tmp_path / "baseline.npz", STEPS, SIGNALS, STEP_S)
    np.testing.assert_array_equal(read.weights, made.weights)
    np.testing.assert_array_equal(read.bias, made.bias)


@pytest.mark.parametrize(
    ("weights", "bias", "why"),
    [
        (np.ones((STEPS, SIGNALS)), np.ones(SIGNALS), "no baseline of windows"),
        (np.ones((2, SIGNALS + 1)), np.ones(SIGNALS), "no baseline of windows"),
        (np.ones((2, SIGNALS, 1)), np.ones(SIGNALS), "no baseline of windows"),
        (np.ones(SIGNALS), np.ones(SIGNALS), "no baseline of windows"),
        (np.ones((2, SIGNALS)), np.ones(1), "no baseline of windows"),
        (np.full((2, SIGNALS), np.nan), np.ones(SIGNALS), "not a finite number"),
        (np.ones((2, SIGNALS)), np.array(["x"] * SIGNALS), "not a finite number"),
        (np.array([None] * 3), np.ones(SIGNALS), "unreadable"),
    ],
)
def test_a_file_that_is_no_baseline_of_the_stream_is_refused(tmp_path, weights, bias, why):
    np.savez(tmp_path / "baseline.npz", weights=weights, bias=bias)
    with pytest.raises(ValueError, match=why):
        baselines.read(tmp_path / "baseline.npz", STEPS, SIGNALS, STEP_S)
