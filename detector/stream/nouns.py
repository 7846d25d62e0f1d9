"""What flows between the stages, and the reasons why something does not.

Axis order, everywhere: `(entities or windows, steps, signals)`. Times are float64 seconds since the
epoch, resolved to a quarter of a microsecond. A step has an integer index `k` and the time
`k * step_s`; it covers the half-open interval `((k - 1) * step_s, k * step_s]`, so that a step is
complete when its own time has come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeAlias

if TYPE_CHECKING:  # `detector check` needs no array, and starts in half the time without
    import numpy as np
    from numpy.typing import NDArray

Entity = tuple[str, ...]
"""The values of a stream's entity labels, in the order of `Definition.entity`."""

Floats: TypeAlias = "NDArray[np.float32]"
Doubles: TypeAlias = "NDArray[np.float64]"
Ints: TypeAlias = "NDArray[np.signedinteger[Any]]"
Bools: TypeAlias = "NDArray[np.bool_]"


class Drop(StrEnum):
    """Why a message or a sample was refused. Each value is the `reason` label of a counter."""

    # Messages: the whole payload is refused, exactly one reason each.
    INBOX_FULL = "inbox_full"  # the pipeline is behind; the newest message is refused
    SHED = "shed"  # same; it waited, and a newer or more important one took its place
    RETAINED = "retained"  # the broker's stored copy: of unknown age, never a fresh sample
    TOPIC_UNKNOWN = "topic_unknown"  # no stream's template fits
    PAYLOAD_TOO_LARGE = "payload_too_large"  # more than mqtt.payload_bytes_max
    PAYLOAD_EMPTY = "payload_empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NESTED_TOO_DEEP = "nested_too_deep"
    WRONG_SHAPE = "wrong_shape"  # well-formed, but not the format of the stream
    RECORDS_MAX = "records_max"  # more records than one message may have
    ENTITY_MISSING = "entity_missing"  # a label of the entity is in neither topic nor payload
    NO_SIGNAL = "no_signal"  # understood, and nothing in it is a signal of the stream
    TIME_UNREADABLE = "time_unreadable"  # a time field that is neither number nor ISO 8601
    MALFORMED = "malformed"  # not the text or the bytes that the format of the stream is made of
    FORMAT_UNKNOWN = "format_unknown"  # format "auto", and the message looks like none of the formats
    LABEL_REFUSED = "label_refused"  # a label's value is not one of those that are allowed
    ALIAS_UNKNOWN = "alias_unknown"  # Sparkplug: values that only a birth, which was not seen, gives names to
    REDELIVERED = "redelivered"  # QoS 1: it was taken before the connection ended, and is sent again
    MAINTENANCE_MAX = "maintenance_max"  # more is switched into maintenance than is remembered
    EXPIRED = "expired"  # MQTT 5: it waited for longer than its publisher wants

    # Samples: the rest of the message goes on.
    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    TIME_FUTURE = "time_future"  # ahead of the stream's clock by more than future_max_s
    TIME_OLD = "time_old"  # behind the stream's clock by more than age_max_s
    LATE = "late"  # its step has been closed
    DUPLICATE = "duplicate"  # same entity, signal and time as another one of its step
    HISTORICAL = "historical"  # Sparkplug: stored while the edge was away; never part of a live window
    ENTITIES_MAX = "entities_max"  # a new entity, and the stream's rows are all taken
    DEVICE_ENTITIES_MAX = "device_entities_max"  # same, and those of its device are


SAMPLE_REASONS = (
    Drop.NOT_A_NUMBER,
    Drop.NOT_FINITE,
    Drop.TIME_FUTURE,
    Drop.TIME_OLD,
    Drop.LATE,
    Drop.DUPLICATE,
    Drop.HISTORICAL,
    Drop.ENTITIES_MAX,
    Drop.DEVICE_ENTITIES_MAX,
)
"""What refuses one sample; the rest of its message goes on."""
ENTITY_REASONS = (Drop.ENTITIES_MAX, Drop.DEVICE_ENTITIES_MAX)
"""Why an entity is not admitted."""
MESSAGE_REASONS = tuple(reason for reason in Drop if reason not in SAMPLE_REASONS)
"""What refuses a whole message."""


class Discontinuity(StrEnum):
    """Why nothing is known of a counter's growth between two samples: the `reason` label of a counter."""

    RESTART = "restart"  # the device says that it restarted
    RESET = "reset"  # it fell, and that was no wrap
    TOO_FAST = "too_fast"  # it grew by more than its rate_max


class Message(NamedTuple):
    """One MQTT publish as received.

    `properties` are the user properties of MQTT 5, `packet_id` what an acknowledgement
    names; 0 asks for none. `qos` is how it was delivered; `duplicate` says that the broker has sent it
    before, and does not know whether it arrived. After `expires_s` (UTC seconds) nobody wants it any more.
    """

    topic: str
    payload: bytes
    arrival_s: float
    retained: bool = False
    properties: tuple[tuple[str, str], ...] = ()
    packet_id: int = 0
    qos: int = 0
    duplicate: bool = False
    expires_s: float = inf


