"""Batches of cells of like depth, so that little of what is computed is padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from annatac.corpus.streams import keyed_uniform
from annatac.model.tokens import TokenBatch

Rows = npt.NDArray[np.int64]

POOL = 16_384  # cells that are sorted by depth together
TOKEN_BUDGET = 131_072  # padded tokens a batch at the most, a guard of memory


def plan_batches(
    rows: Rows,
    n_open: npt.NDArray[np.integer],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    token_budget: int = TOKEN_BUDGET,
) -> list[Rows]:
    """Return this epoch's batches: every cell of ``rows`` once, cells of a batch of like depth.

    Cells are shuffled into pools, sorted by depth within a pool (up to 5 % up or down at random, so that
    batches differ from epoch to epoch), cut into batches of ``batch_size`` and the batches shuffled.
    A batch holds fewer cells where they would pass ``token_budget`` tokens.

    Parameters
    ----------
    rows
        Cells, int64.
    n_open
        Open islands of each of them, in the order of ``rows``.
    """
    random = np.random.default_rng([seed, epoch, 0xBA7C])
    order = random.permutation(len(rows))
    noisy = n_open * (1 + 0.1 * (random.random(len(rows)) - 0.5))
    batches: list[Rows] = []
    n_pools = max(1, round(len(rows) / POOL))
    for pool in np.array_split(order, n_pools):
        pool = pool[np.argsort(noisy[pool], kind="stable")]
        start = 0
        while start < len(pool):
            stop = min(start + batch_size, len(pool))
            while stop > start + 1 and (stop - start) * n_open[pool[start:stop]].max() > token_budget:
                stop = start + (stop - start) // 2
            batches.append(rows[pool[start:stop]])
            start = stop
    return [batches[i] for i in random.permutation(len(batches))]


def in_order_of_depth(
    n_open: npt.NDArray[np.integer], *, batch_size: int, token_budget: int = TOKEN_BUDGET
) -> list[Rows]:
    """Return batches that cover cells 0..n-1 once, sorted by depth: for prediction, nothing random."""
    order = np.argsort(n_open, kind="stable")
    batches, start = [], 0
    while start < len(order):
        stop = min(start + batch_size, len(order))
        while stop > start + 1 and (stop - start) * n_open[order[stop - 1]] > token_budget:
            stop = start + (stop - start) // 2
        batches.append(order[start:stop])
        start = stop
    return batches


def collate(tokens: sp.csr_matrix, rows: Rows, keep: npt.NDArray[np.bool_] | None = None) -> TokenBatch:
    """Return the cells ``rows`` of ``tokens`` (CSR, classes 1..5) as a padded batch.

    ``keep``, one bool for each open island of ``rows`` in order, leaves islands out (thinning).
    """
    islands, classes, lengths = flat_tokens(tokens, rows)
    if keep is not None:
        cell = np.repeat(np.arange(len(rows)), lengths)
        lengths = np.bincount(cell[keep], minlength=len(rows))
        islands, classes = islands[keep], classes[keep]
    width = max(1, int(lengths.max(initial=0)))
    real = np.arange(width) < lengths[:, None]
    padded_islands = np.zeros(real.shape, dtype=np.int64)
    padded_classes = np.zeros(real.shape, dtype=np.int64)
    padded_islands[real] = islands
    padded_classes[real] = classes
    return TokenBatch(
        islands_BN=torch.from_numpy(padded_islands),
        classes_BN=torch.from_numpy(padded_classes),
        real_BN=torch.from_numpy(real),
        n_open_B=torch.from_numpy(np.maximum(lengths, 1).astype(np.float32)),
    )


def flat_tokens(
    tokens: sp.csr_matrix, rows: Rows
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return islands and classes of the cells one after the other, and each cell's number of them."""
    starts = tokens.indptr[rows].astype(np.int64)
    lengths = tokens.indptr[rows + 1].astype(np.int64) - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    where = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return tokens.indices[where], tokens.data[where], lengths


def thinned(
    tokens: sp.csr_matrix, rows: Rows, *, most: float, seed: int, epoch: int
) -> npt.NDArray[np.bool_] | None:
    """Return which open islands to keep, or None for all: each cell loses a random share up to ``most``.

    Augmentation against depth: the same cell is met deep and shallow. Keyed by (seed, epoch, cell).
    """
    if most <= 0:
        return None
    islands, _, lengths = flat_tokens(tokens, rows)
    lost = most * keyed_uniform("thinning share", seed, epoch, rows)
    drawn = keyed_uniform("thinning", seed, epoch, np.repeat(rows, lengths), islands)
    return drawn >= np.repeat(lost, lengths)
