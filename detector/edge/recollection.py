"""What the broker retains under our own topics when we come to it: alarms that an earlier life has left open.

A detector that was killed ends none of its alarms, one that stops leaves them unknown, and a broker that
restarts may have an old one from its disk. Whoever looks at them then would believe what nobody says any
more. They are read with QoS 0, for they come again with the next connection.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

from detector.stream.filters import first_match

LOG = logging.getLogger("detector.mqtt")

TOPICS_MAX: Final = 100_000
"""As many as may wait to be published,"""
BYTES_MAX: Final = 100 << 20
"""and as much. What comes beyond either is dropped and counted; with the broker it stays as it is."""


class Recollection:
    """Retained messages, until somebody takes them.

    Args:
        filters: Of our own topics.
        settled: How a payload begins that may stay as it is.
    """

    def __init__(self, filters: Sequence[str], settled: bytes) -> None:
        self._filters = tuple(filters)
        self._first_match = first_match(self._filters)
        self._settled = settled
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes_in = self._bytes_out = 0  # each is written by one thread
        self._asked: int | None = None
        self.dropped_total = 0

    def ask(self, client: Client) -> None:
        """Subscribe; what is retained comes at once."""
        _, self._asked = client.subscribe([(text, 0) for text in self._filters])

    def granted(self, mid: int, reasons: Sequence[ReasonCode]) -> bool:
        """Take the broker's word on a subscription; say whether it was ours."""
        if mid != self._asked:
            return False
        for text, reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                LOG.warning("retained events cannot be read filter=%r reason=%r", text, str(reason))
        return True

    def takes(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Take a message that is ours by its topic; what is not retained we have just said ourselves."""
        if self._first_match(topic) is None:
            return False
        if retained and not payload.startswith(self._settled):
            bytes_waiting = self._bytes_in - self._bytes_out + len(payload)
            if len(self._waiting) >= TOPICS_MAX or bytes_waiting > BYTES_MAX:
                self.dropped_total += 1
            else:
                self._bytes_in += len(payload)
                self._waiting.append((topic, payload))
        return True

    def take(self, topics_max: int) -> list[tuple[str, bytes]]:
        """Return some topics and payloads, each once; from the thread that looks at them."""
        taken: list[tuple[str, bytes]] = []
        while self._waiting and len(taken) < topics_max:
            taken.append(self._waiting.popleft())
            self._bytes_out += len(taken[-1][1])
        return taken
