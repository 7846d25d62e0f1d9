"""What a manifest has to say; no checksum covers it, so it is checked before anybody relies on it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Name = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, defer_build=True)


class _Signal(_Part):
    model_config = ConfigDict(extra="forbid")

    name: Name
    kind: Literal["gauge", "counter"]
    bits: Literal[32, 64] = 64
    aggregate: Literal["last", "mean", "max", "sum"]
    direction: Literal["both", "above", "below"] = "both"
    rate_max: float = Field(default=math.inf, gt=0, allow_inf_nan=True)
    words: dict[str, float] = {}
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="after")
    def _scales(self) -> Self:
        if self.scale == 0 or (self.kind == "counter" and self.offset != 0):
            raise ValueError("a scale of 0, or an offset of a counter")
        return self


class _Stream(_Part):
    name: Name
    step_s: float = Field(gt=0)
    window_steps: int = Field(gt=0)
    refresh_s: float = Field(ge=0)
    signals: list[_Signal] = Field(min_length=1)


class _Manifest(_Part):
    stream: _Stream
    entity: list[Name] = Field(min_length=1)
    entities: list[list[str]]
    files: dict[str, str]
    trained_s: float
    architecture: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(len(entity) != len(self.entity) for entity in self.entities):
            raise ValueError("entities: one has not a value for each label")
        names = [signal.name for signal in self.stream.signals]
        if len(set(names)) < len(names):
            raise ValueError("stream.signals: a name stands twice")
        return self


def check(manifest: dict[str, Any]) -> list[str]:
    """Return what is wrong with a manifest, the key first; further entries are its own matter."""
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        return [
            ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
            for problem in error.errors(include_url=False)
        ]
    return []
