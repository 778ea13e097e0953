"""PyTorch's layers, computing in the precision of what they are given; their weights stay float32.

One cast at the encoder's door decides what all of it computes in, and what lies between its layers.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(x, self.weight.to(x.dtype), bias)


class LayerNorm(nn.LayerNorm):
    """Means and variances are float32 whatever is given."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


def weighted_rows(table: Tensor, rows_BN: Tensor, weights_BN: Tensor) -> Tensor:
    """Return the sum of a table's rows, each times its weight, for each cell: (B, C) of (L, C)."""
    if table.device.type == "cuda":  # embedding_bag goes through a cell's rows one after the other there
        return (weights_BN[:, None] @ functional.embedding(rows_BN, table)).squeeze(1)
    return functional.embedding_bag(rows_BN, table, per_sample_weights=weights_BN, mode="sum")
