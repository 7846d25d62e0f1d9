"""Writes `tests/data/evaluate/golden.json`: random cases, and what the reference packages say of them.

    pip install TSB_AD==1.5 scikit-learn
    python -m tests.support.golden_metrics

VUS-PR and affiliation are those of TSB-AD (affiliation is the code of its authors), average precision is
that of scikit-learn. The cases are written down with the answers: the tests need neither package.
"""

from pathlib import Path

import numpy as np
import orjson
from sklearn.metrics import average_precision_score
from TSB_AD.evaluation.affiliation.generics import convert_vector_to_events
from TSB_AD.evaluation.affiliation.metrics import pr_from_events
from TSB_AD.evaluation.basic_metrics import basic_metricor

GOLDEN = Path(__file__).parents[1] / "data/evaluate/golden.json"
CASES = 40
THRESHOLDS = 50


def main() -> None:
    """Write the file anew; the same packages write the same one."""
    rng = np.random.default_rng(20)
    GOLDEN.write_bytes(orjson.dumps([_case(rng, number) for number in range(CASES)]) + b"\n")


def _case(rng: np.random.Generator, number: int) -> dict[str, object]:
    steps = int(rng.integers(100, 300))
    label, alarm = _spells(rng, steps, 6, 30), _spells(rng, steps, 8, 40)
    if number % 10 == 0:
        label[:3] = True  # an event that was on before the data
    if number % 10 == 1:
        label[-3:] = True
    # A third of the cases has ties.
    score = np.round(rng.random(steps) + label * rng.random(), 1 if number % 3 == 0 else 4)
    window_steps = int(rng.integers(0, 100))
    vus = basic_metricor().RangeAUC_volume_opt(label.astype(int), score, window_steps, THRESHOLDS)[-1]
    near = pr_from_events(
        convert_vector_to_events(alarm.astype(int)), convert_vector_to_events(label.astype(int)), (0, steps)
    )
    return {
        "label": "".join(map(str, label.astype(int))),
        "alarm": "".join(map(str, alarm.astype(int))),
        "score": score.tolist(),
        "window_steps": window_steps,
        "thresholds": THRESHOLDS,
        "vus_pr": float(vus),
        "average_precision": float(average_precision_score(label, score)),
        "affiliation_precision": near["Affiliation_Precision"],
        "affiliation_recall": near["Affiliation_Recall"],
    }


def _spells(rng: np.random.Generator, steps: int, count_max: int, length_max: int) -> np.ndarray:
    label = np.zeros(steps, bool)
    for _ in range(rng.integers(1, count_max + 1)):
        start = rng.integers(0, steps - 5)
        label[start : start + rng.integers(1, length_max)] = True
    return label


if __name__ == "__main__":
    main()
