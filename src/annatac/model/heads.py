"""What stands on the encoder: the mask head of pre-training and the CNN head that names types."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annatac.config import ModelConfig
from annatac.model.embedding import depth_scale
from annatac.model.layers import weighted_rows
from annatac.model.tokens import N_OPENNESS, TokenBatch


class MaskHead(nn.Linear):
    """Token vector to the logits of the openness classes 0..5 (paper, Methods, "Pre-training")."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, N_OPENNESS)


class CNNHead(nn.Module):
    """A 1 x D convolution turns each island's vector into one number, then fully connected layers.

    The first fully connected layer has a row an island: h = b + s(n) sum_i relu(conv(x_i)) R_i, with
    R (L x hidden) as published or, thin, R_i = L^-a p_i B (see ``Projection`` for s and a).
    ``head_hidden`` lists the hidden layers; the paper's are 512, 128, its subtype mode has one more.
    """

    def __init__(self, n_islands: int, n_types: int, config: ModelConfig) -> None:
        super().__init__()
        self.n_islands, self.thin, self.exponent = n_islands, config.thin, config.depth_exponent
        self.dense = config.closed == "keep"
        self.convolution = nn.Linear(config.width, 1)
        first, *others = config.head_hidden
        n_rows = config.position_dim if self.thin else n_islands
        self.rows = nn.Parameter(torch.empty(n_rows, first))
        nn.init.uniform_(self.rows, -(n_rows**-0.5), n_rows**-0.5)
        self.bias = nn.Parameter(torch.zeros(first))
        layers: list[nn.Module] = [nn.ReLU(), nn.Dropout(config.dropout)]
        for width_in, width_out in zip((first, *others), others, strict=False):
            layers += [nn.Linear(width_in, width_out), nn.ReLU(), nn.Dropout(config.dropout)]
        self.hidden = nn.Sequential(*layers)
        self.types = nn.Linear(config.head_hidden[-1], n_types)

    def forward(
        self, x_BND: Tensor, vectors_BNR: Tensor, batch: TokenBatch, dropout_BH: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) and the last hidden layer (B, head_hidden[-1]).

        ``dropout_BH``: in training, what the hidden units (H of all layers, in order) are multiplied by: 0, or
        1 / (1 - dropout). They are given, not drawn here, so that a cell's do not depend on its batch.
        """
        weights_BN = self.convolution(x_BND).squeeze(-1).relu() * batch.real_BN
        if self.thin:
            weights_BN = weights_BN * batch.n_open_B[:, None] ** -self.exponent
            summed = (weights_BN[:, None] @ vectors_BNR).squeeze(1) @ self.rows
        else:
            weights_BN = weights_BN * depth_scale(batch.n_open_B, self.n_islands, self.exponent)[:, None]
            if self.dense:  # tokens are the islands in order
                summed = weights_BN @ self.rows
            else:
                summed = weighted_rows(self.rows, batch.islands_BN, weights_BN)
        hidden, used = summed + self.bias, 0
        for layer in self.hidden:
            if not isinstance(layer, nn.Dropout):
                hidden = layer(hidden)
            elif dropout_BH is not None:
                hidden = hidden * dropout_BH[:, used : used + hidden.shape[1]]
                used += hidden.shape[1]
        return self.types(hidden), hidden
