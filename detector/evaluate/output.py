"""An evaluation as JSON, for programs. What cannot be said is null."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import orjson

from detector.evaluate.evaluation import Evaluation
from detector.evaluate.events import Event, Verdict
from detector.evaluate.explained import leading, telling
from detector.evaluate.judged import Alarm
from detector.evaluate.quality import DAY_S, Quality
from detector.stream.definition import Definition


def as_json(evaluation: Evaluation) -> bytes:
    """Return everything but the scores."""
    judged = evaluation.judged
    definition = judged.definition
    content = {
        "stream": definition.name,
        "budget": evaluation.accepted,
        "protocol": asdict(evaluation.protocol),
        "steps": len(judged.scores),
        "unscored_steps": evaluation.unscored,
        "left_out": dict(evaluation.left_out),
        "detector": _quality(evaluation.detector),
        "control": _quality(evaluation.control),
        "entities": list(_entities(evaluation)),
        "events": [_event(verdict, definition) for verdict in evaluation.verdicts],
        "false_alarms": [_alarm(alarm, None, definition) for alarm in evaluation.false],
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2)


def _quality(quality: Quality) -> dict[str, Any]:
    derived = ("precision", "false_a_day", "false_a_day_interval")
    return asdict(quality) | {name: getattr(quality, name) for name in derived}


def _entities(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    judged = evaluation.judged
    for at, measured in enumerate(evaluation.entities):
        days = measured.free_steps * judged.definition.step_s / DAY_S
        yield {
            "entity": judged.labels(at),
            **asdict(measured),
            "free_days": days,
            "false": sum(alarm.at == at for alarm in evaluation.false),
            "control": asdict(evaluation.control_entities[at]),
        }


def _event(verdict: Verdict[Alarm], definition: Definition) -> dict[str, Any]:
    event, alarm = verdict.event, telling(verdict)
    return {
        "start_s": event.start_s,
        "end_s": event.end_s,
        "event": event.event,
        "kind": event.kind,
        "entity": dict(event.entity),
        "signals": event.signals,
        "found": verdict.found,
        "alarmed": bool(verdict.open_then),
        "delay_s": verdict.delay_s,
        "alarm": None if alarm is None else _alarm(alarm, event, definition),
    }


def _alarm(alarm: Alarm, event: Event | None, definition: Definition) -> dict[str, Any]:
    return {
        "entity": dict(alarm.entity),
        "onset_s": alarm.start_s,
        "told_s": alarm.told_s,
        "end_s": alarm.end_s,
        "score_max": alarm.score_max,
        "what": alarm.what,
        "leading": [
            {"signal": name, "contribution": share} for name, share in leading(alarm, event, definition)
        ],
    }
