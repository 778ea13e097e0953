"""Which tokens are masked: as many of each openness class, closed islands never (paper, "Masking")."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annatac.corpus.streams import keyed_uniform
from annatac.model.tokens import MASK_CLASS, N_OPENNESS, TokenBatch


def choose_masked(classes_BN: Tensor, draws_BN: Tensor, *, rate: float) -> Tensor:
    """Return which tokens are masked, bool (B, N).

    A cell's quota for each class present is ceil(rate x open islands / classes present), at most half of
    that class; what a small class cannot give is not taken from another.

    Parameters
    ----------
    classes_BN
        int64, openness class 1..5 of each token; 0 where there is none.
    draws_BN
        Random numbers in [0, 1), compared to 24 bits; the lowest of a cell's class are masked.

    Notes
    -----
    The paper gives the quota; the cap at half a class is ours, else a rare class is always masked.
    """
    n_cells = len(classes_BN)
    cell_B1 = torch.arange(n_cells, device=classes_BN.device)[:, None]
    group = (cell_B1 * N_OPENNESS + classes_BN).flatten()
    count = torch.zeros(n_cells * N_OPENNESS, dtype=torch.int64, device=group.device)
    count.scatter_add_(0, group, torch.ones_like(group))
    first = count.cumsum(0) - count
    count_BC = count.view(n_cells, N_OPENNESS)
    n_open, n_present = count_BC[:, 1:].sum(1), (count_BC[:, 1:] > 0).sum(1).clamp(min=1)
    exact = torch.float32 if group.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
    wanted = (rate * n_open.to(exact) / n_present).ceil().long()
    quota_BC = torch.minimum(wanted[:, None], count_BC // 2)
    quota_BC[:, 0] = 0
    order = (group << 24 | (draws_BN.flatten() * 2**24).long()).argsort(stable=True)
    rank = torch.empty_like(group)
    rank[order] = torch.arange(len(group), device=group.device) - first[group[order]]
    return (rank < quota_BC.flatten()[group]).view_as(classes_BN)


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

    Of the chosen, ``replace_rate`` become the mask token and the others stay; the loss is on all chosen. All is done
    on the batch's device.
    """
    cells_B1 = torch.from_numpy(np.asarray(rows, dtype=np.int64)).to(batch.islands_BN.device)[:, None]
    draws_BN = keyed_uniform("mask", seed, epoch, cells_B1, batch.islands_BN)
    chosen_BN = choose_masked(batch.classes_BN * batch.real_BN, draws_BN, rate=rate)
    replaced_BN = chosen_BN & (
        keyed_uniform("replace", seed, epoch, cells_B1, batch.islands_BN) < replace_rate
    )
    return replace(batch, classes_BN=batch.classes_BN.masked_fill(replaced_BN, MASK_CLASS)), chosen_BN
