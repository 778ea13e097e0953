"""Contributions of islands: complete, exact where the network is linear, and what deleting them does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import annatac
from annatac import pp, tl
from annatac.config import ModelConfig
from annatac.corpus.batches import collate
from annatac.errors import ConfigError, InputError, LabelError
from annatac.model import Network
from annatac.simulate import simulate_cells
from annatac.tl.reasons.integrated_gradients import contributions

SMALL = {
    "depth": 2, "width": 12, "n_heads": 3, "head_dim": 5, "k": 4, "feed_forward": 20, "position_dim": 6,
    "head_hidden": (9, 7), "dropout": 0.0,
}  # fmt: skip
N_ISLANDS, N_TYPES = 60, 4


def lively(**settings):
    """A network in which every part says something."""
    own = {} if settings.get("thin", True) else {"position_dim": SMALL["width"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(N_ISLANDS, N_TYPES, ModelConfig(**(SMALL | own | settings)))
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in network.state_dict().values():
            value += 0.2 * torch.randn(value.shape, generator=random)
    return network.eval()


@pytest.fixture(scope="module")
def tokens():
    random = np.random.default_rng(0)
    torch.set_num_threads(1)
    x = sp.random(12, N_ISLANDS, 0.3, format="csr", random_state=0)
    x.data = random.integers(1, 6, x.nnz)
    return x.astype(np.uint8).tocsr()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"wide": False},
        {"thin": False, "projection_sharing": "head"},
        {"depth_exponent": 0.5},
        {"max_open": 7},
        {"closed": "keep", "thin": False, "depth_exponent": 0.0, "wide": False},
        {"closed": "keep"},
    ],
    ids=str,
)
def test_contributions_add_up(settings, tokens):
    network, batch = lively(**settings), collate(tokens, np.arange(12))
    weights = torch.eye(N_TYPES)[torch.arange(12) % N_TYPES]
    found = contributions(network, batch, weights, tolerance=0.005)
    with torch.inference_mode():
        logits = network(batch).logits_BC
    assert torch.allclose(found.logit_B, (logits * weights).sum(1), atol=1e-5)
    difference = found.logit_B - found.baseline_B
    total = (found.wide_BN + found.encoder_BN).sum(1)
    scale = torch.maximum(difference.abs(), (difference - found.wide_BN.sum(1)).abs())
    assert torch.all((total - difference).abs() <= 0.01 * scale + 1e-4)
    assert not (found.wide_BN + found.encoder_BN)[~batch.real_BN].any()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not found.encoder_BN.requires_grad


def test_the_wide_path_is_exact(tokens):
    """Without the encoder's head an island's contribution is its row of the tables, by hand."""
    network, batch = lively(), collate(tokens, np.arange(12))
    with torch.no_grad():
        network.head.types.weight.zero_()
    weights = torch.zeros(12, N_TYPES)
    weights[:, 2] = 1
    found = contributions(network, batch, weights)
    assert found.encoder_BN.abs().max() < 1e-6
    islands = tokens.indices[: tokens.indptr[1]]
    wide, n = network.wide, len(islands)
    idf = wide.idf[islands].detach().numpy()
    gate = torch.nn.functional.softplus(wide.gate(torch.tensor([[np.log(n) / 2 - 2.5]]).float()))
    trust = gate.detach().numpy()[0]
    by_hand = trust[0] * idf / np.linalg.norm(idf) * wide.linear[islands, 2].numpy()
    by_hand = by_hand + trust[1] * wide.profile[islands, 2].numpy() / np.sqrt(n)
    assert np.allclose(found.wide_BN[0, :n].numpy(), by_hand, atol=1e-5)
    missed = found.logit_B - found.baseline_B - found.wide_BN.sum(1)
    assert missed.abs().max() < 1e-4


def test_the_baseline_is_a_cell_without_open_islands(tokens):
    network = lively(wide=False)
    empty = sp.csr_matrix((1, N_ISLANDS), dtype=np.uint8)
    weights = torch.eye(N_TYPES)
    found = contributions(network, collate(tokens, np.arange(4)), weights)
    with torch.inference_mode():
        nothing = network(collate(empty, np.arange(1))).logits_BC[0]
    assert torch.allclose(found.baseline_B, nothing, atol=1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    cells = simulate_cells(700, cell_types=4, n_islands=1500, open_islands=150, donors=2)
    training = (cells.obs["donor"] == "donor1").to_numpy()
    folder = tmp_path_factory.mktemp("model") / "model"
    model = annatac.finetune(cells[training], label_key="cell_type", output=folder, recipe="debug")
    query = cells[~training].copy()
    tl.annotate(query, model)
    return model, query


@pytest.fixture(scope="module")
def found(trained):
    model, query = trained
    return tl.attribution(query, model, max_cells=30)


def test_of_cells_and_of_types(trained, found):
    model, query = trained
    assert found.contributions.shape == (len(found.cells), len(model.artifact.universe))
    assert (found.cells["target"].value_counts() <= 30).all()
    called = query.obs.loc[found.cells.index, "annatac_label"].astype(str)
    known = called != "Novel_cell_type"
    assert (called[known] == found.cells["target"].astype(str)[known]).all()
    difference = (found.cells["logit"] - found.cells["baseline"]).abs()
    assert (found.cells["missed"].abs() <= 0.01 * difference + 1e-4).all()
    barcode = found.cells.index[3]
    table = found.of_cell(barcode)
    assert len(table) == found.cells.loc[barcode, "n_open"]
    assert table["contribution"].sum() == pytest.approx(
        found.cells.loc[barcode, "logit"] - found.cells.loc[barcode, "baseline"], rel=0.01
    )
    assert table["contribution"].abs().is_monotonic_decreasing
    assert np.allclose(table["wide"] + table["encoder"], table["contribution"])
    name = found.targets[0]
    table = found.table(name, n_top=None)
    assert np.allclose(table["mean_contribution"], table["mean_when_open"] * table["share_open"])
    mean = pd.Series(found.mean(name), index=found.islands.index)
    assert np.allclose(mean[table["island"]], table["mean_contribution"])


def test_deleting_the_top_islands_costs_more_than_random_ones(trained, found):
    model, query = trained
    tokens, _ = model.tokens(query[found.cells.index])
    random = np.random.default_rng(0)
    targets = found.cells["target"].cat.codes.to_numpy()

    def lost(choose):
        left = tokens.copy()
        left.data = left.data.copy()
        for row in range(left.shape[0]):
            part = slice(left.indptr[row], left.indptr[row + 1])
            order = choose(found.contributions.data[part])
            left.data[part.start + order[: len(order) // 10]] = 0
        left.eliminate_zeros()
        with torch.inference_mode():
            logits = model.artifact.network(collate(left, np.arange(left.shape[0]))).logits_BC.numpy()
        target = logits[np.arange(len(logits)), targets]
        after = target - (logits.sum(1) - target) / (logits.shape[1] - 1)
        return found.cells["logit"].to_numpy() - after

    top = lost(lambda value: np.argsort(-value))
    assert (top > lost(lambda value: random.permutation(len(value)))).mean() > 0.98
    bottom = lost(lambda value: np.argsort(value))
    assert bottom.mean() < 0 < top.mean()


def test_agreement_with_markers(trained, found):
    _, query = trained
    query = query[query.obs["annatac_label"] != "Novel_cell_type"].copy()
    markers = tl.markers(query, "annatac_label")
    table = tl.attribution_agreement(found, markers, n_top=50)
    assert (table["n_shared"] > 3 * table["n_expected"]).all()
    assert (table["spearman_differing"].dropna() > 0.5).all()
    by_island = tl.markers(pp.peak_islands(query), "annatac_label")
    assert (tl.attribution_agreement(found, by_island)["n_islands"] == table["n_islands"]).all()
    with pytest.raises(ConfigError, match="n_top is 0"):
        tl.attribution_agreement(found, markers, n_top=0)


def test_one_cell_one_rival_and_genes(trained):
    model, query = trained
    chosen = [query.obs_names[5], query.obs_names[2]]
    genes = pd.DataFrame({"chrom": ["chr1"], "tss": [1_000_000], "symbol": ["G"], "strand": ["+"]})
    found = tl.attribution(
        query, model, cells=chosen, target="type 1", against="type 2", genes=genes, n_steps=4
    )
    assert set(found.cells.index) == set(chosen)
    assert (found.cells["target"] == "type 1").all()
    assert {"gene", "distance", "chrom"} <= set(found.of_cell(chosen[0], n_top=3))
    tokens, _ = model.tokens(query[chosen])
    with torch.inference_mode():
        logits = model.artifact.network(collate(tokens, np.arange(2))).logits_BC.numpy()
    expected = pd.Series(logits[:, 0] - logits[:, 1], index=chosen)
    assert np.allclose(found.cells["logit"], expected[found.cells.index], atol=1e-4)


def test_bad_input(trained, found):
    model, query = trained
    with pytest.raises(LabelError, match=r"The model knows no type 'tipe 1'. Did you mean 'type 1'"):
        tl.attribution(query, model, target="tipe 1")
    with pytest.raises(InputError, match="1 of 1 cells are not there, 'x' for one"):
        tl.attribution(query, model, cells=["x"])
    with pytest.raises(ConfigError, match="cannot be explained over itself"):
        tl.attribution(query, model, target="type 1", against="type 1")
    with pytest.raises(ConfigError, match="n_steps is 1"):
        tl.attribution(query, model, n_steps=1)
    with pytest.raises(InputError, match="'x' is not among the"):
        found.of_cell("x")
    with pytest.raises(LabelError, match=r"No cell is explained for a type 'typ 1'. Did you mean 'type 1'"):
        found.table("typ 1")
