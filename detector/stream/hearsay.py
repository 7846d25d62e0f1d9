"""What a stream of devices says of restarts means the parts of those devices too, in a stream of their own.

SNMP tells its uptime once for a device, apart from the tables of its interfaces. So a stream may name another
one whose witnesses it believes: what they tell of an entity is told of all that carry its labels.
"""

from __future__ import annotations

import numpy as np

from detector.stream.nouns import Samples
from detector.stream.pipeline import StreamPipeline


class Hearsay:
    """The way from the witnesses of one stream to the counters of another."""

    def __init__(self, devices: StreamPipeline, parts: StreamPipeline) -> None:
        labels = devices.definition.entity
        self._devices, self._parts = devices, parts
        self._places = tuple(parts.definition.entity.index(label) for label in labels)
        witnesses = devices.definition.witnesses
        first = parts.align.believe(witnesses)
        self._columns = {
            devices.definition.column_of(one.field): first + index for index, one in enumerate(witnesses)
        }

    def tell(self, samples: Samples) -> None:
        """Pass on what is told in samples of the devices."""
        told = samples.take(np.isin(samples.signal, list(self._columns)))
        for row in np.unique(told.row).tolist():
            device = self._devices.roster.entities[row] or ()
            parts = np.array(list(self._parts.roster.sharing(self._places, device)), np.int64)
            if not len(parts):
                continue
            mine = told.take(told.row == row)
            column = np.array([self._columns[signal] for signal in mine.signal.tolist()])
            many = np.tile(np.arange(len(column)), len(parts))
            self._parts.align.overhear(
                Samples(np.repeat(parts, len(column)), column[many], mine.time_s[many], mine.value[many])
            )
