"""Bytes to a CBOR document of plain values, or the reason why they are none.

In CBOR a sender may tag a value as a date, a regular expression, an e-mail or a reference to another value,
and cbor2 makes what the tag says. Here only two tags are followed: decimal fractions, and the one that says
"this is CBOR". Any other one refuses the document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

import cbor2

from detector.stream.nouns import Drop

DECIMALS_BYTES_MAX: Final = 4096
"""Of a document with decimal fractions. They are arrays below the values, and at that depth the key of a map
may be an array as well. The hashes of arrays can be made to collide: a map of such keys costs two minutes in
a mebibyte, and less than a millisecond in four kibibytes."""

_DECIMAL = 4
_DECIMAL_DEPTH = 2  # to cbor2 a tag is a level, and the array in it another one
_SELF_DESCRIBED = 55_799


def parse_cbor(payload: bytes, depth_max: int) -> Any:
    """Return the decoded document, or `Drop.MALFORMED`; decimal fractions are floats.

    Args:
        payload: The bytes. What follows the first document in them is ignored.
        depth_max: How many arrays and maps may stand in each other, decimal fractions not counted.
    """
    below = _DECIMAL_DEPTH if len(payload) <= DECIMALS_BYTES_MAX else 0
    try:
        return cbor2.loads(payload, semantic_decoders=_TAGS, max_depth=depth_max + below)
    except cbor2.CBORError:
        return Drop.MALFORMED


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """What is made of a tagged value, by its tag; cbor2 looks here before it makes something of its own."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], NoReturn]:
        return _refuse


def _refuse(_value: Any, _immutable: bool) -> NoReturn:  # noqa: FBT001 - as cbor2 calls it
    raise ValueError


def _decimal(value: Any, immutable: bool) -> float:  # noqa: FBT001
    exponent, mantissa = value
    if immutable or type(exponent) is not int or type(mantissa) is not int:  # immutable: it is a key
        raise ValueError
    return float(f"{mantissa}e{exponent}")


_TAGS: Final = _Tags({_DECIMAL: _decimal, _SELF_DESCRIBED: lambda value, _: value})
