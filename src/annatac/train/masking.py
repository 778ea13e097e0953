"""Which tokens are masked: as many of each openness class, closed islands never (paper, "Masking")."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annatac.corpus.streams import keyed_uniform
from annatac.model.tokens import MASK_CLASS, N_OPENNESS, TokenBatch


def choose_masked(
    cells: npt.NDArray[np.integer],
    classes: npt.NDArray[np.integer],
    draws: npt.NDArray[np.floating],
    *,
    n_cells: int,
    rate: float,
) -> npt.NDArray[np.bool_]:
    """Return which of n open tokens are masked.

    A cell's quota for each class present is ceil(rate x open islands / classes present), at most half of
    that class; what a small class cannot give is not taken from another.

    Parameters
    ----------
    cells, classes
        Cell 0..n_cells-1 and openness class 1..5 of each token.
    draws
        Random numbers; the lowest of a cell's class are masked.

    Notes
    -----
    The paper gives the quota; the cap at half a class is ours, else a rare class is always masked.
    """
    group = cells * N_OPENNESS + classes
    count = np.bincount(group, minlength=n_cells * N_OPENNESS).reshape(n_cells, N_OPENNESS)
    n_open, n_present = count.sum(1), np.maximum((count > 0).sum(1), 1)
    quota = np.minimum(np.ceil(rate * n_open / n_present)[:, None], count // 2).astype(np.int64)
    order = np.lexsort((draws, group))
    first = np.concatenate([[0], np.cumsum(count.ravel())])[:-1]
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - first[group[order]]
    return rank < quota.ravel()[group]


def mask_batch(
    batch: TokenBatch,
    rows: npt.NDArray[np.integer],
    *,
    rate: float,
    replace_rate: float,
    seed: int,
    epoch: int,
) -> tuple[TokenBatch, Tensor]:
    """Return the batch with masked tokens, and which tokens are to be told (bool, B x N).

    Of the chosen, ``replace_rate`` become the mask token and the others stay; the loss is on all chosen.
    """
    real = batch.real_BN.numpy()
    islands = batch.islands_BN.numpy()[real]
    cell = np.repeat(np.arange(len(rows)), real.sum(1))
    draws = keyed_uniform("mask", seed, epoch, rows[cell], islands)
    chosen = choose_masked(cell, batch.classes_BN.numpy()[real], draws, n_cells=len(rows), rate=rate)
    replaced = chosen & (keyed_uniform("replace", seed, epoch, rows[cell], islands) < replace_rate)
    chosen_BN = np.zeros(real.shape, dtype=bool)
    chosen_BN[real] = chosen
    replaced_BN = np.zeros(real.shape, dtype=bool)
    replaced_BN[real] = replaced
    masked = TokenBatch(
        islands_BN=batch.islands_BN,
        classes_BN=batch.classes_BN.masked_fill(torch.from_numpy(replaced_BN), MASK_CLASS),
        real_BN=batch.real_BN,
        n_open_B=batch.n_open_B,
    )
    return masked, torch.from_numpy(chosen_BN)
