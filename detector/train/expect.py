"""Learn to expect the newest step of windows: a baseline fitted, or a network built and taught."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detector.model.baselines import PROFILE_S, PROFILES, Baseline
from detector.model.design import Design
from detector.model.keras_file import KerasNetwork
from detector.model.runtime import runner
from detector.stream.nouns import Reconstruct
from detector.train import linear
from detector.train.dataset import DatasetError
from detector.train.learn import Course, Progress
from detector.train.scored import Judged
from detector.train.windows import CHUNK_WINDOWS, Windows

LINEAR_WINDOWS_MAX = 100_000
"""Windows that linear expectations are fitted to, evenly spread; twice as many changed nothing."""
SEASONS_MIN = 2.0
"""How many days, or weeks, a usual day or week is learnt from at least."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What expects the newest step: as it is saved, as it is run, how it was learnt, and what it costs.

    `multiplications` is how many weights a window is multiplied by.
    """

    network: Any
    reconstruct: Reconstruct
    course: Course = field(default_factory=Course)
    multiplications: int = 0


def expect(
    design: Design, training: Windows, held_out: Windows, *, seed: int, epochs: int, progress: Progress
) -> Expectation:
    """Learn to expect the newest step of windows.

    Raises:
        DatasetError: The time is too short for what the design has to know of it.
    """
    if design.is_baseline:
        baseline = _baseline(design.architecture, training, held_out)
        return Expectation(baseline, baseline, multiplications=baseline.weights.size)
    import keras  # noqa: PLC0415 -- costs seconds and 500 MB
    import tensorflow as tf  # noqa: PLC0415 -- same

    from detector.model.networks import build, multiplications  # noqa: PLC0415 -- same
    from detector.train.learn import teach  # noqa: PLC0415 -- same

    definition = training.past.definition
    steps, signals = definition.window_steps, len(definition.signals)
    # The same seed gives the same network, and the same names of its layers.
    keras.backend.clear_session()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    ahead = max(design.hidden_steps, 1)
    lags = linear.lags_of(steps, signals, ahead) if design.highway == "pca" else steps - ahead
    network = build(design, steps, signals, lags)
    if design.hidden_steps and design.highway != "none":
        baseline = _linear(design.highway, training, held_out, lags, design.hidden_steps)
        network.get_layer("highway").set_weights(baseline.dense())
    rate = design.learning_rate
    course = teach(
        network, training, held_out, learning_rate=rate, seed=seed, epochs=epochs, progress=progress
    )
    return Expectation(
        KerasNetwork(network), runner(network, definition.step_s), course, multiplications(network)
    )


def _baseline(architecture: str, training: Windows, held_out: Windows) -> Baseline:
    if architecture == "seasonal":
        return _seasonal(training)
    definition = training.past.definition
    lags = linear.lags_of(definition.window_steps, len(definition.signals))
    return _linear(architecture, training, held_out, lags, ahead=1)


def _linear(kind: str, training: Windows, held_out: Windows, lags: int, ahead: int) -> Baseline:
    known, held = training.spread(LINEAR_WINDOWS_MAX), held_out.spread(LINEAR_WINDOWS_MAX)
    return linear.ewma(known, ahead) if kind == "ewma" else linear.pca(known, held, lags, ahead)


def _seasonal(training: Windows) -> Baseline:
    step_s = training.past.definition.step_s
    span_s = float(np.ptp(training.end)) * step_s
    known = [times for times in PROFILES if span_s >= SEASONS_MIN * times * PROFILE_S]
    if not known:
        days = SEASONS_MIN * PROFILES[0] * PROFILE_S / 86_400.0
        raise DatasetError(
            f"too little data: what is usual at which time of the day takes {days:g} days to learn, "
            f"and there are {span_s / 86_400.0:.2g}"
        )
    return linear.seasonal(lambda: training.spread(LINEAR_WINDOWS_MAX), known[-1], step_s)


def judged_by(windows: Windows, reconstruct: Reconstruct) -> Judged:
    """Return the scaled newest step of every window, what of it was seen, and what is expected of it."""
    shape = len(windows), windows.value.shape[2]
    judged = Judged(
        windows.entity,
        windows.end,
        newest=np.empty(shape, np.float32),
        seen=np.empty(shape, bool),
        expected=np.empty(shape, np.float32),
        reported=np.empty(shape, bool),
    )
    for start in range(0, len(windows), CHUNK_WINDOWS):
        part = slice(start, start + CHUNK_WINDOWS)
        value, seen, end_s = windows.of(part)
        judged.newest[part], judged.seen[part] = value[:, -1], seen[:, -1]
        judged.expected[part] = reconstruct(value, seen, end_s)
        judged.reported[part] = seen.any(axis=1)
    return judged
