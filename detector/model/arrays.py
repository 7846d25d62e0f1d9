"""Arrays in an `.npz`, loaded without pickle, whatever bytes the file has."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

# What numpy and zipfile raise on a file that is no npz, is cut off, packed in another way or pickled.
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error)


def read_arrays(file: Path, names: Iterable[str], together: Sequence[str] = ()) -> dict[str, Any]:
    """Return the arrays of these names, and those that are there `together` or not at all.

    Raises:
        ValueError: The file is unreadable, or one is missing.
    """
    try:
        # Opened here, for numpy leaves a file open that turns out to be no npz.
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as data:
            further = together if any(name in data for name in together) else ()
            return {name: data[name] for name in (*names, *further)}
    except _UNREADABLE as error:
        raise ValueError(f"unreadable: {error}") from None
