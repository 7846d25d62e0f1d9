"""What an operator says of maintenance: the `[[maintenance]]` of the settings file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from detector.message_settings import Part, Seconds
from detector.policy_settings import Selector
from detector.stream.decode.topic import Template
from detector.stream.definition import Definition, Maintenance
from detector.stream.switch import Switch
from detector.stream_settings import StreamSettings

MAINTENANCES_MAX = 256
"""Each costs a look at every new text of a label that it asks for, and at every step."""
CRON_FIELDS = 5
NEEDS = {
    "duration_s": ("cron",),
    "timezone": ("cron", "calendar"),
    "on": ("topic",),
    "off": ("topic",),
    "max_s": ("topic",),
}
"""Which keys are of no use without one of others."""


class MaintenanceSettings(Part):
    """Times in which some entities are scored, and neither alarmed of nor learnt from."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9 _-]{0,62}$")
    streams: list[str] = Field([])
    match: Selector = Field({})
    calendar: Path | None = None
    cron: str = ""
    duration_s: Seconds | None = None
    timezone: str = "UTC"
    topic: str = ""
    on: list[str] = Field(["on"], min_length=1)
    off: list[str] = Field(["off"])
    max_s: Seconds | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # of a path, or a directory of zones
            raise ValueError(f"{value!r} is no time zone, as Europe/Berlin is") from None
        return value

    @field_validator("cron")
    @classmethod
    def _cron_can_be_read(cls, value: str) -> str:
        if value and len(value.split()) != CRON_FIELDS:
            raise ValueError("not five fields: minute, hour, day of the month, month, day of the week")
        if value:
            try:
                CronSim(value, datetime.now(UTC))
            except CronSimError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("topic")
    @classmethod
    def _legal_topic(cls, value: str) -> str:
        if value:
            Template(value)
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [key for key in ("calendar", "cron", "topic") if self.given(key)]
        if len(kinds) != 1:
            raise ValueError("give one of calendar, cron and topic")
        for key, needed in NEEDS.items():
            if self.given(key) and kinds[0] not in needed:
                raise ValueError(f"{key} needs {' or '.join(needed)}")
        if self.cron and self.duration_s is None:
            raise ValueError("cron needs duration_s")
        if self.topic and any(Switch(self.maintenance()).says(text.encode()) for text in self.off):
            raise ValueError("a payload is both on and off")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """Whose midnight and noon are meant."""
        return ZoneInfo(self.timezone)

    @property
    def filter(self) -> str:
        """The MQTT topic filter of what switches it; there is a topic."""
        return Template(self.topic).filter

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it asks of an entity."""
        return tuple(dict.fromkeys([*self.match, *(Template(self.topic).labels if self.topic else ())]))

    def is_about(self, stream: StreamSettings | Definition) -> bool:
        """Say whether it means entities of a stream."""
        return (not self.streams or stream.name in self.streams) and set(self.labels) <= set(stream.entity)

    def maintenance(self) -> Maintenance:
        """Return the core's noun."""
        return Maintenance(
            name=self.name,
            match=tuple(self.match.items()),
            topic=self.topic,
            on=tuple(self.on),
            off=tuple(self.off),
            max_s=inf if self.max_s is None else self.max_s,
        )


def switches(maintenances: Sequence[MaintenanceSettings]) -> list[Switch]:
    """Return what reads the topics of those that have one."""
    return [Switch(one.maintenance()) for one in maintenances if one.topic]


def misfits(maintenances: Sequence[MaintenanceSettings], streams: Sequence[StreamSettings]) -> Iterator[str]:
    """Yield what is wrong with maintenances, one by one and with the streams that they are about."""
    named = {stream.name: stream for stream in streams}
    names = [one.name for one in maintenances]
    yield from (f"two are named {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1)
    for one in maintenances:
        for name in one.streams:
            if name not in named:
                yield f"{one.name}: streams: no stream is named {name!r}"
            elif strange := [label for label in one.labels if label not in named[name].entity]:
                yield f"{one.name}: {strange[0]!r} is no label of the stream {name!r}"
        if streams and not one.streams and not any(one.is_about(stream) for stream in streams):
            yield f"{one.name}: no stream has the labels {', '.join(one.labels)}"
