"""Bytes to a JSON document, or the reason why they are none."""

from __future__ import annotations

import json
from typing import Any

import orjson

from detector.stream.nouns import Drop

_INT64_DIGITS_MAX = 19


def parse_document(payload: bytes) -> Any:
    """Return the decoded JSON, or a `Drop`: PAYLOAD_EMPTY, NOT_UTF8, NESTED_TOO_DEEP or NOT_JSON."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _parse_leniently(payload)


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
    except RecursionError:
        return Drop.NESTED_TOO_DEEP
    except ValueError:
        return Drop.NOT_JSON


def _parse_int(digits: str) -> float:
    # As orjson does it. `int` would be quadratic in the digits, and refuses more than 4,300.
    return int(digits) if len(digits) <= _INT64_DIGITS_MAX else float(digits)
