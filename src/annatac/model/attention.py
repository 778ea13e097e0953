"""Linformer attention over a cell's tokens, in cost linear in their number.

For one head, with E the projection's rows at the cell's tokens (N x K), X the tokens (N x D) and b the
projection's bias (K):

    K' = (E^T X) W_k + b        V' = (E^T X) W_v + b        (K rows instead of N)
    Y  = softmax(X W_q K'^T / sqrt(d)) V' W_o

E^T X is computed once for all heads that share E.  *Plain* evaluates this from left to right; *folded*
uses X (W_q K'^T) and P (V' W_o), which is the same product in another order and saves the two
token-by-head-width multiplications (Wang et al. 2020, Linformer; the folding is ours). *Fused* is the plain form in one
kernel that keeps the N x K weights to itself (PyTorch's scaled_dot_product_attention): on a GPU what counts is what
goes through memory, not the products.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from annatac.config import ModelConfig
from annatac.model.layers import Linear

Form = Literal["plain", "folded", "fused"]


class LinformerAttention(nn.Module):
    """Multi-head attention whose keys and values are K projected rows. No Q/K/V biases."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inner = config.n_heads * config.head_dim
        self.n_heads, self.head_dim = config.n_heads, config.head_dim
        self.query = Linear(config.width, inner, bias=False)
        self.key = Linear(config.width, inner, bias=False)
        self.value = Linear(config.width, inner, bias=False)
        self.out = Linear(inner, config.width)

    def forward(
        self, x_BND: Tensor, summary_PBKD: Tensor, bias_PK: Tensor, *, form: Form | None = None
    ) -> Tensor:
        """Return (B, N, D) from tokens and E^T X; ``form=None`` chooses the cheapest of three equal ones."""
        keys_BHKd, values_BHKd = self._keys_values(summary_PBKD, bias_PK)
        n_cells, n_tokens, width = x_BND.shape
        n_rows = summary_PBKD.shape[2]
        form = form or cheapest(x_BND.device, n_tokens, width, self.head_dim, n_rows)
        scale = self.head_dim**-0.5
        if form == "folded":
            query_HdD = self.query.weight.to(x_BND.dtype).view(self.n_heads, self.head_dim, width)
            scores_BDHK = torch.einsum("hdw,bhkd->bwhk", query_HdD * scale, keys_BHKd)
            weights_BNHK = (x_BND @ scores_BDHK.flatten(2)).view(n_cells, n_tokens, self.n_heads, n_rows)
            weights_BNHK = _softmax(weights_BNHK)
            out_DHd = self.out.weight.to(x_BND.dtype).view(width, self.n_heads, self.head_dim)
            mixed_BHKD = torch.einsum("whd,bhkd->bhkw", out_DHd, values_BHKd)
            return weights_BNHK.flatten(2) @ mixed_BHKD.flatten(1, 2) + self.out.bias.to(x_BND.dtype)
        query_BHNd = self._heads(self.query(x_BND))
        if form == "fused":
            attended_BHNd = nn.functional.scaled_dot_product_attention(query_BHNd, keys_BHKd, values_BHKd)
        else:
            attended_BHNd = _softmax(query_BHNd @ keys_BHKd.transpose(-1, -2) * scale) @ values_BHKd
        return self.out(attended_BHNd.transpose(1, 2).flatten(2))

    def _keys_values(self, summary_PBKD: Tensor, bias_PK: Tensor) -> tuple[Tensor, Tensor]:
        """Return K' and V', each (B, H, K, d)."""
        n_projections = summary_PBKD.shape[0]
        if n_projections == 1:
            bias = bias_PK[0, :, None]
            return (
                self._heads(self.key(summary_PBKD[0])) + bias,
                self._heads(self.value(summary_PBKD[0])) + bias,
            )
        sides = summary_PBKD.unflatten(0, (n_projections // self.n_heads, self.n_heads))
        biases = bias_PK.unflatten(0, (n_projections // self.n_heads, self.n_heads))
        key_HdD = self.key.weight.to(summary_PBKD.dtype).view(self.n_heads, self.head_dim, -1)
        value_HdD = self.value.weight.to(summary_PBKD.dtype).view(self.n_heads, self.head_dim, -1)
        keys = torch.einsum("hbkw,hdw->bhkd", sides[0], key_HdD) + biases[0, None, :, :, None]
        values = torch.einsum("hbkw,hdw->bhkd", sides[-1], value_HdD) + biases[-1, None, :, :, None]
        return keys, values

    def _heads(self, y_BNi: Tensor) -> Tensor:
        return y_BNi.unflatten(-1, (self.n_heads, self.head_dim)).transpose(1, 2)


def _softmax(scores: Tensor) -> Tensor:
    """Return the softmax over the last axis, computed in float32 at least."""
    return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)


@contextmanager
def without_cudnn_attention(device: torch.device) -> Iterator[None]:
    """Within it the fused form is not that of cuDNN, which plans anew for each shape of a batch and takes long to."""
    if device.type != "cuda" or not hasattr(torch.backends.cuda, "enable_cudnn_sdp"):
        yield
        return
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def cheapest(device: torch.device, n_tokens: int, width: int, head_dim: int, n_rows: int) -> Form:
    """Return the form that is fastest for such sizes on a device."""
    if device.type == "cuda":
        return "fused"
    return "folded" if folding_pays(n_tokens, width, head_dim, n_rows) else "plain"


def folding_pays(n_tokens: int, width: int, head_dim: int, n_rows: int) -> bool:
    """Tell whether the folded form takes fewer multiplications, per head and cell."""
    plain = 2 * n_tokens * (width * head_dim + head_dim * n_rows)
    folded = 2 * n_tokens * width * n_rows + 2 * width * head_dim * n_rows
    return folded < plain
