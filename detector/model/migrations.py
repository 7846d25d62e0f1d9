"""Manifests of earlier formats, brought to the present one when they are read; files stay as they are.

1  one error, and an edge for each entity        } another calibration: nothing can make the present one of
2, 3  tails without days, filters of other names } it, so these are trained again
4  one architecture, conv1d, without a design
5  a design, how it was chosen, and what the network says of a known window (`probe`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FORMAT = 5
OLDEST = 4


def _from_4(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {**manifest, "design": {}, "selection": {"why": "as was asked for"}}


_STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {4: _from_4}


def migrated(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest in the present format.

    Raises:
        ValueError: It is of a format that this program cannot read; the message says what to do.
    """
    found = manifest.get("format")
    if not isinstance(found, int) or isinstance(found, bool):
        found = 0
    if found > FORMAT:
        raise ValueError(f"format {found}, this program reads up to {FORMAT}: it is of a later one, upgrade")
    if found < OLDEST:
        told = manifest.get("format")
        raise ValueError(f"format {told!r}, this program reads {OLDEST} to {FORMAT}: train it again")
    now = dict(manifest)
    for number in range(found, FORMAT):
        now = _STEPS[number](now)
    return now | {"format": FORMAT}
