"""The rows of the table: what is measured, how good it has to be, and how much worse is worse.

No bar is chosen by what we reach: they are what published methods reach, causally and in the same protocol,
and well beyond.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isnan, log, nan

from detector.evaluate.metrics import poisson_interval

MORE, LESS, BUDGET = "more", "less", "budget"
"""What is better: more, less, or as many false alarms as are accepted, neither more nor fewer."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, and what chance reaches (`control`). NaN where it cannot be said.

    A rate has how many of them were counted, in how much (`exposure`), and its 95 % interval.
    """

    value: float
    control: float = nan
    low: float = nan
    high: float = nan
    count: float = nan
    exposure: float = nan


@dataclass(frozen=True, slots=True)
class Measure:
    """A row. Worse than the last table by more than `spread` is worse.

    `bar` is the least, or the most, that is good; of a budget the factor within which it is kept. Where the
    bar is `interval`, it is met if the 95 % interval of the rate reaches into it.
    """

    group: str
    name: str
    better: str
    bar: float | None
    spread: float
    form: str = ".3f"
    interval: bool = False

    def met(self, figure: Figure) -> bool | None:
        """Say whether a figure meets the bar; None where there is none, or no figure."""
        if self.bar is None or isnan(figure.value):
            return None
        low, high = (figure.low, figure.high) if self.interval else (figure.value, figure.value)
        if self.better == BUDGET:
            return high >= 1.0 / self.bar and low <= self.bar
        return high >= self.bar if self.better == MORE else low <= self.bar

    def worse(self, now: Figure, then: Figure) -> bool:
        """Say whether a figure is worse than it was by more than the spread."""
        if isnan(now.value) or isnan(then.value):
            return isnan(now.value) and not isnan(then.value)
        if self.better == BUDGET:
            return _off(now.value) - _off(then.value) > self.spread
        change = now.value - then.value
        return (-change if self.better == MORE else change) > self.spread


def _off(ratio: float) -> float:
    """Return how far from the budget a rate is, in log units."""
    return abs(log(ratio)) if ratio > 0 else inf


def rate(count: float, exposure: float, control: float = nan) -> Figure:
    """Return a rate, with the exact interval of a count. `control` is the count by chance."""
    if not exposure:
        return Figure(nan)
    low, high = (bound / exposure for bound in poisson_interval(round(count)))
    return Figure(count / exposure, control / exposure, low, high, count, exposure)


def pooled(figures: list[Figure], accepted: float) -> Figure:
    """Return the rate of several together, over an accepted one."""
    one = rate(sum(f.count for f in figures), sum(f.exposure for f in figures))
    return replace(one, value=one.value / accepted, low=one.low / accepted, high=one.high / accepted)


VUS = "VUS-PR"
FRESH = "faults with a fresh alarm"
FALSE = "false alarms an entity and day"
IN_ALARM = "free time in alarm"
DELAY = "median delay, steps"
EXPLAINED = "right signal among three"
KEPT = "false alarms, of the accepted"
FOUND = "faults found"
BAITED = "baits with an alarm"
CLEARS_TOLD = "BGP clears told of within two steps"
CLEARS_FIRST = "BGP clears, their device first in 15 s"
CLEARS_FALSE = "BGP clears, false alarms a device-hour"
DOWN_TOLD = "shutdowns told of within 60 s"
DOWN_FIRST = "shutdowns, their interface first"
DOWN_FALSE = "shutdowns, false alarms a device-hour"

BUDGETS = (0.1, 1.0, 10.0)
KINDS = (
    "interface_down",
    "bgp_clear",
    "blackhole",
    "error_burst",
    "traffic_surge",
    "cpu_leak",
    "frozen_signal",
    "silent_device",
)


def at(budget: float, name: str) -> str:
    """Return the name of a row at a budget."""
    return f"budget {budget:g}: {name}"


def of_kind(kind: str) -> str:
    """Return the name of the row of the faults of a kind."""
    return f"found, {kind}"


def _servers(group: str, vus: float, fresh: float, false: float, alarm: float | None) -> tuple[Measure, ...]:
    return (
        Measure(group, VUS, MORE, vus, 0.01),
        Measure(group, FRESH, MORE, fresh, 0.02),
        Measure(group, FALSE, LESS, false, 0.02),
        Measure(group, IN_ALARM, LESS, alarm, 0.002, ".4f"),
        Measure(group, DELAY, LESS, None, 3.0, ".1f"),
        Measure(group, EXPLAINED, MORE, 0.8, 0.03),
    )


def _at_budget(budget: float) -> tuple[Measure, ...]:
    factor, few = 1.5, budget < 1.0
    return (
        Measure("simulate", at(budget, FOUND), MORE, 0.95, 0.02),
        Measure("simulate", at(budget, KEPT), BUDGET, factor, 0.2, ".2f", interval=few),
        Measure("simulate", at(budget, BAITED), LESS, 0.0, 0.01),
    )


MEASURES = (
    *_servers("smd", vus=0.67, fresh=0.70, false=0.29, alarm=0.01),
    *_servers("asd", vus=0.45, fresh=0.70, false=0.19, alarm=None),
    Measure("servers", KEPT, BUDGET, 2.0, 0.15, ".2f"),
    Measure("tsb", VUS, MORE, 0.45, 0.01),
    Measure("cisco", CLEARS_TOLD, MORE, 1.0, 0.05),
    Measure("cisco", CLEARS_FIRST, MORE, 0.9, 0.05),
    Measure("cisco", CLEARS_FALSE, LESS, 0.0, 0.3, ".2f"),
    Measure("cisco", DOWN_TOLD, MORE, 1.0, 0.2),
    Measure("cisco", DOWN_FIRST, MORE, 1.0, 0.2),
    Measure("cisco", DOWN_FALSE, LESS, 0.5, 0.3, ".2f"),
    *(measure for budget in BUDGETS for measure in _at_budget(budget)),
    *(Measure("simulate", of_kind(kind), MORE, None, 0.06) for kind in KINDS),
    Measure("simulate", DELAY, LESS, None, 1.0, ".1f"),
    Measure("simulate", EXPLAINED, MORE, 0.8, 0.03),
)
"""The table. How each is measured stands in the module of its group."""
