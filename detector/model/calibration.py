"""The calibration as a file: arrays in an `.npz`, checked on the way out and on the way in, never pickled."""

from __future__ import annotations

import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from detector.stream.nouns import Entity
from detector.stream.score import Calibration

ARRAYS = tuple(field.name for field in fields(Calibration) if field.name != "entities")
DIVISORS = frozenset(name for name in ARRAYS if name.endswith(("scale", "edge")))

# What numpy and zipfile raise on a file that is no npz, is cut off, packed in another way or pickled.
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error)


def write(file: Path, calibration: Calibration) -> None:
    """Write the arrays of a calibration; its entities are the manifest's.

    Raises:
        ValueError: The shapes do not fit, or a number is not finite or no divisor.
    """
    arrays: dict[str, Any] = {name: np.asarray(getattr(calibration, name)) for name in ARRAYS}
    _check(arrays, len(calibration.entities), arrays["pool_center"].size)
    np.savez(file, **arrays)


def read(file: Path, entities: tuple[Entity, ...], signals: int) -> Calibration:
    """Return the calibration of entities with so many signals.

    Raises:
        ValueError: The file is unreadable, or not such a calibration.
    """
    try:
        # Opened here, for numpy leaves a file open that turns out to be no npz.
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as data:
            arrays = {name: data[name] for name in ARRAYS}
    except _UNREADABLE as error:
        raise ValueError(f"unreadable: {error}") from None
    _check(arrays, len(entities), signals)
    pool_edge = float(arrays.pop("pool_edge"))
    return Calibration(entities=entities, pool_edge=pool_edge, **arrays)


def _check(arrays: dict[str, Any], entities: int, signals: int) -> None:
    for name, array in arrays.items():
        shape: tuple[int, ...] = () if name.endswith("edge") else (signals,)
        if not name.startswith("pool_"):
            shape = (entities, *shape)
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} is not {shape} finite numbers")
        if name in DIVISORS and not (array > 0).all():
            raise ValueError(f"{name} is not positive")
