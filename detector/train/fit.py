"""Fit a network to a timeline: scaling, training with early stopping, calibration on the held-out tail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detector.model.networks import build
from detector.model.runtime import runner
from detector.stream.calibration import Calibration
from detector.stream.nouns import Bools, Floats, Ints, Reconstruct
from detector.stream.scaling import few_counts, scaled
from detector.train import linear
from detector.train.calibrate import Judged, calibrate
from detector.train.dataset import DatasetError
from detector.train.days import days
from detector.train.scales import Scaling, scaling
from detector.train.timeline import Timeline

HELD_OUT_SHARE = 0.25
WINDOWS_MIN = 64
"""Fewer windows than this to train on, or a quarter of it held out, teach nothing."""
BATCH = 256
BATCHES_PER_EPOCH_MAX = 64
"""An epoch sees at most this many batches, drawn anew each time; early stopping counts epochs."""
PATIENCE = 5
HUBER_DELTA = 1.0
GAP_SHARE = 0.5
GAP_STEPS_MAX = 6
GAP_NEWEST_SHARE = 0.5
"""Half of the training windows get a gap of up to six steps, carried over like real ones. Real gaps are rare
in a good recording, and a network that has hardly met any expects wild things after each."""

Progress = Callable[[int, int, float, float], None]
"""Called after an epoch with its number, the most there may be, the loss and the held-out loss."""


LINEAR_WINDOWS_MAX = 100_000
"""Windows that linear expectations are fitted to, evenly spread; twice as many changed nothing."""
CALIBRATION_WINDOWS_MAX = 4_000_000
"""The newest windows, that many at most, are what scores are calibrated by: of eight signals 400 MB."""
CHUNK_WINDOWS = 4096


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network, or a baseline, and what it takes to judge by it."""

    network: Any
    calibration: Calibration
    metrics: dict[str, float]
    architecture: str


@dataclass(frozen=True, slots=True)
class _Windows:
    """Where the windows of one part end."""

    past: Timeline
    learnt: Scaling
    entity: Ints
    end: Ints

    def scaled(self, chosen: Ints) -> tuple[Floats, Bools]:
        entity = self.entity[chosen]
        value, seen = self.past.windows(entity, self.end[chosen])
        center, scale = self.learnt.center[entity], self.learnt.scale[entity]
        return scaled(value, seen, center, scale, few_counts(self.past.definition)), seen

    def spread(self, most: int) -> Iterator[tuple[Floats, Bools]]:
        """Yield so many of them at most, evenly spread, in parts."""
        chosen = np.linspace(0, len(self.end) - 1, min(len(self.end), most)).astype(np.int64)
        for start in range(0, len(chosen), CHUNK_WINDOWS):
            yield self.scaled(chosen[start : start + CHUNK_WINDOWS])


def fit(past: Timeline, architecture: str, seed: int, epochs: int, progress: Progress) -> Fitted:
    """Train a network, or fit a baseline, on all entities of a stream together.

    The last quarter of the windows is held out: it stops the training early. No step is judged in both parts;
    the first windows held out begin with steps that were trained on. Scores are calibrated on all windows.

    Raises:
        DatasetError: There are too few windows; the message says how many are missing.
    """
    definition = past.definition
    entity, end = past.ends()
    split = _split(end, definition.window_steps)
    learnt = scaling(past, split)
    known, held = end < split, end >= split
    _check_enough(int(known.sum()), int(held.sum()), definition.window_steps)
    training, held_out = (_Windows(past, learnt, entity[part], end[part]) for part in (known, held))
    expectation, reconstruct, metrics = _expectation(
        architecture, training, held_out, seed=seed, epochs=epochs, progress=progress
    )
    newest = slice(max(0, len(end) - CALIBRATION_WINDOWS_MAX), None)
    judged = _judged(_Windows(past, learnt, entity[newest], end[newest]), reconstruct)
    learnt_of_days = days(past, learnt.center, learnt.scale)
    calibration = replace(calibrate(past, judged, learnt), days=learnt_of_days)
    return Fitted(expectation, calibration, metrics, architecture)


def _expectation(
    architecture: str, training: _Windows, held_out: _Windows, *, seed: int, epochs: int, progress: Progress
) -> tuple[Any, Reconstruct, dict[str, float]]:
    """Return what expects the newest step: as it is saved, as it is run, and how well it does."""
    definition = training.past.definition
    signals = len(definition.signals)
    if architecture == "ewma":
        baseline = linear.ewma(training.spread(LINEAR_WINDOWS_MAX))
        return baseline, baseline, {"windows": float(len(training.end))}
    lags = linear.lags_of(definition.window_steps, signals)
    known, held = training.spread(LINEAR_WINDOWS_MAX), held_out.spread(LINEAR_WINDOWS_MAX)
    baseline = linear.pca(known, held, lags)
    if architecture == "pca":
        return baseline, baseline, {"windows": float(len(training.end))}
    import keras  # noqa: PLC0415 -- costs seconds and 500 MB

    keras.utils.set_random_seed(seed)
    network = build(architecture, definition.window_steps, signals, lags)
    weights = baseline.weights.reshape(lags * signals, signals)
    network.get_layer("highway").set_weights([weights, baseline.bias])
    metrics = _train(network, training, held_out, np.random.default_rng(seed), epochs, progress)
    return network, runner(network), metrics


