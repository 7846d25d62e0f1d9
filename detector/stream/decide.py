"""Stage 5: scores become verdicts.

Every entity is in one state of `nouns.State`, and besides, an episode is open or not:

    closed --[score > 1 in `open_steps` of the last `open_window_steps` scored steps]--> open
    closed --[score > `open_at_once`]--------------------------------------------------> open
    open   --[score < `close_below` in `close_steps` scored steps in a row]------------> closed
    open   --[the entity is silent or forgotten]---------------------------------------> closed

An entity may be held, in maintenance or muted: its scores are taken in and open nothing. What would have
opened waits, with its onset, until it closes by itself, or the entity is held no more and still above 1:
then it opens, with the onset that it had.

The onset is the time of the first of the scores above 1 that opened it. A step without a score (nothing
seen in it, too much of the window imputed) changes nothing: unknown is neither normal nor anomalous.
A score is absent while an entity is silent, see `detector.stream.silence`.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Closure, Doubles, Entity, Ints, Onset, Scores


class Decider:
    """The verdicts on the entities of one stream; arrays are `(rows,)`."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self.score = np.full(rows, np.nan, np.float32)
        self.active = np.zeros(rows, bool)
        self.onset_s = np.full(rows, np.nan)
        self._waiting_s = np.full(rows, np.nan)  # onset of an episode that would be open, were it not held
        self.score_max = np.zeros(rows, np.float32)
        self._above_s = np.full((rows, self._definition.open_window_steps), np.nan)  # newest last
        self.calm_steps = np.zeros(rows, np.int64)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array

    def forget(self, rows: Ints, time_s: Doubles, entities: list[Entity | None]) -> list[Closure]:
        """Forget the entities in `rows`; their episodes end at `time_s` `(rows,)`."""
        closures = self.hush(rows, time_s, entities)
        self.score_max[rows] = 0
        self.calm_steps[rows] = 0
        return closures

    def judge(
        self, scores: Scores, held: Bools, entities: list[Entity | None]
    ) -> tuple[list[Onset], list[Closure]]:
        """Take the scores of one step in; return the episodes that begin and end with it.

        Args:
            scores: Of the step.
            held: Whose episodes may not begin now, `(windows,)`.
            entities: Who lives in which row.
        """
        definition = self._definition
        row, score, time_s = scores.row, scores.score, scores.step * definition.step_s
        self.score[row] = score
        above = np.roll(self._above_s[row], -1, axis=1)
        above[:, -1] = np.where(score > 1.0, time_s, np.nan)
        self._above_s[row] = above
        calm = np.where(score < definition.close_below, self.calm_steps[row] + 1, 0)
        self.calm_steps[row] = calm
        self.score_max[row] = np.maximum(self.score_max[row], score)
        enough = (~np.isnan(above)).sum(axis=1) >= definition.open_steps
        begins = ~self.active[row] & (enough | (score > definition.open_at_once))
        ends = calm >= definition.close_steps
        self._wait(row[begins & held])
        waiting = ~np.isnan(self._waiting_s[row])
        opening = (begins | waiting) & ~held & (score > 1.0)
        closing = self.active[row] & ends
        self._clear(row[waiting & ends])
        onsets = [self._open(one, entities) for one in row[opening].tolist()]
        return onsets, self._close(row[closing], np.full(closing.sum(), time_s), entities)

    def _wait(self, rows: Ints) -> None:
        """Keep the onset of what would begin now, were it not held."""
        new = rows[np.isnan(self._waiting_s[rows])]
        if len(new):
            self._waiting_s[new] = np.nanmin(self._above_s[new], axis=1)
            self.score_max[new] = self.score[new]

    def hush(self, rows: Ints, time_s: Doubles, entities: list[Entity | None]) -> list[Closure]:
        """Take the scores of `rows`, who are silent; their episodes end at `time_s` `(rows,)`."""
        active = self.active[rows]
        closures = self._close(rows[active], time_s[active], entities)
        self.score[rows] = np.nan
        self._clear(rows)
        return closures

    def _open(self, row: int, entities: list[Entity | None]) -> Onset:
        waited_s = float(self._waiting_s[row])
        if np.isnan(waited_s):
            self.score_max[row] = self.score[row]
        onset_s = float(np.nanmin(self._above_s[row])) if np.isnan(waited_s) else waited_s
        self.active[row] = True
        self.onset_s[row] = onset_s
        self._waiting_s[row] = np.nan
        return Onset(row, entities[row] or (), onset_s)

    def _close(self, rows: Ints, time_s: Doubles, entities: list[Entity | None]) -> list[Closure]:
        closures = [
            Closure(row, entities[row] or (), float(self.onset_s[row]), at_s, float(self.score_max[row]))
            for row, at_s in zip(rows.tolist(), time_s.tolist(), strict=True)
        ]
        self.active[rows] = False
        self.onset_s[rows] = np.nan
        self._clear(rows)
        return closures

    def _clear(self, rows: Ints) -> None:
        """Forget what speaks for an episode."""
        self._waiting_s[rows] = np.nan
        self._above_s[rows] = np.nan
