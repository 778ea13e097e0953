"""The whole network: encoder, mask head, CNN head and wide path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from annatac.config import ModelConfig
from annatac.model.attention import without_cudnn_attention
from annatac.model.budget import Budget
from annatac.model.encoder import Encoder
from annatac.model.heads import CNNHead, MaskHead
from annatac.model.tokens import Picked, TokenBatch
from annatac.model.wide import WidePath

if TYPE_CHECKING:
    from annatac.model.fused import FusedEncoder


@dataclass(frozen=True)
class Output:
    """Logits of the types (B, C) and the cell's vector (B, embedding width), both float32.

    ``readout_BC``: the logits that the vector alone gives, where there is a wide path beside it.
    """

    logits_BC: Tensor
    embedding_BD: Tensor
    readout_BC: Tensor | None = None


class Network(nn.Module):
    """BERT-like encoder over peak islands with the heads of pre-training and of annotation.

    Parameters
    ----------
    n_islands
        Islands of the universe, L.
    n_types
        Cell types, C; 0 leaves the annotation head out (a base model).
    config
        Shape; see :class:`annatac.config.ModelConfig`.

    Attributes
    ----------
    encoder_dtype
        What the encoder computes in, float32 or bfloat16 (weights stay float32, and so do softmax, heads and
        all that comes after). No part of the model: whoever runs it chooses.
    """

    def __init__(self, n_islands: int, n_types: int, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.n_islands, self.n_types = config, n_islands, n_types
        self.encoder_dtype = torch.float32
        self._compiled: Callable[..., tuple[Tensor, Tensor]] | None = None
        self._fused: FusedEncoder | None = None
        self._prepared: tuple[Any, FusedEncoder] | None = None
        self.encoder = Encoder(n_islands, config)
        self.mask_head = MaskHead(config)
        self.head = CNNHead(n_islands, n_types, config) if n_types else None
        self.wide: WidePath | None = None
        if n_types and config.wide:
            n_dimensions = config.position_dim if config.wide_place == "always" else 0
            self.wide = WidePath(n_islands, n_types, n_dimensions)
        self.budget: Budget | None = None
        if self.wide is not None and config.closed == "drop" and config.max_open:
            self.budget = Budget(n_islands, config.max_open)
        self.readout: nn.Linear | None = None
        if self.head is not None and self.wide is not None:
            # in training the cell's vector must also name the type by itself: a correction of the wide path
            # alone would leave in it little of what the wide path knows
            self.readout = nn.Linear(config.head_hidden[-1], n_types)
            # the encoder starts as a correction of nothing to what the wide path says
            nn.init.zeros_(self.head.types.weight)
            nn.init.zeros_(self.head.types.bias)

    def forward(
        self, batch: TokenBatch, wide_scores: Tensor | None = None, dropout_BH: Tensor | None = None
    ) -> Output:
        """Name the cells.

        ``wide_scores`` (S, B, C): see :class:`annatac.model.wide.WidePath`; ``dropout_BH``, without which
        nothing is dropped: see :class:`annatac.model.heads.CNNHead`.
        """
        assert self.head is not None, "a base model has no annotation head"
        tokens = self.seen(batch)
        x_BND, vectors_BNR = self._encoded(tokens)
        logits_BC, embedding_BD = self.head(x_BND, vectors_BNR, tokens, dropout_BH)
        if self.wide is not None:
            if tokens is not batch and self.wide.n_scores == 3:  # the place is of all islands
                vectors_BNR = self.encoder.table(batch.islands_BN)
            logits_BC = logits_BC + self.wide(batch, wide_scores, vectors_BNR)
        readout_BC = None if self.readout is None else self.readout(embedding_BD)
        return Output(logits_BC, embedding_BD, readout_BC)

    def openness_logits(self, batch: TokenBatch, picked: Picked | None = None) -> Tensor:
        """Return the mask head's logits (B, N, 6) for each token of ``batch``; N = L if closed are kept.

        With ``picked``, of these n tokens alone, (n, 6), which costs a layer less.
        """
        x_BND, vectors_BNR = self._run_encoder(self._tokens(batch), picked)
        asked = x_BND if picked is None else x_BND.flatten(0, 1).index_select(0, picked.at)
        return self.mask_head(asked.to(vectors_BNR.dtype))

    def pooled(self, batch: TokenBatch) -> Tensor:
        """Return the mean vector (B, D) of each cell's tokens: the embedding of a base model."""
        tokens = self._tokens(batch)
        x_BND, _ = self._encoded(tokens)
        real = tokens.real_BN[..., None]
        return (x_BND * real).sum(1) / real.sum(1).clamp(min=1)

    def seen(self, batch: TokenBatch) -> TokenBatch:
        """Return the tokens that name a cell's type: all islands where closed are kept, else the open within budget."""
        tokens = self._tokens(batch)
        return tokens if self.budget is None else self.budget(tokens)

    def rank_islands(self) -> None:
        """Choose anew which islands go first where a cell has more than the budget: after the profiles have changed."""
        if self.budget is not None and self.wide is not None:
            self.budget.rank_by(self.wide.profile)

    def n_tokens(self, n_open: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Return how many tokens cells of so many open islands cost: all islands where closed are kept."""
        return n_open if self.config.closed == "drop" else np.full_like(n_open, self.n_islands)

    def _encoded(self, tokens: TokenBatch) -> tuple[Tensor, Tensor]:
        """Return what the encoder returns, in the weights' precision whatever it computes in."""
        x_BND, vectors_BNR = self._run_encoder(tokens)
        return x_BND.to(vectors_BNR.dtype), vectors_BNR

    def _run_encoder(self, tokens: TokenBatch, picked: Picked | None = None) -> tuple[Tensor, Tensor]:
        if self._fused is not None and picked is None:
            return self._fused(tokens)
        dtype = None if self.encoder_dtype == torch.float32 else self.encoder_dtype
        with without_cudnn_attention(tokens.islands_BN.device):
            return (self._compiled or self.encoder)(tokens, dtype=dtype, picked=picked)

    @contextmanager
    def compiled(self, really: bool = True) -> Iterator[None]:
        """Within it the encoder runs as ``torch.compile`` makes it, for batches of any shape."""
        self._compiled = torch.compile(self.encoder.forward, dynamic=True) if really else None
        try:
            yield
        finally:
            self._compiled = None

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Within it the encoder, which must not change, runs in the fewest kernels where there are such for it.

        That is on a GPU in bfloat16 (:mod:`annatac.model.fused`); elsewhere nothing changes. No gradients within.
        """
        self._fused = self._fused_encoder()
        try:
            with torch.inference_mode():
                yield
        finally:
            self._fused = None

    def _fused_encoder(self) -> FusedEncoder | None:
        """Return what runs the encoder as it is now, made anew where its weights have changed, or None."""
        if self.encoder.table.vectors.device.type != "cuda" or self.encoder_dtype != torch.bfloat16:
            return None
        try:
            from annatac.model.fused import FusedEncoder
        except ImportError:  # a PyTorch without Triton
            return None
        if not FusedEncoder.fits(self.encoder):
            return None
        weights = tuple((each.data_ptr(), each._version) for each in self.encoder.parameters())
        if self._prepared is None or self._prepared[0] != weights:
            self._prepared = weights, FusedEncoder(self.encoder)
        return self._prepared[1]

    def _tokens(self, batch: TokenBatch) -> TokenBatch:
        return batch.dense(self.n_islands) if self.config.closed == "keep" else batch
