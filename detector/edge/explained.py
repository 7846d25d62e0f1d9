"""Why an entity is anomalous, as JSON has it: in the API, and in what is published over MQTT."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from detector.edge.snapshot import OpenEpisode
from detector.stream.policy import broken_key


def signals_of(names: Sequence[str], units: Sequence[str], episode: OpenEpisode) -> Iterator[dict[str, Any]]:
    """Yield the signals of an open episode: those that broke a bound, then the one that contributes most."""
    for index in np.lexsort((-episode.contribution, np.isnan(episode.bound))).tolist():
        observed, bound = float(episode.observed[index]), float(episode.bound[index])
        yield {
            "signal": names[index],
            "unit": units[index],
            "contribution": episode.contribution[index],
            "direction": episode.direction[index],
            "observed": episode.observed[index],
            "expected": episode.expected[index],
            "breach": None if math.isnan(bound) else broken_key(observed, bound),
            "bound": bound,
        }