def _split(end: Ints, window_steps: int) -> int:
    """Return the position from which steps are held out: a quarter of the judged ones, at least one."""
    if not len(end):
        return window_steps
    first, last = int(end.min()), int(end.max())
    return last + 1 - max(1, round((last + 1 - first) * HELD_OUT_SHARE))


def _check_enough(training: int, held_out: int, window_steps: int) -> None:
    if training < WINDOWS_MIN or held_out < WINDOWS_MIN // 4:
        raise DatasetError(
            f"too little data: {training} windows of {window_steps} steps to train on and {held_out} held "
            f"out; at least {WINDOWS_MIN} and {WINDOWS_MIN // 4} are needed. Record longer, or choose a "
            "shorter window"
        )


def _train(
    network: Any,
    training: _Windows,
    held_out: _Windows,
    rng: np.random.Generator,
    epochs: int,
    progress: Progress,
) -> dict[str, float]:
    import keras  # noqa: PLC0415 -- costs seconds and 500 MB
    import tensorflow as tf  # noqa: PLC0415 -- same

    optimizer = keras.optimizers.Adam(2e-3, clipnorm=1.0)

    def loss_of(given: Any, given_seen: Any, values: Any, seen: Any, training: bool) -> Any:  # noqa: FBT001
        error = values - network([given, given_seen], training=training)
        size = tf.abs(error)
        huber = tf.where(size < HUBER_DELTA, 0.5 * error**2, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
        # Unseen cells do not teach. The newest step weighs as much as all others together.
        weight = seen * newest_weight
        return tf.reduce_sum(huber * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)

    steps = training.past.definition.window_steps
    newest_weight = tf.concat([tf.ones((1, steps - 1, 1)) / (steps - 1), tf.ones((1, 1, 1))], axis=1)

    def train_step(given: Any, given_seen: Any, values: Any, seen: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(given, given_seen, values, seen, training=True)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    shape = (None, steps, len(training.past.definition.signals))
    signature = [tf.TensorSpec(shape, tf.float32)] * 4
    train_batch = tf.function(train_step, input_signature=signature)
    judge_batch = tf.function(
        lambda values, seen: loss_of(values, seen, values, seen, training=False),
        input_signature=signature[:2],
    )
    best, best_weights, waited = np.inf, network.get_weights(), 0
    history: list[float] = []
    for epoch in range(1, epochs + 1):
        losses = [
            float(train_batch(*with_gaps(*part, rng), *part))
            for part in (_floats(training, batch) for batch in _batches(len(training.end), rng))
        ]
        held = [float(judge_batch(*_floats(held_out, batch))) for batch in _batches(len(held_out.end), None)]
        history.append(float(np.mean(held)))
        progress(epoch, epochs, float(np.mean(losses)), history[-1])
        if history[-1] < best * 0.999:
            best, best_weights, waited = history[-1], network.get_weights(), 0
        elif (waited := waited + 1) >= PATIENCE:
            break
    network.set_weights(best_weights)
    return {"held_out_loss": best, "epochs": float(len(history)), "windows": float(len(training.end))}


def with_gaps(value: Floats, seen: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return copies of windows `(windows, steps, signals)` of which some have a gap."""
    windows, steps, _ = value.shape
    newest = steps - 2
    length = rng.integers(1, min(GAP_STEPS_MAX, newest - 1) + 1, windows)
    # The newest steps matter most, so many of the gaps end with the last one that the network sees.
    last = np.where(rng.random(windows) < GAP_NEWEST_SHARE, newest, rng.integers(1, newest + 1, windows))
    first = np.maximum(last - length + 1, 1)
    step = np.arange(steps)
    chosen = np.asarray(rng.random(windows) < GAP_SHARE)
    gap = (step >= first[:, None]) & (step <= last[:, None]) & chosen[:, None]
    carried = np.where(gap, first[:, None] - 1, step)
    return np.take_along_axis(value, carried[..., None], 1), np.where(gap[..., None], np.float32(0.0), seen)


def _floats(windows: _Windows, batch: Ints) -> tuple[Floats, Floats]:
    value, seen = windows.scaled(batch)
    return value, seen.astype(np.float32)


def _batches(count: int, rng: np.random.Generator | None) -> list[Ints]:
    """Return indices of windows in batches: shuffled, or evenly spread over all where there is no rng."""
    most = min(count, BATCH * BATCHES_PER_EPOCH_MAX)
    if rng is None:
        order: Ints = np.linspace(0, count - 1, most).astype(np.int64)
    else:
        order = rng.permutation(count)[:most]
    return [order[start : start + BATCH] for start in range(0, most, BATCH)]


def _judged(windows: _Windows, reconstruct: Reconstruct) -> Judged:
    """Return the scaled newest step of every window, what of it was seen, and what is expected of it."""
    shape = len(windows.end), len(windows.past.definition.signals)
    judged = Judged(
        windows.entity,
        windows.end,
        newest=np.empty(shape, np.float32),
        seen=np.empty(shape, bool),
        expected=np.empty(shape, np.float32),
        reported=np.empty(shape, bool),
    )
    for start in range(0, shape[0], CHUNK_WINDOWS):
        part = slice(start, min(start + CHUNK_WINDOWS, shape[0]))
        value, seen = windows.scaled(np.arange(part.start, part.stop))
        judged.newest[part], judged.seen[part] = value[:, -1], seen[:, -1]
        judged.expected[part] = reconstruct(value, seen)
        judged.reported[part] = seen.any(axis=1)
    return judged
