"""Times that an operator says nobody should learn from: incidents, and maintenance that was planned.

FILE.csv    start,end and any of the entity columns, as labels have them; further columns are ignored
FILE.ics    a calendar of maintenance: all entities, in each of its events
FILE.toml   the `[[maintenance]]` of settings, by calendar or cron expression
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detector.edge.calendar import CalendarError
from detector.evaluate import labels
from detector.evaluate.events import covers
from detector.maintenance_settings import MaintenanceSettings
from detector.planner import Planner
from detector.settings import load
from detector.stream.definition import Definition
from detector.stream.nouns import Bools
from detector.train.dataset import Dataset, DatasetError
from detector.train.maintained import maintained


def excluded(dataset: Dataset, definition: Definition, files: Sequence[Path]) -> Bools:
    """Return which records the files say nobody should learn from, `(records,)`.

    Raises:
        DatasetError: A file cannot be read, or is none of these; the message names it.
        SettingsError: Settings in one cannot be used.
    """
    found = np.zeros(len(dataset.time_s), bool)
    for file in files:
        try:
            found |= _excluded(dataset, definition, file)
        except (OSError, CalendarError) as error:
            raise DatasetError(f"{file}: {error}") from None
    return found


def _excluded(dataset: Dataset, definition: Definition, file: Path) -> Bools:
    if file.suffix == ".csv":
        return _told(dataset, definition, file)
    if file.suffix == ".ics":
        return maintained(dataset, definition, Planner([MaintenanceSettings(name="excluded", calendar=file)]))
    if file.suffix == ".toml":
        return maintained(dataset, definition, Planner(load(file).maintenance))
    raise DatasetError(f"{file}: neither .csv nor .ics nor .toml")


def _told(dataset: Dataset, definition: Definition, file: Path) -> Bools:
    """Return the records in the spans of a CSV file."""
    found = np.zeros(len(dataset.time_s), bool)
    named = [dict(zip(definition.entity, entity, strict=True)) for entity in dataset.entities]
    for event in labels.spans(file, definition.entity):
        # Records are in time order; those at the end of a span are in it, as the steps of a label are.
        begin = int(np.searchsorted(dataset.time_s, event.start_s, side="left"))
        end = int(np.searchsorted(dataset.time_s, event.end_s, side="right"))
        fits = np.array([covers(event, one) for one in named])
        found[begin:end] |= fits[dataset.entity[begin:end]]
    return found
