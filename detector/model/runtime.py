"""Run a network fast: one `tf.function`, a few batch shapes, never `model.predict`.

`predict` costs 31 ms a call for a batch of eight where a `tf.function` costs 0.15 ms, and it leaks in a loop.
Batches are padded to a power of two, so that a fabric whose ready windows change in number from tick to tick
meets a dozen shapes and no retracing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from detector.model import baselines
from detector.model.bundle import Bundle, BundleError
from detector.model.design import BASELINES
from detector.model.phases import PHASES, phases
from detector.stream.bench import Judge
from detector.stream.nouns import Bools, Doubles, Floats, Reconstruct

BATCH_MAX = 1024
"""Windows a call; throughput is flat beyond (258 k windows/s at 1,024 on two cores)."""
BATCH_MIN = 16
PROBES = 3
PROBE_TOLERANCE = 1e-3
"""In robust deviations: sums in another order, of another processor, differ by a hundredth of that."""


def load_judge(bundle: Bundle) -> Judge:
    """Load a bundle's network and run it once in every batch shape, which takes seconds; or its baseline.

    Raises:
        BundleError: Keras refuses the network, or it, the baseline or the calibration is not one.
    """
    calibration = bundle.calibration()
    stream = bundle.manifest["stream"]
    if bundle.manifest["architecture"] in BASELINES:
        try:
            baseline = baselines.read(
                bundle.network_path, stream["window_steps"], len(stream["signals"]), stream["step_s"]
            )
        except ValueError as error:
            raise BundleError(f"{bundle.network_path}: {error}") from None
        return Judge(baseline, calibration)
    reconstruct = runner(load_network(bundle.network_path), stream["step_s"])
    warm_up(reconstruct, stream["window_steps"], len(stream["signals"]))
    _compare(bundle, probe(reconstruct, stream["window_steps"], len(stream["signals"])))
    return Judge(reconstruct, calibration)


def probe(reconstruct: Reconstruct, window_steps: int, signals: int) -> list[list[float]]:
    """Return what is expected of a few known windows: what a network says, whoever runs it."""
    shape = PROBES, window_steps, signals
    value = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    end_s = np.linspace(0.0, 4e5, PROBES)
    expected = reconstruct(value, np.ones(shape, bool), end_s)
    return [[round(float(one), 6) for one in row] for row in expected]


def _compare(bundle: Bundle, now: list[list[float]]) -> None:
    """See that the network says of known windows what it said when it was trained.

    Raises:
        BundleError: It does not; another version of TensorFlow, perhaps, has it mean something else.
    """
    then = np.array(bundle.manifest.get("probe", now))
    if then.shape == np.shape(now) and np.allclose(then, now, rtol=PROBE_TOLERANCE, atol=PROBE_TOLERANCE):
        return
    import tensorflow as tf  # noqa: PLC0415 -- loaded by the network already

    trained = bundle.manifest.get("versions", {}).get("tensorflow", "unknown")
    raise BundleError(
        f"{bundle.network_path}: does not say what it said when it was trained; trained with TensorFlow "
        f"{trained}, here is {tf.__version__}: train it again"
    )


def runner(network: Any, step_s: float) -> Reconstruct:
    """Return a function that expects the newest step of windows with a Keras network."""
    import tensorflow as tf  # noqa: PLC0415 -- costs seconds and 500 MB

    def newest_step(values: Any, seen: Any, *when: Any) -> Any:
        return network([values, tf.cast(seen, tf.float32), *when], training=False)[:, -1]

    steps, signals = network.inputs[0].shape[1:]
    when = is_told_when(network)
    shape = (None, steps, signals)
    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape, tf.bool)]
    signature += [tf.TensorSpec((None, steps, PHASES), tf.float32)] * when
    newest = tf.function(newest_step, input_signature=signature)

    def reconstruct(value: Floats, seen: Bools, end_s: Doubles) -> Floats:
        expected = np.empty((len(value), value.shape[2]), np.float32)
        for start in range(0, len(value), BATCH_MAX):
            part = slice(start, start + BATCH_MAX)
            given = [value[part], seen[part]]
            if when:
                given.append(phases(end_s[part], steps, step_s))
            count = len(given[0])
            padding = ((0, _padded(count) - count), (0, 0), (0, 0))
            expected[part] = newest(*(np.pad(one, padding) for one in given)).numpy()[:count]
        return expected

    return reconstruct


def is_told_when(network: Any) -> bool:
    """Return whether the time of day and week is an input of a network, beside values and seen."""
    return len(network.inputs) > 2  # noqa: PLR2004 -- those two


def load_network(path: Path) -> Any:
    """Return the network in a `.keras` file.

    Raises:
        BundleError: It is no network, or holds code, which Keras's safe mode refuses.
    """
    import keras  # noqa: PLC0415 -- costs seconds and 500 MB

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{path}: Keras {keras.__version__} refuses it: {error}") from None


def warm_up(reconstruct: Reconstruct, window_steps: int, signals: int) -> None:
    """Run each batch shape once, so that the first tick does not pay for the tracing."""
    count = BATCH_MIN
    while count <= BATCH_MAX:
        shape = (count, window_steps, signals)
        reconstruct(np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(count))
        count *= 2


def _padded(count: int) -> int:
    return max(BATCH_MIN, 1 << (count - 1).bit_length())
