"""How the program talks: one event a line, as `key=value` pairs or as JSON.

Log lines carry text from the network, so whatever could break a line or forge one is escaped.
"""

from __future__ import annotations

import logging
import math
import numbers
import sys
import time
from datetime import UTC, datetime

import orjson

TIMES = frozenset({"onset_s", "at_s"})
"""Facts that are times since the epoch: a date in text, seconds in JSON."""
TIME_MAX_S = 253_402_300_800.0
"""The year 10000, where `datetime` ends; the clock of the data can come that far."""
WRITTEN_OUT = (1e6, 1e15)
"""Numbers that have more than six digits before the point, and no more than float64 can tell apart."""


def setup(style: str, level: str) -> None:
    """Send all logs to stderr in a style (`text` or `json`)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def say(log: logging.Logger, event: str, level: int = logging.INFO, /, **facts: object) -> None:
    """Log an event with its facts."""
    log.log(level, event, extra={"facts": facts})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        head = f"{stamp}.{int(record.msecs):03d}Z {record.levelname.lower()} {_quoted(record.getMessage())}"
        facts = [_pair(key, value) for key, value in _facts(record).items()]
        lines = [" ".join([head, *facts])]
        if record.exc_info:
            # Indented, so that a message inside of it cannot pass for a line of its own.
            lines += [f"  {_printable(line)}" for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time_s": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": _plain(record.getMessage()),
        }
        if record.exc_info:
            head["exception"] = _plain(self.formatException(record.exc_info))
        facts = {key: _plain(value) for key, value in _facts(record).items()}
        # The head once more, for an entity may have a label of the same name.
        return orjson.dumps(head | facts | head).decode()


def _facts(record: logging.LogRecord) -> dict[str, object]:
    facts: dict[str, object] = getattr(record, "facts", {})
    return facts


def _pair(key: str, value: object) -> str:
    if key in TIMES and isinstance(value, float) and 0 <= value < TIME_MAX_S:
        moment = datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"{key.removesuffix('_s')}={moment}"
    return f"{key}={_quoted(value)}"


def _quoted(value: object) -> str:
    text = _number(value) if isinstance(value, float) else str(value)
    if text.isprintable() and text and not any(char in text for char in ' "=\\'):
        return text
    return orjson.dumps(_encodable(text)).decode()


def _number(value: float) -> str:
    """Six digits, and all before the point: two weeks are 1209600 seconds, not 1.2096e+06."""
    low, high = WRITTEN_OUT
    return f"{value:.0f}" if low <= abs(value) < high else f"{value:.6g}"


def _plain(value: object) -> object:
    """Return what JSON can say of a value: null for NaN, numbers of numpy as numbers, the rest as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral) and abs(int(value)) < 1 << 63:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return float(value) if math.isfinite(value) else None
    return _encodable(str(value))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _printable(line: str) -> str:
    return line if line.isprintable() else line.encode("unicode_escape").decode()
