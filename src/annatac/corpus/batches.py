"""Batches of cells of like depth, so that little of what is computed is padding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from annatac.corpus.cells import Cells, Flat, Rows, as_cells
from annatac.corpus.streams import keyed_uniform
from annatac.model.tokens import TokenBatch, sent

POOL = 16_384  # cells that are sorted by depth together
POOL_TOKENS = 2**25  # of a pool that is read from disk at the most: 168 MB
TOKEN_BUDGET = 131_072  # padded tokens a batch at the most, a guard of memory


def plan_batches(
    rows: Rows,
    n_open: npt.NDArray[np.integer],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    token_budget: int = TOKEN_BUDGET,
    block: int = 1,
) -> list[Rows]:
    """Return this epoch's batches: every cell of ``rows`` once, cells of a batch of like depth.

    Cells are shuffled into pools, sorted by depth within a pool (up to 5 % up or down at random, so that
    batches differ from epoch to epoch), cut into batches of ``batch_size`` and the batches shuffled.
    A batch holds fewer cells where they would pass ``token_budget`` tokens.

    With ``block`` over 1, whole blocks of so many consecutive cells are shuffled into pools, and the batches
    of a pool follow each other: reading in this order, no more than a pool needs to be held.

    Parameters
    ----------
    rows
        Cells, int64.
    n_open
        Open islands of each of them, in the order of ``rows``.
    block
        :attr:`Cells.block <annatac.corpus.cells.Cells>`: 1 for cells in memory.
    """
    random = np.random.default_rng([seed, epoch, 0xBA7C])
    if block > 1:
        pools = _block_pools(rows, n_open, block, random)
        noisy = _noisy(n_open, random)
        per_pool = [_cut(rows, n_open, noisy, pool, batch_size, token_budget) for pool in pools]
        return [batches[i] for batches in per_pool for i in random.permutation(len(batches))]
    order = random.permutation(len(rows))
    noisy = _noisy(n_open, random)
    n_pools = max(1, round(len(rows) / POOL))
    batches = [
        batch
        for pool in np.array_split(order, n_pools)
        for batch in _cut(rows, n_open, noisy, pool, batch_size, token_budget)
    ]
    return [batches[i] for i in random.permutation(len(batches))]


def _noisy(n_open: npt.NDArray[np.integer], random: np.random.Generator) -> npt.NDArray[np.float64]:
    noisy: npt.NDArray[np.float64] = n_open * (1 + 0.1 * (random.random(len(n_open)) - 0.5))
    return noisy


def _block_pools(
    rows: Rows, n_open: npt.NDArray[np.integer], block: int, random: np.random.Generator
) -> list[Rows]:
    """Return pools of positions in ``rows``: shuffled blocks, as many as POOL and POOL_TOKENS allow."""
    in_order = np.argsort(rows, kind="stable")
    blocks = rows[in_order] // block
    first = np.flatnonzero(np.diff(blocks, prepend=-1))
    last = np.append(first[1:], len(rows))
    n_tokens = np.add.reduceat(n_open[in_order], first, dtype=np.int64) if len(first) else first
    pools: list[Rows] = []
    members: list[Rows] = []
    cells = tokens = 0
    for i in random.permutation(len(first)):
        size = last[i] - first[i]
        if members and (cells + size > POOL or tokens + n_tokens[i] > POOL_TOKENS):
            pools.append(np.concatenate(members))
            members, cells, tokens = [], 0, 0
        members.append(in_order[first[i] : last[i]])
        cells, tokens = cells + size, tokens + n_tokens[i]
    return [*pools, np.concatenate(members)] if members else []


def _cut(
    rows: Rows,
    n_open: npt.NDArray[np.integer],
    noisy: npt.NDArray[np.float64],
    pool: Rows,
    batch_size: int,
    token_budget: int,
) -> list[Rows]:
    """Return the cells of a pool sorted by depth and cut into batches."""
    pool = pool[np.argsort(noisy[pool], kind="stable")]
    batches, start = [], 0
    while start < len(pool):
        stop = min(start + batch_size, len(pool))
        while stop > start + 1 and (stop - start) * n_open[pool[start:stop]].max() > token_budget:
            stop = start + (stop - start) // 2
        batches.append(rows[pool[start:stop]])
        start = stop
    return batches


def in_order_of_depth(
    n_open: npt.NDArray[np.integer],
    *,
    batch_size: int,
    token_budget: int = TOKEN_BUDGET,
    max_open: int = 0,
    alike: float = 0.0,
) -> list[Rows]:
    """Return batches that cover cells 0..n-1 once, the deepest first: for prediction, nothing random.

    A batch holds as many cells as ``batch_size`` and ``token_budget`` allow, one at the least. So batches of deep cells
    are of one size, and later ones no larger: each takes the place in memory that the one before has left.

    With ``max_open`` over 0, no more of a cell's islands are counted; with ``alike``, no cell has less than this share
    of the tokens of the deepest in its batch.
    """
    order = np.argsort(-n_open.astype(np.int64), kind="stable")
    counted = np.maximum(n_open[order].astype(np.int64), 1)
    counted = np.minimum(counted, max_open or counted.max(initial=1))
    batches, start = [], 0
    while start < len(order):
        most = token_budget // int(counted[start])
        stop = start + min(batch_size, max(most, 1))
        stop = min(stop, int(np.searchsorted(-counted, -alike * counted[start], side="right")))
        batches.append(order[start:stop])
        start = stop
    return batches


def collate(
    tokens: Cells | sp.csr_matrix,
    rows: Rows,
    keep: npt.NDArray[np.bool_] | None = None,
    *,
    device: torch.device | str = "cpu",
) -> TokenBatch:
    """Return the cells ``rows`` of ``tokens`` (classes 1..5, in memory or on disk) as a padded batch.

    ``keep``, one bool for each open island of ``rows`` in order, leaves islands out (thinning). A batch for a GPU is
    padded there, which is not waited for: 5 bytes an open island go over the bus.
    """
    islands, classes, lengths = flat_tokens(tokens, rows)
    if keep is not None:
        cell = np.repeat(np.arange(len(rows)), lengths)
        lengths = np.bincount(cell[keep], minlength=len(rows))
        islands, classes = islands[keep], classes[keep]
    width = max(1, int(lengths.max(initial=0)))
    if torch.device(device).type != "cpu":
        on_device = [sent(torch.from_numpy(each), device) for each in (islands, classes, lengths)]
        first = sent(torch.from_numpy(np.cumsum(lengths) - lengths), device)
        return padded(on_device[0], on_device[1], first, on_device[2], width)
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


class CellsOnDevice:
    """Some thousand cells sent to a GPU at once, whose batches are picked and padded there."""

    def __init__(self, tokens: sp.csr_matrix, device: torch.device | str) -> None:
        flat = (np.ascontiguousarray(each) for each in (tokens.indices, tokens.data))
        self.islands, self.classes = (sent(torch.from_numpy(each), device) for each in flat)
        self.bounds = sent(torch.from_numpy(tokens.indptr.astype(np.int64)), device)
        self.n_open = np.diff(tokens.indptr)

    def batch(self, rows: Rows) -> TokenBatch:
        """Return the cells ``rows`` as :func:`collate` does."""
        on_device = sent(torch.from_numpy(rows), self.bounds.device)
        first_B = self.bounds[on_device]
        width = max(1, int(self.n_open[rows].max(initial=0)))
        return padded(self.islands, self.classes, first_B, self.bounds[on_device + 1] - first_B, width)


def padded(islands: Tensor, classes: Tensor, first_B: Tensor, lengths_B: Tensor, width: int) -> TokenBatch:
    """Return flat tokens, of each cell ``lengths_B`` from ``first_B`` on, as a batch of that width."""
    column = torch.arange(width, device=islands.device)
    real_BN = column < lengths_B[:, None]
    if len(islands) == 0:
        empty = real_BN.long()
        return TokenBatch(empty, empty, real_BN, lengths_B.clamp(min=1).float())
    at_BN = (first_B[:, None] + column).clamp(max=len(islands) - 1)
    return TokenBatch(
        islands_BN=islands[at_BN].long() * real_BN,
        classes_BN=classes[at_BN].long() * real_BN,
        real_BN=real_BN,
        n_open_B=lengths_B.clamp(min=1).float(),
    )


def flat_tokens(tokens: Cells | sp.csr_matrix, rows: Rows) -> Flat:
    """Return islands and classes of the cells one after the other, and each cell's number of them."""
    return as_cells(tokens).flat(rows)


def thinned(
    tokens: Cells | sp.csr_matrix, rows: Rows, *, most: float, seed: int, epoch: int
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
