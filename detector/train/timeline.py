"""The whole past of a stream as arrays, aligned by the same stage that aligns it live."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detector.stream.align import Align
from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Entity, Floats, Ints, Steps
from detector.stream.window import carry, enough_seen
from detector.train.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Timeline:
    """Every step of every entity. `value` and `seen` are `(entities, steps, signals)`, `step` `(steps,)`.

    `value` is in the units of the signals, unseen cells carry on what was seen last. `born` is the position
    of each entity's first step.
    """

    definition: Definition
    entities: tuple[Entity, ...]
    step: Ints
    value: Floats
    seen: Bools
    born: Ints

    def ends(self) -> tuple[Ints, Ints]:
        """Return where windows that may be judged end: entity and position, in time order."""
        window_steps = self.definition.window_steps
        seen_count = np.cumsum(self.seen, axis=1, dtype=np.int32)
        seen_count[:, window_steps:] -= seen_count[:, :-window_steps].copy()
        flat = seen_count.reshape(-1, seen_count.shape[2])
        share_max = self.definition.imputed_share_max
        enough = enough_seen(flat, window_steps, share_max).reshape(self.seen.shape[:2])
        position = np.arange(len(self.step))
        full = position >= self.born[:, None] + window_steps - 1
        at, entity = np.nonzero((full & enough & np.any(self.seen, axis=2)).T)
        return entity, at

    def before(self, position: int) -> Timeline:
        """Return the timeline up to a position; its arrays are views."""
        value, seen = self.value[:, :position], self.seen[:, :position]
        return replace(self, step=self.step[:position], value=value, seen=seen)


def save(past: Timeline, directory: Path) -> None:
    """Write the arrays of a timeline into a directory, where several processes can map them."""
    for name in _ARRAYS:
        np.save(directory / f"{name}.npy", getattr(past, name), allow_pickle=False)


def load(directory: Path, definition: Definition, entities: tuple[Entity, ...]) -> Timeline:
    """Return a timeline whose arrays are mapped from a directory, to be read."""
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    return Timeline(definition, entities, **arrays)


_ARRAYS = ("step", "value", "seen", "born")


def timeline(dataset: Dataset, definition: Definition) -> Timeline:
    """Align a dataset. Recordings hold scaled rates, so their counters are not differentiated again."""
    align = Align(as_recorded(definition) if dataset.rates else definition)
    align.resize(len(dataset.entities))
    closed: list[Steps] = []
    for until_s, samples in dataset.chunks(definition):
        align.add(samples)
        closed += align.close(until_s)
    if len(dataset.time_s):
        closed += align.close(float(dataset.time_s[-1]) + definition.lateness_s + definition.step_s)
    shape = (len(dataset.entities), len(closed), len(definition.signals))
    value, seen = np.zeros(shape, np.float32), np.zeros(shape, bool)
    born = np.full(shape[0], shape[1])
    for position, steps in enumerate(closed):
        value[steps.row, position], seen[steps.row, position] = steps.value, steps.seen
        born[steps.row] = np.minimum(born[steps.row], position)
    for entity in range(shape[0]):
        value[entity] = carry(value[entity], seen[entity])
    return Timeline(
        definition, dataset.entities, np.array([steps.step for steps in closed], np.int64), value, seen, born
    )


def as_recorded(definition: Definition) -> Definition:
    """Return the definition of a recording of a stream: counters are rates already, and all is scaled."""
    kinds = {"counter": "rate"}
    signals = tuple(
        replace(signal, kind=kinds.get(signal.kind, signal.kind), aggregate="last", scale=1.0, offset=0.0)
        for signal in definition.signals
    )
    return replace(definition, signals=signals)
