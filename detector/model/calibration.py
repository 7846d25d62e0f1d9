"""The calibration as a file: arrays in an `.npz`, checked on the way out and on the way in, never pickled."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from detector.model.arrays import read_arrays
from detector.stream.calibration import Calibration, Days, Tail
from detector.stream.nouns import Entity

SHAPES: dict[str, tuple[str, ...]] = {
    "peers": ("peers", "signals", "signals"),
    "pool_peers": ("signals", "signals"),
    "whitening": ("signals", "signals"),
    "least_past": ("signals",),
    "least_peers": ("signals",),
    "typical": ("entities",),
    "known_steps": ("entities",),
    "pool_typical": (),
    "history_s": (),
    "tail_level": ("tails",),
    "tail_rate": ("tails",),
    "tail_scale": ("tails",),
    "tail_shape": (),
    "days_level": ("entities", "signals"),
    "days_furthest": ("signals",),
}
"""Of those that are not `(entities, signals)`, or `(signals,)` with the prefix `pool_`."""
POSITIVE = frozenset({"scale", "error_scale", "pool_scale", "pool_error_scale", "least_past", "least_peers"})
POSITIVE |= {"tail_rate", "tail_scale", "history_s", "days_furthest"}
MAY_BE_NAN = frozenset({"days_level"})
ARRAYS = (
    *(field.name for field in fields(Calibration) if field.name not in {"entities", "tail", "days"}),
    *(f"tail_{field.name}" for field in fields(Tail)),
)
DAYS = tuple(f"days_{field.name}" for field in fields(Days))
"""There where the training was long enough to know how days differ."""


def write(file: Path, calibration: Calibration) -> None:
    """Write the arrays of a calibration; its entities are the manifest's.

    Raises:
        ValueError: The shapes do not fit, or a number is not finite or has to be positive and is not.
    """
    arrays = {
        name: np.asarray(
            getattr(calibration.tail, name.removeprefix("tail_"))
            if name.startswith("tail_")
            else getattr(calibration, name)
        )
        for name in ARRAYS
    }
    if calibration.days is not None:
        arrays |= {name: getattr(calibration.days, name.removeprefix("days_")) for name in DAYS}
    _check(arrays, len(calibration.entities), arrays["pool_center"].size)
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy declares the names of its own arguments only


def read(file: Path, entities: tuple[Entity, ...], signals: int) -> Calibration:
    """Return the calibration of entities with so many signals.

    Raises:
        ValueError: The file is unreadable, or not such a calibration.
    """
    arrays = read_arrays(file, ARRAYS, DAYS)
    _check(arrays, len(entities), signals)
    given: dict[str, Any] = {
        name: float(array) if array.shape == () else array for name, array in arrays.items()
    }
    tail = Tail(**{field.name: given.pop(f"tail_{field.name}") for field in fields(Tail)})
    days = Days(*(given.pop(name) for name in DAYS)) if DAYS[0] in given else None
    return Calibration(entities=entities, tail=tail, days=days, **given)


def _check(arrays: dict[str, Any], entities: int, signals: int) -> None:
    # Peers of all entities, or of none; tails of one at least.
    sizes = {"entities": entities, "signals": signals}
    sizes["peers"] = min(len(arrays["peers"]), entities) if arrays["peers"].ndim else 0
    sizes["tails"] = max(arrays["tail_level"].size, 1)
    if sizes["peers"] not in {0, entities}:
        raise ValueError(f"peers is of {sizes['peers']} of {entities} entities")
    for name, array in arrays.items():
        pooled = ("signals",) if name.startswith("pool_") else ("entities", "signals")
        shape = tuple(sizes[axis] for axis in SHAPES.get(name, pooled))
        whole = array.shape == shape and array.dtype.kind == "f"
        if not (whole and (np.isfinite(array) | (np.isnan(array) & (name in MAY_BE_NAN))).all()):
            raise ValueError(f"{name} is not {shape} finite numbers")
        if name in POSITIVE and not (array > 0).all():
            raise ValueError(f"{name} is not positive")
