"""`detector score`: the pipeline of the daemon over a dataset, at full speed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector.planner import Planner
from detector.stream.bench import Judge
from detector.stream.definition import Definition
from detector.stream.nouns import Entity, Outcome
from detector.stream.pipeline import StreamPipeline
from detector.train.dataset import Dataset
from detector.train.timeline import as_recorded


def outcomes(
    dataset: Dataset, definition: Definition, judge: Judge | None, planner: Planner | None = None
) -> Iterator[tuple[StreamPipeline, Outcome]]:
    """Yield what every step of a dataset comes to, as the daemon would have had it live.

    The data is the clock, also of the maintenance that is planned; nothing in it is too old, too far ahead
    or late.
    """
    definition = as_recorded(definition) if dataset.rates else definition
    # Whoever is in the data gets a row: the cap protects a daemon from its publishers.
    room = max(definition.entities_max, len(dataset.entities))
    maintenances = planner.maintenances_of(definition) if planner else ()
    stream = StreamPipeline(
        replace(definition, entities_max=room, device_entities_max=room), judge, maintenances
    )
    if planner and len(dataset.time_s):
        first_s, last_s = float(dataset.time_s[0]), float(dataset.time_s[-1])
        planner.give(stream, first_s - definition.step_s, last_s + definition.lateness_s + definition.step_s)
    for until_s, samples in dataset.chunks(definition):
        rows = np.full(len(dataset.entities), -1, np.int64)
        present = np.unique(samples.row)
        rows[present] = stream.rows_of([dataset.entities[index] for index in present])
        stream.add_samples(samples._replace(row=rows[samples.row]))
        for outcome in stream.tick(until_s):
            yield stream, outcome
    if len(dataset.time_s):
        for outcome in stream.tick(float(dataset.time_s[-1]) + definition.lateness_s + definition.step_s):
            yield stream, outcome


def score(
    dataset: Dataset, definition: Definition, judge: Judge, out: Path, planner: Planner | None = None
) -> int:
    """Write `time, <entity columns>, score, anomalous` for every scored step; return how many rows.

    Raises:
        OSError: The file cannot be written.
    """
    labels = definition.entity
    schema = pa.schema(
        [
            ("time", pa.float64()),
            *((label, pa.string()) for label in labels),
            ("score", pa.float32()),
            ("anomalous", pa.bool_()),
        ]
    )
    rows = 0
    with pq.ParquetWriter(out, schema) as writer:
        pending: list[pa.RecordBatch] = []
        for stream, outcome in outcomes(dataset, definition, judge, planner):
            if outcome.scores is not None:
                pending.append(_rows(stream, outcome, labels, schema))
            if len(pending) >= 1000:  # noqa: PLR2004 -- row groups of a useful size
                rows += _flush(writer, pending)
        rows += _flush(writer, pending)
    return rows


def _rows(
    stream: StreamPipeline, outcome: Outcome, labels: tuple[str, ...], schema: pa.Schema
) -> pa.RecordBatch:
    scores = outcome.scores
    assert scores is not None
    entities: list[Entity] = [stream.roster.entities[row] or () for row in scores.row]
    columns = [
        np.full(len(scores.row), outcome.time_s),
        *([entity[index] for entity in entities] for index in range(len(labels))),
        scores.score,
        stream.bench.decider.active[scores.row],
    ]
    return pa.record_batch([pa.array(column) for column in columns], schema=schema)


def _flush(writer: pq.ParquetWriter, pending: list[pa.RecordBatch]) -> int:
    if not pending:
        return 0
    table = pa.Table.from_batches(pending)
    writer.write_table(table)
    pending.clear()
    return len(table)
