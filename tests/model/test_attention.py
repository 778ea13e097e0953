"""Linformer attention against an independent re-implementation of the published equations."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from annatac.config import ModelConfig
from annatac.model import Network
from annatac.model import attention as attention_module
from annatac.model.attention import LinformerAttention, cheapest, folding_pays, without_cudnn_attention
from annatac.model.embedding import Projection

FORMS = ("plain", "folded", "fused")
SHARING = ("all", "layer", "head", "none")


def published(
    attention: LinformerAttention, x: torch.Tensor, e: list[nn.Linear], f: list[nn.Linear]
) -> torch.Tensor:
    """One cell (n x width): loop over heads; Q, K, V apart; E and F, with bias, over the length axis."""
    d = attention.head_dim
    heads = []
    for h in range(attention.n_heads):
        w_q, w_k, w_v = (
            part.weight[h * d : (h + 1) * d] for part in (attention.query, attention.key, attention.value)
        )
        q, k, v = x @ w_q.T, x @ w_k.T, x @ w_v.T
        k_projected = e[h](k.T).T  # nn.Linear acts on the last axis: the n islands
        v_projected = f[h](v.T).T
        weights = torch.zeros(len(x), k_projected.shape[0], dtype=x.dtype)
        for i, j in itertools.product(range(len(x)), range(k_projected.shape[0])):
            weights[i, j] = (q[i] * k_projected[j]).sum() / math.sqrt(d)
        weights = weights.exp() / weights.exp().sum(1, keepdim=True)
        heads.append(weights @ v_projected)
    return torch.cat(heads, 1) @ attention.out.weight.T + attention.out.bias


def _place(sharing: str, layer: int, head: int, side: int, n_heads: int) -> int:
    """Which of the projections serves a head on the side of keys (0) or values (1)."""
    if sharing == "all":
        return 0
    if sharing == "layer":
        return layer
    return layer * n_heads + head if sharing == "head" else (2 * layer + side) * n_heads + head


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("form", FORMS)
def test_attention_is_the_published_one(settings, cells, sharing, form):
    n_islands = 15
    config = settings(thin=False, projection_sharing=sharing, depth=2, depth_exponent=0.0, closed="keep")
    attention = LinformerAttention(config).double()
    projection = Projection(n_islands, config).double()
    with torch.no_grad():
        projection.bias.normal_()
    batch = cells([[0, 3, 7], [2]]).dense(n_islands)
    x = torch.randn(2, n_islands, config.width, dtype=torch.float64)
    for layer in range(2):
        rows = projection.rows(layer, batch, torch.zeros(2, n_islands, config.position_dim))
        got = attention(x, *projection(layer, rows, x), form=form)
        sides = []
        for side in (0, 1):
            linears = []
            for h in range(config.n_heads):
                linear = nn.Linear(n_islands, config.k).double()
                linear.weight.data = projection.weight[
                    _place(sharing, layer, h, side, config.n_heads)
                ].T.detach()
                linear.bias.data = projection.bias[_place(sharing, layer, h, side, config.n_heads)].detach()
                linears.append(linear)
            sides.append(linears)
        for cell in range(2):
            wanted = published(attention, x[cell], *sides)
            torch.testing.assert_close(got[cell], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("thin", [True, False])
def test_all_forms_are_the_same_product(settings, cells, lively, monkeypatch, sharing, thin):
    network = lively(Network(30, 3, settings(projection_sharing=sharing, thin=thin)))
    batch = cells([[1, 2, 3, 10, 20, 29], [5, 6, 7], []])
    results = {}
    for form in FORMS:
        monkeypatch.setattr(attention_module, "cheapest", lambda *sizes, value=form: value)
        network.zero_grad()
        logits = network(batch).logits_BC
        (logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
        gradients = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
        results[form] = logits.detach(), gradients
    wanted_logits, wanted = results["plain"]
    assert any("attention.query" in name for name in wanted)
    for logits, gradients in results.values():
        torch.testing.assert_close(logits, wanted_logits, rtol=1e-5, atol=1e-5)
        assert gradients.keys() == wanted.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5, msg=name)


def test_the_cheaper_form_is_chosen():
    # k rows shorter than the head's width: folding pays, as in the paper; wide k on few tokens: it does not
    assert folding_pays(n_tokens=16_656, width=200, head_dim=128, n_rows=64)
    assert not folding_pays(n_tokens=100, width=48, head_dim=24, n_rows=256)
    assert cheapest(torch.device("cpu"), 16_656, 200, 128, 64) == "folded"
    assert cheapest(torch.device("cpu"), 100, 48, 24, 256) == "plain"
    assert cheapest(torch.device("cuda"), 16_656, 200, 128, 64) == "fused"


def test_no_biases_in_query_key_and_value():
    attention = LinformerAttention(ModelConfig())
    assert attention.query.bias is attention.key.bias is attention.value.bias is None


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda, "enable_cudnn_sdp"), reason="this PyTorch knows no attention of cuDNN"
)
def test_attention_of_cudnn_is_off_for_the_encoder_alone():
    def enabled() -> bool:
        return torch.backends.cuda.cudnn_sdp_enabled()

    before = enabled()
    with without_cudnn_attention(torch.device("cpu")):
        assert enabled() == before
    with without_cudnn_attention(torch.device("cuda")):
        assert not enabled()
    assert enabled() == before
