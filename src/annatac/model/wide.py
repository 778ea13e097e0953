"""The wide path: a linear model and each type's likelihood profile, beside the encoder.

On sparse cells these two are hard to beat, and they cost two look-ups an island. Both are fitted in
closed or convex form (``annatac.train.wide``), not by gradient steps; what is learnt here is how far
to trust each of them at a given depth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annatac.model.tokens import TokenBatch


class WidePath(nn.Module):
    """Logits from two tables of one row an island: ``linear`` on TF-IDF and ``profile`` log-likelihoods.

    Buffers: ``linear``, ``profile`` (L, C) and ``idf`` (L,) float32, ``bias`` (C,).
    """

    linear: Tensor
    profile: Tensor
    idf: Tensor
    bias: Tensor

    def __init__(self, n_islands: int, n_types: int) -> None:
        super().__init__()
        self.register_buffer("linear", torch.zeros(n_islands, n_types))
        self.register_buffer("profile", torch.zeros(n_islands, n_types))
        self.register_buffer("idf", torch.ones(n_islands))
        self.register_buffer("bias", torch.zeros(n_types))
        self.gate = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2))
        last = self.gate[2]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(torch.tensor([0.5, -1.0]))
        self.offset = nn.Parameter(torch.zeros(n_types))

    def forward(self, batch: TokenBatch, scores: Tensor | None = None) -> Tensor:
        """Return logits (B, C).

        ``scores`` (2, B, C) replaces the two paths' own scores: in training they come from tables that
        were fitted without the cell (cross-fitting), else the path would look better than it is.
        """
        if scores is None:
            scores = wide_scores(batch, self.linear, self.profile, self.idf, self.bias)
        trust_B2 = self.trust(batch)
        return scores[0] * trust_B2[:, :1] + scores[1] * trust_B2[:, 1:] + self.offset

    def trust(self, batch: TokenBatch) -> Tensor:
        """Return (B, 2): how much the linear model and the profiles count for cells of that depth."""
        return nn.functional.softplus(self.gate((batch.n_open_B.log() / 2 - 2.5)[:, None]))


def wide_scores(
    batch: TokenBatch, linear: Tensor, profile: Tensor, idf: Tensor, bias: Tensor, offset: Tensor | int = 0
) -> Tensor:
    """Return (2, B, C): the linear model's decision values and the profile log-likelihood ratios.

    The first is w.x with x the L2-normalised idf of the open islands; the second is the sum of
    log p(island | type), centred over types, divided by sqrt(n_open). ``offset`` (B,) or 0 is added to
    the island indices, for tables stacked one below the other; ``bias`` is (C,) or (B, C).
    """
    weights_BN = idf[batch.islands_BN] * batch.real_BN
    weights_BN = weights_BN / weights_BN.norm(dim=1, keepdim=True).clamp(min=1e-6)
    rows_BN = batch.islands_BN + (offset[:, None] if isinstance(offset, Tensor) else offset)
    bag = nn.functional.embedding_bag
    first = bag(rows_BN, linear, per_sample_weights=weights_BN, mode="sum") + bias
    real_BN = batch.real_BN.to(profile.dtype) * batch.n_open_B[:, None] ** -0.5
    second = bag(rows_BN, profile, per_sample_weights=real_BN, mode="sum")
    return torch.stack([first, second])
