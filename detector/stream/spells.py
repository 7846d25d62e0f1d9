"""What is odd about an entity whatever its values are: how it speaks, and what of it stands still.

    silence   it has stopped speaking, see `detector.stream.silence`
    slow      it speaks lastingly less often than it did, see `detector.stream.rhythm`
    stuck     a signal of it stands still while its peers move, see `detector.stream.stuck`

None of it takes a network. A spell is told once when it begins and once when it is over. Of whom nobody wants
to hear (`held`, or a signal that weighs nothing) none begins, until somebody does; one that is open goes on,
as an episode does. A step in maintenance says nothing of what stands still, and an entity in it
is no witness. Who is silent is neither slow nor stuck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import nan
from typing import TypeAlias

import numpy as np

from detector.stream.definition import Definition
from detector.stream.nouns import Alarm, Bools, Entity, Floats, Ints, Spell, Steps
from detector.stream.silence import Silence
from detector.stream.stuck import Stuck

Weight: TypeAlias = "Callable[[Ints], Floats | None]"
Key = tuple[Alarm, int, int]
"""What, of which row, and of which signal; -1 for all of them."""


class Spells:
    """The spells of one stream: `open` are those that are not over, `totals` counts all."""

    def __init__(self, definition: Definition, silence: Silence) -> None:
        self._names = definition.signal_names
        self._silence = silence
        self.stuck = Stuck(definition)
        self.open: dict[Key, Spell] = {}
        self.totals: Counter[Alarm] = Counter()

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        self.stuck.resize(rows)

    def forget(self, rows: Ints) -> list[Spell]:
        """Forget the entities in `rows`; return their spells, which are over."""
        self.stuck.forget(rows)
        gone = set(rows.tolist())
        return [self.open.pop(key) for key in sorted(self.open) if key[1] in gone]

    def take(
        self,
        steps: Steps,
        time_s: float,
        in_maintenance: Bools,
        held: Bools,
        weight: Weight,
        entities: list[Entity | None],
    ) -> tuple[list[Spell], list[Spell]]:
        """Take a closed step in, after `silence` has; return the spells that begin and end with it.

        Args:
            steps: What was seen.
            time_s: The step's.
            in_maintenance: From whom nothing is learnt, `(rows,)`.
            held: Of whom nobody wants to hear now, `(rows,)`.
            weight: What the signals of rows weigh, `(n, signals)`, or `(1, signals)` for all; None: the same.
            entities: Who lives in which row.
        """
        silent = self._silence.silent
        self.stuck.release(silent)
        learn = ~in_maintenance
        self.stuck.take(_of(steps, learn[steps.row]), time_s, learn & ~silent)
        found = self._slow(~silent) + self._stuck(weight)
        keys = [key for key in found if key in self.open or not held[key[1]]]
        over = [self.open.pop(key)._replace(time_s=time_s) for key in sorted(self.open.keys() - set(keys))]
        began = [key for key in keys if key not in self.open]
        self.open |= {key: self._spell(key, entities, time_s) for key in keys}
        self.totals.update(key[0] for key in began)
        return [self.open[key] for key in began], over

    def _slow(self, speaking: Bools) -> list[Key]:
        return [
            (Alarm.SLOW, row, -1) for row in np.flatnonzero(self._silence.rhythm.slow & speaking).tolist()
        ]

    def _stuck(self, weight: Weight) -> list[Key]:
        row, signal = np.nonzero(self.stuck.active)
        if not len(row):
            return []
        weights = weight(row)
        if weights is not None:
            counts = np.broadcast_to(weights, (len(row), len(self._names)))[np.arange(len(row)), signal] > 0
            row, signal = row[counts], signal[counts]
        return [(Alarm.STUCK, *cell) for cell in zip(row.tolist(), signal.tolist(), strict=True)]

    def _spell(self, key: Key, entities: list[Entity | None], time_s: float) -> Spell:
        what, row, signal = key
        entity = entities[row] or ()
        if what is Alarm.STUCK:
            since_s, value = float(self.stuck.since_s[row, signal]), float(self.stuck.value[row, signal])
            return Spell(what, row, entity, self._names[signal], since_s, time_s, value, nan)
        rhythm, rows = self._silence.rhythm, np.array([row])
        pace_s, usual_s = float(rhythm.pace_s(rows)[0]), float(rhythm.usual_s(rows)[0])
        return Spell(what, row, entity, "", float(rhythm.slow_since_s[row]), time_s, pace_s, usual_s)


def _of(steps: Steps, chosen: Bools) -> Steps:
    """Return what was seen of some of the entities of a step, `(entities,)`."""
    return Steps(steps.step, steps.row[chosen], steps.value[chosen], steps.seen[chosen])
