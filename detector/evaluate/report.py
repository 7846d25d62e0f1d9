"""An evaluation as a page: the table and what it means, and a picture of every event and every false alarm.

One file that needs no other one, no network and no script. The number of pictures is bounded, and what is
left out is said: missed faults come before found ones, and of false alarms those with the highest scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

import numpy as np

from detector.evaluate.evaluation import Evaluation
from detector.evaluate.events import Verdict, covers
from detector.evaluate.judged import Alarm
from detector.evaluate.page import STYLE, image, utc
from detector.evaluate.plots import ALARM, EDGE, EVENT, EXPECTED, OBSERVED, svg
from detector.evaluate.quality import DAY_S
from detector.evaluate.shown import Shown, leading, picture, sections
from detector.evaluate.table import NOTHING, duration, judged, number, percent, rows
from detector.evaluate.traces import Trace, traces
from detector.stream.bench import Judge
from detector.stream.nouns import Alarm as What
from detector.train.dataset import Dataset

ENTITIES_MAX = 200
"""Rows of the table of entities; `--json` has all."""
ENTITIES_OPEN_MAX = 20
"""Up to so many are shown without being asked for: the pictures are what one came for."""


def page(evaluation: Evaluation, dataset: Dataset, judge: Judge) -> str:
    """Return the page. The dataset goes through the pipeline once more, for what the pictures show."""
    part = evaluation.judged
    kinds = sections(evaluation)
    spans = [one.span(part.definition.step_s) for kind in kinds for one in kind.shown]
    traced = iter(traces(dataset, part.definition, judge, spans))
    body = [_table(evaluation), _entities(evaluation), _LEGEND]
    for kind in kinds:
        body.append(f"<h2>{escape(kind.title)}: {kind.total:,}</h2>")
        body += [_figure(evaluation, one, next(traced)) for one in kind.shown]
        if kind.total > len(kind.shown):
            body.append(f"<p>{kind.total - len(kind.shown):,} more are left out here.</p>")
    head = {"name": escape(part.definition.name), "judged": escape(judged(evaluation))}
    return _PAGE.format(**head, style=STYLE, body="".join(body))


def _table(evaluation: Evaluation) -> str:
    lines = "".join(
        f"<tr><th>{escape(row.name)}<td class=num>{escape(row.detector)}<td class=num>{escape(row.control)}"
        f"<td>{escape(row.meaning)}"
        for row in rows(evaluation)
    )
    head = "<tr><th><th class=num>Detector<th class=num>At random<th>What it says"
    left_out = evaluation.left_out.most_common()
    not_judged = "".join(f"<p>{count:,} events {escape(why)}: not judged.</p>" for why, count in left_out)
    return f"<table>{head}{lines}</table>{not_judged}"


def _entities(evaluation: Evaluation) -> str:
    names = ("Faults found", "VUS-PR", "At random", "False alarms", "Free days", "Free time in alarm")
    head = "<th>Entity" + "".join(f"<th class=num>{name}" for name in names)
    total = len(evaluation.entities)
    order = sorted(range(total), key=lambda at: evaluation.judged.entities[at])
    lines = "".join(_entity(evaluation, at) for at in order[:ENTITIES_MAX])
    more = f"<p>{total - ENTITIES_MAX:,} more entities are left out here.</p>" if total > ENTITIES_MAX else ""
    opened = " open" if total <= ENTITIES_OPEN_MAX else ""
    table = f"<table><tr>{head}{lines}</table>{more}"
    return f"<details{opened}><summary>Entities: {total:,}</summary>{table}</details>"


def _entity(evaluation: Evaluation, at: int) -> str:
    part, measured = evaluation.judged, evaluation.entities[at]
    labels = part.labels(at)
    faults = [one for one in evaluation.verdicts if one.event.kind == "fault" and covers(one.event, labels)]
    found = sum(any(alarm.at == at for alarm in verdict.episodes) for verdict in faults)
    free = measured.free_steps
    numbers = (
        f"{found} of {len(faults)}" if faults else NOTHING,
        number(measured.vus_pr),
        number(evaluation.control_entities[at].vus_pr),
        f"{sum(alarm.at == at for alarm in evaluation.false)}",
        f"{free * part.definition.step_s / DAY_S:.1f}",
        percent(measured.free_in_alarm_steps / free) if free else NOTHING,
    )
    return f"<tr><th>{escape(_name(labels))}" + "".join(f"<td class=num>{one}" for one in numbers)


def _figure(evaluation: Evaluation, shown: Shown, trace: Trace) -> str:
    definition = evaluation.judged.definition
    led_by = leading(shown, trace, definition)
    drawn = svg(picture(evaluation, shown, trace, led_by), definition)
    told = list(_told(evaluation, shown, trace))
    if led_by:
        names = (f"{definition.signal_names[index]} ({share:.0%})" for index, share in led_by)
        told.append(f"Leading: {', '.join(names)}.")
    what = f"{shown.event.event} " if shown.event else ""
    title = f"{_name(evaluation.judged.labels(shown.at))} {what}"
    return (
        f"<figure><figcaption><b>{escape(title)}</b> {escape(' '.join(told))}</figcaption>"
        f"{image(drawn)}</figure>"
    )


def _told(evaluation: Evaluation, shown: Shown, trace: Trace) -> Iterator[str]:
    alarm = shown.alarm
    if shown.verdict is not None:
        yield from _told_of_fault(shown.verdict, alarm, trace, evaluation.judged.definition.step_s)
    elif alarm is not None:
        yield f"{utc(alarm.told_s)}, {_alarm(alarm)}."
        baits = [one.event.event for one in evaluation.verdicts if alarm in one.open_then]
        if baits:
            yield f"On bait: {', '.join(baits)}."


def _told_of_fault(
    verdict: Verdict[Alarm], alarm: Alarm | None, trace: Trace, step_s: float
) -> Iterator[str]:
    event = verdict.event
    yield f"{utc(event.start_s)} for {duration(event.end_s - event.start_s)}."
    if alarm is not None:
        yield f"Found after {duration(max(alarm.told_s - event.start_s, 0.0))}, {_alarm(alarm)}."
    else:
        time_s = trace.step * step_s
        score = trace.score[(time_s >= event.start_s) & (time_s <= event.end_s)]
        highest = float(np.fmax.reduce(score, initial=np.nan))
        yield "No score in it." if np.isnan(highest) else f"The highest score in it is {highest:.2f}."
        if verdict.open_then:
            since_s = min(one.told_s for one in verdict.open_then)
            yield f"An alarm was open already, since {utc(since_s)}."
    if event.signals:
        yield f"Labelled: {', '.join(event.signals)}."


def _alarm(alarm: Alarm) -> str:
    kind = f"score up to {alarm.score_max:.3g}" if alarm.what is What.ANOMALY else alarm.what
    return f"{kind}, open for {duration(alarm.end_s - alarm.told_s)}"


def _name(labels: Mapping[str, str]) -> str:
    return " ".join(labels.values()) or "all"


def _swatch(color: str, what: str) -> str:
    return f'<span><i style="background:{color}"></i>{what}</span>'


_LEGEND = (
    "<p class=legend>"
    + _swatch(EVENT + "66", "labelled")
    + _swatch(ALARM + "66", "alarm")
    + _swatch(EDGE, "edge of normal")
    + _swatch(OBSERVED, "observed, and the score")
    + _swatch(EXPECTED, "expected")
    + "</p>"
)

_PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>detector evaluate: {name}</title>
<style>
{style}
</style>
<h1>detector evaluate: {name}</h1>
<p>{judged}.</p>
{body}
"""
