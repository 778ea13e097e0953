"""The network: published sizes, sparse = dense, padding, depth, thin tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from annatac.config import Recipe
from annatac.model import MASK_CLASS, Network
from annatac.model.tokens import N_OPENNESS, N_TOKENS, Picked
from annatac.train.objectives.terms import Masked

SHARING = ("all", "layer", "head", "none")


def n_weights(module: torch.nn.Module, *, trainable: bool = True) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


# ------------------------------------------------------------------------------------------- sizes


def test_the_paper_network_has_the_published_size():
    n_islands, n_types = 16_656, 10
    network = Network(n_islands, n_types, Recipe.load("paper").model)
    layer = 3 * 200 * 512 + 512 * 200 + 200 + 2 * (200 + 200) + 200 * 800 + 800 + 800 * 200 + 200
    encoder = 4 * layer + n_islands * 64 + 64 + 7 * 200  # layers, projection with bias, token embedding
    head = 200 + 1 + n_islands * 512 + 512 + 512 * 128 + 128 + 128 * n_types + n_types
    assert n_weights(network.encoder) == encoder
    assert n_weights(network.head) == head
    assert encoder == pytest.approx(4.0e6, rel=0.01)
    assert head == pytest.approx(8.6e6, rel=0.01)
    assert n_weights(network.mask_head) == 200 * 6 + 6
    assert network.wide is None
    table = network.encoder.table.vectors
    assert table.shape == (n_islands, 200)
    assert not table.requires_grad


@pytest.mark.parametrize("sharing", SHARING)
def test_number_of_projections(settings, sharing):
    config = settings(projection_sharing=sharing, thin=False, depth=2, n_heads=3)
    n = {"all": 1, "layer": 2, "head": 6, "none": 12}[sharing]
    assert Network(20, 2, config).encoder.projection.weight.shape == (n, 20, config.k)


@pytest.mark.parametrize("name", ["default", "large", "debug"])
def test_what_grows_with_the_universe_is_thin(name):
    config = Recipe.load(name).model
    n_types = 7
    small, large = Network(100, n_types, config), Network(1100, n_types, config)
    grows = {
        key: (value.numel() - small.state_dict()[key].numel()) / 1000
        for key, value in large.state_dict().items()
        if value.numel() != small.state_dict()[key].numel()
    }
    wide = {"wide.linear": n_types, "wide.profile": n_types, "wide.idf": 1} if config.wide else {}
    assert grows == {"encoder.table.vectors": config.position_dim, **wide}
    assert config.position_dim <= 32


@pytest.mark.parametrize("position", ["fixed", "trainable"])
def test_positions_are_trained_only_where_asked(settings, cells, lively, position):
    network = lively(Network(20, 3, settings(position=position)))
    network(cells([[1, 2, 3]])).logits_BC.sum().backward()
    gradient = network.encoder.table.vectors.grad
    if position == "fixed":
        assert gradient is None
    else:
        assert gradient is not None
        assert gradient.abs().sum(1).nonzero().flatten().tolist() == [1, 2, 3]


def test_the_subtype_head_has_one_more_layer(settings, cells):
    two = Network(20, 3, settings(head_hidden=(16, 8)))
    three = Network(20, 3, settings(head_hidden=(16, 8, 4)))
    assert n_weights(three.head) - n_weights(two.head) == (8 * 4 + 4) - (8 - 4) * 3
    output = three(cells([[1, 2], [3]]))
    assert output.logits_BC.shape == (2, 3)
    assert output.embedding_BD.shape == (2, 4)


def test_a_base_network_has_no_types(settings, cells):
    network = Network(20, 0, settings(wide=True))
    assert network.head is None
    assert network.wide is None
    assert network.openness_logits(cells([[1, 2], [3]])).shape == (2, 2, N_OPENNESS)
    assert network.pooled(cells([[1, 2], [3], []])).shape == (3, 12)


def test_with_a_wide_path_the_encoder_starts_as_nothing(settings, cells):
    network = Network(20, 3, settings(wide=True)).eval()
    batch = cells([[1, 2], [3, 4, 5]])
    assert torch.equal(network(batch).logits_BC, network.wide(batch))


# -------------------------------------------------------------------------------- sparse and dense


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_dropping_equals_keeping_where_all_are_open(settings, cells, lively, sharing, thin, exponent):
    n_islands = 25
    config = settings(projection_sharing=sharing, thin=thin, depth_exponent=exponent)
    drop = lively(Network(n_islands, 3, config))
    keep = Network(n_islands, 3, replace(config, closed="keep")).eval()
    keep.load_state_dict(drop.state_dict())
    batch = cells([list(range(n_islands)), list(range(n_islands))[::-1]])
    a, b = drop(batch), keep(batch)
    assert a.logits_BC.abs().max() > 1e-2
    torch.testing.assert_close(a.logits_BC, b.logits_BC, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(a.embedding_BD, b.embedding_BD, rtol=1e-5, atol=1e-5)


def _only_open(network: Network, is_open: torch.Tensor, *, thin: bool) -> None:
    """Set the projection's and the head's rows of closed islands to zero."""
    with torch.no_grad():
        if thin:  # both kinds of rows are products with the island's vector
            network.encoder.table.vectors *= is_open[:, None]
        else:
            network.encoder.projection.weight *= is_open[None, :, None]
            network.head.rows *= is_open[:, None]


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.dataset("scabc_bj_tf1_chr12")
def test_dropping_equals_keeping_on_real_sparse_cells(settings, lively, dataset, sharing, thin, exponent):
    from annatac.corpus import collate
    from annatac.pp import peak_islands
    from annatac.pp.tokens import openness_classes

    tokens = openness_classes(peak_islands(dataset("scabc_bj_tf1_chr12")).X)
    n_islands = tokens.shape[1]
    config = settings(projection_sharing=sharing, thin=thin, depth_exponent=exponent)
    for cell in (0, 100):
        batch = collate(tokens, np.array([cell]))
        assert 5 < batch.real_BN.sum() < 0.7 * n_islands
        is_open = torch.zeros(n_islands)
        is_open[batch.islands_BN[0]] = 1
        drop = lively(Network(n_islands, 3, config))
        _only_open(drop, is_open, thin=thin)
        keep = Network(n_islands, 3, replace(config, closed="keep")).eval()
        keep.load_state_dict(drop.state_dict())
        if thin and exponent == 0:  # no shipped recipe: unscaled sums of hundreds of vectors saturate the
            drop, keep = drop.double(), keep.double()  # softmax, where float32's rounding alone passes 1e-5
        torch.testing.assert_close(drop(batch).logits_BC, keep(batch).logits_BC, rtol=1e-5, atol=1e-5)
        masked = drop.openness_logits(batch)
        kept = keep.openness_logits(batch)[:, batch.islands_BN[0]]
        torch.testing.assert_close(masked, kept, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("closed", ["drop", "keep"])
def test_the_last_layer_at_picked_tokens_alone_is_the_same(settings, cells, lively, depth, closed):
    network = lively(Network(25, 0, settings(depth=depth, closed=closed)))
    batch = cells([[1, 4, 7, 20], [3], [0, 2, 24]])
    chosen_BN = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    n_tokens = batch.islands_BN.shape[1]
    at = chosen_BN.flatten().nonzero()[:, 0]
    if closed == "keep":
        at, n_tokens = at // n_tokens * 25 + batch.islands_BN.flatten()[at], 25
    picked = Masked.of(batch, chosen_BN, batch.classes_BN, network).picked
    found = {}
    for name in ("all", "picked"):
        network.zero_grad()
        if name == "all":
            logits = network.openness_logits(batch).flatten(0, 1)[at]
        else:
            logits = network.openness_logits(batch, picked)
        (logits * torch.arange(logits.numel()).view_as(logits)).sum().backward()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found[name] = logits.detach(), gradients
    torch.testing.assert_close(found["all"][0], found["picked"][0])
    for wanted, got in zip(found["all"][1], found["picked"][1], strict=True):
        torch.testing.assert_close(wanted, got, rtol=1e-4, atol=1e-4)


def test_picked_tokens_stand_cell_by_cell():
    chosen_BN = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    picked = Picked.of(chosen_BN)
    assert picked.tokens_BM.tolist() == [[1, 2], [0, 0], [0, 0]]
    assert picked.at.tolist() == [0, 1, 4]
    none = Picked.of(torch.zeros(2, 3, dtype=torch.bool))
    assert none.tokens_BM.shape == (2, 0)
    assert none.at.tolist() == []


def test_closed_islands_matter_where_they_are_kept(settings, cells, lively):
    """The opposite of the tests above: without zeroed rows the dense form is another function."""
    config = settings(thin=False, depth_exponent=0.0)
    drop = lively(Network(25, 3, config))
    keep = Network(25, 3, replace(config, closed="keep")).eval()
    keep.load_state_dict(drop.state_dict())
    batch = cells([[1, 5, 9]])
    assert (drop(batch).logits_BC - keep(batch).logits_BC).abs().max() > 1e-3


def test_dense_tokens_are_every_island_in_order(cells):
    batch = cells([[3, 1], [], [0]])
    dense = batch.dense(5)
    assert dense.classes_BN.tolist() == [[0, 2, 0, 4, 0], [0] * 5, [1, 0, 0, 0, 0]]
    assert dense.islands_BN.tolist() == [list(range(5))] * 3
    assert dense.real_BN.all()
    assert dense.n_open_B.tolist() == [2, 1, 1]


# ------------------------------------------------------------------------------- padding and depth


@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("closed", ["drop", "keep"])
def test_padding_never_matters(settings, cells, lively, thin, wide, closed):
    network = lively(Network(30, 3, settings(thin=thin, wide=wide, closed=closed)))
    if wide:
        network.wide.linear.normal_()
        network.wide.profile.normal_()
        network.wide.idf.uniform_(0.5, 2)
        network.head.types.weight.data.normal_()
    # the last has as many tokens as there are islands, which the sparse form must not take for the dense one
    own = [[4, 9], [7], [], list(range(29, 14, -1)), list(range(29, -1, -1))]
    together = network(cells(own))
    for row, cell in enumerate(own):
        alone = network(cells([cell]))
        torch.testing.assert_close(alone.logits_BC[0], together.logits_BC[row], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(alone.embedding_BD[0], together.embedding_BD[row], rtol=1e-5, atol=1e-5)
    pooled = network.pooled(cells(own))
    torch.testing.assert_close(network.pooled(cells([own[0]]))[0], pooled[0], rtol=1e-5, atol=1e-5)


def test_the_order_of_tokens_never_matters(settings, cells, lively):
    network = lively(Network(30, 3, settings()))
    a, b = network(cells([[4, 9, 20, 3]])), network(cells([[20, 3, 4, 9]]))
    torch.testing.assert_close(a.logits_BC, b.logits_BC, rtol=1e-5, atol=1e-5)


def test_the_mask_is_neither_closed_nor_padding(settings, cells, lively):
    assert MASK_CLASS == N_OPENNESS == 6  # after the classes 0..5
    assert N_TOKENS == 7
    network = lively(Network(30, 3, settings()))
    batch = cells([[4, 9, 20], [1]])
    masked = replace(batch, classes_BN=batch.classes_BN.clone())
    masked.classes_BN[0, 1] = MASK_CLASS
    padded = replace(batch, real_BN=batch.real_BN.clone())
    padded.real_BN[0, 1] = False
    closed = replace(batch, classes_BN=batch.classes_BN.clone())
    closed.classes_BN[0, 1] = 0
    logits = [network(b).logits_BC[0] for b in (batch, masked, padded, closed)]
    for i in range(4):
        for j in range(i):
            assert (logits[i] - logits[j]).abs().max() > 1e-4, (i, j)


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a, b, dim=1)


@pytest.mark.parametrize("name", ["default", "large"])
def test_a_thinned_cell_keeps_its_vectors(cells, name):
    """Random weights: 1,000 open islands and half of them give nearly the same vectors and logits."""
    config = replace(Recipe.load(name).model, wide=False)
    network = Network(10_000, 8, config).eval()
    random = np.random.default_rng(0)
    deep = [random.choice(10_000, 1000, replace=False) for _ in range(6)]
    halves = [random.permutation(cell)[:500] for cell in deep]
    with torch.no_grad():
        a, b = network(cells(deep)), network(cells(halves))
        pooled = _cosine(network.pooled(cells(deep)), network.pooled(cells(halves)))
    assert _cosine(a.embedding_BD, b.embedding_BD).min() > 0.9
    assert pooled.min() > 0.9


def test_sums_are_depth_meters_without_the_scale(settings, cells, lively):
    """Why the scale is there: with exponent 0 a thinned cell's sums shrink, with 1 they do not."""
    random = np.random.default_rng(0)
    deep = random.choice(3000, 1000, replace=False)
    both = cells([deep, random.permutation(deep)[:500]])
    sizes = {}
    for exponent in (0.0, 1.0):
        network = lively(Network(3000, 3, settings(depth=0, depth_exponent=exponent)))
        x = network.encoder(both)[0]
        weights = network.head.convolution(x).squeeze(-1).relu() * both.real_BN
        weights = weights * both.n_open_B[:, None] ** -exponent
        sizes[exponent] = (weights.sum(1)[1] / weights.sum(1)[0]).item()
    assert sizes[0.0] == pytest.approx(0.5, abs=0.05)
    assert sizes[1.0] == pytest.approx(1.0, abs=0.05)


