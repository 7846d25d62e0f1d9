"""What an operator says of a stream: the `[[streams]]` of the settings file."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from detector.message_settings import Part, PayloadSettings, RestartSettings, Seconds, SignalSettings
from detector.policy_settings import POLICIES_MAX, PolicySettings, idle_keys
from detector.stream.decode import FORMATS, decoder
from detector.stream.decode.topic import Template
from detector.stream.definition import REFRESH_STEPS, SILENCE_AUTO, Definition
from detector.stream.filters import outermost
from detector.stream.levels import check_levels

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
"""What Prometheus accepts as a label name; entity labels become Prometheus labels as they are."""
LEVELS_MAX = 16
"""Of a stream: each costs every entity a look-up, and the more groups there are, the more it takes."""
LABELS_RESERVED = frozenset({"stream", "signal", "state", "level", "reason", "le", "instance", "job"})
COLUMNS_RESERVED = frozenset({"time", "train", "score", "anomalous"})
"""What recordings and scores call their own columns, beside a column an entity label or signal."""


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
    offline_payloads: list[str] = Field(["offline"])
    lateness_s: float | None = Field(None, ge=0, le=86400)
    age_max_s: Seconds = 3600.0
    future_max_s: Seconds = 60.0
    refresh_s: float | None = Field(None, ge=0, le=86400)
    priority: int = Field(0, ge=0, le=9)
    overload: Literal["drop_oldest", "drop_newest", "block"] = "drop_oldest"
    entities_max: int = Field(10_000, ge=1, le=1_000_000)
    device_entities_max: int | None = Field(None, ge=1, le=1_000_000)
    imputed_share_max: float = Field(0.5, ge=0, lt=1)
    silence_s: Seconds | Literal["auto"] = "auto"
    expire_s: Seconds = 86400.0
    budget: float = Field(1.0, gt=0, le=10_000)
    budget_of: str = ""
    normal_after_s: Annotated[float, Field(ge=60, le=366 * 86400)] | Literal["never"] = 172_800.0
    open_steps: int = Field(2, ge=1, le=64)
    open_window_steps: int = Field(3, ge=1, le=64)
    open_at_once: float = Field(1.5, ge=1, le=1000)
    close_below: float = Field(0.7, gt=0, le=1)
    close_steps: int = Field(5, ge=1, le=64)
    groups: list[list[str]] | None = Field(None, max_length=LEVELS_MAX)
    group_patterns: dict[str, str] = Field({}, max_length=LEVELS_MAX)
    policies: list[PolicySettings] = Field([], max_length=POLICIES_MAX)

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in FORMATS:
            raise ValueError(f"unknown format {value!r}; known: {', '.join(sorted(FORMATS))}")
        return value

    @field_validator("silence_s", mode="wrap")
    @classmethod
    def _auto_or_seconds(cls, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError('"auto", or a number above 0 to 2592000') from None

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
    def _every_key_counts(self) -> Self:
        idle = [f"payload.{why}" for why in self.payload.idle(self.format)]
        idle += [f"restart.{why}" for why in self.restart.idle()]
        idle += [f"signals.{name}.{why}" for name, signal in self.signals.items() for why in signal.idle()]
        idle += idle_keys(self.policies, self.entity, self.signals)
        if self.given("offline_payloads") and not self.offline_topic:
            idle.append("offline_payloads needs offline_topic")
        if self.budget_of and self.budget_of not in self.entity:
            idle.append(f"budget_of: {self.budget_of!r} is no label of the entity")
        if (self.device_entities_max or 0) > self.entities_max:
            idle.append("device_entities_max is more than entities_max")
        if idle:
            raise ValueError(idle[0])
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.open_steps > self.open_window_steps:
            raise ValueError("open_steps is more than open_window_steps")
        if self.silence_s != "auto" and self.silence_s >= self.expire_s:
            raise ValueError("silence_s is not less than expire_s")
        definition = self.definition()
        if (self.expire_s if self.silence_s == "auto" else self.silence_s) < self.step_s:
            raise ValueError("silence_s or expire_s is less than step_s: every entity would be silent")
        decoder(definition)
        check_levels(definition, LABELS_RESERVED | COLUMNS_RESERVED)
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
            silence_s=SILENCE_AUTO if self.silence_s == "auto" else self.silence_s,
            expire_s=self.expire_s,
            budget=self.budget,
            budget_of=self.budget_of,
            normal_after_s=inf if self.normal_after_s == "never" else self.normal_after_s,
            open_steps=self.open_steps,
            open_window_steps=self.open_window_steps,
            open_at_once=self.open_at_once,
            close_below=self.close_below,
            close_steps=self.close_steps,
            groups=None if self.groups is None else tuple(tuple(level) for level in self.groups),
            group_patterns=tuple(self.group_patterns.items()),
            policies=tuple(policy.policy() for policy in self.policies),
        )
