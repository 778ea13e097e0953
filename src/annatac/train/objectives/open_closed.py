"""Tell open from closed at masked islands: which islands belong to this cell, given its others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from annatac.corpus.cells import Rows
from annatac.corpus.streams import keyed_uniform
from annatac.model.tokens import MASK_CLASS
from annatac.train.masking import mask_batch
from annatac.train.objectives.terms import Setting, Terms


def open_closed(setting: Setting, rows: Rows, epoch: int) -> Terms:
    """Return the binary cross-entropy of masked islands, as many closed ones among them as open ones.

    The closed ones are informative: drawn as often as they are open in other cells, so that an island's own
    popularity does not give the answer away. All are shown as the mask token; the logit is that of the classes
    1..5 together against class 0.
    """
    batch = setting.batch(rows, epoch)
    masked, chosen_BN = mask_batch(
        batch, rows, rate=setting.config.mask_rate, replace_rate=1.0, seed=setting.seed, epoch=epoch + 1
    )
    real = batch.real_BN.numpy()
    islands = batch.islands_BN.numpy()
    n_chosen = chosen_BN.sum(1).numpy()
    width = int(n_chosen.max(initial=0))
    if width == 0:
        zero = setting.logits_at(masked, chosen_BN).sum() * 0
        return Terms(zero, zero, 0)
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
    logits = setting.logits_at(asked, asked_BN)
    target = torch.cat([torch.ones_like(chosen_BN), torch.zeros_like(closed_BN)], 1)[asked_BN]
    target = target.to(setting.device, logits.dtype)
    logit = logits[:, 1:].logsumexp(1) - logits[:, 0]
    loss = nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="sum")
    return Terms(loss, ((logit > 0) == (target > 0.5)).sum(), len(target))