# --------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("form", ["plain", "folded", "fused"])
@pytest.mark.parametrize("thin", [True, False])
def test_bfloat16_is_near_float32_and_stays_in_the_encoder(settings, cells, lively, thin, form, monkeypatch):
    monkeypatch.setattr("annatac.model.attention.cheapest", lambda *sizes: form)
    network = lively(Network(60, 3, settings(thin=thin, wide=True)))
    batch = cells([list(range(0, 60, 2)), [5, 7, 40], []])

    @torch.no_grad()
    def outputs() -> dict[str, torch.Tensor]:
        named = network(batch)
        return {
            "logits": named.logits_BC,
            "embedding": named.embedding_BD,
            "openness": network.openness_logits(batch),
            "pooled": network.pooled(batch),
        }

    exact = outputs()
    network.encoder_dtype = torch.bfloat16
    for name, value in outputs().items():
        assert value.dtype == torch.float32
        apart = float((value - exact[name]).abs().max() / exact[name].abs().max())
        assert 0 < apart < 0.02, f"{name}: 8 bits are kept of each factor"  # 2 ** -8 is 0.004
    network(batch).logits_BC.square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    network.encoder_dtype = torch.float32
    assert all(torch.equal(value, exact[name]) for name, value in outputs().items())


def test_softmax_is_float32(settings, cells, monkeypatch):
    seen = []
    softmax = torch.Tensor.softmax

    def watched(self, *args, **kwargs):
        result = softmax(self, *args, **kwargs)
        seen.append((self.dtype, result.dtype))
        return result

    monkeypatch.setattr(torch.Tensor, "softmax", watched)
    network = Network(20, 2, settings(depth=1))
    network.encoder_dtype = torch.bfloat16
    network(cells([[1, 2, 3]]))
    assert seen == [(torch.bfloat16, torch.float32)]


def test_a_compiled_encoder_is_one_for_a_while(settings, cells, lively, monkeypatch):
    """What compiling does to it is PyTorch's; that it is used, for all that runs the encoder, and put away is ours."""
    made = []

    def compile(function, **options):
        def used(*args, **kwargs):
            made.append(options)
            return function(*args, **kwargs)

        return used

    monkeypatch.setattr(torch, "compile", compile)
    network = lively(Network(60, 3, settings(wide=True)))
    batch = cells([[1, 2, 3], [5, 7, 40]])
    wanted, names = network(batch).logits_BC, list(network.state_dict())
    with network.compiled():
        assert torch.equal(network(batch).logits_BC, wanted)
        network.openness_logits(batch)
        network.pooled(batch)
        assert made == [{"dynamic": True}] * 3
        assert list(network.state_dict()) == names
    with network.compiled(False):
        network(batch)
    network(batch)
    assert len(made) == 3
