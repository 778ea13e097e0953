"""What fine-tuning takes from a base: vectors for every island, a prior of the types, a third score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import annatac
from annatac.corpus import collate
from annatac.errors import AssemblyError, InputError, OverlapError
from annatac.model import Network, artifact
from annatac.tl.reasons.integrated_gradients import contributions
from annatac.train.from_base import base_vectors, lent_vectors
from annatac.train.island_prior import ABSENT, fit_place, prior_profiles
from annatac.train.positions import profile_positions, tf_idf
from annatac.train.wide import fit_wide

SETTINGS = {"n_types": 3, "n_folds": 3, "c": 0.7, "smoothing": 0.25, "seed": 0}


def test_lent_vectors_by_hand(universe):
    own = universe([0, 10_000, 500_000], genes=["A", "", "B"])
    vectors = np.array([[1.0, 0], [3, 2], [8, 1]], dtype=np.float32)
    asked = universe([5000, 2_000_000, 900_000], genes=["", "", "B;C"])
    got = lent_vectors(asked, own, vectors)
    np.testing.assert_allclose(got[0], [2, 1], err_msg="the mean of the neighbours")
    np.testing.assert_allclose(got[1], [4, 1], err_msg="the mean of all")
    np.testing.assert_allclose(got[2], [8, 1], err_msg="the island of the same gene")


@pytest.fixture
def vectors(tokens):
    return np.random.default_rng(3).normal(size=(tokens[0].shape[1], 4)).astype(np.float32)


def test_place_is_the_discriminant_of_scikit_learn(tokens, vectors):
    cells, labels = tokens
    weighted = tf_idf(cells, np.ones(cells.shape[1], dtype=np.float32))
    weights, bias = fit_place(weighted, labels, vectors, 4)
    sums = weighted @ vectors
    scaled = (sums - sums.mean(0)) / sums.std(0)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(3, 1 / 3))
    wanted = model.fit(scaled, labels).decision_function(scaled)
    np.testing.assert_allclose((sums @ weights + bias)[:, :3], wanted, atol=1e-3)
    assert bias[3] == ABSENT
    one_each, _ = fit_place(weighted[:3], np.array([2, 0, 1]), vectors, 3)
    assert np.isfinite(one_each).all()


def test_prior_profiles_are_the_most_likely_log_linear_ones():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(12, 2)).astype(np.float32)
    counts = random.poisson(4, size=(1, 12)).astype(float)
    got = prior_profiles(counts, vectors, ridge=2.0)
    centred = (vectors - vectors.mean(0)) / (vectors - vectors.mean(0)).std()
    pooled = np.log(counts[0] + 0.5)

    def profile(u):
        p = np.exp(pooled + centred @ u)
        return p / p.sum()

    best = minimize(lambda u: -(counts[0] * np.log(profile(u))).sum() + 2.0 * (u**2).sum(), np.zeros(2))
    np.testing.assert_allclose(got[0], profile(best.x), rtol=1e-3)
    np.testing.assert_allclose(got.sum(1), 1)
    unseen = prior_profiles(np.vstack([counts, np.zeros(12)]), vectors, ridge=2.0)[1]
    np.testing.assert_allclose(unseen, (counts[0] + 0.5) / (counts[0] + 0.5).sum(), rtol=1e-5)


def test_profile_positions_tell_the_groups_of_islands_apart():
    levels = np.zeros((6, 4))
    levels[:3, :2], levels[3:, 2:] = 5, 5  # islands 0-2 belong to two types, 3-5 to the others
    got = profile_positions(levels, np.array(["a", "b", "a", "b"]), 2)
    assert (np.sign(got[:3, 0]) != np.sign(got[3:, 0])).all()
    assert np.sqrt((got**2).mean()) == pytest.approx(1, rel=1e-5)
    assert profile_positions(levels, np.zeros(4), 7).shape == (6, 7)


def test_cross_fitted_scores_with_a_base_and_what_the_network_says(tokens, vectors, debug):
    cells, labels = tokens
    tables = fit_wide(cells, labels, vectors=vectors, prior_strength=100.0, prior_ridge=1.0, **SETTINGS)
    rows = np.array([5, 60])
    batch = collate(cells, rows)
    assert tables.scores(batch, rows).shape == (3, 2, 3)
    network = Network(cells.shape[1], 3, replace(debug().model, wide_place="always")).eval()
    network.encoder.table.vectors.data.copy_(torch.from_numpy(vectors))
    tables.install(network.wide)
    got = network(batch).logits_BC
    islands = np.flatnonzero(cells[5].toarray()[0])
    idf = tables.idf.numpy()[islands]
    unit = idf / np.linalg.norm(idf)
    n = cells.shape[1]
    depth = np.sqrt(len(islands) / float(tables.typical_open))
    linear = unit @ tables.linear[-n:].numpy()[islands] + depth * tables.bias[-1].numpy()
    profile = tables.profile[-n:].numpy()[islands].sum(0) / np.sqrt(len(islands))
    place = unit @ vectors[islands] @ tables.place[-1].numpy() + depth * tables.place_bias[-1].numpy()
    trust = network.wide.trust(batch.n_open_B)[0].detach().numpy()
    wanted = trust[0] * linear + trust[1] * profile + trust[2] * place
    np.testing.assert_allclose(got[0].detach().numpy(), wanted, rtol=1e-3, atol=1e-3)
    weights = torch.tensor([[1.0, -0.5, -0.5]] * 2)
    found = contributions(network, batch, weights)
    added = (found.wide_BN + found.encoder_BN).sum(1)
    np.testing.assert_allclose(added.numpy(), (found.logit_B - found.baseline_B).numpy(), atol=1e-2)


def test_a_base_model_is_stored_in_8_bits_and_loads_as_it_was(reference, debug, tmp_path):
    folder = annatac.pretrain(reference, output=tmp_path / "base", recipe=debug(epochs=1))
    base = artifact.load(folder)
    artifact.save(base, tmp_path / "again")
    again = artifact.load(tmp_path / "again")
    assert again.model_id == base.model_id
    assert torch.equal(again.network.encoder.table.vectors, base.network.encoder.table.vectors)
    assert len(np.unique(base.network.encoder.table.vectors.detach().numpy()[:, 0])) <= 255


def test_a_base_of_other_islands_is_refused_with_the_figures(reference, debug, universe, tmp_path):
    base = artifact.load(annatac.pretrain(reference, output=tmp_path / "base", recipe=debug(epochs=1)))
    own = base.universe
    cells = sp.csr_matrix(np.ones((3, 6), dtype=np.uint8))
    with pytest.raises(
        OverlapError, match=r"has 0 open islands that the base model knows; at least 5 .* 0 \(0\.0%\)"
    ):
        base_vectors(universe(range(10**9, 10**9 + 30_000, 5000), genome=None), base, cells)
    few = own.take(np.arange(6))
    with pytest.raises(AssemblyError, match=r"base model is on hg\d+, the reference on mm10"):
        base_vectors(replace(few, genome="mm10"), replace(base, universe=replace(own, genome="hg38")), cells)


def test_bad_profiles_are_refused(reference, debug, tmp_path):
    arguments = {"output": tmp_path / "base", "recipe": debug(epochs=1)}
    twice = reference[[0, 1, 2]].copy()
    twice.obs_names = ["B", "T", "B"]
    with pytest.raises(InputError, match="'B' is there twice"):
        annatac.pretrain(reference, profiles=twice, **arguments)
    with pytest.raises(InputError, match="two types or more"):
        annatac.pretrain(reference, profiles=reference[:1].copy(), **arguments)
    other = reference[:5].copy()
    other.uns["genome"] = "mm10" if reference.uns.get("genome") != "mm10" else "hg19"
    if reference.uns.get("genome"):
        with pytest.raises(AssemblyError, match="The profiles are on"):
            annatac.pretrain(reference, profiles=other, **arguments)
    good = annatac.pretrain(reference, profiles=reference[:9].copy(), **arguments)
    assert len(artifact.load(good).training["profiles"]) == 9
