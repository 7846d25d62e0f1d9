"""Captures: messages as they came, a line each, in a file.

Two kinds of lines are read, also mixed:

    {"tst":"2026-01-01T00:00:00.000001Z","topic":"a/b","qos":0,"retain":0,"payloadlen":2,"payload":"on"}
    a/b on

The first is what `detector record --raw` writes and `mosquitto_sub -F %j` prints. The second is what
`mosquitto_sub -v` prints: no time, no space in the topic, and of a payload only its first line.

Our own lines say what those of `mosquitto_sub` cannot: a payload that is no UTF-8 stands in base64 under
`payload_base64` (there it ends at a NUL byte), `dup` is 1 where the broker had sent it before, and user
properties are a list of pairs where one of them has two values.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from detector.stream.decode.times import TIME_MAX_S
from detector.stream.nouns import Message

LINE_BYTES_MAX: Final = 512 << 20
"""A longer line is foreign; the largest payload of MQTT, 256 MiB, fits in with base64."""

_TST: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
_PACKET_ID_MAX: Final = 0xFFFF
_NO_PAYLOAD: Final = b"(null)"


class Skip(StrEnum):
    """Why a line of a capture is no message."""

    TORN = "torn"  # it ends in its midst: who wrote it was killed, or its disk was full
    FOREIGN = "foreign"  # it is of another kind; also the further lines of a payload that has several
    ALTERED = "altered"  # the payload is not what was sent: cut at a NUL byte, or rewritten by `-F %J`


def to_line(message: Message) -> bytes:
    """Return the line that holds a message, its time to the microsecond."""
    payload = message.payload
    line: dict[str, Any] = {
        "tst": datetime.fromtimestamp(message.arrival_s, UTC),
        "topic": message.topic,
        "qos": message.qos,
        "retain": int(message.retained),
        "payloadlen": len(payload),
    }
    if message.packet_id:
        line["mid"] = message.packet_id & _PACKET_ID_MAX
    if message.duplicate:
        line["dup"] = 1
    if message.properties or message.expires_s != inf:
        line["properties"] = _properties(message)
    try:
        line["payload"] = payload.decode() if payload else None
    except UnicodeDecodeError:
        line["payload_base64"] = base64.b64encode(payload).decode()
    return orjson.dumps(line, option=_TST)


def _properties(message: Message) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if message.properties:
        user = dict(message.properties)
        properties["user-properties"] = user if len(user) == len(message.properties) else message.properties
    if message.expires_s != inf:
        properties["message-expiry-interval"] = round(message.expires_s - message.arrival_s)
    return properties


def read_capture(path: Path, skipped: Counter[Skip]) -> Iterator[Message]:
    """Yield the messages of a capture as they stand in it; `arrival_s` is NaN where there is none.

    Args:
        path: The file; read line by line, so it may be longer than the memory.
        skipped: Where the lines are counted that are no message.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        for line in _lines(file):
            if line.strip():
                found = read_line(line)
                if isinstance(found, Skip):
                    skipped[found] += 1
                else:
                    yield found


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, of one that is too long its beginning."""
    while line := file.readline(LINE_BYTES_MAX):
        yield line
        while len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES_MAX)


def read_line(line: bytes) -> Message | Skip:
    """Return the message of a line, or why it is none; for any bytes."""
    if not line.startswith(b"{"):
        return _read_plain(line.removesuffix(b"\n"))
    try:
        fields = _parse(line)
        return _read_fields(fields) if isinstance(fields, dict) and "topic" in fields else Skip.FOREIGN
    except RecursionError:
        return Skip.FOREIGN
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Skip.FOREIGN if line.endswith(b"}\n") else Skip.TORN


def _read_plain(line: bytes) -> Message | Skip:
    topic, space, payload = line.partition(b" ")
    try:
        name = topic.decode()
    except UnicodeDecodeError:
        return Skip.FOREIGN
    if not space or not _is_topic(name):
        return Skip.FOREIGN
    return Message(name, b"" if payload == _NO_PAYLOAD else payload, nan)


def _is_topic(name: object) -> bool:
    return isinstance(name, str) and bool(name) and not any(char in name for char in "+#\0")


def _parse(line: bytes) -> Any:
    """Return the document of a line; `mosquitto_sub` prints payloads that are no UTF-8 as they are."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line.decode("utf-8", "surrogateescape"))


def _read_fields(fields: dict[str, Any]) -> Message | Skip:
    topic, qos, packet_id = fields["topic"], fields.get("qos", 0), fields.get("mid", 0)
    if not _is_topic(topic) or qos not in (0, 1, 2) or not 0 <= packet_id <= _PACKET_ID_MAX:
        return Skip.FOREIGN
    payload = _payload(fields)
    if payload is None or len(payload) != fields.get("payloadlen", len(payload)):
        return Skip.ALTERED
    topic.encode()  # a text that cannot be one is no topic
    arrival_s = _arrival_s(fields.get("tst"))
    properties = fields.get("properties") or {}
    expiry_s = float(properties.get("message-expiry-interval", inf))
    return Message(
        topic,
        payload,
        arrival_s,
        retained=bool(fields.get("retain")),
        properties=_pairs(properties.get("user-properties") or {}),
        packet_id=packet_id,
        qos=qos,
        duplicate=bool(fields.get("dup")),
        expires_s=arrival_s + expiry_s if isfinite(arrival_s) else inf,
    )


def _payload(fields: dict[str, Any]) -> bytes | None:
    """Return the bytes, None where they are not there as they were sent."""
    if (encoded := fields.get("payload_base64")) is not None:
        return base64.b64decode(encoded, validate=True)
    payload = fields["payload"]
    if payload is None:
        return b""
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogateescape")
    if isinstance(payload, list) and len(payload) == fields["payloadlen"]:
        return bytes(payload)  # as mosquitto_sub 2.1 prints bytes that are no text
    return None


def _pairs(user: Any) -> tuple[tuple[str, str], ...]:
    pairs = user.items() if isinstance(user, dict) else user
    return tuple((_text(name), _text(value)) for name, value in pairs)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _arrival_s(tst: Any) -> float:
    """Return the seconds of a number, or of ISO 8601 with the `Z` that mosquitto_sub has before an offset.

    NaN where that is no time.
    """
    if isinstance(tst, str):
        moment = datetime.fromisoformat(tst.replace("Z+", "+").replace("Z-", "-"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(tst) if isinstance(tst, (int, float)) and 0 <= tst < TIME_MAX_S else nan