@dataclass(slots=True)
class Batch:
    """Where decoders write: one entry a record, one a sample; refused samples are counted.

    `value` has what was published, integers among it: it becomes float64 for all samples at once.

    `silenced` are goodbyes: (how many records came before it, labels). Every entity that has these labels
    is silent from there on, until it speaks again. `replies` are topics and payloads to publish. `missed` is
    how many messages their publishers have numbered, and never came.
    """

    entities: list[Entity] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    record: list[int] = field(default_factory=list)
    signal: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    dropped: Counter[Drop] = field(default_factory=Counter)
    silenced: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    missed: int = 0


class Samples(NamedTuple):
    """Values of signals of entities at times; arrays of one length."""

    row: Ints
    signal: Ints
    time_s: Doubles
    value: Doubles

    def take(self, which: Bools | Ints | slice) -> Self:
        """Return some of them, by mask, index or slice."""
        return self._replace(
            row=self.row[which], signal=self.signal[which], time_s=self.time_s[which], value=self.value[which]
        )


class Steps(NamedTuple):
    """One closed step: what was seen of every entity that spoke. `(entities, signals)`."""

    step: int
    row: Ints
    value: Floats
    seen: Bools


class Windows(NamedTuple):
    """The last `window_steps` steps of the entities that are ready.

    `value` is in the units of the signals (of counters, of their rates); an unseen cell carries the last
    seen value on, and 0 before the first. `(windows, steps, signals)`.
    """

    step: int
    row: Ints
    value: Floats
    seen: Bools


class Scores(NamedTuple):
    """Calibrated errors of the newest step; 1.0 is the edge of normal. `(windows,)` or `(windows, signals)`.

    `contribution` of all signals of a window add up to 1. `observed` and `expected` are in the units of
    the signals, NaN where the signal was not seen. `bound` is the end of the valid range that a signal is
    beyond, in its unit, NaN where it is within; None where all are.
    """

    step: int
    row: Ints
    score: Floats
    contribution: Floats
    direction: NDArray[np.int8]
    observed: Floats
    expected: Floats
    bound: Floats | None = None

    def take(self, which: Bools | Ints | slice) -> Self:
        """Return those of some windows."""
        arrays = {name: value for name, value in self._asdict().items() if name != "step"}
        return self._replace(**{name: one[which] for name, one in arrays.items() if one is not None})


class State(StrEnum):
    """What is known of an entity. Only READY is judged; everything else is unknown, never normal."""

    WARMING = "warming"  # its first window is not full yet
    READY = "ready"
    SPARSE = "sparse"  # too much of its window would be imputed
    SILENT = "silent"  # it stopped speaking
    UNHEARD = "unheard"  # nobody of its stream is heard, for whatever reason: nothing is known of it
    UNSCORED = "unscored"  # the stream has no bundle: it is recorded, not judged


class Alarm(StrEnum):
    """What an operator is told of an entity."""

    ANOMALY = "anomaly"  # an episode is open
    SILENCE = "silence"  # it stopped speaking
    SLOW = "slow"  # it speaks less often than it did
    STUCK = "stuck"  # a signal of it stands still while its peers move


SPELLS = (Alarm.SILENCE, Alarm.SLOW, Alarm.STUCK)
"""What can be odd about an entity whatever its values are, and needs no network."""


class Onset(NamedTuple):
    """An episode begins, or (see `Closure`) ends."""

    row: int
    entity: Entity
    time_s: float


class Closure(NamedTuple):
    """An episode ends. `score_max` is the highest score in it, and `why` its step with that score."""

    row: int
    entity: Entity
    onset_s: float
    time_s: float
    score_max: float
    why: Scores | None = None


class Span(NamedTuple):
    """A time, its end excluded."""

    begin_s: float
    end_s: float


class Turn(NamedTuple):
    """A maintenance begins, or ends, for some entities."""

    name: str
    begins: bool
    entities: Sequence[Entity]


class Spell(NamedTuple):
    """An entity is slow, or a signal of it stuck, from `onset_s` on; `time_s` is now, or when it was over.

    Of a slow one `observed` and `usual` are intervals in seconds; of a stuck signal `observed` is its value,
    in its unit, and `usual` NaN.
    """

    what: Alarm
    row: int
    entity: Entity
    signal: str
    onset_s: float
    time_s: float
    observed: float
    usual: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one closed step of a stream came to. `scores` is None where nothing was scored."""

    time_s: float
    steps: Steps
    scores: Scores | None = None
    onsets: Sequence[Onset] = ()
    closures: Sequence[Closure] = ()
    silenced: Sequence[Entity] = ()
    speaking_again: Sequence[Entity] = ()
    begun: Sequence[Spell] = ()
    over: Sequence[Spell] = ()
    maintenance: Sequence[Turn] = ()


class Reconstruct(Protocol):
    """The one thing the core asks of a network."""

    def __call__(self, value: Floats, seen: Bools, end_s: Doubles) -> Floats:
        """Return the expected newest step `(windows, signals)`.

        Args:
            value: Scaled windows `(windows, steps, signals)`.
            seen: Which cells were seen, same shape.
            end_s: The time of their newest step, `(windows,)`.
        """
