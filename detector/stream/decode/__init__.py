"""Stage 1: a message becomes samples, or exactly one drop. One module a payload format.

The contract, at any bytes: `decode` appends at least one record, each with at least one sample, and
returns None; or it leaves the records and samples of the batch as they were and returns one reason. It
never raises. Smaller refusals are counted in `Batch.dropped`: every value that is no finite number, under
NOT_A_NUMBER or NOT_FINITE; and every record that is refused beside others that are taken, under its
reason. A message of which all values were refused is NO_SIGNAL. Whether a time is plausible is not asked
here. A goodbye has no record: `decode` appends to `Batch.silenced` and returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from detector.stream.decode.auto import Looks, auto_decode
from detector.stream.decode.collectd import collectd_decode
from detector.stream.decode.csv_rows import csv_decode
from detector.stream.decode.homie import homie_decode
from detector.stream.decode.influx import influx_decode
from detector.stream.decode.json_records import json_decode
from detector.stream.decode.labels import check_labels, clean, completed, named_labels
from detector.stream.decode.openconfig import openconfig_decode
from detector.stream.decode.prometheus import prometheus_decode
from detector.stream.decode.records import Decode
from detector.stream.decode.senml import senml_decode
from detector.stream.decode.sparkplug import sparkplug_decode
from detector.stream.decode.telegraf_json import telegraf_decode
from detector.stream.decode.topic import Template, template_of
from detector.stream.decode.value import value_decode
from detector.stream.definition import Definition
from detector.stream.nouns import Message

_NAMED: Final[Mapping[str, Callable[[Definition], Decode]]] = {
    "collectd": collectd_decode,
    "csv": csv_decode,
    "homie": homie_decode,
    "influx": influx_decode,
    "json": json_decode,
    "openconfig": openconfig_decode,
    "prometheus": prometheus_decode,
    "senml": senml_decode,
    "sparkplug": sparkplug_decode,
    "telegraf-json": telegraf_decode,
    "value": value_decode,
}
FORMATS: Final = frozenset({*_NAMED, "auto"})
"""The payload formats that a stream's definition can name."""
ANYTHING: Final = Looks(_NAMED)
"""What a message looks like of which no stream says more."""
REMINDED: Final = frozenset({"homie"})
"""Formats of which the broker's stored copies tell what is true until it is said otherwise."""


class Farewell(NamedTuple):
    """Goodbyes: a last will, or what an agent publishes as it stops. Its topic names who falls silent."""

    template: Template
    payloads: frozenset[bytes]

    def leaving(self, topic: str) -> dict[str, str] | None:
        """Return the labels of those whose goodbyes are on a topic, None where nobody's are."""
        labels = self.template.match(topic)
        return labels and {name: clean(text) for name, text in labels.items()}

    def goodbye(self, message: Message) -> dict[str, str] | None:
        """Return the labels of those of whom a message is the goodbye, None where it is nobody's."""
        return self.leaving(message.topic) if self.says_so(message.payload) else None

    def says_so(self, payload: bytes) -> bool:
        """Say whether a payload is a goodbye."""
        return plain(payload) in self.payloads


def plain(payload: bytes) -> bytes:
    """Return a payload without what is around a word: upper case, white space and a NUL do not matter."""
    return payload.rstrip(b"\0").strip().lower()


class Decoder(NamedTuple):
    """How the messages of one stream are read.

    `template` says which topics are the stream's, and gives the labels that they carry. `decode` takes
    a message, those labels and the batch to append to, and returns None or why the message is dropped.
    `named` are the user properties that are labels. `farewell` knows the topics on which entities say
    goodbye, where they do so apart from their values. `looks` tells what a message looks like, which is
    what it is read as where the format is `auto`.
    """

    template: Template
    decode: Decode
    named: frozenset[str] = frozenset()
    farewell: Farewell | None = None
    looks: Looks = ANYTHING
    format: str = ""

    def is_reminded_by(self, topic: str) -> bool:
        """Say whether retained messages of a topic are shown to it too, in a batch of which nobody takes."""
        name = self.looks.topic_format(topic) if self.format == "auto" else self.format
        return name in REMINDED

    def with_properties(self, labels: Mapping[str, str], message: Message) -> Mapping[str, str]:
        """Return the labels of a message: those of its topic, and of its user properties what that lacks.

        Of several properties of one name the last one counts.
        """
        return completed(labels, (one for one in message.properties if one[0] in self.named))


def decoder(definition: Definition) -> Decoder:
    """Return the decoder of a stream; what depends on the definition alone is looked up here, once.

    Raises:
        ValueError: A topic template, a pattern or what is allowed is malformed, the format is unknown, they
            do not fit, or the topic of goodbyes names nobody.
    """
    if definition.format not in FORMATS:
        raise ValueError(f"unknown format {definition.format!r}; known: {', '.join(sorted(FORMATS))}")
    check_labels(definition)
    if definition.format == "auto":
        decode, looks = auto_decode(definition, _NAMED)
    else:
        decode, looks = _NAMED[definition.format](definition), ANYTHING
    return Decoder(
        template_of(definition),
        decode,
        named_labels(definition),
        _farewell(definition),
        looks,
        definition.format,
    )


def _farewell(definition: Definition) -> Farewell | None:
    if not definition.offline_topic:
        return None
    template = Template(definition.offline_topic)
    if not template.labels or not set(template.labels) <= set(definition.entity):
        raise ValueError(
            f"offline_topic {definition.offline_topic!r}: its labels name who falls silent,"
            f" some or all of: {', '.join(definition.entity)}"
        )
    return Farewell(template, frozenset(plain(text.encode()) for text in definition.offline_payloads))
