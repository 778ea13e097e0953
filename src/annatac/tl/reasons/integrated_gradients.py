"""What each open island adds to a logit: exact through the wide path, integrated gradients through the encoder.

A cell's logits are ``wide + encoder``. Give every open island i a *presence* p_i: 0 is an island that says
nothing, 1 the island as it is. At p = 0 the encoder sees a cell without any open island; the wide path
returns its bias. The depth (n_open, and the length that the linear model's TF-IDF is
divided by) stays the cell's own: it is no island's doing.

- The wide path is linear in p: w_i / |w| times the linear model's row (and, from a base, times what the island's
  vector says) plus n^-1/2 times the profile's row, each times how far it is trusted at this depth. Exact.
- Through the encoder: integrated gradients (Sundararajan, Taly and Yan 2017) along p = t (1, ..., 1), t from 0
  to 1, Gauss-Legendre sums over stretches that are halved where needed. Where closed islands are dropped, p_i
  multiplies the token's weight in the projection E^T X and in the head's sum; where they are kept, the
  token's vector goes from that of a closed island to that of the open one.

The contributions add up to the difference of the logit from that baseline, up to the error of the sum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from annatac.model.network import Network
from annatac.model.tokens import TokenBatch
from annatac.model.wide import tf_idf_weights


class Contributions(NamedTuple):
    """Of B cells, in logits, float32.

    ``wide_BN`` and ``encoder_BN``: of each token of the batch, 0 where padded; ``logit_B`` and ``baseline_B``:
    the explained logit of the cell, and of a cell without evidence at the same depth.
    """

    wide_BN: Tensor
    encoder_BN: Tensor
    logit_B: Tensor
    baseline_B: Tensor


def contributions(
    network: Network,
    batch: TokenBatch,
    weights_BC: Tensor,
    *,
    n_steps: int = 8,
    tolerance: float = 0.005,
    max_halvings: int = 8,
) -> Contributions:
    """Return what each token of each cell adds to ``(weights_BC * logits_BC).sum(1)``.

    Parameters
    ----------
    network
        In evaluation mode; its weights are not touched and get no gradients.
    weights_BC
        Which combination of the types' logits is explained, float32.
    n_steps
        Points of the sum over a stretch of t. A stretch, at first the whole way from 0 to 1, is halved where
        its sum misses the difference of the logit at its ends (a ReLU turns there) by more than
        ``tolerance`` times its length times the whole difference (of all, or of the encoder's part where the
        wide path takes back what the encoder gives).
    max_halvings
        How often.
    """
    with torch.no_grad():
        wide_BN, wide_B, wide_base_B = _wide(network, batch, weights_BC)
        full_B = _encoder_logits(network, batch, weights_BC, 1.0)
        base_B = _encoder_logits(network, batch, weights_BC, 0.0)
    whole_B = (full_B - base_B).abs()
    whole_B = torch.maximum(whole_B, (full_B + wide_B - base_B - wide_base_B).abs())
    encoder_BN = torch.zeros_like(wide_BN)
    rows = torch.arange(len(full_B), device=full_B.device)
    start, end = torch.zeros_like(full_B), torch.ones_like(full_B)
    at_start, at_end = base_B, full_B
    for halving in range(max_halvings + 1):
        halved: list[tuple[Tensor, ...]] = []
        for part in torch.arange(len(rows), device=rows.device).split(len(full_B)):
            of, a, b = rows[part], start[part], end[part]
            cells, weights = _take(batch, of), weights_BC[of]
            sum_MN = _integrated(network, cells, weights, a, b, n_steps)
            missed = (sum_MN.sum(1) - (at_end - at_start)[part]).abs()
            bad = missed > tolerance * (b - a) * whole_B[of] + 1e-6
            bad &= halving < max_halvings
            encoder_BN.index_add_(0, of[~bad], sum_MN[~bad])
            if bad.any():
                middle = (a + b)[bad] / 2
                with torch.no_grad():
                    at_middle = _encoder_logits(network, _take(cells, bad), weights[bad], middle[:, None])
                halved.append((of[bad], a[bad], middle, at_start[part][bad], at_middle))
                halved.append((of[bad], middle, b[bad], at_middle, at_end[part][bad]))
        if not halved:
            break
        rows, start, end, at_start, at_end = (torch.cat(column) for column in zip(*halved, strict=True))
    return Contributions(wide_BN, encoder_BN, full_B + wide_B, base_B + wide_base_B)


def _wide(network: Network, batch: TokenBatch, weights_BC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the wide path's contributions (B, N), its logit and its baseline (B,)."""
    zero_B = weights_BC.new_zeros(len(weights_BC))
    if network.wide is None:
        return zero_B[:, None].repeat(1, batch.islands_BN.shape[1]), zero_B, zero_B
    wide = network.wide
    trust_BS = wide.trust(batch.n_open_B)
    weight_BN = tf_idf_weights(batch, wide.idf)
    linear_BN = _rows_times(wide.linear, batch.islands_BN, weights_BC) * weight_BN
    profile_BN = _rows_times(wide.profile, batch.islands_BN, weights_BC) * batch.real_BN
    profile_BN = profile_BN * batch.n_open_B[:, None] ** -0.5
    each_BN = linear_BN * trust_BS[:, :1] + profile_BN * trust_BS[:, 1:2]
    vectors_BNR = network.encoder.table(batch.islands_BN)
    bias_BC = wide.constants(batch.n_open_B, wide.bias) * trust_BS[:, :1]
    if wide.n_scores == 3:
        place_BR1 = (weights_BC @ wide.place.T)[..., None]
        each_BN = each_BN + (vectors_BNR @ place_BR1).squeeze(-1) * weight_BN * trust_BS[:, 2:]
        bias_BC = bias_BC + wide.constants(batch.n_open_B, wide.place_bias) * trust_BS[:, 2:]
    logit_B = (wide(batch, vectors_BNR=vectors_BNR) * weights_BC).sum(1)
    base_B = ((bias_BC + wide.offsets(batch.n_open_B)) * weights_BC).sum(1)
    return each_BN, logit_B, base_B


