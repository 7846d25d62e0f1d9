"""What flows between the stages, and the reasons why something does not.

Axis order, everywhere: `(entities or windows, steps, signals)`. Times are float64 seconds since the
epoch, resolved to a quarter of a microsecond. A step has an integer index `k` and the time
`k * step_s`; it covers the half-open interval `((k - 1) * step_s, k * step_s]`, so that a step is
complete when its own time has come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeAlias

if (
    TYPE_CHECKING
):  # settings and messages are checked without an array: `detector check` starts in half the time
    import numpy as np
    from numpy.typing import NDArray

Entity = tuple[str, ...]
"""The values of a stream's entity labels, in the order of `Definition.entity`."""

Floats: TypeAlias = "NDArray[np.float32]"
Doubles: TypeAlias = "NDArray[np.float64]"
Ints: TypeAlias = "NDArray[np.signedinteger[Any]]"
Bools: TypeAlias = "NDArray[np.bool_]"


REFRESH_STEPS = 1.5
"""Steps after which a counter that stands still has the rate 0: the second repeated value in a row, where a
device exports once a step. The first one is a value that it had not refreshed yet."""


class Drop(StrEnum):
    """Why a message or a sample was refused. Each value is the `reason` label of a counter."""

    # Messages: the whole payload is refused, exactly one reason each.
    INBOX_FULL = "inbox_full"  # the pipeline is behind; the newest message is refused
    RETAINED = "retained"  # the broker's stored copy: of unknown age, never a fresh sample
    TOPIC_UNKNOWN = "topic_unknown"  # no stream's template fits
    PAYLOAD_TOO_LARGE = "payload_too_large"  # more than mqtt.payload_bytes_max
    PAYLOAD_EMPTY = "payload_empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NESTED_TOO_DEEP = "nested_too_deep"
    WRONG_SHAPE = "wrong_shape"  # well-formed, but not the format of the stream
    ENTITY_MISSING = "entity_missing"  # a label of the entity is in neither topic nor payload
    NO_SIGNAL = "no_signal"  # understood, and nothing in it is a signal of the stream
    TIME_UNREADABLE = "time_unreadable"  # a time field that is neither number nor ISO 8601

    # Samples: the rest of the message goes on.
    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    TIME_FUTURE = "time_future"  # ahead of the stream's clock by more than future_max_s
    TIME_OLD = "time_old"  # behind the stream's clock by more than age_max_s
    LATE = "late"  # its step has been closed
    DUPLICATE = "duplicate"  # same entity, signal and time as another one of its step
    ENTITIES_MAX = "entities_max"  # a new entity, and the stream's rows are all taken


SAMPLE_REASONS = (
    Drop.NOT_A_NUMBER,
    Drop.NOT_FINITE,
    Drop.TIME_FUTURE,
    Drop.TIME_OLD,
    Drop.LATE,
    Drop.DUPLICATE,
    Drop.ENTITIES_MAX,
)
"""What refuses one sample; the rest of its message goes on."""
MESSAGE_REASONS = tuple(reason for reason in Drop if reason not in SAMPLE_REASONS)
"""What refuses a whole message."""


class Message(NamedTuple):
    """One MQTT publish as received."""

    topic: str
    payload: bytes
    arrival_s: float
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """One named quantity of an entity; a column."""

    name: str
    kind: str = "gauge"  # gauge | counter
    bits: int = 64  # where a counter wraps: 32 | 64
    aggregate: str = "last"  # last | mean | max | sum: several gauge samples in one step
    direction: str = "both"  # both | above | below: which deviation can be an anomaly
    field: str = ""  # where the payload has it, a dotted path; empty: under its name
    rate_max: float = inf  # a counter's increase a second beyond which it is a discontinuity


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a JSON payload keeps what is not a signal."""

    records: str = ""  # dotted path of an array of records; empty: the payload is the record
    time: str = ""  # dotted path of the time; empty: `timestamp` or `time` where present
    time_unit: str = "auto"  # auto | s | ms | us | ns
    labels: tuple[tuple[str, str], ...] = ()  # (label, dotted path)


@dataclass(frozen=True, slots=True)
class Definition:
    """A stream: one kind of telemetry, one bundle."""

    name: str
    entity: tuple[str, ...]
    signals: tuple[Signal, ...]
    step_s: float
    window_steps: int
    topic: str = ""
    format: str = "json"
    layout: Layout = Layout()
    clock: str = "wall"  # wall | data
    lateness_s: float = 0.0  # how long after its time a step stays open
    age_max_s: float = 3600.0
    future_max_s: float = 60.0
    refresh_s: float = 0.0  # a moving counter that repeats for less is taken as not refreshed yet
    entities_max: int = 10_000
    imputed_share_max: float = 0.5  # of a window's cells, beyond which it is not scored
    silence_s: float = inf  # without a sample for longer, an entity is silent
    expire_s: float = inf  # and after this it is forgotten
    open_steps: int = 4  # an episode opens when the score is above 1 in `open_steps`
    open_window_steps: int = 6  # of the last `open_window_steps` scored steps
    close_below: float = 0.8  # and closes when it is below this edge
    close_steps: int = 3  # for `close_steps` scored steps in a row

    @property
    def signal_names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(signal.name for signal in self.signals)

    @property
    def window_s(self) -> float:
        """The time that a window spans."""
        return self.step_s * self.window_steps


@dataclass(slots=True)
class Batch:
    """Where decoders write: one entry a record, one a sample; refused samples are counted."""

    entities: list[Entity] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    record: list[int] = field(default_factory=list)
    signal: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    dropped: Counter[Drop] = field(default_factory=Counter)


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

    `value` is in raw units (rates for counters); an unseen cell carries the last seen value on, and 0
    before the first. `(windows, steps, signals)`.
    """

    step: int
    row: Ints
    value: Floats
    seen: Bools


class Scores(NamedTuple):
    """Calibrated errors of the newest step; 1.0 is the edge of normal. `(windows,)` or `(windows, signals)`.

    `contribution` of all signals of a window add up to 1. `observed` and `expected` are in raw units,
    NaN where the signal was not seen.
    """

    step: int
    row: Ints
    score: Floats
    contribution: Floats
    direction: NDArray[np.int8]
    observed: Floats
    expected: Floats

    def take(self, which: Bools | Ints | slice) -> Self:
        """Return those of some windows."""
        fields = {name: getattr(self, name)[which] for name in self._fields if name != "step"}
        return self._replace(**fields)


class State(StrEnum):
    """What is known of an entity. Only READY is judged; everything else is unknown, never normal."""

    WARMING = "warming"  # its first window is not full yet
    READY = "ready"
    SPARSE = "sparse"  # too much of its window would be imputed
    SILENT = "silent"  # it stopped speaking
    UNSCORED = "unscored"  # the stream has no bundle: it is recorded, not judged


class Onset(NamedTuple):
    """An episode begins, or (see `Closure`) ends."""

    row: int
    entity: Entity
    time_s: float


class Closure(NamedTuple):
    """An episode ends. `score_max` is the highest score in it."""

    row: int
    entity: Entity
    onset_s: float
    time_s: float
    score_max: float


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


class Reconstruct(Protocol):
    """The one thing the core asks of a network."""

    def __call__(self, value: Floats, seen: Bools) -> Floats:
        """Return the expected newest step `(windows, signals)`.

        Args:
            value: Scaled windows `(windows, steps, signals)`.
            seen: Which cells were seen, same shape.
        """
