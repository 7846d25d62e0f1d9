"""What the daemon's log says of bundles at work: that one is to be trained anew, or is beyond its budget."""

from __future__ import annotations

import logging

import numpy as np

from detector.edge.snapshot import Snapshot, StreamSnapshot
from detector.logs import say

LOG = logging.getLogger("detector.daemon")

NAMED = 3
"""Signals named, those that drifted furthest first."""


class Upkeep:
    """What was told of each stream; a line when it turns."""

    def __init__(self) -> None:
        self._advised = set[str]()
        self._exceeded = set[str]()

    def watch(self, snapshot: Snapshot) -> None:
        """Tell which streams are to be trained anew, which are beyond their budget, and when that is over."""
        for stream in snapshot.streams:
            name = stream.name
            if _turned(self._advised, name, now=bool(stream.retrain_advised)):
                _say(stream, "training advised", over=name not in self._advised, drift=_leading(stream))
            if _turned(self._exceeded, name, now=stream.budget_exceeded):
                _say(stream, "budget exceeded", over=name not in self._exceeded, used=stream.budget_used)


def _turned(told: set[str], name: str, *, now: bool) -> bool:
    """Return whether that is news, and remember it."""
    if now == (name in told):
        return False
    (told.add if now else told.remove)(name)
    return True


def _say(stream: StreamSnapshot, event: str, *, over: bool, **facts: object) -> None:
    event, level = (f"{event} no longer", logging.INFO) if over else (event, logging.WARNING)
    say(LOG, event, level, stream=stream.name, **facts)


def _leading(stream: StreamSnapshot) -> str:
    known = np.flatnonzero(~np.isnan(stream.drift))
    furthest = known[np.argsort(-stream.drift[known], kind="stable")][:NAMED]
    return ", ".join(f"{stream.signals[index]} {stream.drift[index]:.1f}" for index in furthest) or "unknown"
