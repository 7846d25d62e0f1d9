"""Whatever comes in whatever order: every sample is accounted for, and the steps are the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.align import Align
from detector.stream.definition import Signal
from tests.support.streams import COUNTER, START_S, definition, samples

SIGNALS = (Signal("sum", aggregate="sum"), COUNTER)
SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 1),
        st.integers(0, 200).map(lambda quarters: quarters / 4),
        st.sampled_from([0.0, 1.0, 0.1, 7e9, -3.5]),
    ),
    min_size=1,
    max_size=40,
)


def drained(align, until_s=1e6):
    return [
        (step, row.tolist(), value[seen].tobytes(), seen.tolist())
        for step, row, value, seen in align.close(START_S + until_s)
        if len(row)
    ]


def fresh(**changed):
    align = Align(definition(*SIGNALS, **changed))
    align.resize(3)
    return align


@given(batches=st.lists(st.tuples(SAMPLES, st.integers(0, 60)), min_size=1, max_size=6))
def test_every_sample_is_used_or_late_or_a_duplicate(batches):
    align = fresh(lateness_s=5.0)
    used = fed = 0
    closing = align._closed

    def counting(due):
        nonlocal used
        used += len(due.row)
        return closing(due)

    align._closed = counting
    for each, until_s in batches:
        fed += len(each)
        align.add(samples(*each))
        drained(align, until_s)
    drained(align)
    assert used + align.late_total + align.duplicates_total == fed


@given(each=SAMPLES, data=st.data())
def test_any_order_and_any_batches_give_the_same_steps_and_duplicates(each, data):
    plain = fresh()
    plain.add(samples(*each))
    shuffled = data.draw(st.permutations(each))
    other = fresh()
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        other.add(samples(*shuffled[:size]))
        shuffled = shuffled[size:]
    assert drained(plain) == drained(other)
    assert plain.duplicates_total == other.duplicates_total


@given(each=SAMPLES)
def test_what_is_reordered_is_what_is_older_than_before_of_the_same_entity(each):
    align = fresh()
    align.add(samples(*each))
    behind, newest = 0, {}
    for row, _, time_s, _ in each:
        behind += time_s < newest.get(row, -np.inf)
        newest[row] = max(time_s, newest.get(row, -np.inf))
    assert align.reordered_total == behind
