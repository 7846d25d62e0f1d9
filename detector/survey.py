"""`detector check --capture`: what the streams of the settings make of a capture, and what nobody reads.

Of each stream: how many messages it takes, of whom, how often they come, which signals are never there, and
what is refused, with an example. Of the topics that no stream reads: their shape, the format that they look
like, and what would be labels and signals.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from detector.edge.snapshot import Example, example
from detector.stream.decode import ANYTHING, Decoder, decoder
from detector.stream.decode.views import METRICS, document_of, names_of
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message

ENTITIES_MAX: Final = 200_000
"""Entities of a stream that are told apart; with their times some hundred megabytes at most."""
TIMES_MAX: Final = 64
"""Times of an entity that are looked at to tell how often it speaks."""
SHAPES_MAX: Final = 1000
"""Shapes of topics that are told apart; a capture of more is not of one network."""
NAMES_SHOWN: Final = 12
LEVELS_MAX: Final = 1000
"""Different texts of a level that are counted; more are many."""

_UNREAD = Definition("unread", (), (), 1.0, 1)


@dataclass(slots=True)
class _StreamSurvey:
    """What a stream made of the messages so far."""

    definition: Definition
    decoder: Decoder
    messages: int = 0
    taken: int = 0
    samples: int = 0
    goodbyes: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    signals: Counter[int] = field(default_factory=Counter)
    refused: Counter[Drop] = field(default_factory=Counter)
    examples: dict[Drop, Example] = field(default_factory=dict)
    times_s: dict[Entity, list[float]] = field(default_factory=dict)

    def take(self, message: Message) -> bool:
        """Take a message in, if it is the stream's; say whether it is."""
        of_topic = self.decoder.template.match(message.topic)
        farewell = self.decoder.farewell
        if farewell and farewell.leaving(message.topic) is not None and farewell.says_so(message.payload):
            self.goodbyes += 1
            return True
        if of_topic is None:
            return False
        self.messages += 1
        self.formats[self.decoder.looks.format_of(message.topic, message.payload) or "none"] += 1
        batch = Batch()
        if message.retained:
            refusal: Drop | None = Drop.RETAINED
        else:
            refusal = self.decoder.decode(message, self.decoder.with_properties(of_topic, message), batch)
        self._note(batch, refusal, message)
        return True

    def _note(self, batch: Batch, refusal: Drop | None, message: Message) -> None:
        reasons = [*batch.dropped.elements(), *([refusal] if refusal else [])]
        self.refused.update(reasons)
        for reason in reasons:
            self.examples.setdefault(reason, example(message.topic, message.payload))
        self.taken += refusal is None
        self.goodbyes += bool(batch.silenced)
        self.samples += len(batch.value)
        self.signals.update(batch.signal)
        for entity, time_s in zip(batch.entities, batch.times_s, strict=True):
            if entity in self.times_s or len(self.times_s) < ENTITIES_MAX:
                times_s = self.times_s.setdefault(entity, [])
                if len(times_s) < TIMES_MAX and math.isfinite(time_s):
                    times_s.append(time_s)

    def lines(self) -> Iterator[str]:
        """Tell it."""
        name = self.definition.name
        if not self.messages and not self.goodbyes:
            yield f"stream {name}: nothing in the capture is on {self.definition.topic}"
            return
        seen = f"looks like {_counted(self.formats)}; format {self.definition.format!r}"
        yield f"stream {name}: {self.taken} of {self.messages} messages taken, {self.samples} samples; {seen}"
        if self.goodbyes:
            yield f"  goodbyes: {self.goodbyes}"
        if self.times_s:
            entities = [" ".join(entity) for entity in self.times_s]
            yield f"  entities ({', '.join(self.definition.entity)}): {len(entities)}: {_some(entities)}"
            yield f"  {self._cadence()}"
        absent = [one for at, one in enumerate(self.definition.signal_names) if at not in self.signals]
        if absent:
            yield f"  never there: {_some(absent)}"
        for reason, count in self.refused.most_common():
            one = self.examples[reason]
            yield f"  refused: {count} {reason}, such as {_shown(one.of)} {_shown(one.what)}"

    def _cadence(self) -> str:
        spans = [
            later - earlier
            for times_s in self.times_s.values()
            for earlier, later in zip(sorted(set(times_s))[:-1], sorted(set(times_s))[1:], strict=True)
        ]
        if not spans:
            return "each entity speaks once"
        every_s = median(spans)
        advice = "" if every_s <= self.definition.step_s * 1.5 else "; step_s is shorter, and leaves gaps"
        return f"an entity speaks every {every_s:.3g} s; step_s is {self.definition.step_s:g}{advice}"