def _rows_times(table_LC: Tensor, islands_BN: Tensor, weights_BC: Tensor) -> Tensor:
    return (nn.functional.embedding(islands_BN, table_LC) @ weights_BC[..., None]).squeeze(-1)


def _encoder_logits(
    network: Network, batch: TokenBatch, weights_BC: Tensor, presence: Tensor | float
) -> Tensor:
    """Return the encoder's part of the explained logit (B,) with tokens of that presence."""
    assert network.head is not None
    tokens, x_BND = batch, None
    if network.config.closed == "keep":
        tokens = batch.dense(network.n_islands)
        vectors = network.encoder.table(tokens.islands_BN)
        closed = network.encoder.embedding(torch.zeros_like(tokens.classes_BN), vectors)
        opened = network.encoder.embedding(tokens.classes_BN, vectors)
        # the presence of each token of the batch, at its island
        share_BL = torch.zeros(tokens.classes_BN.shape, device=weights_BC.device)
        share_BL = share_BL.scatter_add(1, batch.islands_BN, batch.real_BN * presence)
        x_BND = closed + share_BL[..., None] * (opened - closed)
    else:
        tokens = network.seen(replace(batch, real_BN=batch.real_BN * presence))
    x_BND, vectors_BNR = network.encoder(tokens, x_BND)
    return (network.head(x_BND, vectors_BNR, tokens)[0] * weights_BC).sum(1)


def _integrated(
    network: Network, batch: TokenBatch, weights_BC: Tensor, start_B: Tensor, end_B: Tensor, n_steps: int
) -> Tensor:
    """Return (B, N): the integral of the slope in each token's presence from ``start_B`` to ``end_B``."""
    nodes, shares = np.polynomial.legendre.leggauss(n_steps)
    total_BN = torch.zeros(batch.islands_BN.shape, device=weights_BC.device)
    for node, share in zip((nodes + 1) / 2, shares / 2, strict=True):
        presence_B1 = (start_B + float(node) * (end_B - start_B))[:, None]
        presence = presence_B1.expand(batch.islands_BN.shape).clone().requires_grad_(True)
        with torch.enable_grad():
            logit = _encoder_logits(network, batch, weights_BC, presence).sum()
            (slope_BN,) = torch.autograd.grad(logit, presence)
        total_BN += float(share) * slope_BN
    return total_BN * batch.real_BN * (end_B - start_B)[:, None]


def _take(batch: TokenBatch, rows: Tensor) -> TokenBatch:
    return TokenBatch(
        batch.islands_BN[rows], batch.classes_BN[rows], batch.real_BN[rows], batch.n_open_B[rows]
    )
