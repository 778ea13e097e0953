"""Tell open from closed at masked islands: which islands belong to this cell, given its others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from annatac.corpus.cells import Rows
from annatac.corpus.streams import keyed_uniform
from annatac.model.network import Network
from annatac.model.tokens import MASK_CLASS
from annatac.train.masking import mask_batch
from annatac.train.objectives.terms import Masked, Setting, Terms


def ask(setting: Setting, rows: Rows, epoch: int) -> Masked:
    """Mask islands, as many closed ones among them as open ones; whether they are open is asked.

    The closed ones are informative: drawn as often as they are open in other cells, so that an island's own
    popularity does not give the answer away. All are shown as the mask token.
    """
    batch = setting.batch(rows, epoch)
    masked, chosen_BN = mask_batch(
        batch, rows, rate=setting.config.mask_rate, replace_rate=1.0, seed=setting.seed, epoch=epoch + 1
    )
    real = batch.real_BN.numpy()
    islands = batch.islands_BN.numpy()
    n_chosen = chosen_BN.sum(1).numpy()
    width = int(n_chosen.max(initial=0))
    number = np.arange(width)
    cell = np.repeat(np.arange(len(rows)), width)
    draws = keyed_uniform("closed", setting.seed, epoch + 1, rows[cell], np.tile(number, len(rows)))
    drawn = np.minimum(np.searchsorted(setting.popularity, draws), len(setting.popularity) - 1)
    n_islands = len(setting.popularity)
    keys = cell * n_islands + drawn
    is_open = np.isin(keys, (np.arange(len(rows))[:, None] * n_islands + islands)[real])
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    wanted = first & ~is_open & (np.tile(number, len(rows)) < np.repeat(n_chosen, width))
    closed_BN = torch.from_numpy(wanted.reshape(len(rows), width))
    asked = replace(
        masked,
        islands_BN=torch.cat(
            [masked.islands_BN, torch.from_numpy(drawn.reshape(closed_BN.shape)) * closed_BN], 1
        ),
        classes_BN=torch.cat([masked.classes_BN, MASK_CLASS * closed_BN.long()], 1),
        real_BN=torch.cat([masked.real_BN, closed_BN], 1),
    )
    asked_BN = torch.cat([chosen_BN, closed_BN], 1)
    is_open_BN = torch.cat([chosen_BN, torch.zeros_like(closed_BN)], 1).float()
    to = setting.device
    return Masked.of(asked.to(to), asked_BN.to(to), is_open_BN.to(to), setting.network)


def terms(network: Network, asked: Masked) -> Terms:
    """Return the binary cross-entropy; the logit is that of the classes 1..5 together against class 0."""
    logits: Tensor = network.openness_logits(asked.batch, asked.picked)
    logit = logits[:, 1:].logsumexp(1) - logits[:, 0]
    loss = nn.functional.binary_cross_entropy_with_logits(logit, asked.target, reduction="sum")
    return Terms(loss, ((logit > 0) == (asked.target > 0.5)).sum(), len(asked.target))
