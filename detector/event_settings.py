"""Where alarms are published over MQTT: the table `[events]`, and the topics that it makes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from detector.message_settings import Part, Seconds
from detector.stream.filters import overlap

STREAM: Final = "{stream}"
ENTITY: Final = "{entity}"
_NO_CHARACTERS: Final = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_UNSAFE: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NO_CHARACTERS}%/+#]")
"""What a level may not have, and what an escape begins with. For what is no character, mosquitto ends the
connection; and for the same message the next one."""


class EventSettings(Part):
    """Alarms as retained messages, a topic an entity."""

    topic: str = Field("", max_length=1024)
    status_topic: str = Field("detector/status", max_length=1024)
    qos: Literal[0, 1, 2] = 1
    update_s: Seconds = 60.0
    signals_max: int = Field(3, ge=1, le=512)

    @field_validator("qos", mode="before")
    @classmethod
    def _number_from_text(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("topic")
    @classmethod
    def _template(cls, value: str) -> str:
        levels = value.split("/")
        if value and (levels.count(STREAM), levels.count(ENTITY)) != (1, 1):
            raise ValueError(f"{value!r}: one level is {STREAM}, and another one {ENTITY}")
        if levels[0] == ENTITY:
            raise ValueError(f"{value!r}: a level of its own stands before {ENTITY}, or the broker's could")
        if "{" in (text := value.replace(STREAM, "").replace(ENTITY, "")) or "}" in text:
            raise ValueError(f"{value!r}: only {STREAM} and {ENTITY} stand for something")
        return _publishable(value)

    @field_validator("status_topic")
    @classmethod
    def _topic(cls, value: str) -> str:
        return _publishable(value)

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        idle = [key for key in type(self).model_fields if key != "topic" and self.given(key)]
        if idle and not self.topic:
            raise ValueError(f"{idle[0]} needs topic")
        return self

    def topic_of(self, stream: str, entity: Sequence[str]) -> str:
        """Return the topic of an entity: for `{entity}` a level a label, escaped as in a URL.

        Escaped is a percent sign, what MQTT keeps for itself (`/`, `+`, `#`), and what is no character that
        can be shown: `%2F`.
        """
        return self._filled(stream, [_UNSAFE.sub(_escape, value) for value in entity])

    def filters(self, streams: Mapping[str, int]) -> list[str]:
        """Return the filters of the topics of all entities; `streams` says how many labels theirs have."""
        return [self._filled(name, ["+"] * labels) for name, labels in streams.items()]

    def check_apart(self, streams: Mapping[str, int], read: Iterable[tuple[str, str]]) -> None:
        """Refuse topics that the detector reads: it would take its own alarms for what others say.

        Args:
            streams: How many labels the entities of each stream have.
            read: Who reads, and which topic filter.

        Raises:
            ValueError: Who does, or that the status is on the topic of an entity.
        """
        own = self.filters(streams)
        if any(overlap(text, self.status_topic) for text in own):
            raise ValueError("status_topic is the topic of an entity")
        for reader, text in read:
            if any(overlap(topic, text) for topic in (*own, self.status_topic) if topic):
                raise ValueError(f"{reader} reads {text}, and would take alarms for something else")

    def _filled(self, stream: str, entity: Sequence[str]) -> str:
        filled = {STREAM: stream, ENTITY: "/".join(entity)}
        return "/".join(filled.get(level, level) for level in self.topic.split("/"))


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _publishable(topic: str) -> str:
    if topic.startswith("$") or not topic.isprintable() or "+" in topic or "#" in topic:
        raise ValueError(f"{topic!r} is no topic that anybody may publish to")
    return topic
