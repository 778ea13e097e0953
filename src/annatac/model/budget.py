"""Which of a cell's open islands the encoder sees: those that say most, where there are more than its budget."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from annatac.model.tokens import TokenBatch


class Budget(nn.Module):
    """Leaves a cell ``max_open`` of its open islands: those in whose openness the types differ most.

    Of a cell within the budget all stay. What is left out is lost to the encoder alone: the wide path sees all.

    Attributes
    ----------
    rank
        int32 (L,), the place of every island, the first to be kept 0. No weight: it follows from the wide path
        (:meth:`rank_by`).
    """

    rank: Tensor

    def __init__(self, n_islands: int, max_open: int) -> None:
        super().__init__()
        self.max_open = max_open
        self.register_buffer("rank", torch.arange(n_islands, dtype=torch.int32), persistent=False)

    @torch.no_grad()
    def rank_by(self, profile_LC: Tensor) -> None:
        """Rank islands by how far the types' log-likelihood ratios, (L, C), lie apart (their standard deviation).

        Equal ones stand in an order that favours no chromosome.
        """
        spread = profile_LC.float().std(dim=1, unbiased=False).cpu().numpy()
        among_equals = np.random.default_rng(0).permutation(len(spread))
        rank = np.empty(len(spread), dtype=np.int32)
        rank[np.lexsort((among_equals, -spread))] = np.arange(len(spread))
        self.rank.copy_(torch.from_numpy(rank))

    def forward(self, batch: TokenBatch) -> TokenBatch:
        if batch.islands_BN.shape[1] <= self.max_open:
            return batch
        # padding comes last; what is kept stands in the order of its rank
        rank_BN = self.rank[batch.islands_BN].masked_fill(batch.real_BN == 0, len(self.rank))
        at_BN = rank_BN.topk(self.max_open, dim=1, largest=False, sorted=True).indices
        return TokenBatch(
            islands_BN=batch.islands_BN.gather(1, at_BN),
            classes_BN=batch.classes_BN.gather(1, at_BN),
            real_BN=batch.real_BN.gather(1, at_BN),
            n_open_B=batch.n_open_B.clamp(max=self.max_open),
        )
