"""All streams: each message goes to those whose topic template fits, and time to all of them.

A template of a stream is that of its values, or that of goodbyes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from detector.stream.decode import decoder
from detector.stream.nouns import Batch, Drop, Message, Outcome
from detector.stream.pipeline import StreamPipeline

TOPICS_MAX = 200_000
"""Topics whose stream and labels are remembered: two an entity of the largest fabric. Beyond, all are
resolved anew."""


class _Reader(NamedTuple):
    """A stream that reads a topic: `labels` for its values, `leaving` for its goodbyes, where it has them."""

    stream: int
    labels: dict[str, str] | None
    leaving: dict[str, str] | None


class Streams:
    """All streams: messages in, outcomes out."""

    def __init__(self, streams: Sequence[StreamPipeline]) -> None:
        self.streams = tuple(streams)
        self._decoders = [decoder(stream.definition) for stream in self.streams]
        self._routes: dict[str, list[_Reader]] = {}
        self.messages_dropped: Counter[Drop] = Counter()

    def feed(self, messages: Sequence[Message]) -> None:
        """Decode messages; each gives samples or is counted under one reason."""
        batches = [Batch() for _ in self.streams]
        arrivals: list[list[float]] = [[] for _ in self.streams]
        for message in messages:
            refusal = self._decode(message, batches, arrivals)
            if refusal is not None:
                self.messages_dropped[refusal] += 1
        for stream, batch, arrival_s in zip(self.streams, batches, arrivals, strict=True):
            if batch.entities or batch.dropped or batch.silenced:
                stream.add(batch, np.array(arrival_s))

    def _decode(
        self, message: Message, batches: Sequence[Batch], arrivals: Sequence[list[float]]
    ) -> Drop | None:
        """Hand a message to every stream whose template fits; a refusal counts if all refuse."""
        if message.retained:
            return Drop.RETAINED
        refusal: Drop | None = Drop.TOPIC_UNKNOWN
        for reader in self._route(message.topic):
            batch, arrival_s = batches[reader.stream], arrivals[reader.stream]
            answer = self._read(reader, message, batch)
            arrival_s += [message.arrival_s] * (len(batch.entities) - len(arrival_s))
            refusal = None if answer is None or refusal is None else answer
        return refusal

    def _read(self, reader: _Reader, message: Message, batch: Batch) -> Drop | None:
        one = self._decoders[reader.stream]
        if reader.leaving and one.farewell and one.farewell.says_so(message.payload):
            batch.silenced.append((len(batch.entities), reader.leaving))
            return None
        return Drop.NO_SIGNAL if reader.labels is None else one.decode(message, reader.labels, batch)

    def _route(self, topic: str) -> list[_Reader]:
        route = self._routes.get(topic)
        if route is None:
            readers = [
                _Reader(index, one.template.match(topic), one.farewell and one.farewell.leaving(topic))
                for index, one in enumerate(self._decoders)
            ]
            route = [one for one in readers if one.labels is not None or one.leaving is not None]
            if len(self._routes) >= TOPICS_MAX:
                self._routes.clear()
            self._routes[topic] = route
        return route

    def tick(self, wall_s: float) -> Iterator[tuple[StreamPipeline, Outcome]]:
        """Close what is due in every stream at `wall_s`, or at the time of its own data."""
        for stream in self.streams:
            for outcome in stream.tick(stream.clock.now_s(wall_s)):
                yield stream, outcome

    def due(self, wall_s: float) -> bool:
        """Say whether `tick` would close a step of any stream."""
        return any(stream.due(stream.clock.now_s(wall_s)) for stream in self.streams)
