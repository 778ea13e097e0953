"""Vectors of islands and tokens, and every row that grows with the universe."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annatac.config import ModelConfig
from annatac.model.layers import LayerNorm, Linear
from annatac.model.tokens import N_TOKENS, TokenBatch


class IslandTable(nn.Module):
    """The position vector p_i of every island, (L, R) float32, fixed or trainable.

    It starts from the island's TruncatedSVD vector (paper, Methods, "Embedding"). In thin recipes it is
    the only table with a row an island: projection rows are p_i A and head rows p_i B.
    """

    def __init__(self, n_islands: int, config: ModelConfig) -> None:
        super().__init__()
        self.vectors = nn.Parameter(
            torch.randn(n_islands, config.position_dim), requires_grad=config.position == "trainable"
        )

    def forward(self, islands_BN: Tensor) -> Tensor:
        return nn.functional.embedding(islands_BN, self.vectors)


class TokenEmbedding(nn.Module):
    """Token vector plus position vector; thin recipes map p_i to the width and normalise the sum."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.token = nn.Embedding(N_TOKENS, config.width)
        self.position: nn.Module = nn.Identity()
        self.norm: nn.Module = nn.Identity()
        if config.thin:
            self.position = Linear(config.position_dim, config.width)
            self.norm = LayerNorm(config.width)

    def forward(self, classes_BN: Tensor, vectors_BNR: Tensor) -> Tensor:
        tokens_BND = nn.functional.embedding(classes_BN, self.token.weight.to(vectors_BNR.dtype))
        return self.norm(tokens_BND + self.position(vectors_BNR))


class Projection(nn.Module):
    """Linformer's projection E (islands x k), applied at the tokens of a batch: E^T X.

    ``projection_sharing`` says how many distinct projections there are: one for ``all`` layers and heads
    (the published code), one a ``layer``, one a layer and ``head``, or ``none`` shared: one a layer, head
    and side (K, V).

    Notes
    -----
    Thin: E_i = L^-a p_i A, with a = ``depth_exponent``; the sum over a cell's n open islands is scaled by
    s(n) = (L / n)^a, which is 1 when all are open and makes the sum a mean (a = 1), not a depth meter.
    The two factors are applied together as n^-a, so that no weight is as small as 1 / L; and E^T X is
    A^T (P^T X), in which A meets R rows instead of n tokens.
    """

    def __init__(self, n_islands: int, config: ModelConfig) -> None:
        super().__init__()
        per_layer = {"all": 1, "layer": 1, "head": config.n_heads, "none": 2 * config.n_heads}
        self.per_layer = per_layer[config.projection_sharing]
        self.shared = config.projection_sharing == "all"
        self.exponent = config.depth_exponent
        self.n_islands = n_islands
        n_projections = self.per_layer * (1 if self.shared else config.depth)
        self.thin = config.thin
        n_rows = config.position_dim if self.thin else n_islands
        self.weight = nn.Parameter(torch.empty(n_projections, n_rows, config.k))
        self.bias = nn.Parameter(torch.zeros(n_projections, config.k))
        nn.init.normal_(self.weight, std=n_rows**-0.5)

    def rows(self, layer: int, batch: TokenBatch, vectors_BNR: Tensor) -> Tensor:
        """Return what X is multiplied by: the scaled p_i (1, B, N, R), or the scaled E_i (P, B, N, K)."""
        if self.thin:
            scale_BN = batch.real_BN * batch.n_open_B[:, None] ** -self.exponent
            return (vectors_BNR * scale_BN[..., None])[None]
        scale_BN = batch.real_BN * depth_scale(batch.n_open_B, self.n_islands, self.exponent)[:, None]
        return self._of_layer(self.weight, layer)[:, batch.islands_BN] * scale_BN[None, :, :, None]

    def forward(self, layer: int, rows: Tensor, x_BND: Tensor) -> tuple[Tensor, Tensor]:
        """Return E^T X of this layer's P projections, (P, B, K, D), and their biases (P, K)."""
        summed = rows.transpose(-1, -2) @ x_BND
        if self.thin:
            summed = self._of_layer(self.weight, layer).to(x_BND.dtype).transpose(-1, -2)[:, None] @ summed
        return summed, self._of_layer(self.bias, layer).to(x_BND.dtype)

    def of_layer(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a layer's one projection, (R, K) or (L, K), and (K,)."""
        return self._of_layer(self.weight, layer)[0], self._of_layer(self.bias, layer)[0]

    def _of_layer(self, values: Tensor, layer: int) -> Tensor:
        first = 0 if self.shared else layer * self.per_layer
        return values[first : first + self.per_layer]


def depth_scale(n_open_B: Tensor, n_islands: int, exponent: float) -> Tensor:
    """Return s(n) = (n_islands / n_open) ** exponent, which is 1 when every island is open."""
    return (n_islands / n_open_B) ** exponent
