"""Which faults and false alarms a report shows, and what belongs into the picture of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from detector.evaluate.evaluation import Evaluation
from detector.evaluate.events import Event, Verdict, covers
from detector.evaluate.explained import AMONG, mean_contribution, order, telling
from detector.evaluate.judged import Alarm, Judged
from detector.evaluate.plots import Picture
from detector.evaluate.traces import Span, Trace
from detector.stream.definition import Definition
from detector.stream.nouns import Floats

FAULTS_MAX = 500
FALSE_MAX = 200
"""Pictures of each kind: all of months of a fleet of servers. Each takes some 40 kB."""
AROUND_STEPS = 60
"""What is shown before and after an event or an alarm."""
STEPS_MAX = 2_000
"""What is shown of a long one: its begin, which is what had to be noticed."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A fault, a false alarm (without a `verdict`), or a fault that was missed (without an `alarm`)."""

    at: int
    verdict: Verdict[Alarm] | None
    alarm: Alarm | None

    @property
    def event(self) -> Event | None:
        """The fault, if it is one."""
        return self.verdict.event if self.verdict else None

    def span(self, step_s: float) -> Span:
        """Return the steps that are shown."""
        spans = [(one.start_s, one.end_s) for one in (self.event, self.alarm) if one is not None]
        # Of a found fault, all of it and the begin of the alarm; the alarm may last for long after it.
        first = round(min(start_s for start_s, _ in spans) / step_s) - AROUND_STEPS
        last = round(spans[0][1] / step_s) + AROUND_STEPS
        return Span(self.at, first, min(last, first + STEPS_MAX))


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown of one kind, of so many in `total`."""

    title: str
    total: int
    shown: list[Shown]


def sections(evaluation: Evaluation) -> list[Section]:
    """Return what is shown: missed faults come first, and false alarms with high scores before others."""
    faults = [verdict for verdict in evaluation.verdicts if verdict.event.kind == "fault"]
    missed = [verdict for verdict in faults if not verdict.found]
    found = [verdict for verdict in faults if verdict.found]
    missed_shown = missed[:FAULTS_MAX]
    found_shown = found[: FAULTS_MAX - len(missed_shown)]
    false = sorted(evaluation.false, key=lambda alarm: -np.nan_to_num(alarm.score_max))[:FALSE_MAX]
    false.sort(key=lambda alarm: alarm.first)
    return [
        Section("Missed faults", len(missed), [_missed(evaluation.judged, one) for one in missed_shown]),
        Section("Found faults", len(found), list(_found(found_shown))),
        Section("False alarms", len(evaluation.false), [Shown(alarm.at, None, alarm) for alarm in false]),
    ]


def _found(verdicts: Iterable[Verdict[Alarm]]) -> Iterator[Shown]:
    for verdict in verdicts:
        alarm = telling(verdict)
        assert alarm is not None
        yield Shown(alarm.at, verdict, alarm)


def _missed(judged: Judged, verdict: Verdict[Alarm]) -> Shown:
    """Show a missed fault on the entity that came nearest to an alarm."""
    event, step_s = verdict.event, judged.definition.step_s
    first, last = round(event.start_s / step_s), round(event.end_s / step_s)
    covered = [
        at
        for at in range(len(judged.entities))
        if covers(event, judged.labels(at)) and judged.has(at, first, last)
    ]
    highest = [np.fmax.reduce(judged.score(at)[judged.mask(at, [(first, last)])]) for at in covered]
    return Shown(covered[int(np.argmax(np.nan_to_num(highest, nan=-np.inf)))], verdict, None)


def leading(shown: Shown, trace: Trace, definition: Definition) -> list[tuple[int, float]]:
    """Return the signals that lead, by index, with their shares: of an alarm, or of the scores in a fault."""
    contribution = _contribution(shown, trace, definition)
    if contribution is None:
        return []
    first = order(contribution)[:AMONG]
    return [(index, float(contribution[index])) for index in first if contribution[index] > 0]


def _contribution(shown: Shown, trace: Trace, definition: Definition) -> Floats | None:
    step_s = definition.step_s
    if shown.alarm is not None:
        return mean_contribution(shown.alarm, shown.event, step_s)
    assert shown.event is not None
    time_s = trace.step * step_s
    inside = (time_s >= shown.event.start_s) & (time_s <= shown.event.end_s) & ~np.isnan(trace.score)
    return np.asarray(trace.contribution[inside].mean(axis=0)) if inside.any() else None


def picture(evaluation: Evaluation, shown: Shown, trace: Trace, led_by: list[tuple[int, float]]) -> Picture:
    """Return what to draw: all events of the entity, and all its alarms, in the time that is shown."""
    judged = evaluation.judged
    labels, step_s = judged.labels(shown.at), judged.definition.step_s
    first_s, last_s = float(trace.step[0] * step_s), float(trace.step[-1] * step_s)
    events = [one.event for one in evaluation.verdicts if covers(one.event, labels)]
    alarms = [one for one in judged.alarms if one.at == shown.at]
    return Picture(
        trace,
        [_cut(one.start_s, one.end_s, first_s, last_s) for one in events if _inside(one, first_s, last_s)],
        [_cut(one.told_s, one.end_s, first_s, last_s) for one in alarms if _inside(one, first_s, last_s)],
        led_by,
    )


def _inside(one: Event | Alarm, first_s: float, last_s: float) -> bool:
    return one.start_s <= last_s and one.end_s >= first_s


def _cut(start_s: float, end_s: float, first_s: float, last_s: float) -> tuple[float, float]:
    return min(max(start_s, first_s), last_s), min(end_s, last_s)
