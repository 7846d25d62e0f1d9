"""Stage 1: a message becomes samples, or exactly one drop. One module a payload format.

The contract, at any bytes: `decode` appends at least one record, each with at least one sample, and
returns None; or it leaves the records and samples of the batch as they were and returns one reason. It
never raises. Smaller refusals are counted in `Batch.dropped`: every value that is no finite number, under
NOT_A_NUMBER or NOT_FINITE; and every record that is refused beside others that are taken, under its
reason. A message of which all values were refused is NO_SIGNAL. Whether a time is plausible is not asked
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from detector.stream.decode.collectd import collectd_decode
from detector.stream.decode.json_records import json_decode
from detector.stream.decode.records import Decode
from detector.stream.decode.telegraf_json import telegraf_decode
from detector.stream.decode.topic import Template, template_of
from detector.stream.decode.value import value_decode
from detector.stream.definition import Definition

FORMATS: Final[Mapping[str, Callable[[Definition], Decode]]] = {
    "collectd": collectd_decode,
    "json": json_decode,
    "telegraf-json": telegraf_decode,
    "value": value_decode,
}
"""The payload formats, by the name that a stream's definition gives."""


class Decoder(NamedTuple):
    """How the messages of one stream are read.

    `template` says which topics are the stream's, and gives the labels that they carry. `decode` takes
    a message, those labels and the batch to append to, and returns None or why the message is dropped.
    """

    template: Template
    decode: Decode


def decoder(definition: Definition) -> Decoder:
    """Return the decoder of a stream; what depends on the definition alone is looked up here, once.

    Raises:
        ValueError: The topic template, a pattern or what is allowed is malformed, the format is unknown, or
            they do not fit.
    """
    if definition.format not in FORMATS:
        raise ValueError(f"unknown format {definition.format!r}; known: {', '.join(sorted(FORMATS))}")
    return Decoder(template_of(definition), FORMATS[definition.format](definition))
