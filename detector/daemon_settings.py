"""Where the daemon answers, how it talks and what it records: the small tables of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from detector.message_settings import Part, Seconds


class HttpSettings(Part):
    """Where `/metrics` and the health pages answer."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(9798, ge=0, le=65535)


class BundleSettings(Part):
    """What every bundle has to be before it is loaded."""

    public_key_file: Path | None = None


class LogSettings(Part):
    """How the daemon talks."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class RecordSettings(Part):
    """Where `detector record` writes."""

    directory: Path = Path("recordings")
    rows_max: int = Field(100_000, ge=100, le=10_000_000)
    flush_s: Seconds = 60.0
    bytes_max: int = Field(100 << 30, ge=1 << 20, le=1 << 60)
    age_max_s: float | None = Field(None, gt=0)
    raw: bool = False
