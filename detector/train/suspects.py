"""Windows of the training data that look like incidents: they are not learnt from.

Nobody's history is clean. Before anything is learnt, a first pass goes over it with the linear baseline: it
is scored as it would be live, and what has more energy than anything that a budget accepts (`edges.SURE`) is
suspected. The second pass learns from the rest, and so do baselines of errors and the tail of scores.
"""

from __future__ import annotations

import numpy as np

from detector.stream.edges import SURE
from detector.stream.nouns import Bools
from detector.train.calibrate import prior
from detector.train.scales import Scaling
from detector.train.scored import Judged, of_each, raw_scores, scorer_of
from detector.train.timeline import Timeline

SHARE_MAX = 0.1
"""Of an entity's windows: where more are suspected, that is what it is like, and the least are kept."""
PASSES = 2


def suspects(past: Timeline, judged: Judged, learnt: Scaling) -> Bools:
    """Return which windows are suspected, `(windows,)`."""
    found = np.zeros(len(judged.end), bool)
    for _ in range(PASSES):
        scorer = scorer_of(past, prior(past, judged, learnt, ~found))
        raw = raw_scores(past, judged, scorer, ~found)
        for mine in of_each(judged.entity).values():
            found[mine] |= raw[mine] > max(np.log(SURE), float(np.quantile(raw[mine], 1.0 - SHARE_MAX)))
    return found
