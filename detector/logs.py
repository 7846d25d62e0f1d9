"""How the program talks: one event a line, as `key=value` pairs or as JSON."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import orjson


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
        facts = [f"{key}={_quoted(value)}" for key, value in _facts(record).items()]
        text = " ".join([head, *facts])
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time_s": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _facts(record: logging.LogRecord) -> dict[str, object]:
    facts: dict[str, object] = getattr(record, "facts", {})
    return facts


def _quoted(value: object) -> str:
    """Escape what would break a line or a pair; log lines carry text from the network."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if text.isprintable() and text and not any(char in text for char in ' "=\\'):
        return text
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()
