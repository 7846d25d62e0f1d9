"""Format `auto`: each message says by its looks which format it is of.

For agents that publish several, and for an operator who does not know. Where one does, the name of the format
is safer: a payload that is cut may look like another format's, and then is refused for the wrong reason.

What may look alike is asked in the order of how much it takes to look so: a topic that a convention has for
itself, what begins like JSON or CBOR, and then text, from the strictest grammar to a bare word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Final

from detector.stream.decode.csv_rows import DELIMITERS_REFUSED
from detector.stream.decode.documents import parse_document
from detector.stream.decode.openconfig import looks_like_openconfig
from detector.stream.decode.prometheus import begins_with_sample
from detector.stream.decode.records import Decode
from detector.stream.decode.senml import begins_like_cbor, looks_like_senml
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

LOOK_BYTES: Final = 4096
"""How far a text is looked into: a line or two tell."""

_AROUND: Final = "\ufeff\0 \t\r\n"
_SPARKPLUG: Final = "spBv1.0/"
_HOMIE: Final = "/homie/"  # there may be levels before it
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|[nN]a[nN]|[iI]nf)"
_COLLECTD = re.compile(rf"(?:\d+(?:\.\d+)?|N)(?::(?:{_NUMBER}|U))+", re.ASCII)
# What may be escaped and what may not have no character in common, so that the time is linear. The name of a
# metric may have nearly anything in it; a cell in quotes is none.
_KEY: Final = r"(?:\\.|[^\s=,\\])++"
_INFLUX = re.compile(
    rf'(?:[ \t\r]*+(?:\#[^\n]*+)?+\n)*+[ \t]*+(?!")(?:\\.|[^\s,\\])++(?:,{_KEY}=(?:\\.|[^\s,\\])*+)*+'
    rf"[ \t]++{_KEY}=\S",
)
_PROMETHEUS = re.compile(r"\# *(?:HELP|TYPE|UNIT|EOF)\b")
_DELIMITERS: Final = ",;\t"
_WORD = re.compile(r"\S{1,64}")


class Looks:
    """What the messages of a stream may look like.

    Args:
        formats: Those that fit the stream. A topic says nothing of one that does not.
        delimiter: What is between columns, beside what often is.
        words: What a payload may be that is one word of a signal.
    """

    def __init__(self, formats: Container[str], delimiter: str = ",", words: Iterable[str] = ()) -> None:
        self._formats = formats
        self._csv = _csv_pattern(delimiter)
        self._words = frozenset(words)

    def format_of(self, topic: str, payload: bytes) -> str:
        """Return the format that a message looks like, empty where it looks like none."""
        if name := self.topic_format(topic):
            return name
        if begins_like_cbor(payload):
            return "senml"
        look = payload[:LOOK_BYTES]
        text = look.decode("utf-8", "replace").strip(_AROUND)
        if not text:
            return ""
        if text in self._words:
            return "value"
        if text[0] == "[" or (text[0] == "{" and not begins_with_sample(text)):
            return _json_format(parse_document(payload))
        return self._text_format(text)

    def topic_format(self, topic: str) -> str:
        """Return the format that a topic alone says, empty where it says none."""
        if topic.startswith(_SPARKPLUG) and "sparkplug" in self._formats:
            return "sparkplug"
        return "homie" if _HOMIE in f"/{topic}" and "homie" in self._formats else ""

    def _text_format(self, text: str) -> str:
        if _COLLECTD.fullmatch(text):
            return "collectd"
        if _PROMETHEUS.match(text) or begins_with_sample(text):
            return "prometheus"
        if _INFLUX.match(text):
            return "influx"
        if self._csv.match(text):
            return "csv"
        return "value" if _WORD.fullmatch(text) and "\ufffd" not in text else ""


def auto_decode(
    definition: Definition, formats: Mapping[str, Callable[[Definition], Decode]]
) -> tuple[Decode, Looks]:
    """Return the `decode` of a stream of this format, and what its messages may look like.

    Args:
        definition: The stream.
        formats: The others. One that does not fit the definition is not tried.

    Raises:
        ValueError: None of them fits; the message is that of the last one.
    """
    decoders = _fitting(definition, formats)
    words = (word for signal in definition.signals for word, _ in signal.words)
    looks = Looks(decoders, definition.layout.delimiter, words)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        one = decoders.get(looks.format_of(message.topic, message.payload))
        if one is not None:
            return one(message, labels, batch)
        return Drop.FORMAT_UNKNOWN if message.payload.strip(b"\0 \t\r\n") else Drop.PAYLOAD_EMPTY

    return decode, looks


def _fitting(
    definition: Definition, formats: Mapping[str, Callable[[Definition], Decode]]
) -> dict[str, Decode]:
    """Return the decoders of the formats that fit a stream.

    Raises:
        ValueError: None of them does; the message is that of the last one.
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
    return decoders


def _csv_pattern(delimiter: str) -> re.Pattern[str]:
    """Return what a line of cells is like: a text in quotes, or one without the delimiter, and others."""
    between = re.escape("".join({*_DELIMITERS, *delimiter} - DELIMITERS_REFUSED))
    cell = rf' *+(?:"(?:[^"]|"")*+" *+|(?!")[^{between}\r\n]*+)'
    return re.compile(rf"{cell}(?:[{between}]{cell})++(?:[\r\n]|\Z)")


def _json_format(document: Any) -> str:
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):  # among them what is broken: the format can say how
        return "json"
    if isinstance(document, dict) and _is_telegraf(document):
        return "telegraf-json"
    if isinstance(document, list) and looks_like_senml(first):
        return "senml"
    return "openconfig" if looks_like_openconfig(first) else "json"


def _is_telegraf(document: Mapping[str, Any]) -> bool:
    metrics = document.get("metrics")
    metric = metrics[0] if isinstance(metrics, list) and metrics else document
    return isinstance(metric, dict) and isinstance(metric.get("fields"), dict)
