"""Does the time that something takes grow with the amount, or with its square?"""

from __future__ import annotations

import time
from collections.abc import Callable


def growth(work: Callable[[int], object], few: int = 1000, many: int = 8000) -> float:
    """Return how many times the processor time of a few many take; `many / few` where it is linear."""
    few_s, many_s = (min(_took_s(work, amount) for _ in range(3)) for amount in (few, many))
    return many_s / max(few_s, 1e-4)


def _took_s(work: Callable[[int], object], amount: int) -> float:
    start_s = time.process_time()
    work(amount)
    return time.process_time() - start_s
