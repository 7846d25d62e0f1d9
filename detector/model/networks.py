"""The networks. Each is a few lines on one contract.

    (values (windows, steps, signals), seen (windows, steps, signals)) -> expected values, same shape

`values` are scaled, `seen` is 1.0 or 0.0. Nothing here is a Lambda or a custom class, so that a saved network
loads with Keras's safe mode and holds no code.
"""

from __future__ import annotations

from typing import Any

ARCHITECTURES = ("conv1d",)


def build(architecture: str, window_steps: int, signals: int, lags: int) -> Any:
    """Return an untrained Keras network, with a linear way past it for the newest `lags` of the past steps.

    Raises:
        ValueError: The architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    return conv1d(window_steps, signals, lags)


def conv1d(window_steps: int, signals: int, lags: int) -> Any:
    """Convolutional autoencoder that has to expect the newest step without having seen it.

    It is cut off at the input, for a network that sees the step that it is judged by learns to copy it. What
    it learns are deviations from the level of the window (its mean): a level that history never had is news
    for one window and the new normal after it, where absolute values would err for ever. That is
    RevIN without the variance (Kim et al., ICLR 2022). The bottleneck has a quarter of the steps and width.

    Of the newest step, `highway` says what is linear in the past: its weights are given, not trained, and the
    network adds what they miss. So it begins where the linear baseline ends (the autoregressive part
    of LSTNet, Lai et al., SIGIR 2018).
    """
    from keras import Input, Model, layers  # noqa: PLC0415 -- costs seconds and 500 MB

    values, seen = Input((window_steps, signals), name="values"), Input((window_steps, signals), name="seen")
    width = min(64, max(16, 2 * signals))
    padding = -window_steps % 4
    without_newest = layers.Cropping1D((0, 1))
    past = without_newest(values)
    level = layers.GlobalAveragePooling1D(keepdims=True)(past)
    x = layers.Concatenate()([layers.Subtract()([past, level]), without_newest(seen)])
    x = layers.ZeroPadding1D((padding, 1))(x)
    x = layers.Conv1D(width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1D(width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Conv1D(max(4, width // 4), 3, padding="same", activation="relu", name="bottleneck")(x)
    x = layers.Conv1DTranspose(width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1DTranspose(width, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1D(signals, 1)(layers.Cropping1D((padding, 0))(x))
    newest = layers.Flatten()(layers.Cropping1D((window_steps - 1 - lags, 1))(values))
    newest = layers.Dense(signals, trainable=False, name="highway")(newest)
    linear = layers.Concatenate(axis=1)(
        [layers.UpSampling1D(window_steps - 1)(level), layers.Reshape((1, signals))(newest)]
    )
    return Model([values, seen], layers.Add(name="expected")([x, linear]), name="conv1d")
