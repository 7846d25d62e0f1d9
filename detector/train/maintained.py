"""Which records of a dataset nobody should learn from, for they are of planned maintenance."""

from __future__ import annotations

import numpy as np

from detector.planner import Planner
from detector.stream.definition import Definition
from detector.stream.nouns import Bools
from detector.stream.selector import Selectors
from detector.train.dataset import Dataset


def maintained(dataset: Dataset, definition: Definition, planner: Planner) -> Bools:
    """Return which records are of entities in maintenance at their time, `(records,)`.

    Raises:
        CalendarError: An event of a calendar makes no sense in the time of the data.
    """
    found = np.zeros(len(dataset.time_s), bool)
    if not len(found):
        return found
    first_s, last_s = float(dataset.time_s[0]), float(dataset.time_s[-1])
    for one, spans in planner.spans(definition, first_s, last_s + 1.0):
        selectors = Selectors(definition.entity, [one.match])
        fits = np.array([bool(selectors.fitting(entity)) for entity in dataset.entities])
        within = np.zeros(len(found), bool)
        for span in spans:  # records are in time order
            within[slice(*np.searchsorted(dataset.time_s, span))] = True
        found |= within & fits[dataset.entity]
    return found
