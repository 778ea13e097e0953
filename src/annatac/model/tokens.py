"""A batch of cells as padded tokens: which islands are open, and how open."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

N_OPENNESS = 6  # classes 0 (closed) to 5
MASK_CLASS = 6  # the mask token; padding has no class of its own, `real_BN` marks it
N_TOKENS = 7


@dataclass(frozen=True)
class TokenBatch:
    """Tokens of B cells, padded to the longest.

    Attributes
    ----------
    islands_BN
        int64, index into the universe; 0 where padded.
    classes_BN
        int64, openness class 0..5 or ``MASK_CLASS``; 0 where padded.
    real_BN
        bool, False where padded.
    n_open_B
        float32, open islands of each cell, at least 1.
    """

    islands_BN: Tensor
    classes_BN: Tensor
    real_BN: Tensor
    n_open_B: Tensor

    def to(self, device: torch.device | str) -> TokenBatch:
        """Return the batch on ``device``."""
        return TokenBatch(**{name: sent(value, device) for name, value in vars(self).items()})

    def dense(self, n_islands: int) -> TokenBatch:
        """Return the published form: every island of the universe is a token, closed ones of class 0."""
        n_cells = self.islands_BN.shape[0]
        classes_BL = self.classes_BN.new_zeros(n_cells, n_islands)
        # padded tokens have class 0 at island 0: adding them changes nothing
        classes_BL.scatter_add_(1, self.islands_BN, self.classes_BN * self.real_BN)
        islands_BL = torch.arange(n_islands, device=self.islands_BN.device).expand(n_cells, -1)
        return replace(
            self,
            islands_BN=islands_BL,
            classes_BN=classes_BL,
            real_BN=torch.ones_like(classes_BL, dtype=torch.bool),
        )


@dataclass(frozen=True)
class Picked:
    """n tokens of a batch, those whose vectors are asked for.

    Attributes
    ----------
    tokens_BM
        int64, where they stand in their cell; 0 where a cell has fewer.
    at
        int64 (n,), where they stand in the flattened (B, M): cell after cell, in the order of their tokens.
    """

    tokens_BM: Tensor
    at: Tensor

    @classmethod
    def of(cls, chosen_BN: Tensor) -> Picked:
        """Return the tokens that are chosen (bool); waits for a GPU."""
        n_B = chosen_BN.sum(1)
        width = int(n_B.max()) if len(n_B) else 0
        cell, token = chosen_BN.nonzero(as_tuple=True)
        first_B = n_B.cumsum(0) - n_B
        at = cell * width + torch.arange(len(cell), device=cell.device) - first_B[cell]
        tokens_BM = token.new_zeros(len(n_B), width)
        tokens_BM.view(-1)[at] = token
        return cls(tokens_BM, at)


def sent(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on ``device``; from the processor to a GPU without waiting for either."""
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
