"""`detector train`: a dataset in, a version of a bundle out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.model import bundle
from detector.stream.definition import Definition
from detector.train.dataset import Dataset, DatasetError
from detector.train.fit import Fitted, Progress, fit
from detector.train.timeline import Timeline, timeline


def train(
    dataset: Dataset,
    definition: Definition,
    out: Path,
    *,
    architecture: str,
    seed: int,
    epochs: int,
    progress: Progress,
) -> tuple[Path, Fitted]:
    """Train on the records of a dataset that are marked for it, and add a version to the bundle `out`.

    Raises:
        DatasetError: The data does not do; the message says what would.
    """
    check(dataset, definition)
    past = timeline(dataset.only(dataset.train), definition)
    fitted = fit(past, architecture, seed, epochs, progress)
    return bundle.save(
        out, fitted.network, fitted.calibration, definition, _facts(dataset, past, fitted, seed)
    ), fitted


def check(dataset: Dataset, definition: Definition) -> None:
    """See that data and definition have something in common.

    Raises:
        DatasetError: They do not; the message names what each has.
    """
    if dataset.labels != definition.entity:
        raise DatasetError(f"the entity is {definition.entity} in the stream, {dataset.labels} in the data")
    kept, empty = without_missing(definition, dataset)
    if not kept.signals:
        raise DatasetError(
            f"no signal of the stream has a number in the data; signals: {', '.join(empty)}; "
            f"numeric columns: {', '.join(dataset.column) or 'none'}"
        )
    if not dataset.train.any():
        raise DatasetError("no record is marked `train`")


def _facts(dataset: Dataset, past: Timeline, fitted: Fitted, seed: int) -> dict[str, object]:
    time_s = dataset.time_s[dataset.train]
    return {
        "architecture": fitted.architecture,
        "seed": seed,
        "data": {
            "sha256": dataset.sha256,
            "records": int(dataset.train.sum()),
            "start_s": float(time_s[0]),
            "end_s": float(time_s[-1]),
            "entities": len(dataset.entities),
            "seen_share": {
                name: round(float(share), 4)
                for name, share in zip(past.definition.signal_names, past.seen.mean(axis=(0, 1)), strict=True)
            },
        },
        "held_out": {name: round(value, 6) for name, value in fitted.metrics.items()},
        "versions": _versions(fitted.architecture),
    }


def _versions(architecture: str) -> dict[str, str]:
    versions = {"numpy": np.__version__}
    if architecture not in bundle.BASELINES:
        import keras  # noqa: PLC0415 -- loaded by the training already
        import tensorflow as tf  # noqa: PLC0415 -- same

        versions |= {"tensorflow": tf.__version__, "keras": keras.__version__}
    return versions


def without_missing(definition: Definition, dataset: Dataset) -> tuple[Definition, list[str]]:
    """Return a definition without the signals that never show a number, and their names."""
    column = dataset.column
    empty = [
        name for name in definition.signal_names if name not in column or not np.isfinite(column[name]).any()
    ]
    kept = tuple(signal for signal in definition.signals if signal.name not in empty)
    return replace(definition, signals=kept), empty
