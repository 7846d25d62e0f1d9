"""Format `auto`: each message says by its looks which format it is of.

For agents that publish several, and for an operator who does not know. Where one does, the name of the format
is safer: a payload that is cut may look like another format's, and then is refused for the wrong reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from detector.stream.decode.documents import parse_document
from detector.stream.decode.records import Decode
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

LOOK_BYTES: Final = 4096
"""How far a text is looked into: a line or two tell."""

_NUMBER: Final = rb"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|[nN]a[nN]|Inf)"
_COLLECTD = re.compile(rb"\d+(?:\.\d+)?(?::(?:%s|U))+" % _NUMBER)
# What may be escaped and what may not have no character in common, so that the time is linear.
_NAME: Final = rb"(?:\\.|[^\s=,\\])++"
_INFLUX = re.compile(rb"(?:\#[^\n]*+\n)*+[^\s=,{]++(?:,%s=%s)*+ ++%s=\S" % (_NAME, _NAME, _NAME))
_PROMETHEUS = re.compile(
    rb"(?:\# *(?:HELP|TYPE|UNIT|EOF)\b|"
    rb"[a-zA-Z_:][a-zA-Z0-9_:]*+(?:\{[^}]*+\})?[ \t]++%s(?:[ \t]++-?[\d.]++)?[ \t]*+(?:\n|\Z))" % _NUMBER
)
_CSV = re.compile(rb'(?:"[^"]*"|[^,;\t\n"]*)(?:[,;\t](?:"[^"]*"|[^,;\t\n"]*))+\r?(?:\n|\Z)')
_WORD = re.compile(rb"\S{1,64}")
_CBOR_ARRAYS: Final = range(0x80, 0xA0)
_CBOR: Final = b"\xd9\xd9\xf7"  # a document that says that it is CBOR

_SENML: Final = {"n", "bn", "bt", "bu", "bv", "v", "vs", "vb", "vd", "s"}
_OPENCONFIG: Final = {
    "update", "updates", "delete", "deletes", "prefix", "notification",
    "sync-response", "sync_response", "syncResponse",
}  # fmt: skip


def auto_decode(definition: Definition, formats: Mapping[str, Callable[[Definition], Decode]]) -> Decode:
    """Return the `decode` of a stream of this format.

    Args:
        definition: The stream.
        formats: The others. One that does not fit the definition is not tried.

    Raises:
        ValueError: None of them fits; the message is that of the last one.
    """
    decoders: dict[str, Decode] = {}
    problem: ValueError | None = None
    for name, build in formats.items():
        try:
            decoders[name] = build(definition)
        except ValueError as error:
            problem = error
    if not decoders and problem is not None:
        raise problem

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        if not message.payload.strip(b"\0 \t\r\n"):
            return Drop.PAYLOAD_EMPTY
        one = decoders.get(format_of(message.topic, message.payload))
        return Drop.FORMAT_UNKNOWN if one is None else one(message, labels, batch)

    return decode


def format_of(topic: str, payload: bytes) -> str:
    """Return the format that a message looks like, empty where it looks like none."""
    if topic.startswith("spBv1.0/"):
        return "sparkplug"
    text = payload[:LOOK_BYTES].strip(b"\0 \t\r\n")
    if not text:
        return ""
    if text[0] in b"{[":
        return _json_format(parse_document(payload))
    if text[0] in _CBOR_ARRAYS or text.startswith(_CBOR):
        return "senml"
    if topic.startswith("homie/"):
        return "homie"
    return _text_format(text)


def _text_format(text: bytes) -> str:
    if _COLLECTD.fullmatch(text):
        return "collectd"
    for name, pattern in (("influx", _INFLUX), ("prometheus", _PROMETHEUS), ("csv", _CSV)):
        if pattern.match(text):
            return name
    try:
        text.decode()
    except UnicodeDecodeError:
        return ""
    return "value" if _WORD.fullmatch(text) else ""


def _json_format(document: Any) -> str:
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):  # among them what is broken: the format can say how
        return "json"
    if isinstance(first.get("fields"), dict) or isinstance(first.get("metrics"), list):
        return "telegraf-json"
    if isinstance(document, list) and first.keys() & _SENML and all(len(key) <= 3 for key in first):  # noqa: PLR2004
        return "senml"
    if first.keys() & _OPENCONFIG or {"name", "timestamp", "values"} <= first.keys():
        return "openconfig"
    return "json"
