"""The published objective: tell the openness class of masked open islands (paper, Methods, "Pre-training")."""

from __future__ import annotations

from torch import nn

from annatac.corpus.cells import Rows
from annatac.train.masking import mask_batch
from annatac.train.objectives.terms import Setting, Terms


def openness(setting: Setting, rows: Rows, epoch: int) -> Terms:
    """Return the cross-entropy of the masked islands' classes 1..5, as many masked of each class.

    Notes
    -----
    In sparse data nearly every open island is of class 1 or 2: which islands are open, the stuff of cell types,
    is given, and only how open they are is asked.
    """
    batch = setting.batch(rows, epoch)
    masked, chosen_BN = mask_batch(
        batch,
        rows,
        rate=setting.config.mask_rate,
        replace_rate=setting.config.replace_rate,
        seed=setting.seed,
        epoch=epoch + 1,
    )
    logits = setting.logits_at(masked, chosen_BN)
    target = batch.classes_BN[chosen_BN].to(setting.device)
    if len(target) == 0:  # too few open islands to mask one
        return Terms(logits.sum() * 0, logits.sum() * 0, 0)
    loss = nn.functional.cross_entropy(logits, target, reduction="sum")
    return Terms(loss, (logits.argmax(-1) == target).sum(), len(target))
