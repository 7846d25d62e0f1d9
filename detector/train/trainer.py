"""`detector train`: a dataset in, a version of a bundle out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detector import __version__
from detector.model import bundle
from detector.model.design import AUTO, Design
from detector.model.runtime import probe
from detector.model.trained import described
from detector.stream.definition import Definition
from detector.train.dataset import Dataset, DatasetError
from detector.train.figures import figures
from detector.train.findings import findings
from detector.train.fit import Fitted, fit
from detector.train.judge import FOLDS, folds
from detector.train.learn import Progress
from detector.train.search import ALWAYS, Candidate, Limits, Search, Tell
from detector.train.select import Selection, select
from detector.train.timeline import Timeline, timeline
from detector.train.workers import Workers

UNPROVEN = f"was not held against {' and '.join(ALWAYS)}; --architecture {AUTO} does"
SEARCH_EPOCHS = 8
"""Of a candidate; the one that is chosen learns for as long as it gets better."""
SEARCHES = ".search"
"""Where in a bundle the searches are that were not finished."""


def past_of(dataset: Dataset, definition: Definition) -> Timeline:
    """Return the timeline of the records of a dataset that are marked to be learnt from.

    Raises:
        DatasetError: The data does not do; the message says what would.
    """
    check(dataset, definition)
    return timeline(dataset.only(dataset.train), definition)


def search(
    past: Timeline,
    dataset: Dataset,
    out: Path,
    *,
    among: Sequence[str],
    seed: int,
    epochs: int,
    limits: Limits,
    tell: Tell,
) -> Selection:
    """Choose a design for a timeline, of the architectures `among`.

    A search that was interrupted goes on where it was; one that came to its end leaves nothing behind. Of too
    little data to have folds, nothing is proven, and the simplest that looks at all signals is taken.
    """
    if len(folds(past)) < FOLDS:
        unjudged = Candidate(Design("pca"))
        steps, window = len(past.step), past.definition.window_steps
        why = f"pca, for {steps} steps with windows of {window} are too few to prove anything better"
        return Selection(unjudged, why, [])
    asked = (__version__, dataset.sha256, described(past.definition), len(past.step), *among, seed, epochs)
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    directory = out / SEARCHES / key[:16]
    with Workers(past, directory, limits.jobs, min(epochs, SEARCH_EPOCHS)) as workers:
        found = Search(past, directory, workers, among=among, seed=seed, limits=limits, tell=tell).run()
    selection = select(found)
    shutil.rmtree(out / SEARCHES)
    return selection


def train(
    dataset: Dataset,
    past: Timeline,
    out: Path,
    design: Design,
    *,
    seed: int,
    epochs: int,
    progress: Progress,
    selection: Selection | None = None,
) -> tuple[Path, Fitted]:
    """Train on a timeline, and add a version to the bundle `out`.

    Raises:
        DatasetError: There is too little data; the message says how much is missing.
    """
    fitted = fit(past, design, seed, epochs, progress)
    facts = _facts(dataset, past, fitted, seed)
    facts["selection"] = told(selection) if selection else _unproven(design)
    facts["figures"] = figures(past, fitted, selection)
    return bundle.save(out, fitted.network, fitted.calibration, past.definition, facts), fitted


def told(selection: Selection) -> dict[str, Any]:
    """Return a selection as an entry of a manifest."""
    return {"why": selection.why, "candidates": [_told(one) for one in selection.candidates]}


def _unproven(design: Design) -> dict[str, Any]:
    """Return the entry of a manifest for a design that somebody asked for."""
    if design.is_baseline:
        return {"why": "as was asked for"}
    return {"why": "as was asked for", "warning": f"{design.architecture} {UNPROVEN}"}


def _told(one: Candidate) -> dict[str, Any]:
    return {
        "architecture": one.design.architecture,
        "design": one.design.told(),
        "finished": one.finished,
        "found_ratio": [round(result.found, 4) for result in one.results],
        "error": [round(result.error, 4) for result in one.results],
        "multiplications": one.multiplications,
        "window_us": round(one.window_us, 2),
    }


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


def _facts(dataset: Dataset, past: Timeline, fitted: Fitted, seed: int) -> dict[str, Any]:
    time_s = dataset.time_s[dataset.train]
    return {
        "architecture": fitted.design.architecture,
        "design": fitted.design.told(),
        "seed": seed,
        "probe": _probe(past.definition, fitted),
        "data": {
            "sha256": dataset.sha256,
            "records": int(dataset.train.sum()),
            "start_s": float(time_s[0]),
            "end_s": float(time_s[-1]),
            "entities": len(dataset.entities),
            "broken": list(dataset.broken),
            **findings(past).told(),
        },
        "held_out": fitted.metrics,
        "versions": _versions(fitted.design),
    }


def _probe(definition: Definition, fitted: Fitted) -> list[list[float]]:
    return probe(fitted.expectation.reconstruct, definition.window_steps, len(definition.signals))


def _versions(design: Design) -> dict[str, str]:
    versions = {"numpy": np.__version__}
    if not design.is_baseline:
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
