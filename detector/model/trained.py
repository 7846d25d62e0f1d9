"""What a network was trained on: said in a manifest, read back, and held against what is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

from detector.stream.definition import BITS_AUTO, SILENCE_AUTO, Definition, Signal

FIXED = ("kind", "bits", "aggregate", "words", "scale", "offset")
"""What training fixes of a signal; direction, policy, highest rate and unit may be turned without it.
Bits are fixed where both sides say them: those that are found out are the true ones."""
UNTRAINED = {"field", "unit", "rate_max_field", "rate_max_scale", "policy"}
"""What a manifest does not say of a signal: where a payload had it, what people call it and want of it."""
OMITTED = {"bits": BITS_AUTO, "words": (), "scale": 1.0, "offset": 0.0}
"""What a manifest says of a signal only where it is not this, as manifests that know nothing of it do."""


def described(definition: Definition) -> dict[str, Any]:
    """Return the entry `stream` of a manifest."""
    return {
        "name": definition.name,
        "step_s": definition.step_s,
        "window_steps": definition.window_steps,
        "refresh_s": definition.refresh_s,
        "signals": [_described(signal) for signal in definition.signals],
    }


def _described(signal: Signal) -> dict[str, Any]:
    said = {name: value for name, value in asdict(signal).items() if name not in UNTRAINED and value != inf}
    said = {name: value for name, value in said.items() if value != OMITTED.get(name)}
    return said | ({"words": dict(signal.words)} if signal.words else {})


def definition_of(manifest: Mapping[str, Any]) -> Definition:
    """Return the definition that a network was trained on, with defaults for the rest."""
    stream = manifest["stream"]
    step_s = float(stream["step_s"])
    return Definition(
        name=str(stream["name"]),
        entity=tuple(manifest["entity"]),
        signals=tuple(_signal(signal) for signal in stream["signals"]),
        step_s=step_s,
        window_steps=int(stream["window_steps"]),
        lateness_s=step_s,
        refresh_s=float(stream["refresh_s"]),
        silence_s=SILENCE_AUTO,
        expire_s=86400.0,
    )


def _signal(said: Mapping[str, Any]) -> Signal:
    words = tuple(sorted(said.get("words", {}).items()))
    return Signal(**{**said, "words": words, "field": said["name"]})


def differences(manifest: Mapping[str, Any], definition: Definition) -> list[str]:
    """Return in words where a stream's definition is not what a network was trained on."""
    trained = definition_of(manifest)
    lines = [
        f"{key}: bundle {getattr(trained, key)!r}, settings {getattr(definition, key)!r}"
        for key in ("step_s", "window_steps")
        if getattr(trained, key) != getattr(definition, key)
    ]
    if trained.entity != definition.entity:
        lines.append(f"entity: bundle {list(trained.entity)}, settings {list(definition.entity)}")
    return lines + _different_signals(trained.signals, definition.signals)


def _different_signals(trained: Sequence[Signal], asked: Sequence[Signal]) -> list[str]:
    old, new = ({signal.name: signal for signal in side} for side in (trained, asked))
    lines = [f"signals.{name}: only in the bundle" for name in old if name not in new]
    lines += [f"signals.{name}: only in the settings" for name in new if name not in old]
    lines += [
        f"signals.{name}.{key}: bundle {_fixed(old[name], key)!r}, settings {_fixed(new[name], key)!r}"
        for name in new
        if name in old
        for key in FIXED
        if _fixed(old[name], key) != _fixed(new[name], key) and not _found_out(key, old[name], new[name])
    ]
    if not lines and list(old) != list(new):
        lines.append(f"signals: the order differs: bundle {list(old)}, settings {list(new)}")
    return lines


def _found_out(key: str, trained: Signal, asked: Signal) -> bool:
    return key == "bits" and BITS_AUTO in (trained.bits, asked.bits)


def _fixed(signal: Signal, key: str) -> Any:
    value = getattr(signal, key)
    return dict(value) if key == "words" else value
