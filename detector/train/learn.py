"""Teach a network: batches of windows through `tf.data`, a training step of our own, early stopping.

Keras's own `fit` fails where several workers train together (Keras 3 under MultiWorkerMirroredStrategy). A
step of our own runs everywhere: `strategy.run` is the step itself where there is one worker, and sums the
gradients of all where there are several, of whom each takes its share of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detector.model.phases import PHASES, phases
from detector.model.runtime import is_told_when
from detector.stream.nouns import Floats, Ints
from detector.train.windows import Windows, evenly

BATCH = 256
BATCHES_PER_EPOCH_MAX = 64
"""An epoch sees at most this many batches, drawn anew each time; early stopping counts epochs."""
HELD_OUT_BATCHES_MAX = 16
"""Four thousand windows, evenly spread, tell when to stop; more say the same to three digits."""
PATIENCE = 5
SLOWER_AFTER = 2
"""Epochs without a better held-out loss after which the learning rate is halved."""
BETTER = 0.999
HUBER_DELTA = 1.0
TRIMMED_SHARE = 0.02
"""Of the windows of a batch, those that err most teach nothing: incidents that nobody excluded."""
GAP_SHARE = 0.5
GAP_STEPS_MAX = 6
GAP_NEWEST_SHARE = 0.5
"""Half of the training windows get a gap of up to six steps, carried over like real ones. Real gaps are rare
in a good recording, and a network that has hardly met any expects wild things after each."""
AHEAD = 4
"""Batches that are made while the network learns from the ones before."""

Progress = Callable[[int, int, float, float], None]
"""Called after an epoch with its number, the most there may be, the loss and the held-out loss."""


@dataclass(slots=True)
class Course:
    """How a training went: the loss and the held-out loss of each epoch."""

    loss: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The lowest held-out loss."""
        return min(self.held_out_loss, default=float("inf"))


def teach(
    network: Any,
    training: Windows,
    held_out: Windows,
    *,
    learning_rate: float,
    seed: int,
    epochs: int,
    progress: Progress,
) -> Course:
    """Teach a network until the held-out loss gets no better; it ends with the weights that were best."""
    import keras  # noqa: PLC0415 -- costs seconds and 500 MB

    rng = np.random.default_rng(seed)
    optimizer = keras.optimizers.Adam(learning_rate, clipnorm=1.0)
    train_step, judge_step = _steps(network, optimizer, training)
    course, best_weights, waited = Course(), network.get_weights(), 0
    judged = _batches(len(held_out), HELD_OUT_BATCHES_MAX, None)
    for epoch in range(1, epochs + 1):
        drawn = _batches(len(training), BATCHES_PER_EPOCH_MAX, rng)
        course.loss.append(_mean(train_step(batch) for batch in _fed(training, drawn, network, rng)))
        held = _mean(judge_step(batch) for batch in _fed(held_out, judged, network, None))
        better = held < course.best * BETTER
        course.held_out_loss.append(held)
        progress(epoch, epochs, course.loss[-1], held)
        if better:
            best_weights, waited = network.get_weights(), 0
            continue
        waited += 1
        if waited >= PATIENCE:
            break
        if waited % SLOWER_AFTER == 0:
            optimizer.learning_rate.assign(optimizer.learning_rate * 0.5)
    network.set_weights(best_weights)
    return course


Step = Callable[[Any], Any]
"""What takes a batch and returns its loss."""


def _steps(network: Any, optimizer: Any, training: Windows) -> tuple[Step, Step]:
    """Return what learns from a batch, and what judges one; each returns its loss."""
    import tensorflow as tf  # noqa: PLC0415 -- costs seconds and 500 MB

    strategy = tf.distribute.get_strategy()
    steps = training.past.definition.window_steps
    # The newest step weighs as much as all others together: it is the one that is judged.
    newest_weight = tf.concat([tf.ones((1, steps - 1, 1)) / (steps - 1), tf.ones((1, 1, 1))], axis=1)

    def losses(given: Any, training: bool) -> Any:  # noqa: FBT001 -- as Keras calls it
        """Return the loss of each window, unseen cells left out, and what it weighs."""
        *inputs, values, seen = given
        size = tf.abs(values - network(inputs, training=training))
        huber = tf.where(size < HUBER_DELTA, 0.5 * size**2, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
        weight = seen * newest_weight
        weights = tf.reduce_sum(weight, axis=[1, 2])
        return tf.reduce_sum(huber * weight, axis=[1, 2]) / tf.maximum(weights, 1e-6), weights

    def learn(*given: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, weights = losses(given, training=True)
            kept = tf.sort(loss)[-1 - tf.cast(TRIMMED_SHARE * tf.cast(tf.size(loss), tf.float32), tf.int32)]
            weights = tf.where(loss <= kept, weights, 0.0)
            mean = tf.reduce_sum(loss * weights) / tf.maximum(tf.reduce_sum(weights), 1e-6)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(mean, variables), variables, strict=True))
        return mean

    def judge(*given: Any) -> Any:
        loss, weights = losses(given, training=False)
        return tf.reduce_sum(loss * weights) / tf.maximum(tf.reduce_sum(weights), 1e-6)

    signature = _signature(network, training)

    def run(step: Callable[..., Any]) -> Step:
        def everywhere(*given: Any) -> Any:
            return strategy.reduce("MEAN", strategy.run(step, args=given), axis=None)

        function = tf.function(everywhere, input_signature=signature)
        return lambda batch: function(*batch)

    return run(learn), run(judge)


def _signature(network: Any, windows: Windows) -> tuple[Any, ...]:
    """Return what a batch is: the inputs of the network, and what it should say, with what of it counts."""
    import tensorflow as tf  # noqa: PLC0415 -- costs seconds and 500 MB

    steps, signals = windows.past.definition.window_steps, windows.value.shape[2]
    widths = [signals, signals, *[PHASES] * is_told_when(network), signals, signals]
    return tuple(tf.TensorSpec((None, steps, width), tf.float32) for width in widths)


def _fed(
    windows: Windows, batches: list[Ints], network: Any, rng: np.random.Generator | None
) -> Iterator[Any]:
    """Yield batches, made ahead in a thread of TensorFlow's; with an `rng`, windows get gaps."""
    import tensorflow as tf  # noqa: PLC0415 -- costs seconds and 500 MB

    definition = windows.past.definition
    told_when = is_told_when(network)

    def made() -> Iterator[tuple[Any, ...]]:
        for batch in batches:
            value, mask, end_s = windows.of(batch)
            seen = mask.astype(np.float32)
            given = with_gaps(value, seen, rng) if rng else (value, seen)
            when = (phases(end_s, definition.window_steps, definition.step_s),) if told_when else ()
            yield (*given, *when, value, seen)

    fed = tf.data.Dataset.from_generator(made, output_signature=_signature(network, windows))
    yield from fed.prefetch(AHEAD)


def _mean(losses: Iterator[Any]) -> float:
    """Return the mean of losses; they are asked for when all are on their way."""
    return float(np.mean([float(loss) for loss in list(losses)]))


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


def _batches(count: int, batches: int, rng: np.random.Generator | None) -> list[Ints]:
    """Return indices of windows in so many batches at most: drawn, or evenly spread where there is no rng."""
    most = min(count, BATCH * batches)
    order = evenly(count, most) if rng is None else rng.permutation(count)[:most]
    return [order[start : start + BATCH] for start in range(0, most, BATCH)]
