"""The SVD that reads cells part by part: held against scikit-learn's of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import subspace_angles
from sklearn.decomposition import TruncatedSVD

import annatac
from annatac.corpus import Corpus, CsrCells, open_for_writing
from annatac.model import artifact
from annatac.pp import peak_islands
from annatac.pp.tokens import openness_classes
from annatac.pp.universe import Universe
from annatac.simulate import simulate_cells
from annatac.train import streamed_positions
from annatac.train.positions import idf_of, inverse_document_frequency, svd_positions, tf_idf
from annatac.train.streamed_positions import island_positions, refined, streamed_idf


@pytest.fixture(scope="module")
def many() -> sp.csr_matrix:
    """1,500 simulated cells of 6 types over 400 islands, uint8."""
    made = simulate_cells(1500, cell_types=6, n_islands=400, open_islands=90, donors=2, seed=3)
    return openness_classes(peak_islands(made).X)


@pytest.fixture
def in_parts(monkeypatch):
    """The corpus is far too large for memory: a sample is a tenth of it, a part some hundred cells."""
    monkeypatch.setattr(streamed_positions, "SVD_TOKENS", 15_000)
    monkeypatch.setattr("annatac.corpus.selection._AT_ONCE", 10_000)


def test_idf_is_summed_over_the_parts(many, in_parts):
    whole = inverse_document_frequency(many)
    assert np.array_equal(streamed_idf(CsrCells(many)), whole)
    np.testing.assert_allclose(idf_of(np.array([0, 3]), 4), np.log([5, 2]), rtol=1e-6)


def test_streamed_vectors_are_those_of_scikit_learn(many, in_parts):
    """What sets the types apart is found; of what is noise, as much as scikit-learn's own randomised SVD finds."""
    got = island_positions(CsrCells(many), 6, 0)
    np.testing.assert_allclose(got.T @ got, np.eye(6) * 400, atol=0.01)
    weighted = tf_idf(many, inverse_document_frequency(many))
    exact, randomised = (
        TruncatedSVD(6, algorithm=name, n_iter=4, random_state=0).fit(weighted).components_.T
        for name in ("arpack", "randomized")
    )
    assert subspace_angles(got[:, :3], exact[:, :3]).max() < 0.02
    assert subspace_angles(got[:, :4], exact[:, :4]).max() < 0.1
    held, theirs = (np.linalg.norm(weighted @ vectors) ** 2 for vectors in (got / 20, randomised))
    assert held > 0.999 * theirs
    sample = svd_positions(many[::10], 6, 0)
    assert subspace_angles(sample[:, :4], exact[:, :4]).max() > 1, "a sample of this size is far from it"


def test_the_seed_decides_alone(many, in_parts):
    first, again, other = (island_positions(CsrCells(many), 5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert subspace_angles(first[:, :3], other[:, :3]).max() < 0.05, "another sample leads to the same"


def test_more_readings_come_nearer(many, in_parts):
    cells, idf = CsrCells(many), inverse_document_frequency(many)
    start = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    exact = np.linalg.svd(tf_idf(many, idf).toarray())[2][:3].T
    angles = [
        subspace_angles(refined(cells, idf, start, n_readings=n)[:, :3], exact).max() for n in (2, 6, 18)
    ]
    assert angles[0] > angles[1] > angles[2]
    assert angles[2] < 1e-4


def test_fewer_cells_than_vectors(in_parts, monkeypatch, many):
    monkeypatch.setattr(streamed_positions, "SVD_TOKENS", 100)
    got = island_positions(CsrCells(many[:7]), 12, 0)
    assert got.shape == (400, 12)
    assert np.isfinite(got).all()


def test_pre_training_on_a_corpus_past_memory(many, debug, in_parts, tmp_path):
    made = simulate_cells(120, cell_types=3, n_islands=200, open_islands=60, donors=4, seed=1)
    islands = peak_islands(made)
    with open_for_writing(tmp_path / "corpus", Universe.from_islands(islands)) as writer:
        writer.append("a", openness_classes(islands.X), shard_tokens=3000)
    cells = Corpus.open(tmp_path / "corpus")
    model = annatac.pretrain(cells, output=tmp_path / "model", recipe=debug(epochs=1))
    vectors = artifact.load(model).network.encoder.table.vectors.numpy()
    assert vectors.std() == pytest.approx(1, abs=0.1)
