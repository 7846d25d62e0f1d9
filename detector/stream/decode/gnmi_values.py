"""The values of gNMI in JSON: as they are, or in what protobuf makes of a TypedValue."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from detector.stream.decode.documents import parse_document
from detector.stream.nouns import Drop

NOT_A_NUMBER: Final = b""
"""What is no number, whatever is read into it."""


def plain_value(value: Any) -> Any:
    """Return the value that a TypedValue of gNMI holds, with JSON in it decoded; others as they are."""
    if isinstance(value, dict) and len(value) == 1:
        kind, inner = next(iter(value.items()))
        if kind in _TYPED:
            return _TYPED[kind](inner)
    return value


def leaf_value(value: Any) -> Any:
    """Return a leaf; four bytes in base64 are the number that OpenConfig's ieeefloat32 makes of them."""
    if not isinstance(value, str) or len(value) != _FLOAT32_CHARS or value[-2:] != "==":
        return value
    octets = _from_base64(value)
    return value if octets is None else struct.unpack(">f", octets)[0]


_FLOAT32_CHARS = 8


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def _json(value: Any) -> Any:
    """Return the JSON that is in a text, in base64 as protobuf has it, or plain as some scripts do."""
    if not isinstance(value, str):
        return value
    octets = _from_base64(value)
    document = Drop.NOT_JSON if octets is None else parse_document(octets)
    if isinstance(document, Drop):
        document = parse_document(value.encode("utf-8", "replace"))
    return value if isinstance(document, Drop) else document


def _decimal(value: Any) -> Any:
    if not isinstance(value, dict):
        return NOT_A_NUMBER
    digits, precision = value.get("digits", 0), value.get("precision", 0)
    is_decimal = isinstance(digits, (str, int)) and isinstance(precision, int)
    return f"{digits}e-{precision}" if is_decimal else NOT_A_NUMBER


def _octets(value: Any) -> Any:
    return value if isinstance(leaf_value(value), float) else NOT_A_NUMBER


def _same(value: Any) -> Any:
    return value


_KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("string", "ascii", "int", "uint", "bool", "float", "double"), _same),
    **dict.fromkeys(("json", "jsonIetf", "json_ietf"), _json),
    **dict.fromkeys(("leaflist", "any"), lambda _: NOT_A_NUMBER),
    "decimal": _decimal,
    "bytes": _octets,
}
_TYPED: Final = {
    **{kind + end: read for kind, read in _KINDS.items() for end in ("Val", "_val")},
    **dict.fromkeys(("protoBytes", "proto_bytes"), _KINDS["any"]),
}
