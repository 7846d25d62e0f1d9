"""The networks. Each is a few lines on one contract.

    values (windows, steps, signals), seen (same), phases (windows, steps, 4)  ->  expected values (as values)

`values` are scaled, `seen` is 1.0 or 0.0; `phases` is the time of day and week (`phases.py`), and no input of
a network that is not told it. Nothing here is a Lambda or a custom class, so that a saved network loads with
Keras's safe mode and holds no code.

Common to all is what stands before and behind the architecture:

    past     = values without the newest steps that the objective hides: a network that sees the step that it
               is judged by learns to copy it
    level    = mean of past
    given    = [past - level, seen, phases]  ->  the architecture  ->  x (windows, steps, signals)
    expected = x + level, of the newest step x + highway

What is learnt are deviations from the level of the window: a level that history never had is news for one
window and the new normal after it, where absolute values would err for ever. That is RevIN without the
variance (Kim et al., ICLR 2022). The highway says what is linear in the past: its weights are given, not
trained, and the network adds what they miss. So it begins where a linear baseline ends (the autoregressive
part of LSTNet, Lai et al., SIGIR 2018).
"""

from __future__ import annotations

from math import prod
from typing import Any

from detector.model.design import NETWORKS, Design
from detector.model.phases import PHASES

HALVED = 4
"""Convolutions halve the time twice; a window of another length is padded at its oldest end."""
CIRCLES = {"day": 2, "week": 4}
"""How many of the phases a network is told."""
LAGS = 8
"""Of the engineered features: as many of the newest visible steps stand for themselves."""


def build(design: Design, window_steps: int, signals: int, lags: int) -> Any:
    """Return an untrained Keras network, with a highway for the newest `lags` of the steps that it sees.

    Raises:
        ValueError: The design is of a baseline, or hides as many steps as a window has.
    """
    from keras import Input, Model, layers  # noqa: PLC0415 -- costs seconds and 500 MB

    if design.architecture not in NETWORKS:
        raise ValueError(f"{design.architecture} is no network")
    hidden = design.hidden_steps
    if hidden + lags > window_steps:
        raise ValueError(f"{hidden} hidden steps and {lags} lags in a window of {window_steps}")
    values, seen = Input((window_steps, signals), name="values"), Input((window_steps, signals), name="seen")
    inputs = [values, seen]
    visible = layers.Cropping1D((0, hidden))
    past = visible(values)
    level = layers.GlobalAveragePooling1D(keepdims=True)(past)
    moved = layers.Subtract()([past, level])
    if design.objective == "denoising":
        moved = layers.Dropout(0.1)(layers.GaussianNoise(design.noise)(moved))
    given = layers.ZeroPadding1D((0, hidden))(layers.Concatenate()([moved, visible(seen)]))
    if design.calendar != "none":
        phases = Input((window_steps, PHASES), name="phases")
        inputs.append(phases)
        given = layers.Concatenate()([given, phases[:, :, : CIRCLES[design.calendar]]])
    x = _BODIES[design.architecture](given, design, window_steps, signals)
    if hidden and design.highway != "none":
        last = window_steps - hidden
        newest = layers.Flatten()(layers.Cropping1D((last - lags, hidden))(values))
        newest = layers.Dense(signals, trainable=False, name="highway")(newest)
        linear = [layers.UpSampling1D(window_steps - 1)(level), layers.Reshape((1, signals))(newest)]
        base = layers.Concatenate(axis=1)(linear)
    else:
        base = layers.UpSampling1D(window_steps)(level)
    return Model(inputs, layers.Add(name="expected")([x, base]), name=design.architecture)


def multiplications(network: Any) -> int:
    """Return how many weights a network multiplies by for one window: what it costs, on any machine."""
    return sum(
        layer.count_params() * int(prod(layer.input.shape[1:-1]))
        for layer in network.layers
        if layer.count_params()
    )


