"""Which candidate is chosen: a network only where it is proven better than the baselines."""

import pytest

from detector.model.design import Design
from detector.train.judge import FoldResult
from detector.train.search import Candidate
from detector.train.select import select


def candidate(architecture, *found, cost=1, finished=True):
    results = [FoldResult(one, [], 0.1, cost, 1.0) for one in found]
    return Candidate(Design(architecture), results, finished)


PCA, EWMA = candidate("pca", 0.50, 0.60, 0.40), candidate("ewma", 0.40, 0.50, 0.30)
GOOD = candidate("gru", 0.55, 0.66, 0.44, cost=9)


def chosen(*networks):
    return select([PCA, EWMA, *networks]).design.architecture


def test_a_network_that_is_better_in_all_folds_is_promoted():
    selection = select([PCA, EWMA, GOOD])
    assert selection.design.architecture == "gru"
    assert selection.why == (
        "gru finds 55.0% of the injected faults; better than pca finds 50.0% of the injected faults and "
        "ewma finds 40.0% of the injected faults"
    )


def test_a_weak_network_is_refused_and_the_best_baseline_taken():
    selection = select([PCA, EWMA, candidate("conv1d", 0.2, 0.2, 0.2)])
    assert selection.design.architecture == "pca"
    assert "no network: conv1d finds 20.0%" in selection.why
    assert "pca 50.0%: the difference, -30.0 points" in selection.why


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ((0.50, 0.60, 0.40), "as good is not better"),
        ((0.80, 0.50, 0.30), "better on average, by one fold alone"),
        ((0.51, 0.59, 0.40), "nothing on average"),
    ],
)
def test_a_network_that_is_not_beyond_the_spread_of_the_folds_is_refused(found, why):
    assert chosen(candidate("lstm", *found)) == "pca", why


def test_it_has_to_be_better_than_each_baseline():
    rival = candidate("ewma", 0.7, 0.7, 0.7)
    assert select([PCA, rival, GOOD]).design.architecture == "ewma"


def test_a_seasonal_baseline_that_is_best_is_taken_where_no_network_is_good():
    best = candidate("seasonal", 0.7, 0.7, 0.7)
    assert select([PCA, EWMA, best]).design.architecture == "seasonal"


def test_of_networks_that_are_as_good_the_cheapest_is_taken():
    cheap = candidate("dense", 0.54, 0.65, 0.43, cost=1)
    assert chosen(GOOD, cheap) == "dense"
    assert chosen(GOOD, candidate("dense", 0.51, 0.61, 0.41)) == "dense", "within the spread of gru's folds"
    even = candidate("gru", 0.60, 0.60, 0.60, cost=9)
    assert select([candidate("pca", 0.5, 0.5, 0.5), EWMA, even, cheap]).design.architecture == "gru"


def test_a_candidate_that_was_given_up_is_not_chosen():
    assert chosen(candidate("gru", 0.99, finished=False)) == "pca"


def test_a_cheap_network_that_fails_does_not_stand_in_the_way_of_a_good_one():
    assert chosen(GOOD, candidate("dense", 0.50, 0.60, 0.40)) == "gru"
