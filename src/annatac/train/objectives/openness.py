"""The published objective: tell the openness class of masked open islands (paper, Methods, "Pre-training")."""

from __future__ import annotations

from torch import Tensor, nn

from annatac.corpus.cells import Rows
from annatac.model.network import Network
from annatac.train.masking import mask_batch
from annatac.train.objectives.terms import Masked, Setting, Terms


def ask(setting: Setting, rows: Rows, epoch: int) -> Masked:
    """Mask as many islands of each of the classes 1..5; their classes are asked.

    Notes
    -----
    In sparse data nearly every open island is of class 1 or 2: which islands are open, the stuff of cell types,
    is given, and only how open they are is asked.
    """
    batch = setting.batch(rows, epoch, setting.device)
    masked, chosen_BN = mask_batch(
        batch,
        rows,
        rate=setting.config.mask_rate,
        replace_rate=setting.config.replace_rate,
        seed=setting.seed,
        epoch=epoch + 1,
    )
    return Masked.of(masked, chosen_BN, batch.classes_BN, setting.network)


def terms(network: Network, asked: Masked) -> Terms:
    """Return the cross-entropy of the masked islands' classes."""
    logits: Tensor = network.openness_logits(asked.batch, asked.picked)
    loss = nn.functional.cross_entropy(logits, asked.target, reduction="sum")
    return Terms(loss, (logits.argmax(-1) == asked.target).sum(), len(asked.target))
