"""What every objective is given, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annatac.config import PretrainConfig
from annatac.corpus.batches import collate, thinned
from annatac.corpus.cells import Cells, Rows
from annatac.model.network import Network
from annatac.model.tokens import TokenBatch

VALIDATION = -1  # the epoch of held-out cells: nothing is thinned, and draws are the same every time


class Terms(NamedTuple):
    """The sum of the losses of n questions, how many were answered right, and n."""

    loss: Tensor
    n_correct: Tensor
    n: int


@dataclass(frozen=True)
class Setting:
    """What stays the same over a run.

    Attributes
    ----------
    popularity
        float64 (L,), cumulated and ending at 1: how the islands' openness over all cells is shared out.
    """

    network: Network
    cells: Cells
    config: PretrainConfig
    popularity: npt.NDArray[np.float64]
    seed: int
    device: torch.device

    def batch(self, rows: Rows, epoch: int) -> TokenBatch:
        """Return the cells, each without a random share of its islands (depth augmentation, ``pretrain.thinning``)."""
        most = 0.0 if epoch == VALIDATION else self.config.thinning
        return collate(
            self.cells, rows, thinned(self.cells, rows, most=most, seed=self.seed, epoch=epoch + 1)
        )

    def logits_at(self, batch: TokenBatch, chosen_BN: Tensor) -> Tensor:
        """Return the mask head's logits (n, 6) of the n chosen tokens of ``batch`` (on the CPU), row by row."""
        logits = self.network.openness_logits(batch.to(self.device))
        if self.network.config.closed == "drop":
            return logits[chosen_BN.to(self.device)]
        cell, _ = torch.nonzero(chosen_BN, as_tuple=True)  # in the dense form tokens stand at their island
        return logits[cell.to(self.device), batch.islands_BN[chosen_BN].to(self.device)]


class Objective(Protocol):
    def __call__(self, setting: Setting, rows: Rows, epoch: int) -> Terms:
        """Return the losses of the cells ``rows`` in ``epoch`` (:data:`VALIDATION` for held-out cells)."""


def popularity(mean_openness: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return :attr:`Setting.popularity` from the universe's mean openness."""
    cumulated = np.cumsum(mean_openness, dtype=np.float64)
    return cumulated / cumulated[-1]
