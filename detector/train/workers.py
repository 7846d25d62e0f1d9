"""Processes that judge designs, each with one thread: as many at once as there are cores.

One thread each, because networks of this size gain nothing from two, and because sums in one order are the
same sums: what is found does not depend on the machine's other work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Self

from detector.model.design import Design
from detector.stream.definition import Definition
from detector.stream.nouns import Entity
from detector.train import timeline
from detector.train.judge import Arena, FoldResult, folds, judge
from detector.train.timeline import Timeline

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
"""What numpy and TensorFlow read when they are imported."""


class Workers:
    """A pool of processes over one timeline, which they map from a directory; use it in a `with`.

    Raises:
        BrokenProcessPool: From `judge`, when a process was killed, as a machine without memory does.
    """

    def __init__(self, past: Timeline, directory: Path, jobs: int, epochs: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        timeline.save(past, directory)
        self.folds = len(folds(past))
        self._epochs = epochs
        with _environment(SINGLE_THREADED):
            self._pool = ProcessPoolExecutor(
                jobs,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(directory, past.definition, past.entities),
            )
            # They are started by the first tasks, one each.
            list(self._pool.map(_ready, range(jobs)))

    def judge(self, designs: Sequence[Design], fold: int, seed: int) -> list[FoldResult]:
        """Return how designs do in a fold, in their order."""
        tasks = [self._pool.submit(_judge, design, fold, seed, self._epochs) for design in designs]
        return [task.result() for task in tasks]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        # Nobody waits for what an interrupted search had begun.
        for process in multiprocessing.active_children():
            process.kill()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_past: Timeline | None = None
"""Of a worker: what it judges on."""


def _begin(directory: Path, definition: Definition, entities: tuple[Entity, ...]) -> None:
    """Begin as a worker: leave interrupts to the parent, end with it, and map the timeline."""
    global _past  # noqa: PLW0603 -- a process of a pool has nowhere else to keep something
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _past = timeline.load(directory, definition, entities)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _ready(number: int) -> int:
    return number


def _judge(design: Design, fold: int, seed: int, epochs: int) -> FoldResult:
    return judge(_arena(fold, seed), design, seed, epochs)


@lru_cache(maxsize=1)
def _arena(fold: int, seed: int) -> Arena:
    """Return what is the same for all in a fold; candidates go from fold to fold together."""
    assert _past is not None
    return Arena(_past, folds(_past)[fold], seed)
