"""Contrast: two halves of a cell's open islands are nearer to each other than to halves of other cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from annatac.corpus.cells import Rows
from annatac.corpus.streams import keyed_uniform
from annatac.model.tokens import TokenBatch
from annatac.train.objectives.terms import Setting, Terms

TEMPERATURE = 0.1


def contrast(setting: Setting, rows: Rows, epoch: int) -> Terms:
    """Return the InfoNCE loss of the cells of a batch: each half names its other half among all cells' halves.

    The halves share no island. Cells with fewer than two open islands have none and are left out.

    Notes
    -----
    Batches hold cells of like depth, so depth gives little away. Rivals are the cells that one process holds of
    the batch: the loss depends on the number of processes.
    """
    batch = setting.batch(rows, epoch)
    real = batch.real_BN.numpy()
    enough = real.sum(1) >= 2
    cell, column = np.nonzero(real)
    islands = batch.islands_BN.numpy()[cell, column]
    draws = keyed_uniform("halves", setting.seed, epoch + 1, rows[cell], islands)
    order = np.lexsort((draws, cell))
    start = np.cumsum(real.sum(1)) - real.sum(1)
    rank = np.empty(len(cell), dtype=np.int64)
    rank[order] = np.arange(len(cell)) - start[cell[order]]
    in_first = np.zeros(real.shape, dtype=bool)
    in_first[cell, column] = rank < real.sum(1)[cell] // 2
    kept = torch.from_numpy(enough)
    a, b = (
        nn.functional.normalize(setting.network.pooled(_half(batch, half).to(setting.device))[kept], dim=1)
        for half in (in_first, real & ~in_first)
    )
    if len(a) < 2:
        return Terms(a.sum() * 0, a.sum() * 0, 0)
    likeness = a @ b.T / TEMPERATURE
    own = torch.arange(len(a), device=likeness.device)
    loss = (
        nn.functional.cross_entropy(likeness, own, reduction="sum")
        + nn.functional.cross_entropy(likeness.T, own, reduction="sum")
    ) / 2
    return Terms(loss, (likeness.argmax(1) == own).sum(), len(a))


def _half(batch: TokenBatch, half: np.ndarray) -> TokenBatch:
    real_BN = torch.from_numpy(half)
    n_open_B = real_BN.sum(1).clamp(min=1).float()
    return replace(batch, classes_BN=batch.classes_BN * real_BN, real_BN=real_BN, n_open_B=n_open_B)
