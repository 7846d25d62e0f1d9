"""Stage 3: steps become windows.

One contiguous ring of rows holds the last `window_steps` steps of all entities of a stream; the grid is
common to them, so one head is enough, and a step of a hundred thousand entities is one array write. Rows
double as entities come, up to `entities_max`, and are used again when an entity goes.

An unseen cell carries on what was seen last. How much of a window may be imputed is bounded: beyond
`imputed_share_max` an entity is SPARSE and not scored. Signals that an entity did not report in the whole
window do not count, for devices of one fabric differ.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Floats, Ints, Steps, Windows


class Ring:
    """The last steps of every entity of one stream: `(rows, window_steps, signals)`."""

    def __init__(self, definition: Definition) -> None:
        self._steps = definition.window_steps
        self._signals = len(definition.signals)
        self._imputed_share_max = definition.imputed_share_max
        self._head = 0  # the oldest step, overwritten next
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self._value = np.zeros((rows, self._steps, self._signals), np.float32)
        self._seen = np.zeros((rows, self._steps, self._signals), bool)
        self._carried = np.zeros((rows, self._signals), np.float32)
        self._seen_count = np.zeros((rows, self._signals), np.int32)
        self._age_steps = np.zeros(rows, np.int32)  # 0: nobody lives here

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        names = ("_value", "_seen", "_carried", "_seen_count", "_age_steps")
        old = {name: getattr(self, name) for name in names}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self._value[rows] = 0.0
        self._seen[rows] = False
        self._carried[rows] = 0.0
        self._seen_count[rows] = 0
        self._age_steps[rows] = 0

    def push(self, steps: Steps) -> None:
        """Take one closed step in; entities that said nothing in it get an unseen one."""
        head = self._head
        self._age_steps += self._age_steps > 0
        self._seen_count -= self._seen[:, head]
        self._seen[:, head] = False
        if len(steps.row):
            self._carried[steps.row] = np.where(steps.seen, steps.value, self._carried[steps.row])
            self._seen[steps.row, head] = steps.seen
            self._seen_count[steps.row] += steps.seen
            self._age_steps[steps.row] = np.maximum(self._age_steps[steps.row], 1)
        self._value[:, head] = self._carried
        np.minimum(self._age_steps, self._steps, out=self._age_steps)
        self._head = (head + 1) % self._steps

    def states(self) -> tuple[Bools, Bools]:
        """Return for every row whether its first window is full, and whether enough of it was seen."""
        return self._age_steps >= self._steps, enough_seen(
            self._seen_count, self._steps, self._imputed_share_max
        )

    def windows(self, step: int, row: Ints) -> Windows:
        """Return the windows of `row`, oldest step first, newest last. The arrays are copies."""
        order = np.r_[self._head : self._steps, 0 : self._head]
        return Windows(step, row, self._value[row[:, None], order], self._seen[row[:, None], order])

    def newest_seen(self) -> Bools:
        """Return which rows said anything in the newest step."""
        return np.asarray(self._seen[:, self._head - 1].any(axis=1))


def enough_seen(seen_count: Ints, window_steps: int, imputed_share_max: float) -> Bools:
    """Return which windows may be scored, by the cells seen of each signal `(windows, signals)`."""
    reported = (seen_count > 0).sum(axis=1)
    cells = reported * window_steps
    imputed_share = (cells - seen_count.sum(axis=1)) / np.maximum(cells, 1)
    return np.asarray((reported > 0) & (imputed_share <= imputed_share_max))


def carry(value: Floats, seen: Bools) -> Floats:
    """Let every unseen cell of a timeline `(steps, signals)` carry on what was seen last, 0 before that."""
    index: Ints = np.where(seen, np.arange(len(value))[:, None], -1)
    np.maximum.accumulate(index, axis=0, out=index)
    carried = np.take_along_axis(np.where(seen, value, np.float32(0.0)), np.maximum(index, 0), axis=0)
    return np.where(index >= 0, carried, np.float32(0.0))
