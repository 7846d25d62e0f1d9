"""The control of every table: what somebody would reach who knows nothing.

As many episodes, as long ones, at random times; random scores; random signals. The mean of `DRAWS` draws,
the same ones for the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from detector.evaluate.judged import Alarm, Judged

DRAWS = 10


def draws(judged: Judged, seed: int) -> Iterator[Judged]:
    """Yield what is judged with random scores and alarms in the place of its own."""
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        scores = rng.random(len(judged.scores), np.float32)
        yield replace(judged, scores=scores, alarms=_alarms(judged, rng))


def _alarms(judged: Judged, rng: np.random.Generator) -> list[Alarm]:
    """Return the episodes that began in the judged part, at other times in it."""
    step_s = judged.definition.step_s
    moved = []
    for alarm in judged.begun():
        steps = alarm.last - alarm.first
        first = int(rng.integers(judged.first[alarm.at], judged.last[alarm.at] - steps, endpoint=True))
        moved.append(
            replace(
                alarm,
                first=first,
                last=first + steps,
                start_s=first * step_s,
                told_s=first * step_s,
                end_s=(first + steps) * step_s,
            )
        )
    return moved
