"""What `detector evaluate` says: the table or JSON as the result, and as talk what was left out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from detector.evaluate import labels, output, table
from detector.evaluate.evaluation import Evaluation
from detector.evaluate.evaluation import evaluate as evaluate_dataset
from detector.evaluate.events import Event
from detector.evaluate.quality import Protocol
from detector.model import runtime
from detector.model.bundle import Bundle
from detector.planner import Planner
from detector.stream.definition import Definition
from detector.train import dataset


def evaluate(asked: argparse.Namespace, bundle: Bundle, definition: Definition, planner: Planner) -> int:
    """Evaluate as the command line asked; return the exit code.

    Raises:
        DatasetError: Data or labels cannot be used.
        OSError: A file cannot be read or written.
    """
    if asked.budget:
        definition = replace(definition, budget=asked.budget)
    events = _events(asked, definition)
    data = dataset.read(asked.data, definition.entity)
    judge = runtime.load_judge(bundle)
    protocol = Protocol(asked.vus_window, asked.before, asked.after, asked.connected, asked.seed)
    found = evaluate_dataset(data, definition, judge, events, protocol, planner)
    _tell(found, data)
    if asked.report:
        from detector.evaluate import report  # noqa: PLC0415 -- matplotlib takes half a second

        asked.report.write_text(report.page(found, data, judge), "utf-8")
        _talk(f"report in {asked.report}")
    print(output.as_json(found).decode() if asked.json else table.text(found))  # noqa: T201 -- the result
    return 0


def _events(asked: argparse.Namespace, definition: Definition) -> Sequence[Event]:
    events = labels.read(asked.labels, definition.entity)
    if not any(event.entity for event in events):
        _talk(f"{asked.labels} has none of {', '.join(definition.entity)}: each event covers all entities")
    if asked.interpretation:
        events, unused = labels.interpreted(events, asked.interpretation, definition.entity)
        if unused:
            _talk(f"{unused} of {asked.interpretation} tell of no event: ignored")
    return events


def _tell(found: Evaluation, data: dataset.Dataset) -> None:
    if data.train.all():
        _talk("no column `train` tells what the bundle has not been trained on: all is judged")
    for why, count in found.left_out.items():
        _talk(f"{count} events {why}: not judged")


def _talk(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201
