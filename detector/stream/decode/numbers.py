"""Text to a number: what an operator says that it stands for, or what is written.

JSON has text where its numbers do not reach (64-bit counters in what YANG models), where an agent quotes
everything, and where a state has a name. So text counts as the number that it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final
from zlib import crc32

from detector.stream.decode.times import parse_time
from detector.stream.definition import Signal
from detector.stream.nouns import Drop

NUMBER_CHARS_MAX: Final = 512
"""The largest float64 written out without an exponent has 309 digits, and as many again may follow."""

Words = Mapping[str, float]

_BOOLEANS: Final = {"true": 1.0, "false": 0.0}  # as JSON writes them


class _Names(dict[str, float]):
    """Every text stands for a number: the same text for the same one, another text for another one."""

    def __contains__(self, text: object) -> bool:
        return text != ""

    def __missing__(self, text: str) -> float:
        return float(crc32(text.encode("utf-8", "surrogatepass")))


class _Times(dict[str, float]):
    """What is a time stands for its seconds since the epoch."""

    def __contains__(self, text: object) -> bool:
        return parse_time(text) is not None

    def __missing__(self, text: str) -> float:
        return parse_time(text) or 0.0


_TEXTS: Final[Mapping[str, Words]] = {"boot_id": _Names(), "boot_time": _Times()}


def words_of(column: Signal) -> Words:
    """Return what text stands for in a column: its own words, and those that JSON has for booleans.

    As a boot id every text is a word, as a boot time every one that is a time.
    """
    return _TEXTS[column.kind] if column.kind in _TEXTS else {**_BOOLEANS, **dict(column.words)}


def plain_number(text: str) -> float | str:
    """Return the number that a text is, or else the text: `number_of` may know what it stands for."""
    # A digit separator is one in Python, nowhere else; neither are the digits of other scripts.
    if "_" in text or not text.isascii():
        return text
    try:
        return float(text)
    except ValueError:
        return text


def number_of(value: Any, words: Words) -> float | Drop:
    """Return the number that a text stands for, or else says; NOT_A_NUMBER or NOT_FINITE otherwise.

    White space around it does not count. A word is matched as it is written, in upper and lower case.
    A number has ASCII digits, a point and perhaps an exponent, and no unit behind it.
    """
    if not isinstance(value, str):
        return Drop.NOT_A_NUMBER
    text = value.strip()
    if text in words:
        return words[text]
    number = plain_number(text) if len(text) <= NUMBER_CHARS_MAX else text
    if isinstance(number, str):
        return Drop.NOT_A_NUMBER
    return number if isfinite(number) else Drop.NOT_FINITE
