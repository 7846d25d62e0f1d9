"""Fit a network or a baseline to a timeline: scaling, training, calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detector.model.design import Design
from detector.stream.calibration import Calibration
from detector.stream.nouns import Bools, Doubles, Ints
from detector.train.calibrate import calibrate
from detector.train.dataset import DatasetError
from detector.train.days import days
from detector.train.expect import Expectation, expect, judged_by
from detector.train.learn import Progress
from detector.train.scales import Scaling, scaling
from detector.train.scored import Judged
from detector.train.suspects import suspects
from detector.train.timeline import Timeline
from detector.train.windows import Windows, windows_of

HELD_OUT_SHARE = 0.25
WINDOWS_MIN = 64
"""Fewer windows than this to train on, or a quarter of it held out, teach nothing."""
CALIBRATION_WINDOWS_MAX = 4_000_000
"""The newest windows, that many at most, are what scores are calibrated by: of eight signals 400 MB."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What expects the newest step, and what it takes to judge by it.

    `judged` are the windows that scores were calibrated by, and `beyond` `(windows,)` how far each is above
    the usual, in log units. `suspected` is the share of all windows that looked like incidents, and were not
    learnt from.
    """

    design: Design
    expectation: Expectation
    scaling: Scaling
    calibration: Calibration
    judged: Judged
    beyond: Doubles
    windows: int
    suspected: float

    @property
    def network(self) -> Any:
        """The baseline, or the network, as `bundle.save` wants it."""
        return self.expectation.network

    @property
    def metrics(self) -> dict[str, float]:
        """How it was learnt, for a manifest."""
        course = self.expectation.course
        held_out = {"held_out_loss": round(course.best, 6), "epochs": len(course.loss)} if course.loss else {}
        return {"windows": self.windows, "suspected_share": round(self.suspected, 5), **held_out}


@dataclass(frozen=True, slots=True)
class Ground:
    """What every design learns from, the same for all: windows, their scaling, and which look like incidents.

    Those of the `known` windows `(windows,)` are trained on, the others held out.
    """

    windows: Windows
    scaling: Scaling
    known: Bools
    suspected: Bools


def prepare(past: Timeline) -> Ground:
    """Return the ground that a timeline is.

    The last quarter of the windows is held out. No step is judged in both parts; the first windows held out
    begin with steps that were trained on. In a first pass a baseline looks for incidents.

    Raises:
        DatasetError: There are too few windows; the message says how many are missing.
    """
    entity, end = past.ends()
    split = _split(end, past.definition.window_steps)
    known = end < split
    _check_enough(past, int(known.sum()), int((~known).sum()))
    learnt = scaling(past, split)
    windows = windows_of(past, learnt, entity, end)
    parts = windows.part(known), windows.part(~known)
    first = expect(Design("pca"), *parts, seed=0, epochs=0, progress=lambda *_: None)
    suspected = suspects(past, judged_by(windows, first.reconstruct), learnt)
    return Ground(windows, learnt, known, suspected)


def fit(past: Timeline, design: Design, seed: int, epochs: int, progress: Progress) -> Fitted:
    """Train a network, or fit a baseline, on all entities of a stream together.

    Raises:
        DatasetError: There are too few windows; the message says how many are missing.
    """
    return fit_on(prepare(past), design, seed, epochs, progress)


def fit_on(
    ground: Ground,
    design: Design,
    seed: int,
    epochs: int,
    progress: Progress,
    calibrated_max: int = CALIBRATION_WINDOWS_MAX,
) -> Fitted:
    """Train a network, or fit a baseline, on what was prepared.

    What is held out stops the training early. What looks like an incident is not learnt from. Scores are
    calibrated on the newest windows, `calibrated_max` at most.
    """
    windows, past, learnt, teaches = ground.windows, ground.windows.past, ground.scaling, ~ground.suspected
    training, held_out = windows.part(ground.known & teaches), windows.part(~ground.known & teaches)
    expectation = expect(design, training, held_out, seed=seed, epochs=epochs, progress=progress)
    newest = slice(-calibrated_max, None)
    judged = judged_by(windows.part(newest), expectation.reconstruct)
    calibration, beyond = calibrate(past, judged, learnt, teaches[newest])
    calibration = replace(calibration, days=days(past, learnt.center, learnt.scale))
    share = float(ground.suspected.mean())
    return Fitted(design, expectation, learnt, calibration, judged, beyond, len(training), share)


def _split(end: Ints, window_steps: int) -> int:
    """Return the position from which steps are held out: a quarter of the judged ones, at least one."""
    if not len(end):
        return window_steps
    first, last = int(end.min()), int(end.max())
    return last + 1 - max(1, round((last + 1 - first) * HELD_OUT_SHARE))


def _check_enough(past: Timeline, training: int, held_out: int) -> None:
    if training >= WINDOWS_MIN and held_out >= WINDOWS_MIN // 4:
        return
    definition, entities = past.definition, max(len(past.entities), 1)
    steps = int(np.ceil(WINDOWS_MIN / (1.0 - HELD_OUT_SHARE) / entities)) + definition.window_steps - 1
    missing = steps - len(past.step)
    what = (
        f"{missing} steps more, {missing * definition.step_s:g} s, would do, or a shorter window"
        if missing > 0
        else "the time would do, but most windows have too many holes; is step_s too short?"
    )
    raise DatasetError(
        f"too little data: {training} windows of {definition.window_steps} steps to train on and {held_out} "
        f"held out; at least {WINDOWS_MIN} and {WINDOWS_MIN // 4} are needed: {what}"
    )
