"""What every objective is given, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annatac.config import PretrainConfig
from annatac.corpus.batches import collate, thinned
from annatac.corpus.cells import Cells, Rows
from annatac.model.network import Network
from annatac.model.tokens import Picked, TokenBatch

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

    def batch(self, rows: Rows, epoch: int, device: torch.device | str = "cpu") -> TokenBatch:
        """Return the cells, each without a random share of its islands (depth augmentation, ``pretrain.thinning``)."""
        most = 0.0 if epoch == VALIDATION else self.config.thinning
        keep = thinned(self.cells, rows, most=most, seed=self.seed, epoch=epoch + 1)
        return collate(self.cells, rows, keep, device=device)


class Masked(NamedTuple):
    """Questions about n tokens of a batch, on the network's device.

    Attributes
    ----------
    batch
        With the mask token where something is asked.
    picked
        The network's tokens that are asked: of (B, N), or (B, L) where closed islands are tokens too.
    target
        (n,), what they are.
    """

    batch: TokenBatch
    picked: Picked
    target: Tensor

    @classmethod
    def of(cls, batch: TokenBatch, chosen_BN: Tensor, target_BN: Tensor, network: Network) -> Masked:
        """Ask about the chosen tokens, row by row."""
        picked = Picked.of(chosen_BN)  # waits for a GPU; reading ahead does so elsewhere
        target = target_BN.gather(1, picked.tokens_BM).flatten()[picked.at]
        if network.config.closed == "keep":  # in the dense form tokens stand at their island
            picked = replace(picked, tokens_BM=batch.islands_BN.gather(1, picked.tokens_BM))
        return cls(batch, picked, target)


Asked = TypeVar("Asked")


class Objective(Protocol[Asked]):
    def ask(self, setting: Setting, rows: Rows, epoch: int) -> Asked:
        """Return what is asked of the cells ``rows`` in ``epoch`` (:data:`VALIDATION` for held-out cells)."""

    def terms(self, network: Network, asked: Asked) -> Terms:
        """Return the losses of the network's answers."""


def popularity(mean_openness: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return :attr:`Setting.popularity` from the universe's mean openness."""
    cumulated = np.cumsum(mean_openness, dtype=np.float64)
    return cumulated / cumulated[-1]
