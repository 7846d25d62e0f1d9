"""What is too much for chance."""

from math import exp, factorial, inf, isclose

import pytest

from detector.stream.chance import beyond_chance, surprise, tail


@pytest.mark.parametrize("mean", [1e-6, 0.01, 0.5, 1.0, 2.5, 7.0])
@pytest.mark.parametrize("more", [1, 2, 3, 10])
def test_the_tail_is_that_of_poisson(mean, more):
    least = int(mean) + more
    exact = sum(exp(-mean) * mean**count / factorial(count) for count in range(least, least + 80))
    assert isclose(tail(least, mean), exact, rel_tol=1e-8)


def test_so_many_as_are_expected_are_no_surprise():
    assert tail(0, 0.0) == tail(3, 3.0) == tail(7, 1e6) == 1.0
    assert surprise(3, 3.0) == surprise(2, 5.0) == 0.0


def test_what_never_happens_by_chance_is_beyond_it():
    assert tail(1, 0.0) == 0.0
    assert surprise(1, 0.0) == inf
    assert beyond_chance(2, 2, 0.0, 10)


def test_one_alone_is_never_too_many():
    assert not beyond_chance(1, 1, 0.0, 1)
    assert not beyond_chance(1, 100, 0.0, 1)


@pytest.mark.parametrize(
    ("entities", "least"),
    [(2, 2), (24, 3), (240, 4), (2_400, 6), (24_000, 13)],
)
def test_the_larger_the_group_the_more_it_takes(entities, least):
    """At one false alarm a week and entity, forty seconds, and two hundred tests."""
    expected = entities * 40 / (7 * 86400)
    found = next(count for count in range(1, 100) if beyond_chance(count, entities, expected, 200))
    assert found == least


def test_a_larger_budget_takes_more():
    expected = [240 * budget * 40 / (7 * 86400) for budget in (0.01, 1, 10, 100)]
    least = [next(count for count in range(99) if beyond_chance(count, 240, each, 200)) for each in expected]
    assert least == sorted(set(least))
