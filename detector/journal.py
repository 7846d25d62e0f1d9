"""What the daemon's log says of the network: episodes, silence, what it does not hear or understand."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np

from detector.edge.snapshot import Snapshot, StreamSnapshot
from detector.journal_spells import tell_spells
from detector.logs import say
from detector.stream.crowd import Key, beginnings
from detector.stream.definition import Definition, Signal
from detector.stream.groups import Gathering, GroupEpisode, Groups
from detector.stream.identity import alarm_id
from detector.stream.nouns import Alarm, Discontinuity, Drop, Entity, Outcome, Scores
from detector.stream.pipeline import StreamPipeline
from detector.stream.policy import broken_key

LOG = logging.getLogger("detector.daemon")

NAMED = 5
"""Entities named in a line about many."""
GROUPS_TOLD = 20
"""Alarms of groups with a line of their own in a step: without a level for it, a site is hundreds."""
FALLS_MIN = 20
"""Falls of a counter that are no chance: a gauge makes them in some minutes,"""
FALL_SHARE_MAX = 0.05
"""and in more of its steps than this. Of a whole site that restarts, each counter falls once."""
DEAF_S = 60.0
"""Without a sample for so long something is wrong, or the agents publish seldom; either is worth a line."""
DEAF_STEPS = 6
"""Of a stream with long steps, as many: nobody knows yet how often its agents publish."""
DEAF_AGAIN_S = 600.0
"""A night without a sample is fifty lines, for each stream."""
REFUSED_AGAIN_S = 600.0
"""And a night of garbage as many, for each reason."""
ORDINARY = {Drop.RETAINED, Drop.REDELIVERED, Drop.LATE, Drop.DUPLICATE, Drop.HISTORICAL, Drop.NO_SIGNAL}
"""Of these some come on a good day too; they are told, and not as a warning."""


def tell(stream: StreamPipeline, outcome: Outcome, groups: Groups, gathering: Gathering) -> None:
    """Log what a step came to: episodes that began and ended, who fell silent, who speaks again.

    What is part of an alarm of a group, which has a line of its own, is no warning.
    """
    definition = stream.definition
    name = definition.name
    for onset in outcome.onsets:
        episode = groups.episode_of((name, onset.entity))
        _say_of(
            definition,
            onset.entity,
            "anomaly",
            logging.INFO if episode else logging.WARNING,
            id=alarm_id(Alarm.ANOMALY, name, onset.entity, onset.time_s),
            **({"group": episode.id} if episode else {}),
            onset_s=onset.time_s,
            at_s=outcome.time_s,
            score=float(stream.bench.decider.score[onset.row]),
            why=_leading_signals(definition, stream.bench.why.get(onset.row)),
        )
    for closure in outcome.closures:
        parted = gathering.parted.get((name, closure.entity))
        _say_of(
            definition,
            closure.entity,
            "anomaly over",
            logging.INFO,
            id=alarm_id(Alarm.ANOMALY, name, closure.entity, closure.onset_s),
            **({"group": parted.id} if parted else {}),
            onset_s=closure.onset_s,
            lasted_s=closure.time_s - closure.onset_s,
            score_max=closure.score_max,
            why=_leading_signals(definition, closure.why),
        )
    for turn in outcome.maintenance:
        event = "maintenance begins" if turn.begins else "maintenance ends"
        facts = _many(definition.name, turn.entities)
        say(LOG, event, logging.INFO, maintenance=turn.name, **facts)
    if outcome.silenced:
        _tell_silent(stream, outcome, groups)
    if outcome.speaking_again:
        say(LOG, "speaking again", logging.WARNING, **_many(name, outcome.speaking_again))
    tell_spells(definition, outcome.begun, outcome.over, groups, gathering)


def _tell_silent(stream: StreamPipeline, outcome: Outcome, groups: Groups) -> None:
    """Log who fell silent in one line, with the ids of the first, and those of their groups."""
    name, entities = stream.definition.name, outcome.silenced
    episodes = [groups.episode_of((name, entity)) for entity in entities]
    ids = [
        alarm_id(Alarm.SILENCE, name, one.entity, one.onset_s)
        for one in islice(beginnings(stream, outcome), NAMED)
    ]
    facts = _many(name, entities) | {"ids": ", ".join(ids)}
    if ids_of_groups := dict.fromkeys(one.id for one in episodes if one):
        facts["groups"] = ", ".join(islice(ids_of_groups, NAMED))
    say(LOG, "silent", logging.WARNING if None in episodes else logging.INFO, **facts)


def _many(stream: str, entities: Sequence[Entity]) -> dict[str, object]:
    """Return the facts of one line about many: a dead site must not write a hundred thousand."""
    first = ", ".join(" ".join(entity) for entity in entities[:NAMED])
    return {"stream": stream, "entities": len(entities), "first": first or "none"}


def tell_groups(streams: Sequence[StreamPipeline], groups: Groups, gathering: Gathering) -> None:
    """Log what a step came to for groups: one line an alarm of a group, with its first members."""
    for event, episodes in (("group anomaly", gathering.begun), ("group anomaly grows", gathering.grown)):
        for episode in islice(episodes.values(), GROUPS_TOLD):
            stands = groups.standing(episode)
            facts = {"anomalous": stands.anomalous, "entities": stands.entities}
            facts |= {"members": len(episode.members)}
            first = "; ".join(_member(streams, key) for key in islice(episode.members, NAMED))
            _say_of_group(episode, event, logging.WARNING, at_s=gathering.time_s, **facts, first=first)
        if len(episodes) > GROUPS_TOLD:
            say(LOG, f"{event}: more", logging.WARNING, groups=len(episodes) - GROUPS_TOLD)
    for id_, episode in gathering.absorbed.items():
        _say_of_group(episode, "group anomaly joined by", logging.INFO, other=id_)
    for episode in gathering.ended.values():
        lasted_s = gathering.time_s - episode.onset_s
        _say_of_group(
            episode, "group anomaly over", logging.INFO, lasted_s=lasted_s, members=len(episode.ever)
        )


def _say_of_group(episode: GroupEpisode, event: str, level: int, /, **facts: object) -> None:
    labels = dict(zip(episode.group.level, episode.group.values, strict=True))
    by = "/".join(episode.group.level)
    say(LOG, event, level, **{**labels, "by": by, "id": episode.id, "onset_s": episode.onset_s, **facts})


def _member(streams: Sequence[StreamPipeline], key: Key) -> str:
    """Return a member of an alarm of a group, and what is wrong with it."""
    stream = next(one for one in streams if one.definition.name == key[0])
    row = stream.roster.get(key[1])
    why = "" if row is None else _in_a_word(stream, row)
    return f"{' '.join(key[1])} ({why})"


def _in_a_word(stream: StreamPipeline, row: int) -> str:
    leading = _leading_signals(stream.definition, stream.bench.why.get(row), 1)
    spells = (what.value for what, whose, _ in stream.bench.spells.open if whose == row)
    return leading or next(spells, "silent")


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
    """Whether each stream has samples, and how often to complain that it has none; on the monotonic clock.

    A stream that was heard may pause as long as its entities may; one that never was, six of its steps.
    """

    def __init__(self, definitions: Sequence[Definition], monotonic_s: float) -> None:
        self._definitions = {one.name: one for one in definitions}
        self._accepted = dict.fromkeys(self._definitions, 0)
        self._complain_s = {name: monotonic_s + self._patience_s(name) for name in self._definitions}

    def watch(self, snapshot: Snapshot, monotonic_s: float) -> None:
        """Warn of a stream of which nothing comes or is understood: a wrong topic looks quiet."""
        received = sum(snapshot.mqtt.received.values())
        waits = bool(snapshot.missing)  # for a broker, and that has lines of its own
        for stream in snapshot.streams:
            if not self._is_deaf(stream, monotonic_s, waits=waits):
                continue
            refused = Counter(snapshot.messages_dropped) + Counter(stream.samples_dropped)
            why = ", ".join(f"{reason} {count}" for reason, count in refused.most_common())
            facts = {"stream": stream.name, "samples": stream.samples_total, "messages_of_all": received}
            say(LOG, "nothing heard", logging.WARNING, **facts, dropped=why or "none")

    def _is_deaf(self, stream: StreamSnapshot, monotonic_s: float, *, waits: bool) -> bool:
        name = stream.name
        if stream.samples_total > self._accepted[name] or waits:
            self._accepted[name] = stream.samples_total
            self._complain_s[name] = monotonic_s + self._patience_s(name, stream.patience_s)
        if monotonic_s < self._complain_s[name]:
            return False
        self._complain_s[name] = monotonic_s + DEAF_AGAIN_S
        return True

    def _patience_s(self, name: str, learnt_s: float = math.nan) -> float:
        known = self._accepted[name] and not math.isnan(learnt_s)
        return max(DEAF_S, learnt_s if known else DEAF_STEPS * self._definitions[name].step_s)


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


def _leading_signals(definition: Definition, why: Scores | None, count: int = 3) -> str:
    """Return the signals that contribute most to a score, in their units; broken bounds first."""
    if why is None:
        return ""
    share = why.contribution[0]
    bound = np.full(len(share), np.nan) if why.bound is None else why.bound[0]
    leading = np.lexsort((-share, np.isnan(bound)))[:count]
    return ", ".join(
        _in_words(definition.signals[index], *map(float, numbers))
        for index, *numbers in zip(
            leading, why.observed[0, leading], why.expected[0, leading], bound[leading], strict=True
        )
        if share[index] >= 0.05 or np.isfinite(bound[index])  # noqa: PLR2004 -- less explains nothing
    )


def _in_words(signal: Signal, observed: float, expected: float, bound: float) -> str:
    against = f"expected {expected:.4g}"
    if not math.isnan(bound):
        against = f"{'above' if observed > bound else 'below'} {broken_key(observed, bound)} {bound:.4g}"
    value = "not seen," if math.isnan(observed) else f"{observed:.4g}"
    return f"{signal.name} {value} {against} {signal.unit}".rstrip()
