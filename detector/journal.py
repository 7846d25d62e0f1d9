"""What the daemon's log says of the network: episodes, silence, what it does not hear or understand."""

from __future__ import annotations

import logging
import math
from collections import Counter

from detector.edge.snapshot import Snapshot
from detector.logs import say
from detector.stream.definition import Definition
from detector.stream.nouns import Discontinuity, Drop, Entity, Outcome
from detector.stream.pipeline import StreamPipeline

LOG = logging.getLogger("detector.daemon")

SILENT_NAMED = 5
"""Entities named in a line about silence."""
FALLS_MIN = 20
"""Falls of a counter that are no chance: a gauge makes them in some minutes,"""
FALL_SHARE_MAX = 0.05
"""and in more of its steps than this. Of a whole site that restarts, each counter falls once."""
DEAF_S = 60.0
"""Without a sample for so long something is wrong, or the agents publish seldom; either is worth a line."""
DEAF_AGAIN_S = 600.0
"""A night without a sample is fifty lines."""
REFUSED_AGAIN_S = 600.0
"""And a night of garbage as many, for each reason."""
ORDINARY = {Drop.RETAINED, Drop.LATE, Drop.DUPLICATE, Drop.HISTORICAL, Drop.NO_SIGNAL}
"""Of these some come on a good day too; they are told, and not as a warning."""


def tell(stream: StreamPipeline, outcome: Outcome) -> None:
    """Log what a step came to: episodes that began and ended, who fell silent, who speaks again."""
    definition = stream.definition
    for onset in outcome.onsets:
        _say_of(
            definition,
            onset.entity,
            "anomaly",
            logging.WARNING,
            onset_s=onset.time_s,
            at_s=outcome.time_s,
            score=float(stream.decider.score[onset.row]),
            why=_leading_signals(stream, onset.row),
        )
    for closure in outcome.closures:
        _say_of(
            definition,
            closure.entity,
            "anomaly over",
            logging.INFO,
            onset_s=closure.onset_s,
            lasted_s=closure.time_s - closure.onset_s,
            score_max=closure.score_max,
        )
    for event, entities in (("silent", outcome.silenced), ("speaking again", outcome.speaking_again)):
        if entities:
            # One line a step: a dead site must not write a hundred thousand.
            some = ", ".join(" ".join(entity) for entity in entities[:SILENT_NAMED])
            say(LOG, event, logging.WARNING, stream=definition.name, entities=len(entities), first=some)


class Kinds:
    """Whether what is declared a counter counts. A signal is complained of once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def watch(self, snapshot: Snapshot) -> None:
        """Warn of counters that fall again and again: they are gauges, and their rates are gaps."""
        for stream in snapshot.streams:
            for signal, looks in stream.counter_looks.items():
                falls = stream.counter_resets[signal, Discontinuity.RESET]
                often = falls >= FALLS_MIN and falls > FALL_SHARE_MAX * looks
                if often and (stream.name, signal) not in self._told:
                    self._told.add((stream.name, signal))
                    facts = {"stream": stream.name, "signal": signal, "falls": falls, "samples": looks}
                    say(LOG, "counter falls like a gauge", logging.WARNING, **facts)


class Hearing:
    """Whether samples are accepted, and how often to complain that they are not; on the monotonic clock."""

    def __init__(self, monotonic_s: float) -> None:
        self._accepted = 0
        self._complain_s = monotonic_s + DEAF_S

    def watch(self, snapshot: Snapshot, monotonic_s: float) -> None:
        """Warn where nothing comes or is understood: a wrong topic looks like a quiet night."""
        accepted = sum(stream.samples_total for stream in snapshot.streams)
        # While there is no broker nothing can come, and that has lines of its own.
        if not self._is_deaf(accepted, monotonic_s, waits=bool(snapshot.missing)):
            return
        refused = Counter(snapshot.messages_dropped)
        for stream in snapshot.streams:
            refused.update(stream.samples_dropped)
        why = ", ".join(f"{reason} {count}" for reason, count in refused.most_common() if count)
        received = sum(snapshot.mqtt.received.values())
        say(LOG, "nothing heard", logging.WARNING, messages=received, dropped=why or "none")

    def _is_deaf(self, accepted: int, monotonic_s: float, *, waits: bool) -> bool:
        if accepted > self._accepted or waits:
            self._accepted, self._complain_s = accepted, monotonic_s + DEAF_S
        if monotonic_s < self._complain_s:
            return False
        self._complain_s = monotonic_s + DEAF_AGAIN_S
        return True


class Refusals:
    """What is refused, told once and then not for a while: a line a reason, with the last thing it struck."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, float]] = {}

    def watch(self, snapshot: Snapshot, monotonic_s: float) -> None:
        """Tell of each reason whose count has grown since it was told, if that is long ago."""
        counts = Counter(snapshot.messages_dropped)
        for stream in snapshot.streams:
            counts.update(stream.samples_dropped)
        for reason, count in counts.items():
            told, due_s = self._told.get(reason, (0, -math.inf))
            if count > told and monotonic_s >= due_s:
                self._told[reason] = count, monotonic_s + REFUSED_AGAIN_S
                one = snapshot.examples.get(reason)
                facts = {} if one is None else {"of": one.of, "what": one.what}
                level = logging.INFO if reason in ORDINARY else logging.WARNING
                say(LOG, "refused", level, reason=reason, count=count - told, **facts)


def _say_of(definition: Definition, entity: Entity, event: str, level: int, /, **facts: object) -> None:
    labels = dict(zip(definition.entity, entity, strict=True))
    say(LOG, event, level, **{**labels, "stream": definition.name, **facts})


def _leading_signals(stream: StreamPipeline, row: int, count: int = 3) -> str:
    """Return the signals that contribute most to an open episode, in their units."""
    scores = stream.why.get(row)
    if scores is None:
        return ""
    order = scores.contribution[0].argsort()[::-1][:count]
    signals = stream.definition.signals
    return ", ".join(
        f"{signals[index].name} {scores.observed[0, index]:.4g}"
        f" expected {scores.expected[0, index]:.4g} {signals[index].unit}".rstrip()
        for index in order
        if scores.contribution[0, index] >= 0.05  # noqa: PLR2004 -- less explains nothing
    )
