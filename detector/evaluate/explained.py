"""Whether an alarm says what is wrong: the signals that lead its contributions, against those of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from detector.evaluate.events import Event, Verdict
from detector.evaluate.judged import Alarm
from detector.stream.definition import Definition
from detector.stream.nouns import Floats

AMONG = 3
"""How many of the leading signals an operator reads."""


class Explanation(NamedTuple):
    """How well a found fault was explained: the best `place` of its `named` ones of all `signals`."""

    place: int  # 0 is the first
    named: int
    signals: int

    def by_chance(self, among: int) -> float:
        """Return how likely one of the named is among the leading ones, were those drawn at random."""
        among = min(among, self.signals)
        return 1.0 - comb(self.signals - self.named, among) / comb(self.signals, among)


def explanations(verdicts: Sequence[Verdict[Alarm]], definition: Definition) -> Iterator[Explanation]:
    """Yield how well each found fault was explained whose signals are known."""
    signals = definition.signal_names
    for verdict in verdicts:
        named = [index for index, name in enumerate(signals) if name in verdict.event.signals]
        alarm = telling(verdict)
        if verdict.event.kind != "fault" or alarm is None or not named:
            continue
        contribution = mean_contribution(alarm, verdict.event, definition.step_s)
        if contribution is not None:
            best = contribution[named].max()
            # Where nothing contributes, nothing leads.
            place = int((contribution > best).sum()) if best > 0 else len(signals)
            yield Explanation(place, len(named), len(signals))


def telling(verdict: Verdict[Alarm]) -> Alarm | None:
    """Return the alarm that told of an event first; one that names no signal only where it is alone."""
    naming = [alarm for alarm in verdict.episodes if len(alarm.step)]
    return min(naming, key=lambda alarm: alarm.told_s, default=verdict.first)


def mean_contribution(alarm: Alarm, event: Event | None, step_s: float) -> Floats | None:
    """Return the mean contribution of each signal, from the onset to the end of the alarm or of the event.

    None where the alarm names none, as a silence.
    """
    until = alarm.last if event is None else round(event.end_s / step_s)
    chosen = alarm.step <= until
    return alarm.contribution[chosen].mean(axis=0) if chosen.any() else None


def leading(alarm: Alarm, event: Event | None, definition: Definition) -> list[tuple[str, float]]:
    """Return the signals that contribute most to an alarm, and how much; none of an alarm that names none."""
    contribution = mean_contribution(alarm, event, definition.step_s)
    if contribution is None:
        return []
    first = order(contribution)[:AMONG]
    return [(definition.signal_names[index], float(contribution[index])) for index in first]


def order(contribution: Floats) -> list[int]:
    """Return the signals by index, the one that contributes most first."""
    return [int(index) for index in np.argsort(-contribution, kind="stable")]
