"""The encoder: embedding, then layers of Linformer attention and feed-forward blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annatac.config import ModelConfig
from annatac.model.attention import LinformerAttention
from annatac.model.embedding import IslandTable, Projection, TokenEmbedding
from annatac.model.layers import LayerNorm, Linear
from annatac.model.tokens import Picked, TokenBatch


class EncoderLayer(nn.Module):
    """Attention and feed-forward (GELU), each followed by residual and LayerNorm (paper, eq. 3 to 5)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = LinformerAttention(config)
        self.norm_attention = LayerNorm(config.width)
        self.feed_forward = nn.Sequential(
            Linear(config.width, config.feed_forward),
            nn.GELU(),
            Linear(config.feed_forward, config.width),
        )
        self.norm_feed_forward = LayerNorm(config.width)

    def forward(self, x_BND: Tensor, summary_PBKD: Tensor, bias_PK: Tensor) -> Tensor:
        x_BND = self.norm_attention(x_BND + self.attention(x_BND, summary_PBKD, bias_PK))
        return self.norm_feed_forward(x_BND + self.feed_forward(x_BND))


class Encoder(nn.Module):
    """Tokens of a cell to one vector a token, each having seen the whole cell."""

    def __init__(self, n_islands: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.table = IslandTable(n_islands, config)
        self.embedding = TokenEmbedding(config)
        self.projection = Projection(n_islands, config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.depth))
        self.same_rows = config.thin or config.projection_sharing == "all"

    def forward(
        self,
        batch: TokenBatch,
        x_BND: Tensor | None = None,
        dtype: torch.dtype | None = None,
        picked: Picked | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return token vectors (B, N, D) and position vectors (B, N, R).

        ``dtype`` is what the former are computed in, by default the weights'. ``x_BND`` replaces the embedded
        tokens: attribution goes from closed to open in between them. With ``picked`` the vectors are of these tokens
        alone, (B, M, D): the last layer sees all through its projected rows, but is not computed at the others.
        """
        vectors_BNR = self.table(batch.islands_BN)
        if x_BND is None:
            x_BND = self.embedding(batch.classes_BN, vectors_BNR.to(dtype or vectors_BNR.dtype))
        rows = None
        for index, layer in enumerate(self.layers):
            if rows is None or not self.same_rows:
                rows = self.projection.rows(index, batch, vectors_BNR).to(x_BND.dtype)
            summary = self.projection(index, rows, x_BND)
            if picked is not None and index == len(self.layers) - 1:
                x_BND = _at(picked, x_BND)
            x_BND = layer(x_BND, *summary)
        if picked is not None and len(self.layers) == 0:
            x_BND = _at(picked, x_BND)
        return x_BND, vectors_BNR


def _at(picked: Picked, x_BND: Tensor) -> Tensor:
    return x_BND.gather(1, picked.tokens_BM[..., None].expand(-1, -1, x_BND.shape[2]))
