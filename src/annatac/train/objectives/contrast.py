"""Contrast: two halves of a cell's open islands are nearer to each other than to halves of other cells."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from annatac.corpus.cells import Rows
from annatac.corpus.streams import keyed_uniform
from annatac.model.network import Network
from annatac.model.tokens import TokenBatch
from annatac.train.objectives.terms import Setting, Terms

TEMPERATURE = 0.1


class Halves(NamedTuple):
    """The cells' halves, cell by cell, on the network's device; ``kept`` (B,), bool: of which cells there are any."""

    first: TokenBatch
    second: TokenBatch
    kept: Tensor


def ask(setting: Setting, rows: Rows, epoch: int) -> Halves:
    """Part each cell of a batch in two: each half is to name its other half among all cells' halves.

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
    first, second = (_half(batch, half).to(setting.device) for half in (in_first, real & ~in_first))
    return Halves(first, second, torch.from_numpy(enough).to(setting.device))


def terms(network: Network, asked: Halves) -> Terms:
    """Return the InfoNCE loss."""
    a, b = (nn.functional.normalize(network.pooled(half)[asked.kept], dim=1) for half in asked[:2])
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
