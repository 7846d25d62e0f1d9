"""Format `homie`: the Homie convention, versions 3 to 5: a value a topic, and attributes that begin with `$`.

    homie/DEVICE/NODE/PROPERTY        21.5
    homie/DEVICE/$state               ready, lost (its last will), disconnected, ...
    homie/5/DEVICE/$description       of version 5, as JSON; a child names its root

The stream's topic is the base of all devices, as `homie/#` is; `device` and `node` are labels. A signal's
`field` is a property, or `NODE/PROPERTY`. A value is what its text says: a number, true or false, a duration
in ISO 8601 as seconds, or a word of the signal; no declared type says more. Its time is that of arrival.

Attributes are no samples. A device that is lost, disconnected or removed falls silent, and with it those of
which it is the root: they have no last will of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from detector.stream.decode.documents import parse_document
from detector.stream.decode.labels import LABEL_CHARS_MAX, beside, clean
from detector.stream.decode.records import Decode, record_appender, signal_fields
from detector.stream.decode.topic import Template
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

GONE: Final = frozenset({b"lost", b"disconnected", b""})
VALUE_BYTES_MAX: Final = 512
"""As long as a number can be; no word and no duration is longer."""

_VERSION: Final = "5"
_PROPERTY_LEVELS: Final = 3
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)
_SECONDS: Final = (86_400.0, 3_600.0, 60.0, 1.0)

Device = tuple[str, str]
"""The base topic of a device, and its id."""


def homie_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: The topic is not the base of all devices.
    """
    template = Template(definition.topic)
    if not template.filter.endswith("/#") or {"device", "node"} & set(template.labels):
        raise ValueError(
            f"stream {definition.name!r}: the topic of format homie is the base of all devices, as homie/# is"
        )
    return _Devices(definition).decode


class _Devices:
    """The decoder of one stream, with what it remembers of children and roots."""

    def __init__(self, definition: Definition) -> None:
        self._base_levels = definition.topic.count("/")
        self._fields = frozenset(signal_fields(definition))
        self._append = record_appender(definition)
        self._entity = frozenset(definition.entity)
        self._roots_max = definition.entities_max
        self._roots: dict[Device, Device] = {}
        self._children: dict[Device, set[str]] = {}

    def decode(self, message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        """Read a message; see `Decoder`."""
        levels = message.topic.split("/")
        base, levels = "/".join(levels[: self._base_levels]), levels[self._base_levels :]
        if _has_version(levels):
            levels = levels[1:]
        if levels[1:] == ["$state"]:
            return self._take_state((base, levels[0]), message.payload, labels, batch)
        if levels[1:] == ["$description"]:
            return self._take_description((base, levels[0]), message.payload)
        if len(levels) != _PROPERTY_LEVELS or any(level.startswith("$") for level in levels):
            return Drop.NO_SIGNAL
        return self._take_value(levels, message, labels, batch)

    def _take_value(
        self, levels: list[str], message: Message, labels: Mapping[str, str], batch: Batch
    ) -> Drop | None:
        device, node, name = levels
        field = next((one for one in (f"{node}/{name}", name) if one in self._fields), None)
        if field is None:
            return Drop.NO_SIGNAL
        if not message.payload:
            return Drop.PAYLOAD_EMPTY
        if len(message.payload) > VALUE_BYTES_MAX:
            return Drop.WRONG_SHAPE
        try:
            text = message.payload.decode().strip("\0 \t\r\n")
        except UnicodeDecodeError:
            return Drop.NOT_UTF8
        seconds = _duration_s(text)
        fields = {field: text if seconds is None else seconds}
        named = {"device": device, "node": node}
        return self._append(fields, named, None, None, beside(labels, named), message.arrival_s, batch)

    def _take_state(
        self, device: Device, state: bytes, labels: Mapping[str, str], batch: Batch
    ) -> Drop | None:
        """Say goodbye for a device and its children, if it is gone."""
        if state.strip() not in GONE or "device" not in self._entity:
            return Drop.NO_SIGNAL
        others = {name: clean(text) for name, text in labels.items() if name in self._entity}
        for name in (device[1], *sorted(self._children.get(device, ()))):
            batch.silenced.append((len(batch.entities), {**others, "device": clean(name)}))
        return None

    def _take_description(self, device: Device, payload: bytes) -> Drop:
        """Remember the root of a device; of as many as the stream may have entities."""
        document = parse_document(payload)
        if isinstance(document, Drop):
            return document
        name = document.get("root") if isinstance(document, dict) else None
        before = self._roots.pop(device, None)
        if before is not None:
            self._children[before].discard(device[1])
            if not self._children[before]:
                del self._children[before]
        if isinstance(name, str) and max(len(name), len(device[1])) <= LABEL_CHARS_MAX:
            self._remember(device, (device[0], name))
        return Drop.NO_SIGNAL

    def _remember(self, device: Device, root: Device) -> None:
        if len(self._roots) < self._roots_max:
            self._roots[device] = root
            self._children.setdefault(root, set()).add(device[1])


def _has_version(levels: list[str]) -> bool:
    """Say whether the first level is a version, as from 5 on, and not a device that is called so.

    A device has its values two levels below it, and its attributes one.
    """
    if levels[:1] != [_VERSION]:
        return False
    attribute = len(levels) == _PROPERTY_LEVELS and levels[2].startswith("$")
    return attribute or len(levels) > _PROPERTY_LEVELS


def _duration_s(text: str) -> float | None:
    """Return the seconds of a duration in ISO 8601, without years and months; None of anything else."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(float(part or 0) * unit_s for part, unit_s in zip(match.groups(), _SECONDS, strict=True))
