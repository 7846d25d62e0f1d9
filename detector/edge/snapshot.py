"""The immutable state that a scrape renders. Built by the main thread, swapped in by one reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from detector.edge.snapshot_groups import EventsSnapshot, GroupsSnapshot
from detector.edge.snapshot_mqtt import MqttSnapshot
from detector.stream.nouns import Alarm, Bools, Discontinuity, Doubles, Entity, Floats, Scores, Spell, State
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams

EXAMPLE_CHARS_MAX: Final = 200
"""Of a refused message that is shown: the first fields of a Telegraf metric, two lines of a screen."""
EXAMPLE_BYTES_MAX: Final = 4 * (EXAMPLE_CHARS_MAX + 1)
"""As many at most: a character has four bytes, and one more than is shown tells that there is more."""


class Example(NamedTuple):
    """What was refused, cut to what a line of the log can show; the log escapes it.

    `of` is a topic or an entity, `what` a payload or what is wrong with the entity.
    """

    of: str
    what: str


def example(topic: str, payload: bytes | bytearray) -> Example:
    """Return a refused message as an example, whatever its bytes are and however many."""
    return Example(_cut(topic), _cut(payload[:EXAMPLE_BYTES_MAX].decode("utf-8", "replace")))


def refused_examples(streams: Streams) -> dict[str, Example]:
    """Return what was refused lately, by reason: messages, and entities whose times are not believed."""
    found = {
        reason.value: example(message.topic, message.payload) for reason, message in streams.refused.items()
    }
    for stream in streams.streams:
        for reason, (entity, ahead_s) in stream.doubted.items():
            how = f"{ahead_s:.0f} s ahead of" if ahead_s > 0 else f"{-ahead_s:.0f} s behind"
            whose = f"the clock of stream {stream.definition.name}"
            found[reason.value] = Example(_cut(" ".join(entity)), f"{how} {whose}")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARS_MAX else f"{text[:EXAMPLE_CHARS_MAX]}…"


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """Why an entity is anomalous: its newest scored step, in the signals' units. Arrays are `(signals,)`.

    `contribution` adds up to 1; `direction` is -1 or 1 (observed below or above expected);
    `observed` is NaN where the signal was not seen. `bound` is the end of its valid range that it is beyond,
    NaN where it is within.
    """

    entity: Entity
    onset_s: float
    score: float
    contribution: Floats
    direction: Floats
    observed: Floats
    expected: Floats
    bound: Floats


@dataclass(frozen=True, slots=True)
class BundleSnapshot:
    """Which bundle scores a stream."""

    version: str
    architecture: str
    trained_s: float


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """One stream. Arrays and `state` go with `entities`; `score` is NaN while there is none."""

    name: str
    labels: tuple[str, ...]
    signals: tuple[str, ...]
    units: tuple[str, ...]
    bundle: BundleSnapshot | None
    entities: tuple[Entity, ...]
    state: tuple[State, ...]
    score: Floats
    active: Bools
    onset_s: Doubles
    last_sample_s: Doubles
    in_maintenance: Bools
    muted: Bools
    episodes: tuple[OpenEpisode, ...]
    step_s: float  # time of the newest closed step; NaN before the first
    messages_missed_total: int
    samples_total: int
    samples_dropped: Mapping[str, int]
    samples_reordered_total: int
    counter_resets: Mapping[tuple[str, str], int]  # by signal and reason
    counter_looks: Mapping[str, int]  # samples of each counter that a reset was looked for in
    windows_scored_total: int
    entities_refused: Mapping[str, int]
    episodes_total: int
    told_silent: Bools
    unheard: bool  # nobody speaks, and we would hear
    patience_s: float  # how long half of those may pause of whom that is known; NaN where of none
    spells: tuple[Spell, ...]  # of slow entities and stuck signals
    spells_total: Mapping[Alarm, int]
    drift: Doubles  # `(signals,)`; NaN where it is not known
    retrain_advised: bool | None  # None where the training data was too short to tell
    budget_used: float  # alarms of the last seven days over the accepted ones; NaN in the first day
    budget_exceeded: bool  # by more than chance


@dataclass(frozen=True, slots=True)
class RecordedSnapshot:
    """What was recorded of a stream, and what was not: lost to a disk that failed, or there already."""

    stream: str
    rows_total: int
    bytes_total: int
    files_total: int
    errors_total: int
    rows_lost_total: int
    rows_repeated_total: int


@dataclass(frozen=True, slots=True)
class RawSnapshot:
    """What was recorded of messages as they came. After an error they are written again."""

    messages_total: int
    bytes_total: int
    files_total: int
    errors_total: int


@dataclass(frozen=True, slots=True)
class RecordingsSnapshot:
    """All recordings. `tree_bytes` is what they take on the disk; deleted ones gave way to its limits."""

    streams: tuple[RecordedSnapshot, ...]
    raw: RawSnapshot | None  # None where messages are not recorded
    tree_bytes: int
    tree_bytes_max: int
    deleted_files_total: int
    deleted_bytes_total: int
    undeleted_files_total: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it. `missing` says in words what readiness waits for; empty means ready.

    `recordings` is None where nothing is recorded, `events` where alarms are not published.
    `calendar_errors` counts by maintenance how often its calendar could not be used.

    `examples` has a refused message of some reasons, of late; not of all that were ever counted.
    """

    time_s: float
    missing: tuple[str, ...]
    mqtt: MqttSnapshot = field(default_factory=MqttSnapshot)
    messages_dropped: Mapping[str, int] = field(default_factory=dict)
    replies_dropped_total: int = 0
    examples: Mapping[str, Example] = field(default_factory=dict)
    streams: tuple[StreamSnapshot, ...] = ()
    groups: GroupsSnapshot = field(default_factory=GroupsSnapshot)
    events: EventsSnapshot | None = None
    recordings: RecordingsSnapshot | None = None
    calendar_errors: Mapping[str, int] = field(default_factory=dict)


