"""Bytes to a JSON document, or the reason why they are none."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any, Final

import orjson

from detector.stream.nouns import Drop

NESTING_MAX: Final = 64
"""Levels of arrays and objects: twice the deepest YANG tree that anybody publishes. A document that is deeper
was made to hurt somebody, and orjson alone would let sixteen times as many levels pass."""

_INT64_DIGITS_MAX = 19
# Of a text that is left with its brackets and quotes: each bracket is a step up or down, as a signed byte.
_STEPS = bytes(0x01 if char in b"[{" else 0xFF if char in b"]}" else char for char in range(256))
_NO_STEPS = bytes(char for char in range(256) if char not in b'[]{}"')


def parse_document(payload: bytes) -> Any:
    """Return the decoded JSON, or a `Drop`: PAYLOAD_EMPTY, NOT_UTF8, NESTED_TOO_DEEP or NOT_JSON."""
    # A document has no more levels than brackets, and most messages have few.
    if payload.count(b"{") + payload.count(b"[") > NESTING_MAX and _levels(payload) > NESTING_MAX:
        return Drop.NESTED_TOO_DEEP
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _parse_leniently(payload)


def _levels(payload: bytes) -> int:
    """Return how many arrays and objects are in each other, where the payload is JSON; all of it in C."""
    if b"\\" in payload:
        payload = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    # What is left of a string without brackets is a pair of quotes; without it the others are as they were,
    # even where it is the end of one string and the beginning of the next.
    steps = payload.translate(_STEPS, _NO_STEPS).replace(b'""', b"")
    outside = b"".join(steps.split(b'"')[::2])
    return max(accumulate(memoryview(outside).cast("b")), default=0)


def _parse_leniently(payload: bytes) -> Any:
    """Say why orjson refused, or forgive it.

    Real publishers send the NaN and Infinity of Python's json, numbers beyond float64, half an emoji in
    a description that was cut, the NUL that ends a C string, and a byte order mark. None of these is
    worth the other values of the message. The standard library reads them all; what is not finite is
    then refused as a sample, and a lone surrogate as a label.
    """
    try:
        text = payload.decode("utf-8-sig").rstrip("\0 \t\r\n")
    except UnicodeDecodeError:
        return Drop.NOT_UTF8
    if not text:
        return Drop.PAYLOAD_EMPTY
    try:
        return json.loads(text, parse_int=_parse_int)
    except ValueError:
        return Drop.NOT_JSON


def _parse_int(digits: str) -> float:
    # As orjson does it. `int` would be quadratic in the digits, and refuses more than 4,300.
    return int(digits) if len(digits) <= _INT64_DIGITS_MAX else float(digits)
