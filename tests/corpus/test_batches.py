"""Batches: every cell once, like depth, a budget of tokens; collate against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from annatac.config import Recipe
from annatac.corpus import collate, plan_batches
from annatac.corpus.batches import (
    POOL,
    TOKEN_BUDGET,
    CellsOnDevice,
    flat_tokens,
    in_order_of_depth,
    padded,
    thinned,
)


def random_tokens(n_cells: int, n_islands: int, seed: int, share: float = 0.3) -> sp.csr_matrix:
    random = np.random.default_rng(seed)
    dense = random.integers(1, 6, (n_cells, n_islands)) * (random.random((n_cells, n_islands)) < share)
    return sp.csr_matrix(dense.astype(np.uint8))


# ------------------------------------------------------------------------------------------- plans


@given(
    n_cells=st.integers(0, 300), batch_size=st.integers(1, 400), budget=st.integers(1, 5000),
    seed=st.integers(0, 5), epoch=st.integers(0, 3),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_cell_once_within_size_and_budget(n_cells, batch_size, budget, seed, epoch):
    random = np.random.default_rng(seed)
    rows = random.permutation(1000)[:n_cells]
    n_open = random.integers(0, 400, n_cells)
    open_of = dict(zip(rows.tolist(), n_open.tolist(), strict=True))
    batches = plan_batches(rows, n_open, batch_size=batch_size, seed=seed, epoch=epoch, token_budget=budget)
    assert sorted(row for batch in batches for row in batch) == sorted(rows)
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        n_tokens = len(batch) * max(open_of[row] for row in batch.tolist())
        assert len(batch) == 1 or n_tokens <= budget
    again = plan_batches(rows, n_open, batch_size=batch_size, seed=seed, epoch=epoch, token_budget=budget)
    assert [b.tolist() for b in again] == [b.tolist() for b in batches]


def test_epochs_and_seeds_differ():
    n_open = np.random.default_rng(0).integers(50, 100, 640)
    plans = [
        [batch.tolist() for batch in plan_batches(np.arange(640), n_open, batch_size=64, seed=s, epoch=e)]
        for s, e in ((0, 0), (0, 1), (1, 0))
    ]
    assert plans[0] != plans[1] != plans[2] != plans[0]
    # not only the order of the batches: their members differ too
    members = [{frozenset(batch) for batch in plan} for plan in plans]
    assert members[0] != members[1]


def test_a_batch_larger_than_the_data_holds_all():
    batches = plan_batches(np.array([7, 3, 5]), np.array([1, 2, 3]), batch_size=64, seed=0, epoch=0)
    assert len(batches) == 1
    assert sorted(batches[0]) == [3, 5, 7]


def test_more_cells_than_a_pool():
    n = 2 * POOL + 100
    n_open = np.random.default_rng(0).integers(0, 50, n)
    batches = plan_batches(np.arange(n), n_open, batch_size=500, seed=0, epoch=0)
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(n))


def _padding(batches: list[np.ndarray], n_open: np.ndarray) -> float:
    computed = sum(len(batch) * max(1, n_open[batch].max()) for batch in batches)
    return 1 - n_open[np.concatenate(batches)].sum() / computed


@pytest.mark.dataset("granja2019_bmmc_d6t1")
def test_little_of_real_batches_is_padding(dataset):
    n_open = np.diff(dataset("granja2019_bmmc_d6t1").X.indptr)
    batch_size = Recipe.load("default").finetune.batch_size
    for epoch in range(3):
        batches = plan_batches(np.arange(len(n_open)), n_open, batch_size=batch_size, seed=0, epoch=epoch)
        assert _padding(batches, n_open) <= 0.10
        assert max(len(batch) * n_open[batch].max() for batch in batches) <= TOKEN_BUDGET
    unsorted = np.array_split(np.random.default_rng(0).permutation(len(n_open)), len(batches))
    assert _padding(unsorted, n_open) > 0.4, "random batches would be mostly padding"


def test_little_of_a_block_that_is_annotated_is_padding():
    """Cells as deep as those of a good experiment differ: log-normal, sigma 0.35 to 0.6."""
    for sigma in (0.35, 0.6):
        n_open = np.random.default_rng(0).lognormal(np.log(1500), sigma, 2048).astype(int)
        assert _padding(in_order_of_depth(n_open, batch_size=256), n_open) <= 0.10
        planned = plan_batches(np.arange(2048), n_open, batch_size=64, seed=0, epoch=0)
        assert _padding(planned, n_open) <= 0.10


def test_prediction_meets_every_cell_once_the_deepest_first():
    n_open = np.random.default_rng(0).integers(0, 300, 100)
    batches = in_order_of_depth(n_open, batch_size=16, token_budget=1000)
    order = np.concatenate(batches)
    assert np.array_equal(np.sort(order), np.arange(100))
    assert (np.diff(n_open[order]) <= 0).all()
    assert all(len(b) == 1 or len(b) * n_open[b].max() <= 1000 for b in batches)
    assert max(map(len, batches)) <= 16


def test_batches_of_prediction_are_as_full_as_the_budget_allows():
    n_open = np.array([3, 40, 7, 100, 40, 12, 33], dtype=np.uint16)
    batches = in_order_of_depth(n_open, batch_size=3, token_budget=90)
    assert [n_open[b].tolist() for b in batches] == [[100], [40, 40], [33, 12], [7, 3]]
    assert [b.tolist() for b in in_order_of_depth(np.zeros(3, dtype=np.int32), batch_size=2)] == [[0, 1], [2]]


def test_no_cell_no_batch():
    assert in_order_of_depth(np.zeros(0, dtype=np.int64), batch_size=4) == []


# ----------------------------------------------------------------------------------------- collate


@given(
    n_cells=st.integers(1, 8), n_islands=st.integers(1, 12), seed=st.integers(0, 20),
    share=st.sampled_from([0.0, 0.3, 1.0]), thin=st.booleans(), data=st.data(),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_collate_is_a_plain_loop(n_cells, n_islands, seed, share, thin, data):
    tokens = random_tokens(n_cells, n_islands, seed, share)
    rows = np.array(data.draw(st.lists(st.integers(0, n_cells - 1), min_size=1, max_size=6)))
    dense = tokens.toarray()
    wanted = [[(i, int(dense[r, i])) for i in range(n_islands) if dense[r, i]] for r in rows]
    keep = None
    if thin:
        kept = [data.draw(st.lists(st.booleans(), min_size=len(c), max_size=len(c))) for c in wanted]
        keep = np.array([k for cell in kept for k in cell], dtype=bool)
        wanted = [[t for t, k in zip(c, ks, strict=True) if k] for c, ks in zip(wanted, kept, strict=True)]
    batch = collate(tokens, rows, keep)
    width = max(1, *(len(cell) for cell in wanted))
    assert batch.islands_BN.shape == batch.classes_BN.shape == batch.real_BN.shape == (len(rows), width)
    for row, cell in enumerate(wanted):
        padding = [0] * (width - len(cell))
        assert batch.islands_BN[row].tolist() == [i for i, _ in cell] + padding
        assert batch.classes_BN[row].tolist() == [c for _, c in cell] + padding
        assert batch.real_BN[row].tolist() == [True] * len(cell) + [False] * len(padding)
        assert batch.n_open_B[row] == max(1, len(cell))


def test_collated_types():
    batch = collate(random_tokens(4, 9, 0), np.arange(4))
    assert batch.islands_BN.dtype == batch.classes_BN.dtype == torch.int64
    assert batch.real_BN.dtype == torch.bool
    assert batch.n_open_B.dtype == torch.float32


def test_cells_without_open_islands_go_everywhere():
    tokens = sp.csr_matrix(np.array([[0, 0, 0], [0, 2, 5], [0, 0, 0]], dtype=np.uint8))
    empty = collate(tokens, np.array([0, 2]))
    assert empty.real_BN.tolist() == [[False], [False]]
    assert empty.n_open_B.tolist() == [1, 1]
    batches = plan_batches(np.arange(3), np.diff(tokens.indptr), batch_size=2, seed=0, epoch=0)
    assert sorted(np.concatenate(batches)) == [0, 1, 2]
    assert sum(len(b) for b in in_order_of_depth(np.diff(tokens.indptr), batch_size=2)) == 3
    keep = thinned(tokens, np.array([0, 2]), most=0.6, seed=0, epoch=0)
    assert keep is not None
    assert keep.shape == (0,)


# ---------------------------------------------------------------------------------------- thinning


def test_thinning_is_keyed_by_cell():
    """A cell is thinned alike in any batch and order, and anew each epoch and seed."""
    tokens = random_tokens(30, 200, 1)

    def kept(rows, **key):
        keep = thinned(tokens, np.asarray(rows), most=0.6, **key)
        batch = collate(tokens, np.asarray(rows), keep)
        return {r: batch.islands_BN[i][batch.real_BN[i]].tolist() for i, r in enumerate(rows)}

    first = kept(range(30), seed=0, epoch=0)
    assert kept([7, 3], seed=0, epoch=0) == {7: first[7], 3: first[3]}
    assert kept([3], seed=0, epoch=1)[3] != first[3]
    assert kept([3], seed=1, epoch=0)[3] != first[3]


def test_thinning_takes_a_random_share_up_to_the_most():
    tokens = random_tokens(400, 500, 2, share=1.0)
    rows = np.arange(400)
    keep = thinned(tokens, rows, most=0.6, seed=0, epoch=0)
    assert keep is not None
    lost = 1 - keep.reshape(400, 500).mean(1)
    assert lost.max() < 0.6 + 0.08  # five standard deviations of 500 draws
    assert lost.min() < 0.02
    assert lost.mean() == pytest.approx(0.3, abs=0.03)
    assert thinned(tokens, rows, most=0.0, seed=0, epoch=0) is None


def test_flat_tokens_takes_rows_in_the_order_given():
    tokens = sp.csr_matrix(np.array([[1, 0, 2], [0, 0, 0], [0, 3, 0]], dtype=np.uint8))
    islands, classes, lengths = flat_tokens(tokens, np.array([2, 1, 0, 2]))
    assert islands.tolist() == [1, 0, 2, 1]
    assert classes.tolist() == [3, 1, 2, 3]
    assert lengths.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("rows", [[0, 2], [5, 3, 3, 9], [1], []])
def test_padding_where_the_tokens_lie_is_the_same(rows):
    tokens = random_tokens(10, 40, 0)
    tokens[1] = 0
    tokens.eliminate_zeros()
    rows = np.asarray(rows, dtype=np.int64)
    wanted = collate(tokens, rows)
    islands, classes, lengths = (torch.from_numpy(each) for each in flat_tokens(tokens, rows))
    got = padded(islands, classes, lengths.cumsum(0) - lengths, lengths, wanted.islands_BN.shape[1])
    for name, value in vars(wanted).items():
        assert torch.equal(getattr(got, name), value), name
        assert getattr(got, name).dtype == value.dtype


@pytest.mark.parametrize("rows", [[0, 2], [5, 3, 3, 9], [1], []])
def test_batches_picked_on_a_device_are_the_same(rows):
    tokens = random_tokens(10, 40, 0)
    tokens[1] = 0
    tokens.eliminate_zeros()
    rows = np.asarray(rows, dtype=np.int64)
    wanted, got = collate(tokens, rows), CellsOnDevice(tokens, "cpu").batch(rows)
    for name, value in vars(wanted).items():
        assert torch.equal(getattr(got, name), value), name
        assert getattr(got, name).dtype == value.dtype


def test_batches_of_prediction_keep_to_their_limits():
    n_open = np.random.default_rng(0).lognormal(7, 0.5, 500).astype(int)
    plain = in_order_of_depth(n_open, batch_size=64, token_budget=20_000)
    alike = in_order_of_depth(n_open, batch_size=64, token_budget=20_000, alike=0.85)
    seen = in_order_of_depth(n_open, batch_size=64, token_budget=20_000, max_open=512, alike=0.85)
    for batches, counted in ((plain, n_open), (alike, n_open), (seen, np.minimum(n_open, 512))):
        assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(500))
        for rows in batches:
            assert len(rows) == 1 or len(rows) * counted[rows].max() <= 20_000
            assert len(rows) <= 64
    assert all(n_open[rows].min() >= 0.85 * n_open[rows].max() for rows in alike)
    assert len(seen) < len(plain) < len(alike)
    assert in_order_of_depth(np.zeros(0, dtype=int), batch_size=4) == []
    assert [len(rows) for rows in in_order_of_depth(np.zeros(5, dtype=int), batch_size=4, alike=0.85)] == [
        4,
        1,
    ]
