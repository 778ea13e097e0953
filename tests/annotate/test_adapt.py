"""Adapting to a query: by hand, in halves, and without a word about novelty."""

from __future__ import annotations

import itertools

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import annatac
from annatac import jobs, keys
from annatac.annotate import adapt as module
from annatac.annotate.adapt import adapt, stretches
from annatac.annotate.annotator import Annotator
from annatac.annotate.calls import CallSettings
from annatac.errors import ModelError


@pytest.fixture(autouse=True)
def _few_cells_are_enough(monkeypatch):
    monkeypatch.setattr(module, "MIN_CELLS", 30)


def settings(annotator: Annotator, **options) -> CallSettings:
    return CallSettings(adapt=True, **options).for_model(annotator)


def test_profiles_that_took_the_other_half_in_by_hand(annotator, query):
    tokens, _ = annotator.tokens(query)
    adaptation = adapt(annotator, annotator.query(query), settings(annotator))
    assert adaptation.record["used"]
    assert adaptation.shifts is not None
    named = annatac.tl.annotate(query, annotator, copy=True)
    fit = ~named.obs[keys.IS_NOVEL].to_numpy() & (named.obs[keys.REASON] != "low_quality").to_numpy()
    weights = named.obsm[keys.PROBABILITIES].astype(float) * fit[:, None]
    binary = (tokens > 0).toarray().astype(float)
    of_type = annotator.artifact.reference["n_cells"].numpy()
    counts = annotator.artifact.reference["profiles"].numpy().astype(float) * of_type[:, None]
    n_open = counts.sum() / of_type.sum()

    def profiles(counts):
        share = (counts + 0.05) / (counts + 0.05).sum(1, keepdims=True)
        held = counts + 0.1 + 20 * n_open * share.mean(0)
        return held / held.sum(1, keepdims=True)

    def log_profiles(counts):
        log = np.log(profiles(counts))
        return (log - log.mean(0)).T

    odd = slice(1, None, 2)
    seen = weights[odd].T @ binary[odd]
    expected = seen.sum(1) @ profiles(counts)
    taken_in = counts + seen * (expected + 20) / (seen.sum(0) + 20)
    np.testing.assert_allclose(
        adaptation.shifts[0], log_profiles(taken_in) - log_profiles(counts), rtol=1e-3, atol=1e-5
    )
    predicted = annotator.predict(tokens)
    got = adaptation.logits(annotator, tokens, predicted, 0) - predicted.logits
    import torch

    trust = annotator.artifact.network.wide.trust(torch.from_numpy(predicted.n_open).float())[:, 1].detach()
    even = binary[0] @ adaptation.shifts[0] * float(trust[0]) / np.sqrt(binary[0].sum())
    np.testing.assert_allclose(got[0], even, rtol=1e-3, atol=1e-5)


def test_what_sets_the_whole_query_apart_is_not_learnt():
    """By hand: a study that opens one island a third as often, in every type, changes no ratio of types."""
    before = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    depth = np.array([[4e6], [1e6]])
    study = np.array([1.2, 1.2, 0.4])  # a cell's open islands stay as many
    found = module.without_study(depth * before * study, before)
    np.testing.assert_allclose(found, depth * before, rtol=1e-3)


def test_a_cell_does_not_hear_its_own_call(annotator, query):
    """What a cell holds changes the profiles of the other half's cells alone."""
    other = query.copy()
    other.X = sp.csr_matrix(other.X.toarray()[[*range(1, 2), *range(1, query.n_obs)]])  # another first cell
    of = [adapt(annotator, annotator.query(cells), settings(annotator)).shifts for cells in (query, other)]
    assert np.array_equal(of[0][0], of[1][0])
    assert not np.array_equal(of[0][1], of[1][1])


def test_novelty_doublets_and_vectors_are_those_of_the_model_as_it_is(named, query):
    plain, adapted = named(), named(query, adapt=True)
    for column in (keys.NOVELTY, keys.IS_NOVEL, keys.DOUBLET_SCORE, keys.N_OPEN):
        assert plain.obs[column].equals(adapted.obs[column])
    assert np.array_equal(plain.obsm[keys.EMBEDDING], adapted.obsm[keys.EMBEDDING])
    assert not np.array_equal(plain.obsm[keys.PROBABILITIES], adapted.obsm[keys.PROBABILITIES])
    np.testing.assert_allclose(adapted.obsm[keys.PROBABILITIES].sum(1), 1, rtol=1e-5)
    assert adapted.uns[keys.UNS]["adaptation"]["used"]
    assert adapted.uns[keys.UNS]["parameters"]["adapt"]


def test_a_query_of_few_cells_is_named_as_without(named, query):
    few = query[:20].copy()
    plain, adapted = named(few), named(few, adapt=True)
    assert np.array_equal(plain.obsm[keys.PROBABILITIES], adapted.obsm[keys.PROBABILITIES])
    record = adapted.uns[keys.UNS]["adaptation"]
    assert not record["used"]
    assert "30 are needed" in record["why_not"]


def test_profiles_that_drift_from_the_linear_half_are_left(annotator, query, monkeypatch):
    """Profiles that the query drew to one type: the linear half, to which nothing was adapted, tells."""
    profiles = module._profiles

    def drawn(annotator, sums):
        before, _ = profiles(annotator, sums)
        after = np.stack([before, before])
        after[:, 1:] = before[[0, 0]]  # all types look like the first, which looks like the whole query
        after[:, 0] = sums.sum((0, 2)) / sums.sum()
        return before, np.maximum(after, 1e-9)

    monkeypatch.setattr(module, "_profiles", drawn)
    adaptation = adapt(annotator, annotator.query(query), settings(annotator))
    assert adaptation.shifts is None
    assert adaptation.record["agreement"] < -0.05
    assert "drift away" in adaptation.record["why_not"]
    tokens, _ = annotator.tokens(query)
    predicted = annotator.predict(tokens)
    assert adaptation.logits(annotator, tokens, predicted, 0) is predicted.logits


def test_stretches_cover_a_small_query_and_spread_over_a_large_one():
    assert stretches(2_345) == [(0, 1_000), (1_000, 2_000), (2_000, 2_345)]
    rows = stretches(1_000_003)
    assert rows[0] == (0, 100)
    assert rows[-1] == (999_903, 1_000_003)
    assert sum(last - first for first, last in rows) == 5_000
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(rows))


def test_a_file_in_blocks_is_adapted_to_as_a_whole(named, query, model_folder, tmp_path, monkeypatch):
    wanted = named(query, adapt=True)
    query.write_h5ad(tmp_path / "query.h5ad")
    monkeypatch.setattr("annatac.annotate.blocks.BLOCK", 7)
    result = jobs.annotate([tmp_path / "query.h5ad"], tmp_path / "out.h5ad", model=model_folder, adapt=True)
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_allclose(
        found.obsm[keys.PROBABILITIES], wanted.obsm[keys.PROBABILITIES], rtol=1e-3, atol=1e-5
    )
    assert result.adaptation["n_cells"] == wanted.uns[keys.UNS]["adaptation"]["n_cells"]
    assert found.uns[keys.UNS]["adaptation"]["used"]


def test_models_that_cannot_be_adapted_are_refused(annotator, query):
    del annotator.artifact.reference["profiles"]
    with pytest.raises(ModelError, match="keep the reference"):
        annatac.tl.annotate(query, annotator, adapt=True)
    annotator.artifact.network.wide = None
    with pytest.raises(ModelError, match="wide path"):
        annatac.tl.annotate(query, annotator, adapt=True)
