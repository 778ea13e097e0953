"""Masks: quotas by hand, zeros never, keyed by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from annatac.corpus import collate, keyed_uniform
from annatac.model import MASK_CLASS
from annatac.train.masking import choose_masked, mask_batch

KEY = {"rate": 0.15, "replace_rate": 0.9, "seed": 0, "epoch": 1}


def n_masked(classes: list[int], rate: float = 0.15) -> list[int]:
    """Number of masked tokens of each class 1..5 of one cell."""
    values = torch.tensor([classes], dtype=torch.int64)
    draws = torch.rand(values.shape, generator=torch.Generator().manual_seed(0))
    chosen = choose_masked(values, draws, rate=rate)
    return torch.bincount(values[chosen], minlength=6)[1:].tolist()


@pytest.mark.parametrize(
    ("counts", "masked"),
    [
        # 15 % of 100 = 15, over 3 classes: 5 each; class 3 gives half of its 4 and nobody makes up for it
        ((60, 36, 4, 0, 0), [5, 5, 2, 0, 0]),
        # one class: all 15
        ((100, 0, 0, 0, 0), [15, 0, 0, 0, 0]),
        # 15 % of 50 = 7.5 over 5 classes = 1.5: 2 each, but a lone token is never masked
        ((43, 3, 2, 1, 1), [2, 1, 1, 0, 0]),
        # too few: 15 % of 3 is less than one, one is taken
        ((3, 0, 0, 0, 0), [1, 0, 0, 0, 0]),
        ((1, 0, 0, 0, 0), [0, 0, 0, 0, 0]),
        ((0, 0, 0, 0, 0), [0, 0, 0, 0, 0]),
    ],
)
def test_quotas_by_hand(counts, masked):
    assert n_masked([c for c, n in enumerate(counts, start=1) for _ in range(n)]) == masked


def test_the_lowest_draws_are_masked_cell_by_cell():
    classes = torch.tensor([[1, 1, 2, 2, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    draws = torch.tensor([[0.9, 0.1, 0.5, 0.6, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0], [0.0, 0.1, 0.2, 0.3, 0.4]])
    chosen = choose_masked(classes, draws, rate=0.5)
    # cell 0: 2 masked, one a class; cell 1: half of its only class; cell 2 has none
    assert chosen.long().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_never_more_than_half_of_a_class_and_as_many_of_each(tokens):
    cells, _ = tokens
    batch = collate(cells, np.arange(cells.shape[0]))
    _, chosen_BN = mask_batch(batch, np.arange(cells.shape[0]), **(KEY | {"rate": 0.4}))
    for row in range(cells.shape[0]):
        classes = batch.classes_BN[row][batch.real_BN[row]].numpy()
        count = np.bincount(classes, minlength=6)[1:]
        masked = np.bincount(batch.classes_BN[row][chosen_BN[row]].numpy(), minlength=6)[1:]
        assert (masked <= count // 2).all()
        quota = masked[masked < count // 2]  # where the cap did not bind, all classes give alike
        assert len(set(quota.tolist())) <= 1
        if quota.size:
            assert quota[0] == np.ceil(0.4 * count.sum() / (count > 0).sum())


def test_zeros_and_padding_are_never_masked(tokens):
    cells, _ = tokens
    batch = collate(cells, np.arange(cells.shape[0]))
    masked, chosen_BN = mask_batch(batch, np.arange(cells.shape[0]), **KEY)
    assert not (~batch.real_BN).logical_and(chosen_BN).any()
    dense, before = masked.dense(cells.shape[1]), batch.dense(cells.shape[1])
    assert (dense.classes_BN[before.classes_BN == 0] == 0).all()
    replaced = masked.classes_BN == MASK_CLASS
    assert not (replaced & ~chosen_BN).any(), "the mask token stands only where a token is to be told"
    assert torch.equal(masked.classes_BN[~replaced], batch.classes_BN[~replaced]), "the others stay"
    assert torch.equal(masked.n_open_B, batch.n_open_B)
    assert not (batch.classes_BN == MASK_CLASS).any(), "the batch given is left as it was"


def test_nine_in_ten_are_replaced(tokens):
    cells, _ = tokens
    rows = np.arange(cells.shape[0])
    shares, masks = [], []
    for epoch in range(12):
        masked, chosen_BN = mask_batch(collate(cells, rows), rows, **(KEY | {"epoch": epoch}))
        shares.append(((masked.classes_BN == MASK_CLASS).sum(), chosen_BN.sum()))
        masks.append(chosen_BN)
    n_replaced, n_chosen = np.array(shares).sum(0)
    assert n_chosen > 5000
    assert n_replaced / n_chosen == pytest.approx(0.9, abs=0.015)
    assert not torch.equal(masks[0], masks[1]), "every epoch masks anew"
    all_replaced, chosen_BN = mask_batch(collate(cells, rows), rows, **(KEY | {"replace_rate": 1.0}))
    assert torch.equal(all_replaced.classes_BN == MASK_CLASS, chosen_BN)


def test_masks_are_keyed_by_cell(tokens):
    cells, _ = tokens

    def masked_islands(rows: list[int], **key) -> dict[int, list[int]]:
        batch = collate(cells, np.array(rows))
        _, chosen_BN = mask_batch(batch, np.array(rows), **(KEY | key))
        return {r: batch.islands_BN[i][chosen_BN[i]].tolist() for i, r in enumerate(rows)}

    together = masked_islands(list(range(120)))
    assert masked_islands([70, 3]) == {70: together[70], 3: together[3]}
    assert masked_islands([3], seed=1)[3] != together[3]
    assert masked_islands([3], epoch=2)[3] != together[3]
    assert together[3] != together[4]


def test_masking_and_replacing_are_independent():
    items = np.arange(5000)
    a, b = (keyed_uniform(name, 0, 1, 7, items) for name in ("mask", "replace"))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05
