"""What is remembered of Sparkplug's edges: who is born, what its births named, which number came last.

A node is born with NBIRTH and dies with NDEATH, its devices with DBIRTH and DDEATH. A birth gives names and
types to what later messages say by alias; without it they say nothing. A node numbers all its messages, those
of its devices among them, from 0 to 255 and again; one that is missing may have been a birth. What its births
named by alias is doubted from there on, until it is born again or all that was missing has come, in time.

Two lives whose numbers follow on each other look like one: where a node is born while we are away, and the
first number that we hear is by chance the next one (1 in 256), aliases mean what they meant before. Data say
no more of a life than their numbers: only births and deaths have its bdSeq.

Memory is bounded by the stream's own limits: as many things are held as `entities_max` entities could need,
each a node and a device with a name and an alias for every signal. Beyond, nothing new is held: what comes by
alias from there is dropped as ALIAS_UNKNOWN, and no birth is asked for. Who has not spoken for `expire_s`
makes room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from detector.stream.definition import Definition
from detector.stream.nouns import Entity

REBIRTH_S: Final = 60.0
"""How long a node is not asked again: an edge that can answer does so in a second."""
REBIRTHS_MAX: Final = 1_000
"""Nodes that are asked in that time: births are large, and ten thousand at once would be a storm."""
REORDERED_MAX: Final = 8
"""A number that is so little behind is one that was overtaken, and not 248 messages that were lost."""
REORDERED_S: Final = 5.0
"""And only so long after the newest one and what was missing: hosts wait for what was overtaken for some
seconds at most. Later, it is a number of another life."""
SWEEP_S: Final = 60.0
"""How long nobody is looked for who could make room: looking at ten thousand nodes takes a millisecond."""
NUMBERS: Final = 256

NodeName = tuple[str, str]
"""Group and node."""


class Known(NamedTuple):
    """What a birth said of a metric that is a signal: which field and labels its name means, and its type."""

    field: str
    labels: tuple[tuple[str, str], ...]
    datatype: int


Table = Mapping[int | bytes, Known]
"""What a birth named, by alias and by name."""


@dataclass(slots=True)
class _Device:
    """A device, or with the empty name the node itself. `table` is None until its birth."""

    table: Table | None = None
    doubted: bool = False  # a later birth may have been missed
    entities: set[Entity] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    heard_s: float
    birth: int | None = None  # the bdSeq of its NBIRTH, which its last will repeats
    newest: int | None = None  # the number of its newest message
    newest_s: float = 0.0
    missing: int = 0  # a bit for each number that has not come since its birth
    missing_s: float = 0.0  # since when
    devices: dict[str, _Device] = field(default_factory=dict)


class Births:
    """The nodes of one stream. Times are those of arrival, in seconds; NaN, in a capture, is soon after."""

    def __init__(self, definition: Definition) -> None:
        self._things_max = definition.entities_max * (3 + 2 * len(definition.columns))
        self._expire_s = definition.expire_s
        self._nodes: dict[NodeName, _Node] = {}
        self._things = 0
        self._swept_s = -SWEEP_S
        self._asked: set[NodeName] = set()
        self._asked_s = -REBIRTH_S

    @property
    def things(self) -> int:
        """How many devices, names, aliases and entities are held."""
        return self._things

    def hear(self, name: NodeName, arrival_s: float, number: int | None) -> int:
        """Note that a node has sent a message with a number; return how many before it are missing."""
        node = self._nodes.get(name)
        if node is None:
            return 0
        node.heard_s = arrival_s
        if number is None or number >= NUMBERS:
            return 0
        missed = 0 if node.newest is None else (number - node.newest - 1) % NUMBERS
        if missed >= NUMBERS - 1 - REORDERED_MAX and not arrival_s - node.newest_s > REORDERED_S:
            _arrive_late(node, number, arrival_s)
            return 0
        if missed:
            _doubt(node, number, missed, arrival_s)
        node.newest, node.newest_s = number, arrival_s
        return missed

    def begin(self, name: NodeName, birth: int | None, arrival_s: float) -> None:
        """Begin the life of a node: its devices are yet to be born, its numbers start with the next one."""
        node = self._node(name, arrival_s)
        if node:
            node.birth, node.newest, node.missing = birth, None, 0
            for device in node.devices.values():
                self._forget_table(device)

    def learn(self, name: NodeName, device: str, table: Table, arrival_s: float) -> None:
        """Keep what the birth of a device, or of the node itself, named."""
        held = self._device(name, device, arrival_s)
        if held:
            self._forget_table(held)
            held.doubted = False
            if self._room(len(table), arrival_s):
                held.table = table
                self._things += len(table)

    def table(self, name: NodeName, device: str) -> Table | None:
        """Return what the birth of a device named, None where there was none, or no room for it."""
        node = self._nodes.get(name)
        held = node.devices.get(device) if node else None
        return held.table if held else None

    def doubted(self, name: NodeName, device: str) -> bool:
        """Say whether a birth after the one that gave the table may have been missed: its names hold."""
        node = self._nodes.get(name)
        held = node.devices.get(device) if node else None
        return held is not None and held.doubted

    def remember(self, name: NodeName, device: str, entities: Sequence[Entity], arrival_s: float) -> None:
        """Note of which entities a device has told: they fall silent with it."""
        held = self._device(name, device, arrival_s)
        for entity in entities:
            if held and entity not in held.entities and self._room(1, arrival_s):
                held.entities.add(entity)
                self._things += 1

    def end(self, name: NodeName, birth: int | None) -> list[Entity]:
        """End the life of a node, if it is the one that `birth` began; return the entities that it told of.

        A broker may deliver the last will of an old connection after the birth of the new one. Where that
        birth may have been missed, any will ends it.
        """
        node = self._nodes.get(name)
        if node is None or (None not in (birth, node.birth) and birth != node.birth and not node.missing):
            return []
        gone = [entity for device in list(node.devices) for entity in self.end_device(name, device)]
        del self._nodes[name]
        self._things -= 1
        return gone

    def end_device(self, name: NodeName, device: str) -> list[Entity]:
        """End the life of a device; return the entities that it told of."""
        node = self._nodes.get(name)
        held = node.devices.pop(device, None) if node else None
        if held is None:
            return []
        self._things -= 1 + len(held.table or ()) + len(held.entities)
        return list(held.entities)

    def may_ask(self, name: NodeName, arrival_s: float) -> bool:
        """Say whether a node may be asked for its birth now, and take it as asked."""
        if not 0 <= arrival_s - self._asked_s < REBIRTH_S:
            self._asked.clear()
            self._asked_s = arrival_s
        if name in self._asked or len(self._asked) >= REBIRTHS_MAX:
            return False
        if name not in self._nodes and not self._room(1, arrival_s):
            return False
        self._asked.add(name)
        return True

    def _node(self, name: NodeName, arrival_s: float) -> _Node | None:
        node = self._nodes.get(name)
        if node is None and self._room(1, arrival_s):
            node = self._nodes[name] = _Node(arrival_s)
            self._things += 1
        return node

    def _device(self, name: NodeName, device: str, arrival_s: float) -> _Device | None:
        node = self._node(name, arrival_s)
        held = node.devices.get(device) if node else None
        if node and held is None and self._room(1, arrival_s):
            held = node.devices[device] = _Device()
            self._things += 1
        return held

    def _forget_table(self, device: _Device) -> None:
        self._things -= len(device.table or ())
        device.table = None

    def _room(self, things: int, arrival_s: float) -> bool:
        """Say whether there is room for so much more; make some, once in a while, where there is none."""
        if self._things + things > self._things_max and abs(arrival_s - self._swept_s) >= SWEEP_S:
            self._swept_s = arrival_s
            unheard = [
                name for name, node in self._nodes.items() if arrival_s - node.heard_s > self._expire_s
            ]
            for name in unheard:
                self.end(name, None)
        return self._things + things <= self._things_max


def _doubt(node: _Node, number: int, missed: int, arrival_s: float) -> None:
    """Take what births have named as doubtful: `missed` messages before `number` have not come."""
    node.missing_s = node.missing_s if node.missing else arrival_s
    for back in range(1, missed + 1):
        node.missing |= 1 << (number - back) % NUMBERS
    for device in node.devices.values():
        device.doubted = True


def _arrive_late(node: _Node, number: int, arrival_s: float) -> None:
    """Take a number that was overtaken, or came twice; nothing is doubtful once nothing is missing."""
    if node.missing >> number & 1 and not arrival_s - node.missing_s > REORDERED_S:
        node.missing ^= 1 << number
        if not node.missing:
            for device in node.devices.values():
                device.doubted = False
