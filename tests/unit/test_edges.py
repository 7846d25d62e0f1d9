"""The edge of normal: what the budget accepts, and how far it is believed."""

from dataclasses import replace

import numpy as np
import pytest

from detector.stream.edges import SURE, SURE_SCALE, TAIL_PRIOR_S, Edges
from detector.stream.policy import Policies
from tests.support.streams import calibration, definition


def raw_edge(learnt, **changed):
    """Return the raw score at the edge of an entity that never had an alarm."""
    stream = definition(**changed)
    policies = Policies(stream)
    edges = Edges(stream, learnt, policies)
    for stage in (policies, edges):
        stage.resize(1)
    policies.admit(0, ("r",))
    edges.admit(0)
    return float(np.exp(edges.of(np.array([0]))[0] + learnt.pool_typical))


@pytest.mark.parametrize("low", [0.01, 0.3])
def test_what_was_learnt_for_minutes_says_nothing_of_a_weeks_worst(low):
    learnt = replace(calibration(1, edge=low), history_s=600.0)
    assert raw_edge(learnt, budget=1.0) == pytest.approx(SURE, rel=0.05)


def test_a_tail_of_weeks_is_believed():
    learnt = replace(calibration(1, edge=0.3), history_s=30 * TAIL_PRIOR_S)
    assert raw_edge(learnt) == pytest.approx(0.3, rel=0.2)  # and room for a habit


def test_no_tail_makes_an_edge_that_nothing_is_beyond():
    learnt = replace(calibration(1, edge=1e6), history_s=30 * TAIL_PRIOR_S)
    assert raw_edge(learnt, budget=1.0) == pytest.approx(SURE)


def test_a_larger_budget_has_a_lower_edge_though_little_was_learnt():
    learnt = replace(calibration(1), history_s=1e-9)
    ratio = raw_edge(learnt, budget=1.0) / raw_edge(learnt, budget=10.0)
    assert ratio == pytest.approx(10.0**SURE_SCALE)
