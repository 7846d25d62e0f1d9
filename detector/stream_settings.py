"""What an operator says of a stream: the `[[streams]]` of the settings file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from detector.stream.decode import FORMATS, decoder
from detector.stream.decode.topic import Template
from detector.stream.definition import BITS_AUTO, REFRESH_STEPS, Definition, Layout, Signal, Witness
from detector.stream.filters import outermost

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
"""What Prometheus accepts as a label name; entity labels become Prometheus labels as they are."""
LABELS_RESERVED = frozenset({"stream", "signal", "state", "level", "reason", "le", "instance", "job"})
COLUMNS_RESERVED = frozenset({"time", "train", "score", "anomalous"})
"""What recordings and scores call their own columns, beside a column an entity label or signal."""

PAYLOAD_KEYS = {
    "metric": {"auto", "influx", "telegraf-json"},
    "columns": {"auto", "csv"},
    "delimiter": {"auto", "csv"},
    "time": {"auto", "csv", "influx", "json", "openconfig", "prometheus", "telegraf-json"},
}
"""Which formats read a key of the payload's table; nobody would miss a key that is not read."""

UPTIME_UNITS_S = {"ticks": 0.01, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

Seconds = Annotated[float, Field(gt=0, le=30 * 86400)]


class Part(BaseModel):
    """A table of the settings: unknown keys are refused, and so are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


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
        )


class RestartSettings(Part):
    """Where a payload tells whether the device, and with it every counter of the entity, restarted."""

    uptime: str = ""
    uptime_unit: Literal["ticks", "s", "ms", "us", "ns"] = "ticks"
    boot_time: str = ""
    boot_id: str = ""
    stream: str = ""

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


class StreamSettings(Part):
    """One kind of telemetry: what it looks like, and how it is judged."""

    name: str = Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,62}$")
    topic: str = Field(min_length=1)
    format: str = "json"
    clock: Literal["wall", "data"] = "wall"
    entity: list[str] = Field(min_length=1, max_length=8)
    step_s: float = Field(10.0, ge=0.1, le=86400)
    window_steps: int = Field(60, ge=4, le=4096)
    bundle: Path | None = None
    signals: dict[str, SignalSettings] = Field(min_length=1, max_length=512)
    payload: PayloadSettings = PayloadSettings()
    restart: RestartSettings = RestartSettings()
    offline_topic: str = ""
    offline_payloads: list[str] = ["offline"]
    lateness_s: float | None = Field(None, ge=0, le=86400)
    age_max_s: Seconds = 3600.0
    future_max_s: Seconds = 60.0
    refresh_s: float | None = Field(None, ge=0, le=86400)
    priority: int = Field(0, ge=0, le=9)
    overload: Literal["drop_oldest", "drop_newest", "block"] = "drop_oldest"
    entities_max: int = Field(10_000, ge=1, le=1_000_000)
    device_entities_max: int | None = Field(None, ge=1, le=1_000_000)
    imputed_share_max: float = Field(0.5, ge=0, lt=1)
    silence_s: Seconds | None = None
    expire_s: Seconds = 86400.0
    open_steps: int = Field(4, ge=1, le=64)
    open_window_steps: int = Field(6, ge=1, le=64)
    close_below: float = Field(0.8, gt=0, le=1)
    close_steps: int = Field(3, ge=1, le=64)

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in FORMATS:
            raise ValueError(f"unknown format {value!r}; known: {', '.join(sorted(FORMATS))}")
        return value

    @field_validator("entity")
    @classmethod
    def _legal_labels(cls, value: list[str]) -> list[str]:
        for label in value:
            if not LABEL.match(label) or label.startswith("__"):
                raise ValueError(f"{label!r} is not a legal Prometheus label name")
            if label in LABELS_RESERVED | COLUMNS_RESERVED:
                raise ValueError(
                    f"{label!r} is taken: {', '.join(sorted(LABELS_RESERVED | COLUMNS_RESERVED))}"
                )
        if len(set(value)) < len(value):
            raise ValueError("a label stands twice")
        return value

    @field_validator("topic")
    @classmethod
    def _legal_topic(cls, value: str) -> str:
        Template(value)
        return value

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        for name in self.signals:
            if not name or not name.isprintable():
                raise ValueError(f"signals: {name!r} is not a name")
            if name in COLUMNS_RESERVED or name in self.entity:
                raise ValueError(f"signals: {name!r} is the name of another column")
        return self

    @model_validator(mode="after")
    def _payload_is_of_the_format(self) -> Self:
        for key, formats in PAYLOAD_KEYS.items():
            given = getattr(self.payload, key) != PayloadSettings.model_fields[key].default
            if given and self.format not in formats:
                raise ValueError(f"payload.{key} is not for format {self.format!r}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.open_steps > self.open_window_steps:
            raise ValueError("open_steps is more than open_window_steps")
        if self.silence_s is not None and self.silence_s >= self.expire_s:
            raise ValueError("silence_s is not less than expire_s")
        definition = self.definition()
        if definition.silence_s < self.step_s:
            raise ValueError("silence_s or expire_s is less than step_s: every entity would be silent")
        decoder(definition)
        return self

    @property
    def subscription(self) -> str:
        """The MQTT topic filter of the stream's values."""
        return Template(self.topic).filter

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The MQTT topic filters of the stream: of the values, and of goodbyes if they are elsewhere."""
        if not self.offline_topic:
            return (self.subscription,)
        offline = Template(self.offline_topic).filter
        return tuple(outermost((self.subscription, offline)))

    def definition(self) -> Definition:
        """Return the core's noun, with the defaults that depend on `step_s` filled in."""
        return Definition(
            name=self.name,
            entity=tuple(self.entity),
            signals=tuple(signal.signal(name) for name, signal in self.signals.items()),
            step_s=self.step_s,
            window_steps=self.window_steps,
            topic=self.topic,
            format=self.format,
            layout=self.payload.layout(),
            witnesses=self.restart.witnesses(),
            witness_stream=self.restart.stream,
            offline_topic=self.offline_topic,
            offline_payloads=tuple(self.offline_payloads),
            clock=self.clock,
            lateness_s=self.step_s if self.lateness_s is None else self.lateness_s,
            age_max_s=self.age_max_s,
            future_max_s=self.future_max_s,
            refresh_s=REFRESH_STEPS * self.step_s if self.refresh_s is None else self.refresh_s,
            entities_max=self.entities_max,
            device_entities_max=self.device_entities_max or self.entities_max,
            imputed_share_max=self.imputed_share_max,
            silence_s=self.silence_s or min(max(6 * self.step_s, 60.0), self.expire_s),
            expire_s=self.expire_s,
            open_steps=self.open_steps,
            open_window_steps=self.open_window_steps,
            close_below=self.close_below,
            close_steps=self.close_steps,
        )
