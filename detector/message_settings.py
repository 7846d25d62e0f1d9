"""What an operator says of the messages of a stream: their signals, and where a payload has what is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from detector.stream.definition import BITS_AUTO, NO_TIME, Layout, Signal, SignalPolicy, Witness

_TIMED = {"auto", "csv", "influx", "json", "openconfig", "prometheus", "telegraf-json"}
PAYLOAD_KEYS = {
    "records": {"auto", "json"},
    "metric": {"auto", "influx", "telegraf-json"},
    "columns": {"auto", "csv"},
    "delimiter": {"auto", "csv"},
    "time": _TIMED,
    "time_unit": _TIMED,
    "labels": _TIMED | {"collectd", "homie", "senml", "sparkplug"},
}
"""Which formats read a key of the payload's table; nobody would miss a key that is not read."""

POLICY_KEYS = ("deviation_min", "deviation_min_ratio", "valid_min", "valid_max", "weight")
"""What is said of a signal for all entities, and a policy can say of some; and `direction`."""

UPTIME_UNITS_S = {"ticks": 0.01, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

Seconds = Annotated[float, Field(gt=0, le=30 * 86400)]


class Part(BaseModel):
    """A table of the settings: unknown keys are refused, and so are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    def given(self, key: str) -> bool:
        """Say whether a key has another value than its default, which is as good as not to give it."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)


def check_range(valid_min: float | None, valid_max: float | None) -> None:
    """Refuse a range in which nothing lies.

    Raises:
        ValueError: Which it is.
    """
    if valid_min is not None and valid_max is not None and valid_min > valid_max:
        raise ValueError("valid_min is above valid_max")


class SignalSettings(Part):
    """One column of a stream."""

    kind: Literal["gauge", "counter"] = "gauge"
    bits: Literal["auto", 32, 64] = "auto"
    aggregate: Literal["last", "mean", "max", "sum"] = "last"
    direction: Literal["both", "above", "below"] = "both"
    field: str = ""
    rate_max: float | None = Field(None, gt=0)
    rate_max_field: str = ""
    rate_max_scale: float = Field(1.0, gt=0)
    words: dict[str, float] = Field({}, max_length=1000)
    scale: float = Field(1.0, ge=-(10**9), le=10**9)
    offset: float = Field(0.0, ge=-(10**9), le=10**9)
    unit: str = Field("", max_length=32)
    deviation_min: float = Field(0.0, ge=0)
    deviation_min_ratio: float = Field(0.0, ge=0, le=1000)
    valid_min: float | None = None
    valid_max: float | None = None
    weight: float = Field(1.0, ge=0, le=1000)

    @field_validator("words")
    @classmethod
    def _words_can_come(cls, value: dict[str, float]) -> dict[str, float]:
        for word in value:
            if not word or word != word.strip():
                raise ValueError(f"{word!r} never comes: white space around a text does not count")
        return value

    @field_validator("scale")
    @classmethod
    def _scale_keeps_the_value(cls, value: float) -> float:
        if value == 0:
            raise ValueError("a scale of 0 would make all values one")
        return value

    @field_validator("unit")
    @classmethod
    def _unit_can_be_read(cls, value: str) -> str:
        if not value.isprintable() or value != value.strip():
            raise ValueError(f"{value!r} is no unit")
        return value

    @model_validator(mode="after")
    def _counters_count(self) -> Self:
        if self.kind == "counter" and self.words:
            raise ValueError("a counter has no words: it counts")
        if self.kind == "counter" and self.offset:
            raise ValueError("a counter has no offset: its rate is what is judged")
        return self

    @model_validator(mode="after")
    def _range_holds_something(self) -> Self:
        check_range(self.valid_min, self.valid_max)
        return self

    def idle(self) -> Iterator[str]:
        """Yield which keys would have no effect, and why."""
        if self.kind == "gauge":
            yield from (
                f"{key} is for counters" for key in ("bits", "rate_max", "rate_max_field") if self.given(key)
            )
        elif self.given("aggregate"):
            yield "aggregate is for gauges: of a counter the increase counts"
        if self.given("rate_max_scale") and not self.rate_max_field:
            yield "rate_max_scale needs rate_max_field"

    def signal(self, name: str) -> Signal:
        """Return the core's noun."""
        return Signal(
            name,
            self.kind,
            BITS_AUTO if self.bits == "auto" else self.bits,
            self.aggregate,
            self.direction,
            field=self.field or name,
            rate_max=float("inf") if self.rate_max is None else self.rate_max,
            rate_max_field=self.rate_max_field,
            rate_max_scale=self.rate_max_scale,
            words=tuple(sorted(self.words.items())),
            scale=self.scale,
            offset=self.offset,
            unit=self.unit,
            policy=SignalPolicy(**{key: getattr(self, key) for key in POLICY_KEYS if self.given(key)}),
        )


class RestartSettings(Part):
    """Where a payload tells whether the device, and with it every counter of the entity, restarted."""

    uptime: str = ""
    uptime_unit: Literal["ticks", "s", "ms", "us", "ns"] = "ticks"
    boot_time: str = ""
    boot_id: str = ""
    stream: str = ""

    def idle(self) -> Iterator[str]:
        """Yield which keys would have no effect, and why."""
        if self.given("uptime_unit") and not self.uptime:
            yield "uptime_unit needs uptime"

    def witnesses(self) -> tuple[Witness, ...]:
        """Return the core's nouns."""
        told = {"uptime": self.uptime, "boot_time": self.boot_time, "boot_id": self.boot_id}
        unit_s = UPTIME_UNITS_S[self.uptime_unit]
        return tuple(Witness(field, kind, unit_s) for kind, field in told.items() if field)


class PayloadSettings(Part):
    """Where a payload keeps what is not a signal."""

    records: str = ""
    time: str = ""
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    labels: dict[str, str] = {}
    patterns: dict[str, str] = {}
    allow: dict[str, list[str]] = {}
    metric: str = ""
    columns: list[str] = []
    delimiter: str = ","

    def idle(self, name: str) -> Iterator[str]:
        """Yield which keys would have no effect on payloads of a format, and why."""
        for key, formats in PAYLOAD_KEYS.items():
            if self.given(key) and name not in formats:
                yield f"{key} is not for format {name!r}"
        if self.given("time_unit") and self.time == NO_TIME:
            yield f"time_unit is of no time: time is {NO_TIME!r}"

    def layout(self) -> Layout:
        """Return the core's noun."""
        return Layout(
            records=self.records,
            time=self.time,
            time_unit=self.time_unit,
            labels=tuple(self.labels.items()),
            patterns=tuple(self.patterns.items()),
            allow=tuple((label, tuple(texts)) for label, texts in self.allow.items()),
            metric=self.metric,
            columns=tuple(self.columns),
            delimiter=self.delimiter,
        )
