"""Which row each entity of a stream lives in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from detector.stream.nouns import Bools, Drop, Entity, Ints

ROWS_FIRST = 64
NO_ROW = {Drop.ENTITIES_MAX: -2, Drop.DEVICE_ENTITIES_MAX: -3}
"""What stands for the row of an entity that was refused; -1 is the row of nobody."""


class Roster:
    """Entities and their rows. Rows double up to `entities_max` and are used again.

    A device is the first label of an entity; those of one device have at most `device_entities_max` rows.
    `refused` counts how often an entity was, by reason. Nobody remembers who: names without end cost nothing.
    """

    def __init__(self, entities_max: int, device_entities_max: int = 1_000_000) -> None:
        self._entities_max = entities_max
        self._device_entities_max = device_entities_max
        self._of_device: Counter[Entity] = Counter()
        self._row: dict[Entity, int] = {}
        self._free: list[int] = []
        self._sharing: dict[tuple[int, ...], dict[Entity, set[int]]] = {}
        self._turnover: set[int] = set()
        self.entities: list[Entity | None] = []
        self.refused: Counter[Drop] = Counter()

    def __len__(self) -> int:
        return len(self._row)

    @property
    def rows(self) -> int:
        """How many rows there are, taken or free."""
        return len(self.entities)

    def get(self, entity: Entity) -> int | None:
        """Return the row of a known entity."""
        return self._row.get(entity)

    def find(self, entities: Sequence[Entity | None]) -> Ints:
        """Return the row of each entity, -1 where it is None or not known."""
        row = self._row.get
        return np.array([row(entity, -1) for entity in entities], np.int64)  # type: ignore[arg-type]

    def admit(self, entity: Entity) -> int:
        """Return a row for a new entity, or one of `NO_ROW` where there is none."""
        if self._of_device[entity[:1]] >= self._device_entities_max:
            return self._refuse(Drop.DEVICE_ENTITIES_MAX)
        if not self._free:
            if self.rows >= self._entities_max:
                return self._refuse(Drop.ENTITIES_MAX)
            rows = min(max(ROWS_FIRST, 2 * self.rows), self._entities_max)
            self._free = list(range(rows - 1, self.rows - 1, -1))
            self.entities += [None] * (rows - self.rows)
        row = self._free.pop()
        self._row[entity] = row
        self._of_device[entity[:1]] += 1
        self.entities[row] = entity
        self._turnover.add(row)
        for places, sharing in self._sharing.items():
            sharing.setdefault(_at(places, entity), set()).add(row)
        return row

    def _refuse(self, reason: Drop) -> int:
        self.refused[reason] += 1
        return NO_ROW[reason]

    def forget(self, rows: Ints) -> None:
        """Free rows."""
        for row in rows.tolist():
            entity = self.entities[row]
            if entity is not None:
                del self._row[entity]
                self._of_device[entity[:1]] -= 1
                if not self._of_device[entity[:1]]:
                    del self._of_device[entity[:1]]
                for places, sharing in self._sharing.items():
                    _discard(sharing, _at(places, entity), row)
                self.entities[row] = None
                self._turnover.add(row)
                self._free.append(row)

    def turnover(self) -> list[int]:
        """Return the rows that had another inhabitant, or none, when this was last asked."""
        rows, self._turnover = sorted(self._turnover), set()
        return rows

    def sharing(self, places: tuple[int, ...], labels: Entity) -> Collection[int]:
        """Return the rows of the entities that have these labels at these places.

        What is asked about the same places again costs one look-up, however many entities there are.
        """
        if places not in self._sharing:
            found = self._sharing[places] = {}
            for entity, row in self._row.items():
                found.setdefault(_at(places, entity), set()).add(row)
        return self._sharing[places].get(labels, ())

    def having(self, names: Sequence[str], labels: Mapping[str, str]) -> Collection[int]:
        """Return the rows of the entities that have all of some labels; nobody has none, or another one.

        Args:
            names: What the labels of an entity are called.
            labels: Some or all of them.
        """
        if not labels or not labels.keys() <= set(names):
            return ()
        places = tuple([index for index, name in enumerate(names) if name in labels])
        texts = tuple([labels[names[place]] for place in places])
        if len(places) < len(names):
            return self.sharing(places, texts)
        row = self.get(texts)
        return () if row is None else (row,)

    def taken(self) -> Bools:
        """Return which rows somebody lives in."""
        taken = np.zeros(self.rows, bool)
        taken[list(self._row.values())] = True
        return taken


def _at(places: tuple[int, ...], entity: Entity) -> Entity:
    return tuple([entity[place] for place in places])


def _discard(sharing: dict[Entity, set[int]], labels: Entity, row: int) -> None:
    rows = sharing[labels]
    rows.discard(row)
    if not rows:
        del sharing[labels]
