"""`detector check --capture`: what the streams of the settings make of a capture, and what nobody reads.

Of each stream: how many messages it takes, of whom, how often they come, which signals are never there, and
what is refused, with an example. Of the topics that no stream reads: their shape, the format that they look
like, and what would be labels and signals.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from detector.edge.reception import CANARY
from detector.stream.decode import ANYTHING
from detector.stream.decode.views import METRICS, document_of, names_of
from detector.stream.definition import Definition
from detector.stream.nouns import Drop, Message
from detector.stream.switch import Switch
from detector.survey_stream import StreamSurvey
from detector.wording import shown, some

SERIES_MAX: Final = 200_000
"""Series whose newest value is remembered, to see whether they fall."""
SHAPES_MAX: Final = 1000
"""Shapes of topics that are told apart; a capture of more is not of one network."""
LEVELS_MAX: Final = 1000
"""Different texts of a level that are counted; more are many."""

_UNREAD = Definition("unread", (), (), 1.0, 1)


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
            if before is not None or len(self.newest) < SERIES_MAX:
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
            yield f"  could be labels: {some(different)}"
        if self.numbers:
            signals = [
                f"{name} (never falls)" if count > 2 and not self.falls[name] else name  # noqa: PLR2004 -- or chance
                for name, count in self.numbers.items()
            ]
            yield f"  could be signals: {some(signals)}"


class Survey:
    """Goes through a capture once.

    Args:
        definitions: The streams.
        payload_bytes_max: A larger payload is refused before any stream sees it.
        switches: What switches maintenance.
    """

    def __init__(
        self, definitions: Sequence[Definition], payload_bytes_max: int, switches: Sequence[Switch] = ()
    ) -> None:
        self._streams = [StreamSurvey(definition) for definition in definitions]
        self._switches = tuple(switches)
        self._switched: Counter[tuple[str, bool | None]] = Counter()
        self._shapes: dict[tuple[int, str, str], _Shape] = {}
        self._messages = 0
        self._unread = 0
        self._payload_bytes_max = payload_bytes_max
        self._too_large = 0
        self._largest = 0, ""

    def take(self, messages: Iterable[Message]) -> None:
        """Take messages in, in their order."""
        for message in messages:
            if CANARY in message.topic:  # of a detector that ran meanwhile
                continue
            self._messages += 1
            if len(message.payload) > self._payload_bytes_max:
                self._too_large += 1
                self._largest = max(self._largest, (len(message.payload), message.topic))
                continue
            takers = [stream for stream in self._streams if stream.take(message)]
            switched = [one for one in self._switches if one.labels(message.topic) is not None]
            self._switched.update((one.name, one.says(message.payload)) for one in switched)
            if not takers and not switched:
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
        if self._too_large:
            count, topic = self._largest
            such = f"such as {shown(topic)} of {count} bytes"
            limit = f"mqtt.payload_bytes_max is {self._payload_bytes_max}"
            lines.append(f"refused: {self._too_large} {Drop.PAYLOAD_TOO_LARGE}, {such}; {limit}")
        lines += [line for stream in self._streams for line in stream.lines()]
        for switch in self._switches:
            on, off, neither = (self._switched[switch.name, said] for said in (True, False, None))
            lines.append(f"maintenance {switch.name}: {on} times on, {off} off, {neither} neither")
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
