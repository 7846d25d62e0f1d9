"""All streams: each message goes to those whose topic template fits, and time to all of them.

A template of a stream is that of its values, or that of goodbyes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from detector.stream.decode import Decoder, Farewell, decoder
from detector.stream.decode.records import Decode
from detector.stream.hearsay import Hearsay
from detector.stream.nouns import Batch, Drop, Message, Outcome
from detector.stream.pipeline import StreamPipeline
from detector.stream.switch import Switch

TOPICS_MAX = 200_000
"""Topics whose stream and labels are remembered, where the streams have room for so many: two an entity of
the largest fabric. Beyond, all are resolved anew."""
TOPIC_CHARS_MAX = 512
"""Of a topic that is remembered. A longer one, and MQTT lets it have 65,535 bytes, is resolved each time."""
REPLIES_MAX = 1_000
"""Topics with a reply that waits: a turn's messages seldom ask for one, and then for one each."""


class _Reader(NamedTuple):
    """A stream that reads a topic, how, and the labels that the topic gives."""

    stream: int
    decode: Decode
    labels: Mapping[str, str]


class Streams:
    """All streams: messages in, outcomes out. `refused` has a recent message for each reason.

    Args:
        streams: Each with the maintenances that are about it.
        switches: What switches those.
    """

    def __init__(self, streams: Sequence[StreamPipeline], switches: Sequence[Switch] = ()) -> None:
        self.streams = tuple(streams)
        self._switches = tuple(switches)
        self._decoders = [decoder(stream.definition) for stream in self.streams]
        self._hearsay = _hearsay(self.streams)
        self._routes: dict[str, list[_Reader]] = {}
        self._topics_max = min(TOPICS_MAX, sum(stream.definition.topics_max for stream in self.streams))
        self._replies: dict[str, bytes] = {}
        self.messages_dropped: Counter[Drop] = Counter()
        self.replies_dropped_total = 0
        self.refused: dict[Drop, Message] = {}

    def feed(self, messages: Sequence[Message]) -> None:  # noqa: C901 -- each call would cost a tenth of it
        """Decode messages; each gives samples or is counted under one reason."""
        batches = [Batch() for _ in self.streams]
        arrivals: list[list[float]] = [[] for _ in self.streams]
        routes = self._routes
        for message in messages:
            refusal: Drop | None
            if message.retained:
                refusal = self._remind(message)
            else:
                refusal = Drop.TOPIC_UNKNOWN
                route = routes.get(message.topic)
                for index, decode, of_topic in self._route(message.topic) if route is None else route:
                    batch, arrival_s = batches[index], arrivals[index]
                    labels: Mapping[str, str] = of_topic
                    if message.properties:
                        labels = self._decoders[index].with_properties(of_topic, message)
                    kinds = len(batch.dropped)
                    answer = decode(message, labels, batch)
                    if len(batch.dropped) > kinds:
                        self.refused.update(dict.fromkeys(list(batch.dropped)[kinds:], message))
                    while len(arrival_s) < len(batch.entities):
                        arrival_s.append(message.arrival_s)
                    if refusal is not None:  # it counts as refused where every stream refuses it
                        refusal = answer
            if refusal is not None:
                self.messages_dropped[refusal] += 1
                self.refused[refusal] = message
        for stream, batch, arrival_s in zip(self.streams, batches, arrivals, strict=True):
            if batch.entities or batch.dropped or batch.silenced or batch.missed:
                samples = stream.add(batch, np.array(arrival_s))
                for hearsay in self._hearsay.get(stream.definition.name, ()):
                    hearsay.tell(samples)
            self._keep(batch.replies)

    def _remind(self, message: Message) -> Drop | None:
        """Show the broker's stored copy to whom it tells what is true; to decoders it is no sample.

        Return why nobody is switched by it, if so.
        """
        for one in self._decoders:
            labels = one.template.match(message.topic) if one.is_reminded_by(message.topic) else None
            if labels is not None:
                one.decode(message, labels, Batch())
        switched = [
            self._switch(switch, labels, message)
            for switch in self._switches
            if (labels := switch.labels(message.topic)) is not None
        ]
        return None if None in switched else [*switched, Drop.RETAINED][0]

    def _switching(self, switch: Switch, labels: Mapping[str, str]) -> Decode:
        """Return what reads a topic that switches a maintenance."""

        def decode(message: Message, _given: Mapping[str, str], _batch: Batch) -> Drop | None:
            return self._switch(switch, labels, message)

        return decode

    def _switch(self, switch: Switch, labels: Mapping[str, str], message: Message) -> Drop | None:
        """Switch a maintenance on or off, in all streams that it is about."""
        on = switch.says(message.payload)
        if on is None:
            return Drop.MALFORMED
        found = [stream.switch(switch.name, labels, message, on=on) for stream in self.streams]
        return None if all(found) else Drop.MAINTENANCE_MAX

    def replies(self) -> list[tuple[str, bytes]]:
        """Hand out what is to be published, topic and payload, once; of a topic the newest."""
        replies, self._replies = self._replies, {}
        return list(replies.items())

    def _keep(self, replies: Sequence[tuple[str, bytes]]) -> None:
        for topic, payload in replies:
            if topic in self._replies or len(self._replies) < REPLIES_MAX:
                self._replies[topic] = payload
            else:
                self.replies_dropped_total += 1

    def _route(self, topic: str) -> list[_Reader]:
        """Return who reads a topic, and remember it."""
        route: list[_Reader] = []
        for index, one in enumerate(self._decoders):
            labels = one.template.match(topic)
            leaving = one.farewell.leaving(topic) if one.farewell else None
            if one.farewell and leaving:
                route.append(_Reader(index, _parting(one, one.farewell, leaving, labels), labels or {}))
            elif labels is not None:
                route.append(_Reader(index, one.decode, labels))
        for switch in self._switches:
            meant = switch.labels(topic)
            if meant is not None:
                route.append(_Reader(0, self._switching(switch, meant), {}))
        if len(topic) <= TOPIC_CHARS_MAX:
            if len(self._routes) >= self._topics_max:
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


def _hearsay(streams: Sequence[StreamPipeline]) -> dict[str, list[Hearsay]]:
    """Return by the name of a stream how the others hear of what it says of restarts."""
    named = {stream.definition.name: stream for stream in streams}
    found: dict[str, list[Hearsay]] = {}
    for stream in streams:
        devices = stream.definition.witness_stream
        if devices:
            found.setdefault(devices, []).append(Hearsay(named[devices], stream))
    return found


def _parting(
    one: Decoder, farewell: Farewell, leaving: Mapping[str, str], labels: Mapping[str, str] | None
) -> Decode:
    """Return what reads a topic of goodbyes, on which there may be values as well."""

    def decode(message: Message, given: Mapping[str, str], batch: Batch) -> Drop | None:
        if farewell.says_so(message.payload):
            batch.silenced.append((len(batch.entities), leaving))
            return None
        return Drop.NO_SIGNAL if labels is None else one.decode(message, given, batch)

    return decode
