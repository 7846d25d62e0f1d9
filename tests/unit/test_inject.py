"""Faults for judging without labels: where they are, what they do, and that chance decides by seed alone."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from detector.stream.scaling import CLIP
from detector.train.inject import KINDS, LASTS, REST_STEPS, SIZES, inject

ROWS, STEPS, SIGNALS, BEGIN = 12, 3000, 6, 40


def rows(seed=0):
    return np.random.default_rng(seed).normal(0, 0.5, (ROWS, STEPS, SIGNALS)).astype(np.float32)


@pytest.fixture(name="made")
def _made():
    value = rows()
    return value, inject(value, np.ones(value.shape, bool), BEGIN, np.random.default_rng(1))


def test_every_case_comes_as_often_as_any_other(made):
    _, faults = made
    count = Counter((one.kind, one.size) for one in faults)
    assert set(count) == {(kind, size) for kind in KINDS for size in SIZES}
    assert max(count.values()) - min(count.values()) <= 1


def test_faults_rest_between_each_other_and_nothing_else_is_changed(made):
    value, faults = made
    changed = (value != rows()).any(axis=2)
    for row in range(ROWS):
        mine = [one for one in faults if one.row == row]
        within = np.zeros(STEPS, bool)
        assert mine[0].first >= BEGIN
        for one in mine:
            assert one.last - one.first + 1 == LASTS[one.kind]
            within[one.first : one.last + 1] = True
        for one, after in pairwise(mine):
            assert after.first - one.last > REST_STEPS
        assert not (changed[row] & ~within).any()


@pytest.mark.parametrize(
    ("kind", "share"),
    [("spike", 1.0), ("level", 1.0), ("flat", 1.0), ("ramp", 0.5), ("burst", 0.8)],
)
def test_what_is_hit_is_off_by_about_the_size(made, kind, share):
    value, faults = made
    clean = rows()
    for one in faults:
        if one.kind == kind and one.size < max(SIZES):  # those are clipped
            off = np.abs(value - clean)[one.row, one.first : one.last + 1]
            hit = off.max(axis=0) > 1e-6
            assert 1 <= hit.sum() <= SIGNALS // 2
            assert off[:, hit].mean() == pytest.approx(share * one.size, rel=0.6)


def test_a_flat_signal_stands_still(made):
    value, faults = made
    clean = rows()
    for one in faults:
        if one.kind == "flat":
            part = slice(one.first, one.last + 1)
            hit = (value[one.row, part] != clean[one.row, part]).any(axis=0)
            assert np.ptp(value[one.row, part][:, hit], axis=0).max() == 0


def test_nothing_is_beyond_the_clip_and_what_was_never_seen_is_not_hit():
    value, seen = rows(), np.ones((ROWS, STEPS, SIGNALS), bool)
    seen[0], seen[1, :, 2:] = False, False
    faults = inject(value, seen, BEGIN, np.random.default_rng(1))
    assert np.abs(value).max() <= CLIP
    assert 0 not in {one.row for one in faults}
    np.testing.assert_array_equal(value[1, :, 2:], rows()[1, :, 2:])


def test_the_same_seed_makes_the_same_faults():
    one, other, third = rows(), rows(), rows()
    seen = np.ones(one.shape, bool)
    faults = inject(one, seen, BEGIN, np.random.default_rng(1))
    assert inject(other, seen, BEGIN, np.random.default_rng(1)) == faults
    np.testing.assert_array_equal(one, other)
    assert inject(third, seen, BEGIN, np.random.default_rng(2)) != faults


def test_there_is_no_room_for_a_fault_in_a_short_part():
    value = rows()[:, : BEGIN + 1]
    assert inject(value, np.ones(value.shape, bool), BEGIN, np.random.default_rng(1)) == []
