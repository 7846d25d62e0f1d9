"""The time of day and week, as a network is told it: where on two circles a step is, in UTC."""

from __future__ import annotations

import numpy as np

from detector.stream.nouns import Doubles, Floats

DAY_S, WEEK_S = 86_400.0, 604_800.0
PHASES = 4


def phases(end_s: Doubles, window_steps: int, step_s: float) -> Floats:
    """Return sine and cosine of the day and of the week, `(windows, steps, 4)`.

    Args:
        end_s: The time of the newest step of each window, `(windows,)`, in UTC seconds.
        window_steps: How many steps a window has.
        step_s: The time of a step.
    """
    time_s = end_s[:, None] + np.arange(1 - window_steps, 1) * step_s
    angles = [2.0 * np.pi * (time_s % period_s) / period_s for period_s in (DAY_S, WEEK_S)]
    circles = [part(angle) for angle in angles for part in (np.sin, np.cos)]
    return np.stack(circles, axis=2).astype(np.float32)
