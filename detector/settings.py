"""One frozen tree of settings: flags over environment over the TOML file over defaults.

Strict on purpose: an unknown key, an unknown `DETECTOR_` variable, a missing file or a bad value is a
`SettingsError` that names the key. pydantic-settings is silent in two of these cases (a TOML file
that is not there, an unknown top-level variable), so both are checked here.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from detector.stream.decode import FORMATS
from detector.stream.decode.topic import Template
from detector.stream.nouns import Definition, Layout, Signal

PREFIX = "DETECTOR_"
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
"""What Prometheus accepts as a label name; entity labels become Prometheus labels as they are."""
LABELS_RESERVED = frozenset({"stream", "signal", "state", "level", "reason", "le", "instance", "job"})

Seconds = Annotated[float, Field(gt=0, le=30 * 86400)]


class SettingsError(Exception):
    """The settings cannot be used; the message names the key. The program exits with 78."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MqttSettings(_Part):
    """The broker and how to talk to it."""

    host: str = "localhost"
    port: int = Field(1883, ge=1, le=65535)
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    client_id: str = ""
    username: str = ""
    password: SecretStr | None = None
    password_file: Path | None = None
    keepalive_s: int = Field(30, ge=5, le=3600)
    qos: Literal[0, 1, 2] = 0
    reconnect_max_s: float = Field(30.0, ge=1, le=600)
    payload_bytes_max: int = Field(1 << 20, ge=64, le=256 << 20)
    inbox_max: int = Field(100_000, ge=100, le=10_000_000)

    @model_validator(mode="after")
    def _secret_once(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self


class HttpSettings(_Part):
    """Where `/metrics` and the health pages answer."""

    host: str = "127.0.0.1"
    port: int = Field(9798, ge=0, le=65535)


class LogSettings(_Part):
    """How the daemon talks."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class RecordSettings(_Part):
    """Where `detector record` writes."""

    directory: Path = Path("recordings")
    rows_max: int = Field(100_000, ge=100, le=10_000_000)
    flush_s: Seconds = 60.0


class SignalSettings(_Part):
    """One column of a stream."""

    kind: Literal["gauge", "counter"] = "gauge"
    bits: Literal[32, 64] = 64
    aggregate: Literal["last", "mean", "max", "sum"] = "last"
    direction: Literal["both", "above", "below"] = "both"
    field: str = ""
    rate_max: float | None = Field(None, gt=0)

    def signal(self, name: str) -> Signal:
        """Return the core's noun."""
        rate_max = float("inf") if self.rate_max is None else self.rate_max
        return Signal(
            name, self.kind, self.bits, self.aggregate, self.direction, self.field or name, rate_max
        )


class JsonSettings(_Part):
    """Where a JSON payload keeps what is not a signal."""

    records: str = ""
    time: str = ""
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    labels: dict[str, str] = {}


class StreamSettings(_Part):
    """One kind of telemetry: what it looks like, and how it is judged."""

    name: str = Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,62}$")
    topic: str = Field(min_length=1)
    format: str = "json"
    clock: Literal["wall", "data"] = "wall"
    entity: list[str] = Field(min_length=1, max_length=8)
    step_s: Seconds = 10.0
    window_steps: int = Field(60, ge=4, le=4096)
    bundle: Path | None = None
    signals: dict[str, SignalSettings] = Field(min_length=1, max_length=512)
    payload: JsonSettings = JsonSettings()
    lateness_s: float | None = Field(None, ge=0, le=86400)
    age_max_s: Seconds = 3600.0
    future_max_s: Seconds = 60.0
    refresh_s: float | None = Field(None, ge=0, le=86400)
    entities_max: int = Field(10_000, ge=1, le=1_000_000)
    imputed_share_max: float = Field(0.5, ge=0, lt=1)
    silence_s: Seconds | None = None
    expire_s: Seconds = 86400.0
    open_steps: int = Field(2, ge=1, le=64)
    open_window_steps: int = Field(3, ge=1, le=64)
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
            if label in LABELS_RESERVED:
                raise ValueError(f"{label!r} is taken: {', '.join(sorted(LABELS_RESERVED))}")
        if len(set(value)) < len(value):
            raise ValueError("a label stands twice")
        return value

    @field_validator("topic")
    @classmethod
    def _legal_topic(cls, value: str) -> str:
        Template(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.open_steps > self.open_window_steps:
            raise ValueError("open_steps is more than open_window_steps")
        if self.silence_s is not None and self.silence_s >= self.expire_s:
            raise ValueError("silence_s is not less than expire_s")
        if self.format == "value" and "signal" not in Template(self.topic).labels and len(self.signals) > 1:
            raise ValueError("format value with several signals needs {signal} in the topic")
        return self

    def definition(self) -> Definition:
        """Return the core's noun, with the defaults that depend on `step_s` filled in."""
        lateness_s = self.step_s if self.lateness_s is None else self.lateness_s
        silence_s = self.silence_s or min(max(6 * self.step_s, 60.0), self.expire_s)
        return Definition(
            name=self.name,
            entity=tuple(self.entity),
            signals=tuple(signal.signal(name) for name, signal in self.signals.items()),
            step_s=self.step_s,
            window_steps=self.window_steps,
            topic=self.topic,
            format=self.format,
            layout=Layout(
                self.payload.records,
                self.payload.time,
                self.payload.time_unit,
                tuple(self.payload.labels.items()),
            ),
            clock=self.clock,
            lateness_s=lateness_s,
            age_max_s=self.age_max_s,
            future_max_s=self.future_max_s,
            refresh_s=self.step_s if self.refresh_s is None else self.refresh_s,
            entities_max=self.entities_max,
            imputed_share_max=self.imputed_share_max,
            silence_s=silence_s,
            expire_s=self.expire_s,
            open_steps=self.open_steps,
            open_window_steps=self.open_window_steps,
            close_below=self.close_below,
            close_steps=self.close_steps,
        )


class Settings(BaseSettings):
    """The whole tree. Build it with `load`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=False
    )

    mqtt: MqttSettings = MqttSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    record: RecordSettings = RecordSettings()
    streams: list[StreamSettings] = []

    @field_validator("streams")
    @classmethod
    def _names_differ(cls, value: list[StreamSettings]) -> list[StreamSettings]:
        names = [stream.name for stream in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two streams are named {name!r}")
        return value


def load(path: Path | None, flags: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a file, the environment and flags.

    Args:
        path: The TOML file; none means defaults.
        flags: Dotted key to text, as in `{"mqtt.host": "broker"}`.

    Raises:
        SettingsError: A key is unknown, a value is wrong or a file is missing.
    """
    _check_readable(path)
    _check_environment()

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(  # type: ignore[override]  # the sources not asked for here
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            **_unused: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = () if path is None else (TomlConfigSettingsSource(settings_cls, toml_file=path),)
            return init_settings, env_settings, *file

    try:
        return Loaded(**_nested(flags or {}))
    except ValidationError as error:
        raise SettingsError("\n".join(_problems(error))) from None
    except (SourceError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path or 'environment'}: {error}") from None


def password(mqtt: MqttSettings) -> str | None:
    """Return the broker's password, from its file where one is named.

    Raises:
        SettingsError: The file cannot be read.
    """
    if mqtt.password_file is None:
        return None if mqtt.password is None else mqtt.password.get_secret_value()
    try:
        return mqtt.password_file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"mqtt.password_file: {error}") from None


def flag_names(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    """Return the dotted name of every single-valued setting; streams are for the file."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += flag_names(info.annotation, f"{prefix}{name}.")
        elif prefix:
            names.append(prefix + name)
    return names


def _check_readable(path: Path | None) -> None:
    if path is None:
        return
    try:
        tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def _check_environment() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).split("__")[0] not in known:
            raise SettingsError(f"{name}: unknown variable")


def _nested(flags: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for dotted, value in flags.items():
        *parents, leaf = dotted.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree


def _problems(error: ValidationError) -> list[str]:
    """One line a problem, the key first; the value is left out, for it may be a secret."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"])
        what = (
            "unknown key"
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{key}: {what}" if key else what)
    return lines
