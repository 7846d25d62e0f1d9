"""How many anomalies of a group are too many for chance.

Each of `n` entities has false alarms at a rate of its own, `b` a week, and independent of the others. When
one comes, the others had `m = (1 - 1/n) n b w` of them on average within the time `w` around it, and Poisson
says how often they were at least so many by chance. So by chance alone a group meets `k` alarms together

    n b P(Poisson(m) >= k - 1)        times a week,

and it is anomalous where that, times the number of such tests that are made of all groups, is at most `b`:
all groups together then have no more false alarms than one entity may have.
"""

from __future__ import annotations

from math import exp, inf, lgamma, log

PRECISION = 1e-9
"""Of the tail, relative: what is left out of its sum."""


def tail(least: int, mean: float) -> float:
    """Return how likely a Poisson variable is at least `least`; 1 where that is no more than its mean."""
    if least <= mean:
        return 1.0
    if mean <= 0:
        return 0.0
    term = total = exp(least * log(mean) - mean - lgamma(least + 1))
    while term > PRECISION * total:
        least += 1
        term *= mean / least
        total += term
    return min(total, 1.0)


def beyond_chance(count: int, entities: int, expected: float, tests: int) -> bool:
    """Say whether `count` anomalies together are more than chance makes.

    Args:
        count: How many there are.
        entities: How many could be anomalous.
        expected: How many false alarms all of them have on average in the time that counts as together.
        tests: How many times this is asked: of how many groups, for how many such times.
    """
    others = (1 - 1 / entities) * expected
    return count > 1 and entities * tests * tail(count - 1, others) <= 1


def surprise(count: int, expected: float) -> float:
    """Return how much more likely `count` is with a cause than by chance: the logarithm of the ratio.

    Of several groups that overlap, the one that surprises most tells best where the cause is (Kulldorff, A
    spatial scan statistic, 1997).
    """
    if count <= expected:
        return 0.0
    return inf if expected <= 0 else count * log(count / expected) - (count - expected)
