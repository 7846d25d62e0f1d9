"""When a record was taken: numbers in four units, numeric text, ISO 8601."""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import UTC, datetime
from typing import Any, Final

from detector.stream.decode.paths import find, parse_path
from detector.stream.definition import NO_TIME, Layout

TIME_MAX_S: Final = 253_402_300_800.0
"""The year 10000, where ISO 8601 ends; what lies behind it is a wrong unit, not a time."""
TIME_CHARS_MAX: Final = 64
"""Twice the longest ISO 8601 time with nanoseconds and an offset."""

_NAMES = ("timestamp", "time")
# Whole numbers, since Python rounds the quotient of two integers once; nanoseconds as float64 have lost
# enough to fall behind the edge of a step.
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Below 1e11 is seconds up to the year 5138; read in the next finer unit it would be before March 1973.
_SECONDS_BELOW = 10**11
_AUTO = ((_SECONDS_BELOW, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))

_NUMBER_MAX = TIME_MAX_S * 1e9

ReadTime = Callable[[Any, Any, float], float | None]


def time_reader(layout: Layout, taken: Container[str] = ()) -> ReadTime:
    """Return a function of (record, envelope, arrival_s) that gives the record's time.

    It looks at `layout.time`, or else at `timestamp` and `time`, of the record and then of the
    envelope; null counts as absent. Where there is none, or none is to be looked for, it gives `arrival_s`,
    where there is one that is no time, None.

    Args:
        layout: Where the time is, and its unit.
        taken: Fields that are signals, and so are not the time unless `layout.time` says so.
    """
    if layout.time == NO_TIME:
        return lambda _record, _envelope, arrival_s: arrival_s
    names = (layout.time,) if layout.time else tuple(name for name in _NAMES if name not in taken)
    paths = tuple(parse_path(name) for name in names)
    unit = layout.time_unit
    first = names[0] if names else ""
    seconds_below = _SECONDS_BELOW if unit in ("auto", "s") else 0

    def read(record: Any, envelope: Any, arrival_s: float) -> float | None:
        if type(record) is dict:  # whole seconds under the first name are what nearly every message has
            stamp = record.get(first)
            if type(stamp) is int and 0 < stamp < seconds_below:
                return float(stamp)
        for place in (record, envelope):
            for path in paths:
                value = find(place, path)
                if value is not None:
                    return parse_time(value, unit)
        return arrival_s

    return read


def parse_time(value: Any, unit: str = "auto") -> float | None:
    """Return seconds since the epoch, or None where the value is not a time after it.

    Args:
        value: A number, a number as text, or ISO 8601; without an offset it is UTC.
        unit: Of numbers: `s`, `ms`, `us`, `ns`, or `auto`, which goes by their magnitude.
    """
    if isinstance(value, str):
        return _parse_text(value, unit)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_number(value, unit)
    return None


def _parse_text(text: str, unit: str) -> float | None:
    text = text.strip()
    if len(text) > TIME_CHARS_MAX or "_" in text:  # `float` takes the underscores of Python's literals
        return None
    try:
        return _from_number(int(text) if text.isdecimal() else float(text), unit)
    except ValueError:
        return _from_iso(text)


def _from_number(number: float, unit: str) -> float | None:
    if not 0 < number < _NUMBER_MAX:
        return None
    if unit != "auto":
        return _in_range(number / _PER_SECOND[unit])
    for limit, per_second in _AUTO:
        if number < limit:
            return _in_range(number / per_second)
    return None


def _from_iso(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return _in_range(time.timestamp())


def _in_range(time_s: float) -> float | None:
    # Zero is a device whose clock was never set. NaN fails both comparisons.
    return time_s if 0 < time_s < TIME_MAX_S else None
