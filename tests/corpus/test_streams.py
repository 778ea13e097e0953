"""Keyed random numbers: uniform, and a function of (purpose, seed, epoch, cell, item) alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from annatac.corpus import keyed_uniform

KEY = ("mask", 0, 0)


@pytest.mark.parametrize("over", ["items", "cells", "epochs", "seeds"])
def test_uniform_along_every_part_of_the_key(over):
    n = np.arange(20_000)
    values = {
        "items": lambda: keyed_uniform("mask", 0, 0, 5, n),
        "cells": lambda: keyed_uniform("mask", 0, 0, n),
        "epochs": lambda: np.concatenate([keyed_uniform("mask", 0, e, 5, n[:20]) for e in range(1000)]),
        "seeds": lambda: np.concatenate([keyed_uniform("mask", s, 0, 5, n[:20]) for s in range(1000)]),
    }[over]()
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert len(np.unique(values)) > 0.99 * len(values)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03  # neighbours tell nothing


def test_independent_of_batch_and_order():
    cells, items = np.repeat(np.arange(50), 20), np.tile(np.arange(20), 50)
    together = keyed_uniform(*KEY, cells, items)
    order = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(keyed_uniform(*KEY, cells[order], items[order]), together[order])
    assert keyed_uniform(*KEY, 7, 3) == together[7 * 20 + 3]
    grid = keyed_uniform(*KEY, np.arange(50)[:, None], np.arange(20))
    assert grid.shape == (50, 20)
    assert np.array_equal(grid.ravel(), together)


def test_every_part_of_the_key_counts():
    items = np.arange(2000)
    streams = [
        keyed_uniform("mask", 0, 0, 0, items),
        keyed_uniform("thinning", 0, 0, 0, items),
        keyed_uniform("mask", 1, 0, 0, items),
        keyed_uniform("mask", 0, 1, 0, items),
        keyed_uniform("mask", 0, 0, 1, items),
        keyed_uniform("mask", 0, -1, 0, items),
        keyed_uniform("mask", 0, 0, 0, items + 1)[np.random.default_rng(0).permutation(2000)],
    ]
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlation).max() < 0.1


def test_parts_of_the_key_do_not_trade_places():
    assert keyed_uniform("mask", 1, 2, 3, 4) != keyed_uniform("mask", 2, 1, 3, 4)
    assert keyed_uniform("mask", 1, 2, 3, 4) != keyed_uniform("mask", 1, 2, 4, 3)


def test_numbers_that_must_never_change():
    """Models are reproduced from (seed, epoch, cell) alone: a change here changes every model."""
    got = keyed_uniform("mask", 42, 3, np.array([0, 1]), np.array([[0], [9]]))
    assert got.tolist() == [
        [0.18294066190719604, 0.6121283769607544],
        [0.3226723074913025, 0.38982105255126953],
    ]


def test_tensors_have_the_numbers_of_arrays():
    random = np.random.default_rng(0)
    cells, items = random.integers(2**40, size=(50, 1)), random.integers(2**31, size=(50, 30))
    wanted = keyed_uniform("mask", 2**32 - 1, -1, cells, items)
    got = keyed_uniform("mask", 2**32 - 1, -1, torch.from_numpy(cells), torch.from_numpy(items))
    assert np.array_equal(got.numpy(), wanted)
    assert np.array_equal(
        keyed_uniform("mask", 0, 0, torch.from_numpy(cells)).numpy(), keyed_uniform("mask", 0, 0, cells)
    )