def _conv1d(given: Any, design: Design, window_steps: int, signals: int) -> Any:
    """Local patterns and bursts: two convolutions that halve the time, and back."""
    from keras import layers  # noqa: PLC0415 -- costs seconds and 500 MB

    padding = -window_steps % HALVED
    x = layers.ZeroPadding1D((padding, 0))(given)
    x = layers.Conv1D(design.width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1D(design.width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(design.dropout)(x)
    x = layers.Conv1D(design.bottleneck, 3, padding="same", activation="relu", name="bottleneck")(x)
    x = layers.Conv1DTranspose(design.width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1DTranspose(design.width, 5, strides=2, padding="same", activation="relu")(x)
    return layers.Conv1D(signals, 1)(layers.Cropping1D((padding, 0))(x))


def _recurrent(cell: str) -> Any:
    """Long dependencies: a recurrent layer reads the window, another tells it from what was kept of it."""

    def body(given: Any, design: Design, window_steps: int, signals: int) -> Any:
        from keras import layers  # noqa: PLC0415 -- costs seconds and 500 MB

        layer = getattr(layers, cell)
        x = layer(design.width)(given)
        x = layers.Dropout(design.dropout)(x)
        x = layers.Dense(design.bottleneck, activation="tanh", name="bottleneck")(x)
        x = layer(design.width, return_sequences=True)(layers.RepeatVector(window_steps)(x))
        return layers.Dense(signals)(x)

    return body


def _bilstm(given: Any, design: Design, window_steps: int, signals: int) -> Any:  # noqa: ARG001 -- one shape
    """The whole window informs each step: a bottleneck in every step, both ways into it and out of it."""
    from keras import layers  # noqa: PLC0415 -- costs seconds and 500 MB

    half = max(4, design.width // 2)
    x = layers.Bidirectional(layers.LSTM(half, return_sequences=True))(given)
    x = layers.Dropout(design.dropout)(x)
    x = layers.Dense(design.bottleneck, activation="tanh", name="bottleneck")(x)
    x = layers.Bidirectional(layers.LSTM(half, return_sequences=True))(x)
    return layers.Dense(signals)(x)


def _dense(given: Any, design: Design, window_steps: int, signals: int) -> Any:
    """Weak dependencies: engineered features of the window, and dense layers."""
    from keras import layers  # noqa: PLC0415 -- costs seconds and 500 MB

    x = engineered(given, window_steps - design.hidden_steps)
    x = layers.Dense(2 * design.width, activation="relu")(x)
    x = layers.Dropout(design.dropout)(x)
    x = layers.Dense(design.bottleneck, activation="relu", name="bottleneck")(x)
    x = layers.Dense(2 * design.width, activation="relu")(x)
    return layers.Reshape((window_steps, signals))(layers.Dense(window_steps * signals)(x))


def engineered(given: Any, steps: int) -> Any:
    """Return features of the `steps` oldest steps of what is given, flat.

    The newest lags; and over all steps, their newest half and quarter: mean, deviation, and slope (the newer
    half of them less the older).
    """
    from keras import layers, ops  # noqa: PLC0415 -- costs seconds and 500 MB

    visible = given[:, :steps]
    told = [layers.Flatten()(visible[:, -min(LAGS, steps) :])]
    for length in sorted({max(2, steps // share) for share in (1, 2, 4)}):
        part = visible[:, -length:]
        mean = ops.mean(part, axis=1)
        told += [mean, ops.sqrt(ops.var(part, axis=1) + 1e-6)]
        told.append(ops.mean(part[:, length // 2 :], axis=1) - ops.mean(part[:, : length // 2], axis=1))
    return layers.Concatenate()([*told, given[:, -1]])


def _conv1d_bilstm(given: Any, design: Design, window_steps: int, signals: int) -> Any:
    """Local patterns, and how they follow each other: convolutions halve the time, a BiLSTM reads it."""
    from keras import layers  # noqa: PLC0415 -- costs seconds and 500 MB

    padding = -window_steps % HALVED
    half = max(4, design.width // 2)
    x = layers.ZeroPadding1D((padding, 0))(given)
    x = layers.Conv1D(design.width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1D(design.width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(design.dropout)(x)
    x = layers.Bidirectional(layers.LSTM(half, return_sequences=True))(x)
    x = layers.Dense(design.bottleneck, activation="tanh", name="bottleneck")(x)
    x = layers.Conv1DTranspose(design.width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1DTranspose(design.width, 5, strides=2, padding="same", activation="relu")(x)
    return layers.Conv1D(signals, 1)(layers.Cropping1D((padding, 0))(x))


_BODIES = {
    "conv1d": _conv1d,
    "lstm": _recurrent("LSTM"),
    "gru": _recurrent("GRU"),
    "bilstm": _bilstm,
    "dense": _dense,
    "conv1d-bilstm": _conv1d_bilstm,
}
