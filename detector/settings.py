"""One frozen tree of settings: flags over environment over the TOML file over defaults.

Strict on purpose: an unknown key, an unknown `DETECTOR_` variable, a missing file or a bad value is a
`SettingsError` that names the key. pydantic-settings is silent in two of these cases (a TOML file that is
not there, an unknown top-level variable), so the file is read and the names of variables are checked here.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from detector import secret_files
from detector.daemon_settings import BundleSettings, HttpSettings, LogSettings, RecordSettings
from detector.event_settings import EventSettings
from detector.maintenance_settings import MAINTENANCES_MAX, MaintenanceSettings, misfits
from detector.message_settings import Part
from detector.mqtt_settings import SECRET_FILES, SECRETS, MqttSettings
from detector.stream_settings import StreamSettings
from detector.transport_settings import LEFT_OUT, TransportSettings

PREFIX = "DETECTOR_"


class SettingsError(Exception):
    """The settings cannot be used; the message names the key. The program exits with 78."""


class Settings(BaseSettings):
    """The whole tree. Build it with `load`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=False
    )

    mqtt: MqttSettings = Field(default_factory=MqttSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    record: RecordSettings = Field(default_factory=RecordSettings)
    bundles: BundleSettings = Field(default_factory=BundleSettings)
    events: EventSettings = Field(default_factory=EventSettings)
    streams: list[StreamSettings] = []
    maintenance: list[MaintenanceSettings] = Field([], max_length=MAINTENANCES_MAX)
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is good enough to start with, and should be mended: secrets that others can read."""
        return self._warnings

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the sources not asked for here
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- pydantic-settings names it
        init_settings: PydanticBaseSettingsSource,
        **_others: object,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` has merged, and nothing beside it."""
        return (init_settings,)

    @field_validator("streams")
    @classmethod
    def _names_differ(cls, value: list[StreamSettings]) -> list[StreamSettings]:
        names = [stream.name for stream in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two streams are named {name!r}")
        return value

    @field_validator("streams")
    @classmethod
    def _devices_tell(cls, value: list[StreamSettings]) -> list[StreamSettings]:
        named = {stream.name: stream for stream in value}
        for stream in value:
            name = stream.restart.stream
            devices = named.get(name)
            if name and (devices is None or devices is stream):
                raise ValueError(f"{stream.name}: restart.stream: no other stream is named {name!r}")
            if devices and not devices.restart.witnesses():
                raise ValueError(f"{stream.name}: restart.stream: {name!r} does not tell of restarts")
            if devices and not set(devices.entity) < set(stream.entity):
                raise ValueError(f"{stream.name}: restart.stream: {name!r} has other labels")
        return value

    @field_validator("maintenance")
    @classmethod
    def _means_somebody(
        cls, value: list[MaintenanceSettings], info: ValidationInfo
    ) -> list[MaintenanceSettings]:
        if "streams" in info.data:  # or they are refused themselves
            for misfit in misfits(value, info.data["streams"]):
                raise ValueError(misfit)
        return value

    @model_validator(mode="after")
    def _alarms_are_not_read(self) -> Self:
        if not self.events.topic:
            return self
        read = [(f"stream {one.name}", text) for one in self.streams for text in one.subscriptions]
        read += [(f"maintenance {one.name}", one.filter) for one in self.maintenance if one.topic]
        try:
            self.events.check_apart({one.name: len(one.entity) for one in self.streams}, read)
        except ValueError as error:
            raise ValueError(f"events.topic: {error}") from None
        return self

    def stream(self, name: str | None) -> StreamSettings:
        """Return the stream of a name, or the only one.

        Raises:
            SettingsError: There is no such stream, or several and none is named.
        """
        found = [stream for stream in self.streams if name in (None, stream.name)]
        if len(found) != 1:
            known = ", ".join(stream.name for stream in self.streams) or "none"
            raise SettingsError(f"--stream: {name or 'name one of several'}; defined: {known}")
        return found[0]


def load(path: Path | None, flags: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a file, the environment and flags.

    Args:
        path: The TOML file; none means defaults.
        flags: Dotted key to text, as in `{"mqtt.host": "broker"}`.

    Raises:
        SettingsError: A key is unknown, a value is wrong or a file is missing.
    """
    tree = {} if path is None else _read(path)
    holding = [path] if path is not None and _holds_secret(tree) else []
    _check_environment()
    for over in (EnvSettingsSource(Settings)(), _nested(flags or {})):
        for section, keys in over.items():
            given = tree.get(section, {})
            if not isinstance(given, dict):
                raise SettingsError(f"{section}: not a table")
            tree[section] = given | keys
    if isinstance(mqtt := tree.get("mqtt", {}), dict):
        tree["mqtt"] = mqtt | secret_files.credentials(MqttSettings.model_fields, mqtt)
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        raise SettingsError("\n".join(_problems(error))) from None
    holding += [file for key in SECRET_FILES if (file := getattr(settings.mqtt, key)) is not None]
    settings._warnings = tuple(secret_files.exposed(holding))  # noqa: SLF001 -- frozen for all others
    return settings


def password(mqtt: MqttSettings) -> str | None:
    """Return the broker's password, from its file where one is named.

    Raises:
        SettingsError: The file cannot be read, or holds nothing.
    """
    return secret(mqtt, "password")


def secret(settings: TransportSettings, key: str) -> str | None:
    """Return a secret, from its file where one is named.

    Raises:
        SettingsError: The file cannot be read, or holds nothing.
    """
    file: Path | None = getattr(settings, f"{key}_file")
    given: SecretStr | str | None = getattr(settings, key)
    if file is None:
        return given.get_secret_value() if isinstance(given, SecretStr) else given
    try:
        return secret_files.read(file)
    except ValueError as error:
        raise SettingsError(f"mqtt.{key}_file: {file}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None


def _holds_secret(tree: Mapping[str, Any]) -> bool:
    mqtt = tree.get("mqtt")
    if not isinstance(mqtt, dict):
        return False
    return not SECRETS.isdisjoint(mqtt) or "?" in str(mqtt.get("websocket_path"))  # it is signed, perhaps


def _check_environment() -> None:
    known = {PREFIX + key.replace(".", "__").upper() for key in _keys()}
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            key = name.upper().removeprefix(PREFIX).replace("__", ".").lower()
            raise SettingsError(f"{name}: {LEFT_OUT.get(key, 'unknown variable')}")


def _nested(flags: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    known = _keys()
    for dotted, value in flags.items():
        if dotted not in known:
            raise SettingsError(f"{dotted}: {LEFT_OUT.get(dotted, 'unknown key')}")
        section, key = dotted.split(".")
        if section == "mqtt" and key in SECRETS:
            raise SettingsError(
                f"{dotted}: not as a flag, which every user of this machine can see; "
                f"give {dotted}_file, or the variable {PREFIX}{section.upper()}__{key.upper()}"
            )
        tree.setdefault(section, {})[key] = value
    return tree


def _keys() -> set[str]:
    """Every setting that a flag or a variable can give; streams are for the file."""
    return {
        f"{section}.{key}"
        for section, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, Part)
        for key in info.annotation.model_fields
    }


def _problems(error: ValidationError) -> list[str]:
    """One line a problem, the key first; the value is left out, for it may be a secret."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"])
        what = (
            LEFT_OUT.get(key, "unknown key")
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{key}: {what}" if key else what)
    return lines
