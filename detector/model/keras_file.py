"""A Keras network as a file that is the same, to the byte, whenever the same network is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

METADATA, CONFIG = "metadata.json", "config.json"
SHARED = "shared_object_id"
"""What Keras has their addresses for."""


@dataclass(frozen=True, slots=True)
class KerasNetwork:
    """A network that `bundle.save` can write."""

    network: Any

    def save(self, path: Path) -> None:
        """Write it as `.keras`: what Keras writes, without the time and the addresses in memory."""
        self.network.save(path)
        with ZipFile(path) as written:
            parts = {name: written.read(name) for name in sorted(written.namelist())}
        metadata = json.loads(parts[METADATA])
        metadata.pop("date_saved", None)
        parts[METADATA] = json.dumps(metadata, sort_keys=True).encode()
        parts[CONFIG] = json.dumps(_numbered(json.loads(parts[CONFIG]), {})).encode()
        with ZipFile(path, "w", ZIP_STORED) as file:
            for name, content in parts.items():
                file.writestr(ZipInfo(name), content)  # all of the first of January 1980


def _numbered(told: Any, numbers: dict[int, int]) -> Any:
    """Return a configuration in which objects that are shared have numbers in their order."""
    if isinstance(told, list):
        return [_numbered(one, numbers) for one in told]
    if not isinstance(told, dict):
        return told
    return {
        name: numbers.setdefault(one, len(numbers)) if name == SHARED else _numbered(one, numbers)
        for name, one in told.items()
    }
