"""Labels laid on the grid: which steps of each entity are labelled, and which count neither way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector.evaluate.events import Event, Rules, covers
from detector.evaluate.judged import Judged, steps_of
from detector.stream.definition import Definition
from detector.stream.nouns import Bools


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the steps of one entity, `(steps,)` each.

    A `fault` is on in steps with a label. Those of a `restore` or a `change`, of the time after an event in
    which it still explains an alarm, and of events elsewhere where entities are connected, count neither
    way; all others are free.
    """

    label: Bools
    free: Bools

    @property
    def counted(self) -> Bools:
        """Steps that are labelled or free."""
        return self.label | self.free


def on_grid(event: Event, step_s: float) -> Event:
    """Return an event with the times of the first and the last step that cover it."""
    first, last = steps_of(np.array([event.start_s, event.end_s]), step_s).tolist()
    return replace(event, start_s=first * step_s, end_s=last * step_s)


def to_judge(events: Iterable[Event], judged: Judged) -> tuple[list[Event], Counter[str]]:
    """Return the events that the judged part can show, on the grid, and why others were left out."""
    left_out: Counter[str] = Counter()
    labels = [judged.labels(at) for at in range(len(judged.entities))]
    chosen = []
    for event in events:
        why = _unseen(event, judged, labels)
        if why:
            left_out[why] += 1
        else:
            chosen.append(on_grid(event, judged.definition.step_s))
    return chosen, left_out


def _unseen(event: Event, judged: Judged, labels: Sequence[Mapping[str, str]]) -> str:
    definition = judged.definition
    if event.signals and not set(event.signals) & set(definition.signal_names):
        return "show in no signal of the stream"
    covered = [at for at, entity in enumerate(labels) if covers(event, entity)]
    if not covered:
        return "are of entities that are not in the data"
    start, end = _steps(event, definition)
    return "" if any(judged.has(at, start, end) for at in covered) else "are outside of what is judged"


def _steps(event: Event, definition: Definition) -> tuple[int, int]:
    first, last = steps_of(np.array([event.start_s, event.end_s]), definition.step_s).tolist()
    return first, last


def truths(judged: Judged, events: Sequence[Event], rules: Rules) -> list[Truth]:
    """Return what events on the grid say of each entity."""
    return [_truth(judged, at, events, rules) for at in range(len(judged.entities))]


def _truth(judged: Judged, at: int, events: Sequence[Event], rules: Rules) -> Truth:
    definition, labels = judged.definition, judged.labels(at)
    after = round(rules.after_s / definition.step_s)
    faults, others = [], []
    for event in events:
        own = covers(event, labels)
        if event.kind == "bait" or not (own or rules.connected):
            continue
        start, end = _steps(event, definition)
        if own and event.kind == "fault":
            faults.append((start, end))
        others.append((start, end + after))
    label = judged.mask(at, faults)
    return Truth(label, ~label & ~judged.mask(at, others))
