"""What one stream makes of a capture; see `survey`."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import isfinite, nan
from statistics import median
from typing import Final, NamedTuple

from detector.check import disbelief
from detector.edge.snapshot import Example, example
from detector.stream.decode import decoder
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message
from detector.stream.roster import NO_ROW, Roster
from detector.wording import counted, off_by, shown, some

ENTITIES_MAX: Final = 200_000
"""Entities of a stream that are told apart; with their times some hundred megabytes at most."""
TIMES_MAX: Final = 64
"""Times of an entity that are looked at to tell how often it speaks."""
RISES_MIN: Final = 10
"""Rises without a fall that are hardly chance; in two minutes, at a step of ten seconds, there are eleven."""
FALLS_MAX: Final = 0.01
"""A counter falls too: a restart in so many of its rises is allowed,"""
WRAP: Final = 2.0**31
"""and a fall by more is one of 32 bits that wraps."""

_REFUSED = {row: reason for reason, row in NO_ROW.items()}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class _Refusal(NamedTuple):
    """What was refused first for a reason, and how far its time is off, NaN where that is not why."""

    example: Example
    ahead_s: float


class _Course:
    """How often a gauge rises and falls."""

    def __init__(self) -> None:
        self._newest: dict[Entity, float] = {}
        self._rises = 0
        self._falls = 0

    def take(self, entity: Entity, value: float) -> None:
        before = self._newest.get(entity)
        if before is not None:
            self._rises += value > before
            self._falls += value < 0 or before - WRAP < value < before
        if before is not None or len(self._newest) < ENTITIES_MAX:
            self._newest[entity] = value

    def counts(self) -> bool:
        """Say whether it looks like a counter."""
        return self._rises >= RISES_MIN and self._falls <= FALLS_MAX * self._rises


class StreamSurvey:
    """What a stream made of the messages so far."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._decoder = decoder(definition)
        self._roster = Roster(definition.entities_max, definition.device_entities_max)
        self._without_room: dict[Drop, set[Entity]] = defaultdict(set)
        self._messages = 0
        self.taken = 0
        self._samples = 0
        self._goodbyes = 0
        self._formats: Counter[str] = Counter()
        self._signals: Counter[int] = Counter()
        self._refused: Counter[Drop] = Counter()
        self._first: dict[Drop, _Refusal] = {}
        self._times_s: dict[Entity, list[float]] = {}
        gauges = [at for at, one in enumerate(definition.signals) if one.kind == "gauge"]
        self._courses = {at: _Course() for at in gauges}

    def take(self, message: Message) -> bool:
        """Take a message in, if it is the stream's; say whether it is."""
        of_topic = self._decoder.template.match(message.topic)
        farewell = self._decoder.farewell
        if farewell and farewell.goodbye(message):
            self._goodbyes += 1
            return True
        if of_topic is None:
            return False
        self._messages += 1
        self._formats[self._decoder.looks.format_of(message.topic, message.payload) or "none"] += 1
        batch = Batch()
        if message.retained:
            refusal: Drop | None = Drop.RETAINED
        else:
            refusal = self._decoder.decode(message, self._decoder.with_properties(of_topic, message), batch)
        for reason in [*batch.dropped.elements(), *([refusal] if refusal else [])]:
            self._refuse(reason, message)
        refused = self._refuse_records(batch, message)
        self._goodbyes += bool(batch.silenced)
        self.taken += refusal is None and (not batch.entities or len(refused) < len(batch.entities))
        self._note(batch, refused)
        return True

    def _refuse(self, reason: Drop, message: Message, ahead_s: float = nan) -> None:
        self._refused[reason] += 1
        if reason not in self._first:
            self._first[reason] = _Refusal(example(message.topic, message.payload), ahead_s)

    def _refuse_records(self, batch: Batch, message: Message) -> set[int]:
        """Return which records the pipeline would refuse: for their time, or because there is no room.

        A capture without times of arrival says nothing about the first.
        """
        refused = set()
        for at, (entity, time_s) in enumerate(zip(batch.entities, batch.times_s, strict=True)):
            ahead_s = time_s - message.arrival_s
            reason = disbelief(self._definition, ahead_s) if isfinite(ahead_s) else None
            if reason is None and self._roster.get(entity) is None:
                reason = _REFUSED.get(self._roster.admit(entity))
                if reason and len(self._without_room[reason]) < ENTITIES_MAX:
                    self._without_room[reason].add(entity)
            if reason:
                self._refuse(reason, message, ahead_s if reason not in NO_ROW else nan)
                refused.add(at)
        return refused

    def _note(self, batch: Batch, refused: set[int]) -> None:
        for entity, time_s in zip(batch.entities, batch.times_s, strict=True):
            if entity in self._times_s or len(self._times_s) < ENTITIES_MAX:
                times_s = self._times_s.setdefault(entity, [])
                if len(times_s) < TIMES_MAX and isfinite(time_s):
                    times_s.append(time_s)
        self._signals.update(batch.signal)
        for record, signal, value in zip(batch.record, batch.signal, batch.value, strict=True):
            self._samples += record not in refused
            if course := self._courses.get(signal):
                course.take(batch.entities[record], value)

    def lines(self) -> Iterator[str]:
        """Tell it."""
        definition = self._definition
        if not self._messages and not self._goodbyes:
            yield f"stream {definition.name}: nothing in the capture is on {definition.topic}"
            return
        seen = f"looks like {counted(self._formats)}; format {definition.format!r}"
        taken = f"{self.taken} of {self._messages} messages taken, {self._samples} samples"
        yield f"stream {definition.name}: {taken}; {seen}"
        if self._goodbyes:
            yield f"  goodbyes: {self._goodbyes}"
        if self._times_s:
            entities = [" ".join(entity) for entity in self._times_s]
            yield f"  entities ({', '.join(definition.entity)}): {len(entities)}: {some(entities)}"
            yield from self._limits()
            yield f"  {self._cadence()}"
        absent = [name for at, name in enumerate(definition.signal_names) if at not in self._signals]
        if absent:
            yield f"  never there: {some(absent)}"
        yield from self._counters()
        for reason, count in self._refused.most_common():
            (of, what), ahead_s = self._first[reason]
            off = f" ({off_by(ahead_s)})" if isfinite(ahead_s) else ""
            yield f"  refused: {count} {reason}{off}, such as {shown(of)} {shown(what)}"

    def _limits(self) -> Iterator[str]:
        """Say which limit is too small for what was captured."""
        for reason, entities in self._without_room.items():
            limit = getattr(self._definition, reason)
            yield f"  {reason} = {limit} is too small: there is no room for {len(entities)} of them"

    def _counters(self) -> Iterator[str]:
        """Say which gauges look like counters, and what to write then."""
        signals = self._definition.signals
        names = [signals[at].name for at, course in self._courses.items() if course.counts()]
        if names:
            key = names[0] if _BARE_KEY.fullmatch(names[0]) else json.dumps(names[0])
            yield f'  gauges that never fall: {some(names)}; counters? if so: {key} = {{ kind = "counter" }}'

    def _cadence(self) -> str:
        spans = [
            later - earlier
            for times_s in self._times_s.values()
            for earlier, later in zip(sorted(set(times_s))[:-1], sorted(set(times_s))[1:], strict=True)
        ]
        if not spans:
            return "each entity speaks once"
        every_s, step_s = median(spans), self._definition.step_s
        advice = "" if every_s <= step_s * 1.5 else "; step_s is shorter, and leaves gaps"
        return f"an entity speaks every {every_s:.3g} s; step_s is {step_s:g}{advice}"
