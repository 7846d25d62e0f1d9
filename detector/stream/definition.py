"""What a stream is: what an operator says of it, and what a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

REFRESH_STEPS = 1.5
"""Steps after which a counter that stands still has the rate 0: the second repeated value in a row, where a
device exports once a step. The first one is a value that it had not refreshed yet."""


BITS_AUTO = 0
"""A counter that was ever above 32 bits has 64; one that never was wraps at 32."""

SILENCE_AUTO = 0.0
"""How long an entity may pause is learnt from its rhythm."""

NO_TIME = "none"
"""A payload in which nothing is the time, whatever it is called or where the format has one."""
COUNTED = frozenset({"counter", "rate"})
"""The kinds of signals that are counts a second: of a counter, and of the rate that was recorded of one."""


@dataclass(frozen=True, slots=True)
class SignalPolicy:
    """Which deviations of a signal count, and how much; in its raw units. None: not said here."""

    direction: str | None = None  # both | above | below: which deviation can be an anomaly
    deviation_min: float | None = None  # from what is expected; a smaller one is none
    deviation_min_ratio: float | None = None  # the same, of what is expected
    valid_min: float | None = None  # a value below is an anomaly whatever is expected
    valid_max: float | None = None  # and so is one above
    weight: float | None = None  # against 1 of the others; 0: it is not looked at


Match = tuple[tuple[str, str], ...]
"""A selector of entities: (label, glob), all of which have to fit; without any, every entity does."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the entities that fit `match` are judged; None: not said here. A later one goes before it."""

    match: Match = ()
    signals: tuple[tuple[str, SignalPolicy], ...] = ()
    mute: bool | None = None  # scored, and never an alarm
    budget: float | None = None  # false alarms that are accepted per entity and week


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Times in which the entities that fit `match` are scored, do not alarm, and teach nothing."""

    name: str
    match: Match = ()
    topic: str = (
        ""  # template of what switches it on and off, of those who have its labels; empty: it is planned
    )
    on: tuple[str, ...] = ("on",)  # payloads
    off: tuple[str, ...] = ("off",)
    max_s: float = inf  # after which what was switched on ends by itself


@dataclass(frozen=True, slots=True)
class Signal:
    """One named quantity of an entity; a column."""

    name: str
    kind: str = "gauge"  # gauge | counter | rate: what a recording holds of a counter
    bits: int = BITS_AUTO  # where a counter wraps: 32 | 64, or what its values say
    aggregate: str = "last"  # last | mean | max | sum: several gauge samples in one step
    direction: str = "both"  # both | above | below: which deviation can be an anomaly
    field: str = ""  # where the payload has it, a dotted path; empty: under its name
    rate_max: float = inf  # a counter's increase a second beyond which it is a discontinuity
    rate_max_field: str = ""  # where the payload says so of the entity, a dotted path
    rate_max_scale: float = 1.0  # from what is published there to the counter's unit a second
    words: tuple[tuple[str, float], ...] = ()  # what text stands for, such as ("up", 1.0)
    scale: float = 1.0  # from what is published to `unit`; of counters the rate is scaled
    offset: float = 0.0  # added after that; none of counters
    unit: str = ""  # of the scaled value, of counters of the rate; for people
    policy: SignalPolicy = SignalPolicy()  # what holds of it for all entities of the stream


@dataclass(frozen=True, slots=True)
class Witness:
    """A field of a payload that tells whether a device, and with it all counters of the entity, restarted."""

    field: str  # where the payload has it, a dotted path
    kind: str  # uptime | boot_time | boot_id
    unit_s: float = 1.0  # of an uptime


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a payload keeps what is not a signal."""

    records: str = ""  # dotted path of an array of records; empty: the payload is the record
    time: str = ""  # dotted path of the time; empty: `timestamp` or `time` where present; or NO_TIME
    time_unit: str = "auto"  # auto | s | ms | us | ns
    labels: tuple[tuple[str, str], ...] = ()  # (label, dotted path)
    patterns: tuple[
        tuple[str, str], ...
    ] = ()  # (label or path, RE2 expression whose named groups are labels)
    allow: tuple[
        tuple[str, tuple[str, ...]], ...
    ] = ()  # (label, its legal values, `*` at an end for any text)
    metric: str = ""  # of payloads that hold several kinds: the name of the stream's (Telegraf, influx)
    columns: tuple[str, ...] = ()  # csv without a header: what its columns are
    delimiter: str = ","  # csv


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
    witnesses: tuple[Witness, ...] = ()
    witness_stream: str = ""  # the stream of the devices, whose witnesses are believed too
    offline_topic: str = ""  # template of a last will: whom its labels name is silent
    offline_payloads: tuple[str, ...] = ("offline",)  # and these say so
    clock: str = "wall"  # wall | data
    lateness_s: float = 0.0  # how long after its time a step stays open
    age_max_s: float = 3600.0
    future_max_s: float = 60.0
    refresh_s: float = 0.0  # a moving counter that repeats for less is taken as not refreshed yet
    entities_max: int = 10_000
    device_entities_max: int = 1_000_000  # entities that share their first label
    imputed_share_max: float = 0.5  # of a window's cells, beyond which it is not scored
    silence_s: float = inf  # without a sample for longer, an entity is silent; or SILENCE_AUTO
    expire_s: float = inf  # and after this it is forgotten
    budget: float = 1.0  # false alarms that are accepted per entity and week
    budget_of: str = ""  # the label whose entities have it together; none: each entity
    normal_after_s: float = 172_800.0  # after which what lasts is the new normal; infinite: never
    open_steps: int = 2  # an episode opens when the score is above 1 in `open_steps`
    open_window_steps: int = 3  # of the last `open_window_steps` scored steps
    open_at_once: float = 1.5  # or above this in the newest one
    close_below: float = 0.7  # and closes when it is below this edge
    close_steps: int = 5  # for `close_steps` scored steps in a row
    policies: tuple[Policy, ...] = ()  # of some entities
    groups: tuple[tuple[str, ...], ...] | None = None  # levels it brings in; None: see `levels.levels_of`
    group_patterns: tuple[
        tuple[str, str], ...
    ] = ()  # (label of the entity, RE2 expression whose named groups are labels to group by)

    @property
    def signal_names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(signal.name for signal in self.signals)

    @property
    def columns(self) -> tuple[Signal, ...]:
        """What decoders read: the signals, and after them what counters are judged by and is no signal.

        The `kind` of those is that of the witness, or `rate_max`. A field that is a signal already has no
        second column.
        """
        judged_by = [Signal(one.field, one.kind) for one in self.witnesses]
        judged_by += [Signal(one.rate_max_field, "rate_max") for one in self.signals if one.rate_max_field]
        fields = {signal.field or signal.name for signal in self.signals}
        return (*self.signals, *{one.name: one for one in judged_by if one.name not in fields}.values())

    def column_of(self, field: str) -> int:
        """Return the index of the column that a field is read into."""
        return [column.field or column.name for column in self.columns].index(field)

    @property
    def topics_max(self) -> int:
        """How many topics are worth remembering: for every entity one a column, and another one."""
        return self.entities_max * (1 + len(self.columns))

    @property
    def window_s(self) -> float:
        """The time that a window spans."""
        return self.step_s * self.window_steps
