"""What an operator says of some entities: the `[[streams.policies]]` of the settings file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from detector.message_settings import Part, SignalSettings, check_range
from detector.stream.definition import Policy, SignalPolicy

Selector = dict[str, Annotated[str, Field(min_length=1, max_length=256)]]
"""Globs by label; no label is longer, or empty."""
POLICIES_MAX = 256
"""Of a stream: each costs a look at every new text of a label that it asks for."""


class SignalPolicySettings(Part):
    """How a signal of some entities is judged; an infinite bound is none."""

    direction: Literal["both", "above", "below"] | None = None
    deviation_min: float | None = Field(None, ge=0)
    deviation_min_ratio: float | None = Field(None, ge=0, le=1000)
    valid_min: float | None = Field(None, allow_inf_nan=True)
    valid_max: float | None = Field(None, allow_inf_nan=True)
    weight: float | None = Field(None, ge=0, le=1000)

    @field_validator("valid_min", "valid_max")
    @classmethod
    def _bound_is_a_number(cls, value: float | None) -> float | None:
        if value is not None and math.isnan(value):
            raise ValueError("not a number")
        return value

    @model_validator(mode="after")
    def _range_holds_something(self) -> Self:
        check_range(self.valid_min, self.valid_max)
        return self

    def policy(self) -> SignalPolicy:
        """Return the core's noun."""
        return SignalPolicy(**self.model_dump())


class PolicySettings(Part):
    """How some entities of a stream are judged."""

    match: Selector = Field({})
    mute: bool | None = None
    budget: float | None = Field(None, gt=0, le=10_000)
    signals: dict[str, SignalPolicySettings] = Field({})

    def policy(self) -> Policy:
        """Return the core's noun."""
        return Policy(
            match=tuple(self.match.items()),
            signals=tuple((name, signal.policy()) for name, signal in self.signals.items()),
            mute=self.mute,
            budget=self.budget,
        )

    def idle(self, entity: Sequence[str], signals: Mapping[str, SignalSettings]) -> Iterator[str]:
        """Yield which keys make no sense in a stream, and why."""
        yield from (
            f"match: {label!r} is no label of the entity" for label in self.match.keys() - set(entity)
        )
        if not (self.signals or self.given("mute") or self.given("budget")):
            yield "match: of these entities nothing is said"
        for name, said in self.signals.items():
            if name not in signals:
                yield f"signals: {name!r} is no signal of the stream"
            elif said == SignalPolicySettings():
                yield f"signals.{name}: nothing is said"
            elif _is_empty(said, signals[name]):
                yield f"signals.{name}: with the range of the stream, valid_min is above valid_max"


def idle_keys(
    policies: Sequence[PolicySettings], entity: Sequence[str], signals: Mapping[str, SignalSettings]
) -> Iterator[str]:
    """Yield which keys of policies make no sense in a stream of these labels and signals, and why."""
    for index, policy in enumerate(policies):
        yield from (f"policies.{index}.{why}" for why in policy.idle(entity, signals))


def _is_empty(said: SignalPolicySettings, stream: SignalSettings) -> bool:
    low = stream.valid_min if said.valid_min is None else said.valid_min
    high = stream.valid_max if said.valid_max is None else said.valid_max
    return low is not None and high is not None and low > high
