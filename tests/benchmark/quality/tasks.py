"""The sets with the architectures, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.benchmark.quality import fabric, servers, telemetry
from tests.benchmark.quality.figures import Figure


def measured(
    data: Path, sets: Sequence[str], architectures: Sequence[str], work: Path, jobs: int
) -> dict[str, dict[str, dict[str, Figure]]]:
    """Measure each set with each architecture in a process of its own: what it held is free afterwards."""
    found: dict[str, dict[str, dict[str, Figure]]] = {name: {} for name in sets}
    # The longest first.
    tasks = [(name, one) for name in reversed(sets) for one in reversed(architectures)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        running = {pool.submit(measure, data, name, one, work): (name, one) for name, one in tasks}
        for done in as_completed(running):
            name, one = running[done]
            found[name][one], took_s, memory_gb = done.result()
            print(f"{name} {one}: {took_s:.0f} s, {memory_gb:.1f} GB", file=sys.stderr, flush=True)
    return found


def measure(data: Path, name: str, architecture: str, work: Path) -> tuple[dict[str, Figure], float, float]:
    """Return the figures of a set by name, how many seconds it took, and the most memory in GB."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow talks to stderr
    begin_s = time.monotonic()
    if name == "simulate":
        figures = fabric.fabric(fabric.SCENARIO, architecture, work)
    elif name == "cisco":
        figures = telemetry.telemetry(data / "cisco", architecture, work)
    elif name == "tsb":
        figures = servers.tsb(data, architecture, work)
    else:
        figures = servers.servers(data, name, architecture, work)
    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return figures, time.monotonic() - begin_s, memory_gb
