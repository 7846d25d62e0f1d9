"""Timelines to learn from: signals that follow each other, with noise."""

import numpy as np

from detector.stream.definition import Definition
from detector.train.timeline import Timeline
from tests.support.streams import GAUGE, START_S, definition

STEP_S = 60.0


def stream(signals: int, window_steps: int = 16, **changes: object) -> Definition:
    """Return a stream of so many gauges."""
    gauges = [GAUGE.__class__(f"signal{index}", field=f"signal{index}") for index in range(signals)]
    return definition(*gauges, step_s=STEP_S, window_steps=window_steps, **changes)


def past(entities: int, steps: int, signals: int, seed: int = 0, *, bent: bool = False) -> Timeline:
    """Return a timeline of one walk that all signals of an entity follow, each with noise of its own.

    `bent`: half of the signals follow its square two steps later, which nothing linear tells.
    """
    random = np.random.default_rng(seed)
    walk = np.zeros((entities, steps))
    for step in range(1, steps):
        walk[:, step] = 0.9 * walk[:, step - 1] + random.normal(size=entities)
    value = np.repeat(walk[:, :, None], signals, axis=2)
    if bent:
        value[:, 2:, : signals // 2] = 0.5 * walk[:, :-2, None] ** 2
    value += 0.3 * random.normal(size=value.shape)
    return Timeline(
        stream(signals),
        tuple((f"r{index}",) for index in range(entities)),
        int(START_S / STEP_S) + np.arange(steps),
        (50.0 + 4.0 * value).astype(np.float32),
        np.ones(value.shape, bool),
        np.zeros(entities, int),
    )
