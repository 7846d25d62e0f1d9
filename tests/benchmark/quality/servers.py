"""smd and asd: servers, each with a part to learn from and one to be judged.

One bundle for all servers of a set, as a stream has it; its definition is as `detector train` infers it, but
all signals are gauges (the publishers have scaled them). Tsb is the protocol of TSB-AD on the files that it
took from smd: a bundle for each, learnt from the first rows of the test part and judged on all of it.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.evaluate import labels
from detector.evaluate.evaluation import Evaluation, evaluate
from detector.evaluate.events import Event
from detector.evaluate.quality import Protocol
from detector.stream.definition import Definition
from detector.train import dataset
from detector.train.dataset import Dataset
from detector.train.infer import infer
from tests.benchmark.quality.figures import (
    DELAY,
    EXPLAINED,
    FALSE,
    FRESH,
    IN_ALARM,
    VUS,
    Figure,
    rate,
)
from tests.benchmark.quality.work import judge_of

WINDOW_STEPS = {"smd": 100, "asd": 40}
"""Of VUS."""
TSB = "tsb_ad_published.csv"


def servers(data: Path, name: str, architecture: str, work: Path) -> dict[str, Figure]:
    """Return the figures of a set, by name."""
    records, definition, events = _read(data / name, name)
    judge = judge_of(work, records, definition, architecture)
    found = evaluate(records, definition, judge, events, Protocol(vus_window_steps=WINDOW_STEPS[name]))
    ours, control = found.detector, found.control
    step_s = definition.step_s
    return {
        VUS: Figure(ours.vus_pr, control.vus_pr),
        FRESH: Figure(ours.found / ours.faults, control.found / control.faults),
        FALSE: rate(ours.false, ours.free_days, control.false),
        IN_ALARM: Figure(ours.alarm_share, control.alarm_share),
        DELAY: Figure(ours.delay_s / step_s, control.delay_s / step_s),
        EXPLAINED: _explained(found),
    }


def _explained(found: Evaluation) -> Figure:
    ours, control = found.detector, found.control
    return Figure(*(one.among / one.explained if one.explained else np.nan for one in (ours, control)))


def tsb(data: Path, architecture: str, work: Path) -> dict[str, Figure]:
    """Return the mean over the files of TSB-AD."""
    records, definition, events = _read(data / "smd", "smd")
    with (data / "smd" / TSB).open(newline="", encoding="utf-8") as lines:
        files = list(csv.DictReader(lines))
    each = [_file(records, definition, events, file, architecture, work) for file in files]
    return {VUS: Figure(*np.mean([(one.detector.vus_pr, one.control.vus_pr) for one in each], axis=0))}


def _file(
    records: Dataset,
    definition: Definition,
    events: list[Event],
    file: dict[str, str],
    architecture: str,
    work: Path,
) -> Evaluation:
    """Learn from the first rows of a file, and judge all of it."""
    machine = records.entities.index((file["machine"],))
    rows = np.flatnonzero((records.entity == machine) & ~records.train)[int(file["trim"]) :]
    alone = records.only(np.isin(np.arange(len(records.train)), rows))
    part = replace(alone, train=np.arange(len(rows)) < int(file["tr"]))
    part = replace(part, entities=(records.entities[machine],), entity=np.zeros(len(rows), np.int64))
    judge = judge_of(work, part, definition, architecture)
    return evaluate(replace(part, train=np.ones(len(rows), bool)), definition, judge, events)


def _read(folder: Path, name: str) -> tuple[Dataset, Definition, list[Event]]:
    records = dataset.read([folder / "samples.parquet"])
    definition = infer(records, name)
    definition = replace(
        definition, signals=tuple(replace(signal, kind="gauge") for signal in definition.signals)
    )
    events = labels.read(folder / "labels.csv", definition.entity)
    events, _ = labels.interpreted(events, folder / "interpretation.csv", definition.entity)
    return records, definition, events
