from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annatac.errors import ConfigError, LabelError
from annatac.pp import group_split, stratified_split


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6).filter(lambda sizes: max(sizes) > 1),
    st.floats(0.05, 0.6),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_stratified(sizes, fraction, seed):
    labels = np.random.default_rng(0).permutation(np.repeat([f"t{i}" for i in range(len(sizes))], sizes))
    train, held = stratified_split(labels, fraction, seed)
    assert sorted([*train, *held]) == list(range(len(labels)))
    for i, size in enumerate(sizes):
        n_held = int((labels[held] == f"t{i}").sum())
        assert n_held == (0 if size == 1 else min(max(round(fraction * size), 1), size - 1))


def test_the_seed_decides():
    labels = np.repeat(["a", "b"], 50)
    first, again, other = (stratified_split(labels, 0.2, seed)[1] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_order_of_cells_of_other_types_does_not_matter():
    a = stratified_split(["x"] * 10 + ["y"] * 10, 0.3, 0)[1]
    assert (a < 10).sum() == 3


def test_groups_stay_whole():
    rng = np.random.default_rng(0)
    groups, labels = rng.choice(list("pqrstuvw"), 800), rng.choice(["a", "b", "c"], 800)
    train, held = group_split(labels, groups, 0.25, 0)
    assert not set(groups[train]) & set(groups[held])
    assert sorted([*train, *held]) == list(range(800))
    assert len(held) == pytest.approx(200, abs=30)
    assert group_split(labels, groups, 0.25, 0)[1].tolist() == held.tolist()


def test_a_type_of_one_donor_stays_in_training():
    groups = np.repeat(["d1", "d2", "d3"], 20)
    labels = np.array((["a", "b"] * 10) + (["a", "b"] * 10) + (["a", "only"] * 10))
    _, held = group_split(labels, groups, 0.33, 0)
    assert set(groups[held]) < {"d1", "d2"}


def test_many_groups():
    groups = np.repeat(np.arange(40), 5)
    labels = np.tile(["a", "b", "c", "d", "e"], 40)
    train, held = group_split(labels, groups, 0.1, 3)
    assert not set(groups[train]) & set(groups[held])
    assert 5 <= len(held) <= 40


def test_bad_input():
    with pytest.raises(ConfigError, match=r"fraction is 1\.5"):
        stratified_split(["a", "a"], 1.5, 0)
    with pytest.raises(LabelError, match="none of the 2 types has two cells"):
        stratified_split(["a", "b"], 0.5, 0)
    with pytest.raises(LabelError, match="two batches or more, found 1"):
        group_split(["a", "b"], ["x", "x"], 0.5, 0)
    with pytest.raises(LabelError, match="1 cells have no batch"):
        group_split(["a", "b", "a"], ["x", "y", None], 0.5, 0)