@dataclass(slots=True)
class _Shape:
    """Topics that no stream reads and that look alike."""

    format: str
    messages: int = 0
    levels: list[set[str]] = field(default_factory=list)
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    numbers: dict[str, int] = field(default_factory=dict)
    falls: Counter[str] = field(default_factory=Counter)
    newest: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        """Take a message of this shape in."""
        self.messages += 1
        levels = message.topic.split("/")
        self.levels = self.levels or [set() for _ in levels]
        for known, level in zip(self.levels, levels, strict=True):
            if len(known) < LEVELS_MAX:
                known.add(level)
        labels, numbers = _parts(self.format, message)
        for name, text in labels.items():
            if len(self.labels[name]) < LEVELS_MAX:
                self.labels[name].add(text)
        series = "\0".join([message.topic, *labels.values()])
        for name, number in numbers.items():
            self.numbers[name] = self.numbers.get(name, 0) + 1
            before = self.newest.get((series, name))
            self.falls[name] += before is not None and number < before
            if before is not None or len(self.newest) < ENTITIES_MAX:
                self.newest[series, name] = number

    def topic(self) -> str:
        """Return a template: what differs is a label."""
        names = [
            next(iter(known)) if len(known) == 1 else f"{{level{at}}}" for at, known in enumerate(self.levels)
        ]
        return "/".join(names)

    def lines(self) -> Iterator[str]:
        """Tell it."""
        yield f"unread: {self.messages} messages on {self.topic()}, look like {self.format or 'no format'}"
        different = [f"level{at} ({_many(known)})" for at, known in enumerate(self.levels) if len(known) > 1]
        different += [f"{name} ({_many(texts)})" for name, texts in self.labels.items()]
        if different:
            yield f"  could be labels: {_some(different)}"
        if self.numbers:
            signals = [
                f"{name} (never falls)" if count > 2 and not self.falls[name] else name  # noqa: PLR2004 -- or chance
                for name, count in self.numbers.items()
            ]
            yield f"  could be signals: {_some(signals)}"


class Survey:
    """Goes through a capture once."""

    def __init__(self, definitions: Sequence[Definition]) -> None:
        self._streams = [_StreamSurvey(definition, decoder(definition)) for definition in definitions]
        self._shapes: dict[tuple[int, str, str], _Shape] = {}
        self._messages = 0
        self._unread = 0

    def take(self, messages: Iterable[Message]) -> None:
        """Take messages in, in their order."""
        for message in messages:
            self._messages += 1
            takers = [stream for stream in self._streams if stream.take(message)]
            if not takers:
                self._unread += 1
                self._take_unread(message)

    def _take_unread(self, message: Message) -> None:
        name = ANYTHING.format_of(message.topic, message.payload)
        levels = message.topic.split("/")
        key = len(levels), levels[0], name
        if key in self._shapes or len(self._shapes) < SHAPES_MAX:
            self._shapes.setdefault(key, _Shape(name)).take(message)

    def lines(self) -> list[str]:
        """Return what there is to tell, in words."""
        shapes = sorted(self._shapes.values(), key=lambda shape: -shape.messages)
        lines = [f"{self._messages} messages, {self._unread} on topics that no stream reads"]
        lines += [line for stream in self._streams for line in stream.lines()]
        return lines + [line for shape in shapes for line in shape.lines()]

    @property
    def good(self) -> bool:
        """Every stream takes something."""
        return all(stream.taken for stream in self._streams)


def _parts(name: str, message: Message) -> tuple[Mapping[str, str], Mapping[str, float]]:
    """Return what may be labels and what signals in a payload; of several records, in the first."""
    names = names_of(name, message)
    if names is not None:
        labels = {label: str(text) for label, text in names.labels.items()}
        return labels, _numbers(dict(names.values))
    if name not in ("csv", "json", *METRICS):
        return {}, {}
    document = document_of(replace(_UNREAD, format=name), message.payload)
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return {}, {}
    if name not in METRICS:
        return {key: text for key, text in first.items() if isinstance(text, str)}, _numbers(first)
    metrics = first.get("metrics")
    metric = metrics[0] if isinstance(metrics, list) and metrics else first
    tags = metric.get("tags") if isinstance(metric, dict) else None
    texts = {key: str(text) for key, text in tags.items()} if isinstance(tags, dict) else {}
    return texts, _numbers(metric.get("fields") if isinstance(metric, dict) else None)


def _numbers(document: object) -> dict[str, float]:
    if not isinstance(document, dict):
        return {}
    return {key: float(value) for key, value in document.items() if isinstance(value, (int, float))}


def _many(texts: set[str]) -> str:
    return f"{LEVELS_MAX} or more" if len(texts) >= LEVELS_MAX else f"{len(texts)}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_shown(name) for name in names[:NAMES_SHOWN])
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown


def _shown(text: str) -> str:
    return text if text.isprintable() else repr(text)
