"""Attempts to connect that failed: counted by reason, told when it is new, and again while it lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from detector.edge.failures import Failure
from detector.edge.snapshot_mqtt import ConnectFailure
from detector.logs import say

LOG = logging.getLogger("detector.mqtt")

PASSING: Final = frozenset(
    {
        ConnectFailure.NAME_UNRESOLVED,
        ConnectFailure.REFUSED,
        ConnectFailure.UNREACHABLE,
        ConnectFailure.TIMEOUT,
        ConnectFailure.CLOSED,
        ConnectFailure.BROKER_BUSY,
    }
)
"""Failures that may pass by themselves, a warning; the others wait for somebody to mend them, an error."""
AGAIN_S: Final = 600.0
"""How often the same is told: a broker that is away for a night is some fifty lines, and not a thousand."""


class Attempts:
    """What became of the attempts to connect.

    Args:
        username: Who we are to the broker; shown in the log, and nowhere else.
        monotonic: A clock.

    `failures` counts by reason. `failure` says in words why the newest attempt failed; empty while connected.
    """

    def __init__(self, username: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._facts = {"username": username} if username else {}
        self._monotonic = monotonic
        self._told: dict[str, tuple[Failure, float]] = {}
        self._count = 0
        self.failures: dict[str, int] = dict.fromkeys(ConnectFailure, 0)
        self.failure = ""

    def failed(self, broker: str, failure: Failure) -> None:
        """Take note of a failure, of `host:port`."""
        self._count += 1
        self.failures[failure.reason] += 1
        self.failure = failure.line
        now_s = self._monotonic()
        told, at_s = self._told.get(broker, (None, 0.0))
        if told != failure or now_s - at_s >= AGAIN_S:
            self._told[broker] = (failure, now_s)
            facts = {"reason": failure.reason.value, "why": failure.line, "attempts": self._count}
            level = logging.WARNING if failure.reason in PASSING else logging.ERROR
            say(LOG, "cannot connect", level, broker=broker, **self._facts, **facts)

    def succeeded(self) -> None:
        """Take note of a connection: the next failure is news again."""
        self._told.clear()
        self._count = 0
        self.failure = ""
