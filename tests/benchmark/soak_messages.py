"""What `soak.py` publishes: interfaces in turn, newcomers, garbage; and what must become of each message.

What garbage becomes is asked of the stream's own decoder, which other tests hold to its contract. Here it is
the arithmetic that counts: whatever the reason is, the daemon has to have counted it as often.
"""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from detector.stream.decode import decoder
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message
from tests.benchmark.packets import SIGNALS, publish

INTERFACES = 50
"""Of a device."""
HEAVY = 0.1
"""How much rarer a payload of a megabyte is than others: one of each kind in a second."""
DEEP = 100_000
BAD = "soak/broken/interface"


@dataclass
class Ledger:
    """What was published, and what the daemon has to have made of it."""

    published: int = 0
    received: int = 0
    dropped: Counter[Drop] = field(default_factory=Counter)  # messages
    decoded: int = 0
    samples: int = 0
    samples_dropped: Counter[Drop] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)


class Fate(NamedTuple):
    """What becomes of one message: a drop, or samples that are taken; and samples that are dropped."""

    drop: Drop | None
    samples: int
    samples_dropped: Counter[Drop]
    delivered: bool = True


class Kind(NamedTuple):
    """A kind of garbage: its payload at a time in milliseconds, its topic, and how often it comes."""

    name: str
    payload: Callable[[int], bytes]
    topic: str = BAD
    clock: Drop | None = None  # why the stream's clock refuses its time
    retain: bool = False
    weight: float = 1.0


def good(
    time_ms: int, fields: str | None = None, tags: str = '"ifName":"Ethernet1"', stamp: str = ""
) -> bytes:
    """Return a Telegraf metric; parts of it can be said otherwise."""
    octets = time_ms * 1_000
    fields = fields or ",".join(f'"{signal}":{octets + index}' for index, signal in enumerate(SIGNALS))
    stamp = stamp or str(time_ms)
    return f'{{"fields":{{{fields}}},"name":"interface","tags":{{{tags}}},"timestamp":{stamp}}}'.encode()


def _fixed(payload: bytes) -> Callable[[int], bytes]:
    return lambda _: payload


def _with(**parts: str) -> Callable[[int], bytes]:
    return lambda time_ms: good(time_ms, **parts)


_RANDOM = random.Random(3).randbytes(300)
_VALUES = '"ifHCInOctets":{},"ifHCOutOctets":2,"ifInErrors":3,"ifOutDiscards":4'
_WIDE = ",".join(f'"field{number}":{number}' for number in range(45_000))
GARBAGE = (
    Kind("not UTF-8", _fixed(b'{"fields":{"ifHCInOctets":1},"tags":{"ifName":"caf\xe9"}}')),
    Kind("binary", _fixed(b"\xff\x00" + _RANDOM)),
    Kind("gzip", _fixed(gzip.compress(good(1), mtime=0))),
    Kind("cut JSON", lambda time_ms: good(time_ms)[:-40]),
    Kind("Python's repr", lambda time_ms: good(time_ms).replace(b'"', b"'")),
    Kind("XML", _fixed(b"<interface><ifHCInOctets>1</ifHCInOctets></interface>")),
    Kind("empty", _fixed(b"")),
    Kind("blank", _fixed(b" \r\n\0")),
    Kind("a number", _fixed(b"42")),
    Kind("a text", _fixed(b'"up"')),
    Kind("an array", _fixed(b"[1,2,[3]]")),
    Kind("fields is an array", _fixed(b'{"fields":[1,2],"tags":{},"timestamp":1}')),
    Kind("another measurement", _with(fields='"usage_idle":99.5')),
    Kind("no label", _with(tags='"host":"telegraf-1"')),
    Kind("endless label", _with(tags=f'"ifName":"{"e" * 300}"')),
    Kind("label that breaks a log", _with(tags='"ifName":"eth0\\nerror\\u001b[31m"')),
    Kind("one NaN", _with(fields=_VALUES.format("NaN"))),
    Kind("one infinity", _with(fields=_VALUES.format("1e999"))),
    Kind("one text", _with(fields=_VALUES.format('"n/a"'))),
    Kind("all NaN", _with(fields='"ifHCInOctets":NaN,"ifHCOutOctets":-Infinity')),
    Kind("time is a word", _with(stamp='"yesterday"')),
    Kind("time zero", _with(stamp="0")),
    Kind("time of last year", lambda time_ms: good(time_ms - 365 * 86_400_000), clock=Drop.TIME_OLD),
    Kind("time of tomorrow", lambda time_ms: good(time_ms + 86_400_000), clock=Drop.TIME_FUTURE),
    Kind("retained", good, retain=True),
    Kind("unknown topic", good, "soak/broken/interface/more"),
    Kind("other topic", _fixed(b"1"), "homeassistant/light"),
    Kind("nested deep", _fixed(b'{"fields":' + b"[" * DEEP + b"]" * DEEP + b"}"), weight=HEAVY),
    Kind("wide", _with(fields=_WIDE), weight=HEAVY),
    Kind("huge", _fixed(b"x" * ((1 << 20) + 1)), weight=HEAVY),
)


