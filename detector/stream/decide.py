"""Stage 5: scores become verdicts.

Every entity is in one state of `nouns.State`, and besides, an episode is open or not:

    closed --[score > 1 in `open_steps` of the last `open_window_steps` scored steps]--> open
    open   --[score < `close_below` in `close_steps` scored steps in a row]-----------> closed
    open   --[the entity is silent or forgotten]---------------------------------------> closed

The onset is the time of the first of the scores above 1 that opened it. A step without a score (nothing
seen in it, too much of the window imputed) changes nothing: unknown is neither normal nor anomalous.
Silence is a state of its own: it begins when no sample came for longer than `silence_s`, or with a goodbye,
and a score is absent while it lasts. Who said goodbye stays silent until it speaks after that: what it said
before may be in steps that are still to be closed.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Closure, Doubles, Entity, Ints, Onset, Scores


class Decider:
    """The verdicts on the entities of one stream; arrays are `(rows,)`."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self.score = np.full(rows, np.nan, np.float32)
        self.active = np.zeros(rows, bool)
        self.onset_s = np.full(rows, np.nan)
        self.silent = np.zeros(rows, bool)
        self.gone = np.zeros(rows, bool)  # said goodbye, and nothing since
        self._silence_told = np.zeros(rows, bool)
        self.spoken_s = np.full(rows, np.nan)  # time of the newest step that has a sample of it
        self._score_max = np.zeros(rows, np.float32)
        self._above_s = np.full((rows, self._definition.open_window_steps), np.nan)  # newest last
        self._calm_steps = np.zeros(rows, np.int64)

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array

    def forget(self, rows: Ints, entities: list[Entity | None]) -> list[Closure]:
        """Forget the entities in `rows`; their episodes end with the last that was heard of them."""
        closing = rows[self.active[rows]]
        closures = self._close(closing, self.spoken_s[closing], entities)
        for array in (self.score, self.onset_s, self.spoken_s, self._above_s):
            array[rows] = np.nan
        for mask in (self.active, self.silent, self.gone, self._silence_told):
            mask[rows] = False
        for array in (self._score_max, self._calm_steps):
            array[rows] = 0
        return closures

    def hear(self, rows: Ints, time_s: float) -> None:
        """Note that the entities in `rows` spoke in the step of `time_s`."""
        self.spoken_s[rows] = time_s
        self.silent[rows] &= self.gone[rows]

    def part(self, rows: Ints, entities: list[Entity | None]) -> list[Closure]:
        """Take the goodbye of the entities in `rows`: silent from now on, until `welcome`.

        Their episodes end with the last that was heard of them.
        """
        closing = rows[self.active[rows]]
        closures = self._close(closing, self.spoken_s[closing], entities)
        self._hush(rows)
        self.gone[rows] = True
        return closures

    def welcome(self, rows: Ints) -> None:
        """Note that the entities in `rows` speak after their goodbye, if they said one."""
        self.gone[rows] = False

    def turns(self) -> tuple[Ints, Ints]:
        """Return who is silent, and who speaks again, that was not when this was last asked."""
        silenced = np.flatnonzero(self.silent & ~self._silence_told)
        speaking = np.flatnonzero(self._silence_told & ~self.silent)
        self._silence_told = self.silent.copy()
        return silenced, speaking

    def judge(self, scores: Scores, entities: list[Entity | None]) -> tuple[list[Onset], list[Closure]]:
        """Take the scores of one step in; return the episodes that begin and end with it."""
        definition = self._definition
        row, score, time_s = scores.row, scores.score, scores.step * definition.step_s
        self.score[row] = score
        above = np.roll(self._above_s[row], -1, axis=1)
        above[:, -1] = np.where(score > 1.0, time_s, np.nan)
        self._above_s[row] = above
        calm = np.where(score < definition.close_below, self._calm_steps[row] + 1, 0)
        self._calm_steps[row] = calm
        self._score_max[row] = np.maximum(self._score_max[row], score)
        counts = (~np.isnan(above)).sum(axis=1)
        opening = ~self.active[row] & (counts >= definition.open_steps)
        closing = self.active[row] & (calm >= definition.close_steps)
        onsets = [
            self._open(int(row[index]), float(np.nanmin(above[index])), float(score[index]), entities)
            for index in np.flatnonzero(opening)
        ]
        return onsets, self._close(row[closing], np.full(closing.sum(), time_s), entities)

    def fall_silent(self, time_s: float, entities: list[Entity | None]) -> list[Closure]:
        """Find who has been silent for too long at `time_s`; their scores go.

        Their episodes end with the `silence_s` after the last word, whenever that is noticed.
        """
        silence_s = self._definition.silence_s
        quiet = np.flatnonzero(~self.silent & (time_s - self.spoken_s > silence_s))
        closing = quiet[self.active[quiet]]
        closures = self._close(closing, self.spoken_s[closing] + silence_s, entities)
        self._hush(quiet)
        return closures

    def _hush(self, rows: Ints) -> None:
        self.silent[rows] = True
        self.score[rows] = np.nan
        self._above_s[rows] = np.nan

    def _open(self, row: int, onset_s: float, score: float, entities: list[Entity | None]) -> Onset:
        self.active[row] = True
        self.onset_s[row] = onset_s
        self._score_max[row] = score
        return Onset(row, entities[row] or (), onset_s)

    def _close(self, rows: Ints, time_s: Doubles, entities: list[Entity | None]) -> list[Closure]:
        closures = [
            Closure(row, entities[row] or (), float(self.onset_s[row]), at_s, float(self._score_max[row]))
            for row, at_s in zip(rows.tolist(), time_s.tolist(), strict=True)
        ]
        self.active[rows] = False
        self.onset_s[rows] = np.nan
        self._above_s[rows] = np.nan
        return closures