def stream_snapshot(stream: StreamPipeline, bundle: BundleSnapshot | None) -> StreamSnapshot:
    """Return what there is to know of a stream now; nothing in it is shared with the pipeline."""
    definition, decider = stream.definition, stream.bench.decider
    row = np.flatnonzero(stream.roster.taken())
    states = stream.bench.states()
    state = tuple(states[index] or State.WARMING for index in row)
    judged = np.array([one is State.READY for one in state], bool)
    return StreamSnapshot(
        name=definition.name,
        labels=definition.entity,
        signals=definition.signal_names,
        units=tuple(signal.unit for signal in definition.signals),
        bundle=bundle,
        entities=tuple(stream.roster.entities[index] or () for index in row),
        state=state,
        score=np.where(judged, decider.score[row], np.float32(np.nan)),
        active=decider.active[row],
        onset_s=decider.onset_s[row],
        last_sample_s=stream.bench.silence.spoken_s[row],
        in_maintenance=stream.bench.in_maintenance[row],
        muted=stream.bench.policies.muted[row],
        episodes=tuple(_open_episode(stream, index) for index in sorted(stream.bench.why)),
        step_s=stream.align.closed_s,
        messages_missed_total=stream.messages_missed_total,
        samples_total=stream.samples_total,
        samples_dropped={reason.value: count for reason, count in stream.dropped().items()},
        samples_reordered_total=stream.align.reordered_total,
        counter_resets=_resets(stream),
        counter_looks={
            signal.name: int(looks)
            for signal, looks in zip(definition.signals, stream.align.counter_looks, strict=True)
            if signal.kind == "counter"
        },
        windows_scored_total=stream.bench.windows_scored_total,
        entities_refused={reason.value: count for reason, count in stream.roster.refused.items()},
        episodes_total=stream.bench.episodes_total,
        told_silent=stream.bench.silence.told[row],
        unheard=stream.bench.silence.unheard,
        patience_s=stream.bench.silence.patience_of_half_s(),
        spells=tuple(stream.bench.spells.open.values()),
        spells_total=dict(stream.bench.spells.totals),
        drift=stream.bench.drift.ratio.copy(),
        retrain_advised=stream.bench.drift.advised,
        budget_used=stream.bench.ledger.used,
        budget_exceeded=stream.bench.ledger.exceeded,
    )


def _resets(stream: StreamPipeline) -> dict[tuple[str, str], int]:
    counts = zip(stream.definition.signals, stream.align.discontinuities.tolist(), strict=True)
    return {
        (signal.name, reason.value): count
        for signal, each in counts
        if signal.kind == "counter"
        for reason, count in zip(Discontinuity, each, strict=True)
    }


def _open_episode(stream: StreamPipeline, row: int) -> OpenEpisode:
    entity, onset_s = stream.roster.entities[row] or (), float(stream.bench.decider.onset_s[row])
    return episode(entity, onset_s, stream.bench.why[row])


def episode(entity: Entity, onset_s: float, scores: Scores) -> OpenEpisode:
    """Return why an entity is, or was, anomalous in a step of an episode, of which `scores` is one window."""
    return OpenEpisode(
        entity=entity,
        onset_s=onset_s,
        score=float(scores.score[0]),
        contribution=scores.contribution[0].copy(),
        direction=scores.direction[0].astype(np.float32),
        observed=scores.observed[0].copy(),
        expected=scores.expected[0].copy(),
        bound=np.full_like(scores.observed[0], np.nan) if scores.bound is None else scores.bound[0].copy(),
    )