class Publications:
    """Messages as PUBLISH packets, and the ledger of them.

    Args:
        definition: The stream of the daemon under test.
        payload_bytes_max: Its limit.
        entities: How many interfaces there are before the newcomers.
    """

    def __init__(self, definition: Definition, payload_bytes_max: int, entities: int) -> None:
        self.ledger = Ledger()
        self._cap = definition.entities_max
        self._decoder = decoder(definition)
        self._payload_bytes_max = payload_bytes_max
        self._strangers: set[Entity] = set()  # of whom garbage speaks; they take rows too
        self._fates = {kind: self._fate(kind) for kind in GARBAGE}
        self._weights = [kind.weight for kind in GARBAGE]
        self._choose = random.Random(1)
        self._entities = entities  # that are spoken of in turn
        self._next = 0
        self._newcomers = 0

    def old_ones(self, count: int, time_ms: int) -> bytes:
        """Return retained messages, for the broker to keep before anybody subscribes."""
        self.ledger.published += count
        self.ledger.received += count
        self.ledger.dropped[Drop.RETAINED] += count
        self.ledger.kinds["retained before the start"] += count
        return b"".join(
            publish(f"soak/old{number}/interface", good(time_ms), retain=True) for number in range(count)
        )

    def in_turn(self, count: int, time_ms: int) -> bytes:
        """Return messages of the interfaces whose turn it is."""
        numbers = [(self._next + offset) % self._entities for offset in range(count)]
        self._next = (self._next + count) % self._entities
        self._taken("good", count)
        return b"".join(_of(number, time_ms) for number in numbers)

    def newcomers(self, count: int, time_ms: int) -> bytes:
        """Return the first messages of new interfaces; those that find room go on in turn."""
        admitted = min(count, self._room())
        first = self._entities + self._newcomers
        self._entities += admitted
        self._newcomers += count - admitted
        self._taken("newcomers", admitted)
        self._taken("newcomers beyond the cap", count - admitted)
        self.ledger.samples -= len(SIGNALS) * (count - admitted)
        self.ledger.samples_dropped[Drop.ENTITIES_MAX] += len(SIGNALS) * (count - admitted)
        return b"".join(_of(first + offset, time_ms) for offset in range(count))

    def garbage(self, count: int, time_ms: int) -> bytes:
        """Return garbage, no two messages of one millisecond; at first, one of each kind.

        So those of whom it speaks have their rows before the newcomers take them all.
        """
        kinds = self._choose.choices(GARBAGE, self._weights, k=count)
        if not self.ledger.kinds[GARBAGE[0].name]:
            kinds = list(GARBAGE)
        return b"".join(self._of(kind, time_ms - offset) for offset, kind in enumerate(kinds))

    def _of(self, kind: Kind, time_ms: int) -> bytes:
        fate, ledger = self._fates[kind], self.ledger
        ledger.published += 1
        ledger.kinds[kind.name] += 1
        if fate.delivered:
            ledger.received += 1
            ledger.samples += fate.samples
            ledger.samples_dropped.update(fate.samples_dropped)
            if fate.drop is None:
                ledger.decoded += 1
            else:
                ledger.dropped[fate.drop] += 1
        return publish(kind.topic, kind.payload(time_ms), retain=kind.retain)

    def _taken(self, kind: str, count: int) -> None:
        self.ledger.kinds[kind] += count
        self.ledger.published += count
        self.ledger.received += count
        self.ledger.decoded += count
        self.ledger.samples += len(SIGNALS) * count

    def _room(self) -> int:
        return self._cap - len(self._strangers) - self._entities

    def _fate(self, kind: Kind) -> Fate:
        labels = self._decoder.template.match(kind.topic)
        payload = kind.payload(1_760_000_000_000)
        if labels is None:
            return Fate(None, 0, Counter(), delivered=False)
        if len(payload) > self._payload_bytes_max:
            return Fate(Drop.PAYLOAD_TOO_LARGE, 0, Counter())
        batch = Batch()
        drop = self._decoder.decode(Message(kind.topic, payload, 1_760_000_000.0), labels, batch)
        samples = len(batch.value)
        if kind.clock is not None:
            batch.dropped[kind.clock] += samples
            samples = 0
        else:
            self._strangers.update(batch.entities)
        return Fate(drop, samples, batch.dropped)


def _of(number: int, time_ms: int) -> bytes:
    device, interface = divmod(number, INTERFACES)
    tags = f'"ifName":"Ethernet{interface}","host":"telegraf-1","ifIndex":"{interface}"'
    return publish(f"soak/leaf{device}/interface", good(time_ms, tags=tags))
