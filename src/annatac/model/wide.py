"""The wide path: a linear model and each type's likelihood profile, beside the encoder.

On sparse cells these two are hard to beat, and they cost two look-ups an island. A model that started from
a base has a third score, of the cell's place among the base's island vectors: with few labelled cells a type it
is the best of the three. All are fitted in closed or convex form (``annatac.train.wide``), not by gradient
steps; what is learnt here is how far to trust each of them at a given depth.

Each of n open islands gives its share of evidence, so that the scores of a cell grow like sqrt(n): the first and
third as sums over a vector of unit length, the second as a sum divided by sqrt(n). What is added to them must keep
pace, or it drowns the scores of a shallow cell. Intercepts hold for a cell of typical depth and are sqrt(n / typical)
times as large in others; offsets go from the prior, all that is known of a cell without islands, to what is learnt for
a typical one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annatac.model.layers import weighted_rows
from annatac.model.tokens import TokenBatch


class WidePath(nn.Module):
    """Logits from two tables of one row an island: ``linear`` on TF-IDF and ``profile`` log-likelihoods.

    Buffers: ``linear``, ``profile`` (L, C) and ``idf`` (L,) float32, ``bias`` (C,). With ``n_dimensions`` (R)
    over 0 also ``place`` (R, C) and ``place_bias`` (C,): a linear classifier of the TF-IDF weighted sum of the
    position vectors of a cell's open islands. ``typical_open`` (1,): open islands of a cell of typical depth;
    ``prior`` (C,): log of each type's share in the reference. Both are None in models of format 2, whose constants
    count the same at any depth.
    """

    linear: Tensor
    profile: Tensor
    idf: Tensor
    bias: Tensor
    place: Tensor
    place_bias: Tensor
    typical_open: Tensor | None
    prior: Tensor | None

    def __init__(self, n_islands: int, n_types: int, n_dimensions: int = 0) -> None:
        super().__init__()
        self.n_scores = 3 if n_dimensions else 2
        self.register_buffer("linear", torch.zeros(n_islands, n_types))
        self.register_buffer("profile", torch.zeros(n_islands, n_types))
        self.register_buffer("idf", torch.ones(n_islands))
        self.register_buffer("bias", torch.zeros(n_types))
        self.register_buffer("typical_open", torch.ones(1))
        self.register_buffer("prior", torch.zeros(n_types))
        if n_dimensions:
            self.register_buffer("place", torch.zeros(n_dimensions, n_types))
            self.register_buffer("place_bias", torch.zeros(n_types))
        self.gate = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, self.n_scores))
        last = self.gate[2]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(torch.tensor([0.5, -1.0, -1.0][: self.n_scores]))
        self.offset = nn.Parameter(torch.zeros(n_types))

    def forward(
        self, batch: TokenBatch, scores: Tensor | None = None, vectors_BNR: Tensor | None = None
    ) -> Tensor:
        """Return logits (B, C).

        ``scores`` (S, B, C) replaces the paths' own scores: in training they come from tables that were fitted
        without the cell (cross-fitting), else the path would look better than it is. ``vectors_BNR``, the position
        vectors of the batch's islands, are needed where there are three scores and the third is not given.
        """
        if scores is None:
            scores = self.scores(batch)
        if len(scores) < self.n_scores:
            assert vectors_BNR is not None
            place = place_scores(
                batch, vectors_BNR, self.idf, self.place, self.constants(batch.n_open_B, self.place_bias)
            )
            scores = torch.cat([scores, place[None]])
        return torch.einsum("sbc,bs->bc", scores, self.trust(batch.n_open_B)) + self.offsets(batch.n_open_B)

    def scores(self, batch: TokenBatch) -> Tensor:
        """Return the linear model's and the profiles' scores, (2, B, C), by the tables of all reference cells."""
        return wide_scores(
            batch, self.linear, self.profile, self.idf, self.constants(batch.n_open_B, self.bias)
        )

    def constants(self, n_open_B: Tensor, of_types_C: Tensor) -> Tensor:
        """Return what intercepts or offsets (C,) of cells of typical depth are in cells of any, (B, C)."""
        return relative_depth(n_open_B, self.typical_open)[:, None] * of_types_C

    def offsets(self, n_open_B: Tensor) -> Tensor:
        """Return what is added to the trusted scores, (B, C): the prior, and towards ``offset`` as depth grows."""
        if self.prior is None:
            return self.constants(n_open_B, self.offset)
        return self.prior + self.constants(n_open_B, self.offset - self.prior)

    def trust(self, n_open_B: Tensor) -> Tensor:
        """Return (B, S): how far the linear model, the profiles and the place count, by a cell's open islands."""
        return nn.functional.softplus(self.gate((n_open_B.log() / 2 - 2.5)[:, None]))


def relative_depth(n_open_B: Tensor, typical_open: Tensor | None) -> Tensor:
    """Return sqrt(n_open / typical), (B,): how much more evidence a cell has than a typical one; 1 without."""
    return torch.ones_like(n_open_B) if typical_open is None else (n_open_B / typical_open).sqrt()


def tf_idf_weights(batch: TokenBatch, idf: Tensor) -> Tensor:
    """Return (B, N): the idf of a cell's open islands, of unit length a cell; 0 where padded."""
    weights_BN = idf[batch.islands_BN] * batch.real_BN
    return weights_BN / weights_BN.norm(dim=1, keepdim=True).clamp(min=1e-6)


def wide_scores(
    batch: TokenBatch, linear: Tensor, profile: Tensor, idf: Tensor, bias: Tensor, offset: Tensor | int = 0
) -> Tensor:
    """Return (2, B, C): the linear model's decision values and the profile log-likelihood ratios.

    The first is w.x with x the L2-normalised idf of the open islands; the second is the sum of
    log p(island | type), centred over types, divided by sqrt(n_open). ``offset`` (B,) or 0 is added to
    the island indices, for tables stacked one below the other; ``bias`` is (C,) or (B, C).
    """
    weights_BN = tf_idf_weights(batch, idf)
    rows_BN = batch.islands_BN + (offset[:, None] if isinstance(offset, Tensor) else offset)
    first = weighted_rows(linear, rows_BN, weights_BN) + bias
    real_BN = batch.real_BN.to(profile.dtype) * batch.n_open_B[:, None] ** -0.5
    return torch.stack([first, weighted_rows(profile, rows_BN, real_BN)])


def place_scores(
    batch: TokenBatch, vectors_BNR: Tensor, idf: Tensor, place: Tensor, place_bias: Tensor
) -> Tensor:
    """Return (B, C): a linear classifier of the TF-IDF weighted sum of the islands' vectors.

    ``place`` is (R, C), or (B, R, C) with one for each cell; ``place_bias`` (C,) or (B, C).
    """
    sum_B1R = tf_idf_weights(batch, idf)[:, None] @ vectors_BNR
    return (sum_B1R @ place).squeeze(1) + place_bias
