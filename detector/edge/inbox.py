"""The bounded inbox between the thread that reads the broker and the one that owns the pipeline.

Messages wait in lanes, one for each priority of a stream. Where more of them wait than may, or more bytes,
the least important lane that has something gives way, by its own policy:

    drop_oldest   what waits longest goes (counted as shed): the newest step is judged, whatever the load
    drop_newest   what came last goes (counted as inbox_full)
    block         nothing goes. Where such lanes alone fill the inbox, the socket is not read until there is
                  room, and the broker has to hold back

Nobody locks: a lane is a deque, whose ends are safe to use from two threads, and of the bytes each thread
counts its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import Final, Literal, NamedTuple

from detector.stream.nouns import Drop, Message

Overload = Literal["drop_oldest", "drop_newest", "block"]


class Lane(NamedTuple):
    """Messages of one priority that wait, oldest first."""

    priority: int
    overload: Overload
    waiting: deque[Message]


class Inbox:
    """Messages in on one thread, out on another.

    Args:
        messages_max: How many may wait, of all lanes together.
        bytes_max: How many bytes of payload may; few large messages fill a memory as well as many small ones.
        lanes: Priority and policy of each lane; the higher the priority, the later it gives way.
    """

    def __init__(self, messages_max: int, bytes_max: int, lanes: Iterable[tuple[int, Overload]]) -> None:
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self._bytes_in = 0
        self._bytes_out = 0
        by_priority = sorted(set(lanes))
        self._lanes = tuple(Lane(priority, overload, deque()) for priority, overload in by_priority)
        self._filled = Event()

    def __len__(self) -> int:
        """How many messages wait."""
        return sum(len(lane.waiting) for lane in self._lanes)

    @property
    def bytes_waiting(self) -> int:
        """How many bytes of payload wait."""
        return self._bytes_in - self._bytes_out

    def putter(self, priority: int, overload: Overload) -> Callable[[Message], None]:
        """Return what puts one message into a lane; `announce` it afterwards, many at once."""
        return next(lane.waiting.append for lane in self._lanes if lane[:2] == (priority, overload))

    def blocked(self) -> bool:
        """Say whether what may not be refused fills it: messages must stay with the broker."""
        kept = sum(len(lane.waiting) for lane in self._lanes if lane.overload == BLOCK)
        return kept >= self.messages_max or (kept == len(self) and self.bytes_waiting >= self.bytes_max)

    def announce(self, payload_bytes: int) -> None:
        """Wake the reader up, and say how many bytes were put."""
        self._bytes_in += payload_bytes
        self._filled.set()

    def shed(self) -> list[tuple[Drop, Message]]:
        """Take out what is too much; return it with the reason."""
        refused: list[tuple[Drop, Message]] = []
        for lane in self._lanes:
            if lane.overload == BLOCK:
                continue
            oldest = lane.overload == DROP_OLDEST
            pop, reason = (lane.waiting.popleft, Drop.SHED) if oldest else (lane.waiting.pop, Drop.INBOX_FULL)
            while lane.waiting and (len(self) > self.messages_max or self.bytes_waiting > self.bytes_max):
                for message in _pop(pop, 1):
                    self._bytes_in -= len(message.payload)
                    refused.append((reason, message))
        return refused

    def take(self, messages_max: int, timeout_s: float) -> list[Message]:
        """Return what has arrived, the most important lane first, each oldest first.

        Args:
            messages_max: How many at most.
            timeout_s: How long to wait for the first one; after that the list is empty.
        """
        self._filled.clear()
        messages = self._pop(messages_max)
        if not messages and timeout_s > 0 and self._filled.wait(timeout_s):
            messages = self._pop(messages_max)
        return messages

    def _pop(self, messages_max: int) -> list[Message]:
        messages: list[Message] = []
        for lane in reversed(self._lanes):
            messages += _pop(lane.waiting.popleft, min(messages_max - len(messages), len(lane.waiting)))
        self._bytes_out += sum([len(message.payload) for message in messages])
        return messages


BLOCK: Final = "block"
DROP_OLDEST: Final = "drop_oldest"


def _pop(pop: Callable[[], Message], count: int) -> Sequence[Message]:
    """Pop some; fewer where the other thread was faster."""
    popped: list[Message] = []
    try:
        for _ in range(count):
            popped.append(pop())  # noqa: PERF401 -- what was popped before the deque ran empty is kept
    except IndexError:
        pass
    return popped
