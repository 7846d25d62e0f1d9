"""The table of an evaluation: each number of the detector, beside it that of chance, and what it means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isnan
from typing import NamedTuple

from detector.evaluate.evaluation import Evaluation
from detector.evaluate.explained import AMONG
from detector.evaluate.quality import DAY_S, Quality
from detector.stream.nouns import Alarm

HOUR_S, MINUTE_S = 3600.0, 60.0
WEEK_DAYS = 7
NOTHING = "-"


class Row(NamedTuple):
    """One measure."""

    name: str
    detector: str
    control: str
    meaning: str


def rows(evaluation: Evaluation) -> list[Row]:
    """Return the table, without what there is nothing of."""
    ours, control = evaluation.detector, evaluation.control
    before = evaluation.protocol.before_steps
    told = [
        *_of_scores(evaluation),
        _share(
            "faults found",
            ours,
            control,
            "found",
            "faults",
            f"An alarm began between {before} steps before the fault and its end, and told something new.",
        ),
        _share(
            "faults with an alarm open",
            ours,
            control,
            "alarmed",
            "faults",
            "An alarm was open at some time of the fault, even if it had been for days.",
        ),
        Row(
            "delay, median",
            duration(ours.delay_s),
            duration(control.delay_s),
            "From the start of a found fault until the alarm was told, in the time of the data.",
        ),
        *_of_alarms(evaluation),
        _share(
            "baits with an alarm",
            ours,
            control,
            "baits_alarmed",
            "baits",
            "Bait looks like a fault and is none: every alarm on it is false.",
        ),
        _share(
            "right signal first",
            ours,
            control,
            "first",
            "explained",
            "Of the found faults whose signals are known, one of those contributes most to the alarm.",
        ),
        _share(
            f"right signal among {AMONG}",
            ours,
            control,
            "among",
            "explained",
            f"One of those is among the {AMONG} that contribute most, as the log line names them.",
        ),
    ]
    return [row for row in told if row.detector]


def _of_scores(evaluation: Evaluation) -> Iterator[Row]:
    meanings = {
        "vus_pr": (
            f"VUS-PR, window {evaluation.protocol.vus_window_steps}",
            "How well scores tell labelled steps from others at any threshold; near a fault is half right.",
        ),
        "average_precision": (
            "average precision",
            "The same, where only the labelled steps themselves are right.",
        ),
        "affiliation_precision": (
            "affiliation precision",
            "How near to a fault alarms are; at random times about one half.",
        ),
        "affiliation_recall": ("affiliation recall", "How near to each fault some alarm is."),
    }
    for measure, (name, meaning) in meanings.items():
        ours, control = (getattr(one, measure) for one in (evaluation.detector, evaluation.control))
        yield Row(name, number(ours), number(control), meaning)


def _of_alarms(evaluation: Evaluation) -> Iterator[Row]:
    ours, control = evaluation.detector, evaluation.control
    accepted = evaluation.accepted
    promised = accepted / WEEK_DAYS
    low, high = ours.false_a_day_interval
    yield Row(
        "alarms on a fault",
        _part(ours.right, ours.right + ours.false),
        _part(control.right, control.right + control.false),
        "The precision: the others are false. Alarms on a restore or a change count neither way.",
    )
    yield Row(
        "false alarms an entity and day",
        f"{ours.false_a_day:.3g} ({low:.3g} to {high:.3g})" if ours.free_days else NOTHING,
        number(control.false_a_day),
        f"{ours.false:g} in {ours.free_days:.1f} entity-days without a label, with the exact 95 % interval of"
        " the rate.",
    )
    yield Row(
        "promised by the budget",
        f"{promised:.3g}" + (f" ({ours.false_a_day / promised:,.1f} times that)" if ours.free_days else ""),
        NOTHING,
        f"The budget is {accepted:.3g} false alarms an entity and week; in brackets, how many came.",
    )
    yield Row(
        "free time in alarm",
        percent(ours.alarm_share),
        percent(control.alarm_share),
        "The share of the time without a label in which an alarm was open: one that never ends shows here.",
    )


def _share(name: str, ours: Quality, control: Quality, part: str, whole: str, meaning: str) -> Row:
    """Return a row of counts; without a text where there is nothing to count."""
    told = [_part(getattr(one, part), getattr(one, whole)) for one in (ours, control)]
    return Row(name, told[0] if getattr(ours, whole) or whole == "faults" else "", told[1], meaning)


def _part(part: float, whole: float) -> str:
    return f"{_count(part)} of {_count(whole)} ({part / whole:.0%})" if whole else NOTHING


def _count(value: float) -> str:
    """Return a count, which may be a mean of some."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def number(value: float) -> str:
    """Return a number between 0 and 1."""
    return NOTHING if isnan(value) else f"{value:.3f}"


def percent(value: float) -> str:
    """Return a share."""
    return NOTHING if isnan(value) else f"{value:.1%}"


def text(evaluation: Evaluation) -> str:
    """Return the table for a terminal, and what was judged."""
    lines = [f"{'':32}{'detector':>24}{'at random':>20}"]
    lines += [f"{row.name:32}{row.detector:>24}{row.control:>20}" for row in rows(evaluation)]
    return "\n".join([*lines, "", judged(evaluation)])


def judged(evaluation: Evaluation) -> str:
    """Return a sentence on what was judged."""
    part, ours = evaluation.judged, evaluation.detector
    entities = int((part.last >= part.first).sum())
    days = len(part.scores) * part.definition.step_s / DAY_S
    counted = Counter(alarm.what for alarm in part.begun())
    each = ", ".join(f"{counted[what]} {what}" for what in Alarm if counted[what])
    return (
        f"{part.definition.name}: {entities} entities, {days:.1f} entity-days judged, "
        f"{ours.free_days:.1f} of them without a label; {ours.episodes} alarms{each and f' ({each})'}; "
        f"{evaluation.unscored:,} of {len(part.scores):,} steps have no score"
        + (", and rank below all others" if evaluation.unscored else "")
    )


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if isnan(seconds):
        return NOTHING
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.3g} {unit}"
    return f"{seconds:.3g} s"
