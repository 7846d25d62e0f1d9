"""Small datasets to evaluate, judged by a network to which normal is 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from detector.evaluate.evaluation import Evaluation, evaluate
from detector.evaluate.events import Event
from detector.evaluate.quality import Protocol
from detector.stream.definition import Definition
from detector.train.dataset import Dataset
from tests.support.streams import GAUGE, START_S, definition, judge

STEP_S = 10.0
NAN = float("nan")


def dataset(
    values: Mapping[tuple[str, ...], Sequence[float] | np.ndarray],
    labels: tuple[str, ...] = ("device",),
    names: tuple[str, ...] = (GAUGE.name,),
    train_steps: int = 0,
) -> Dataset:
    """Return records at the steps 1, 2, ... after `START_S`, `(steps,)` or `(steps, signals)` of each entity.

    Where there is no value, there is no record; the first `train_steps` are marked.
    """
    tables = {entity: np.array(rows, float).reshape(len(rows), -1) for entity, rows in values.items()}
    records = [
        (step, at, row)
        for at, table in enumerate(tables.values())
        for step, row in enumerate(table, 1)
        if not np.isnan(row).all()
    ]
    records.sort(key=lambda record: record[0])
    step, at = (np.array([record[part] for record in records]) for part in (0, 1))
    rows = np.array([record[2] for record in records])
    return Dataset(
        labels=labels,
        entities=tuple(values),
        entity=at,
        time_s=START_S + STEP_S * step,
        column={name: rows[:, index] for index, name in enumerate(names)},
        train=step <= train_steps if train_steps else np.ones(len(step), bool),
        rates=False,
        sha256="",
    )


def event(
    first: int,
    last: int,
    entity: Mapping[str, str] | None = None,
    kind: str = "fault",
    signals: tuple[str, ...] = (),
) -> Event:
    """Return an event from one step to another."""
    return Event(START_S + STEP_S * first, START_S + STEP_S * last, "test", kind, entity or {}, signals)


def evaluated(data: Dataset, *events: Event, stream: Definition | None = None, **asked: object) -> Evaluation:
    """Evaluate a dataset whose entities the judge knows."""
    stream = stream or definition()
    known = judge(len(stream.signals), data.entities)
    return evaluate(data, stream, known, events, Protocol(**asked))


def spiky(steps: int, *spikes: tuple[int, int]) -> np.ndarray:
    """Return values that are 0, and 5 from one step to another, ends included."""
    values = np.zeros(steps)
    for first, last in spikes:
        values[first - 1 : last] = 5.0
    return values
