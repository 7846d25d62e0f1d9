"""Payloads of Sparkplug B: bytes to metrics, metrics to values, and the one command that we give.

Nobody imports this before a stream has the format: protobuf takes as long to import as all else together that
`detector check` needs.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import DecodeError

from detector.stream.decode.sparkplug_b_pb2 import Metric, Payload
from detector.stream.nouns import Drop

BIRTH_NUMBER: Final = b"bdSeq"
REBIRTH: Final = b"Node Control/Rebirth"

_SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}  # the datatypes Int8 to Int64
_TOP_BIT: Final = {"int_value": 1 << 31, "long_value": 1 << 63}
_BOOLEAN: Final = 11


def parse_payload(payload: bytes) -> Any:
    """Return the decoded payload, see `sparkplug_b.proto`, or MALFORMED."""
    try:
        return Payload.FromString(payload)
    except DecodeError:
        return Drop.MALFORMED


def read_value(metric: Any, datatype: int) -> Any:
    """Return the value of a metric: a number, a text, bytes for what is neither, None for null.

    Signed integers are written as unsigned ones of 8, 16, 32 or 64 bits, or sign-extended to the next larger
    field, as the publisher likes. Where the type is not known (0), one that may be signed is ALIAS_UNKNOWN.
    """
    field = metric.WhichOneof("value")
    if field is None or metric.is_null:
        return None
    value = getattr(metric, field)
    if field == "string_value":
        return value.decode("utf-8", "replace")
    if field not in _TOP_BIT:
        return value
    if datatype in _SIGNED_BITS:
        sign = 1 << (_SIGNED_BITS[datatype] - 1)
        return (value & (sign - 1)) - (value & sign)
    return Drop.ALIAS_UNKNOWN if not datatype and value >= _TOP_BIT[field] else value


def named_values(payload: bytes) -> dict[str, Any]:
    """Return the values of a payload by the names of their metrics; nothing of what has no name."""
    parsed = parse_payload(payload)
    metrics = () if isinstance(parsed, Drop) else parsed.metrics
    return {one.name.decode("utf-8", "replace"): read_value(one, one.datatype) for one in metrics if one.name}


def birth_number(payload: Any) -> int | None:
    """Return the number that a birth of a node has in common with its last will, None where it has none."""
    for metric in payload.metrics:
        if metric.name == BIRTH_NUMBER:
            number = read_value(metric, metric.datatype)
            return number if isinstance(number, int) else None
    return None


def sequence_number(payload: Any) -> int | None:
    """Return the number of the message, None where it has none."""
    return payload.seq if payload.HasField("seq") else None


def rebirth(arrival_s: float) -> bytes:
    """Return the command to a node to publish its births again."""
    time_ms = int(arrival_s * 1000)
    metric = Metric(name=REBIRTH, timestamp=time_ms, datatype=_BOOLEAN, boolean_value=True)
    command: bytes = Payload(timestamp=time_ms, metrics=[metric]).SerializeToString()
    return command
