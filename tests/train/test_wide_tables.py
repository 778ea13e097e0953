"""The wide path: by hand, against scikit-learn, and cross-fitted without the cell."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB

from annatac.corpus import collate
from annatac.model.wide import WidePath, wide_scores
from annatac.pp.counts import open_counts
from annatac.train.positions import inverse_document_frequency, svd_positions, tf_idf
from annatac.train.wide import ABSENT, centred_log_profiles, fit_wide, start_gate

SETTINGS = {"n_types": 3, "n_folds": 3, "c": 0.7, "smoothing": 0.25, "seed": 0}


def as_binary(tokens: sp.csr_matrix) -> sp.csr_matrix:
    return (tokens > 0).astype(np.float64)


def test_profiles_by_hand():
    binary = sp.csr_matrix([[1, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    got = centred_log_profiles(open_counts(binary, np.array([0, 0, 1]), 2) + 0.5)
    p0 = np.log(np.array([2.5, 1.5, 0.5]) / 4.5)
    p1 = np.log(np.array([0.5, 0.5, 1.5]) / 2.5)
    np.testing.assert_allclose(got, np.stack([p0 - (p0 + p1) / 2, p1 - (p0 + p1) / 2], 1), rtol=1e-6)


def test_a_profile_holds_cells_of_the_mean_profile_by_hand():
    tokens = sp.csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 1]], dtype=np.uint8))
    labels = np.array([0, 0, 1, 2])
    tables = fit_wide(tokens, labels, **SETTINGS, background=3.0)
    counts = np.array([[2, 2, 0], [0, 1, 1], [0, 1, 1]])
    mean = ((counts + 0.05) / (counts + 0.05).sum(1, keepdims=True)).mean(0)
    held = counts + 0.25 + 3 * 2 * mean  # two islands are open in a cell
    wanted = np.log(held / held.sum(1, keepdims=True))
    np.testing.assert_allclose(tables.profile[-3:].numpy(), (wanted - wanted.mean(0)).T, rtol=1e-4, atol=1e-6)


def test_the_background_takes_from_a_type_of_few_cells_more_than_from_one_of_many(tokens):
    cells, labels = tokens
    rare = np.flatnonzero(labels == 2)[:3]
    rows = np.concatenate([np.flatnonzero(labels < 2), rare])
    spread = [
        fit_wide(cells[rows], labels[rows], **SETTINGS, background=background)
        .profile[-cells.shape[1] :]
        .numpy()
        .std(0)
        for background in (0.0, 20.0)
    ]
    shrunk = spread[1] / spread[0]
    assert shrunk[2] < shrunk[:2].min() < 1


def test_final_tables_are_those_of_scikit_learn(tokens):
    cells, labels = tokens
    tables = fit_wide(cells, labels, **SETTINGS)
    path = WidePath(cells.shape[1], 3)
    tables.install(path)
    batch = collate(cells, np.arange(len(labels)))
    linear, profile = wide_scores(batch, path.linear, path.profile, path.idf, path.bias).numpy()
    bayes = MultinomialNB(alpha=0.25, fit_prior=False).fit(as_binary(cells), labels)
    log_likelihood = as_binary(cells) @ bayes.feature_log_prob_.T
    centred = log_likelihood - log_likelihood.mean(1, keepdims=True)
    n_open = np.diff(cells.indptr)[:, None]
    np.testing.assert_allclose(profile, centred / np.sqrt(n_open), rtol=1e-3, atol=1e-4)
    assert (profile.argmax(1) == bayes.predict(as_binary(cells))).all()
    idf = np.log(1 + len(labels) / (1 + np.asarray(as_binary(cells).sum(0)).ravel()))
    weighted = as_binary(cells).toarray() * idf
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    logistic = LogisticRegression(C=0.7, class_weight="balanced", max_iter=200).fit(weighted, labels)
    np.testing.assert_allclose(linear, logistic.decision_function(weighted), rtol=2e-2, atol=2e-2)
    assert (linear.argmax(1) == logistic.predict(weighted)).mean() > 0.98


def test_two_types_and_absent_types(tokens):
    cells, labels = tokens
    two = labels < 2
    tables = fit_wide(cells[two], labels[two], **SETTINGS)
    logistic = LogisticRegression(C=0.7, class_weight="balanced", max_iter=200)
    logistic.fit(tf_idf(cells[two], tables.idf.numpy()), labels[two])
    n = cells.shape[1]
    last = tables.linear[-n:].numpy()
    np.testing.assert_allclose(last[:, 1] - last[:, 0], logistic.coef_[0], rtol=1e-3, atol=1e-3)
    assert (last[:, 2] == 0).all()
    assert tables.bias[-1, 2] == ABSENT, "a type without a cell is far from every cell"
    assert tables.bias[-1, :2].min() > ABSENT


@pytest.mark.parametrize("with_groups", [False, True])
def test_a_cells_table_is_fitted_without_its_fold(tokens, reference, with_groups):
    cells, labels = tokens
    groups = reference.obs["donor"].astype(str).to_numpy() if with_groups else None
    tables = fit_wide(cells, labels, groups=groups, **SETTINGS)
    assert set(tables.fold) == {0, 1, 2}
    if groups is not None:
        assert all(len(set(tables.fold[groups == g])) == 1 for g in set(groups)), "donors stay whole"
    n = cells.shape[1]
    assert tables.linear.shape == tables.profile.shape == (4 * n, 3)
    weighted = tf_idf(cells, tables.idf.numpy())
    for k in range(3):
        others = tables.fold != k
        bayes = MultinomialNB(alpha=0.25, fit_prior=False).fit(as_binary(cells)[others], labels[others])
        wanted = (bayes.feature_log_prob_ - bayes.feature_log_prob_.mean(0)).T
        np.testing.assert_allclose(tables.profile[k * n : (k + 1) * n].numpy(), wanted, rtol=1e-4, atol=1e-5)
        logistic = LogisticRegression(C=0.7, class_weight="balanced", max_iter=200, random_state=0)
        logistic.fit(weighted[others], labels[others])
        np.testing.assert_allclose(tables.linear[k * n : (k + 1) * n].numpy(), logistic.coef_.T, atol=1e-3)


def test_changing_a_cells_label_leaves_its_own_table(tokens, reference):
    cells, labels = tokens
    donors = reference.obs["donor"].astype(str).to_numpy()  # folds by donor do not depend on the labels
    before = fit_wide(cells, labels, groups=donors, **SETTINGS)
    other = labels.copy()
    other[11] = (other[11] + 1) % 3
    after = fit_wide(cells, other, groups=donors, **SETTINGS)
    assert np.array_equal(before.fold, after.fold)
    batch, rows = collate(cells, np.array([11])), np.array([11])
    assert torch.equal(before.scores(batch, rows), after.scores(batch, rows))
    n, k = cells.shape[1], before.fold[11]
    for j in range(4):
        same = torch.equal(before.profile[j * n : (j + 1) * n], after.profile[j * n : (j + 1) * n])
        assert same == (j == k), "the other tables, the final one among them, have seen it"


def test_scores_of_training_cells_by_hand(tokens):
    cells, labels = tokens
    tables = fit_wide(cells, labels, **SETTINGS)
    rows = np.array([5, 60, 100])
    got = tables.scores(collate(cells, rows), rows).numpy()
    n, idf = cells.shape[1], tables.idf.numpy()
    typical = np.exp(np.log(np.diff(cells.indptr)).mean())
    for i, row in enumerate(rows):
        is_open = cells[row].toarray()[0] > 0
        x = idf * is_open
        at = slice(tables.fold[row] * n, (tables.fold[row] + 1) * n)
        depth = np.sqrt(is_open.sum() / typical)
        linear = x / np.linalg.norm(x) @ tables.linear[at].numpy()
        linear += depth * tables.bias[tables.fold[row]].numpy()
        profile = tables.profile[at].numpy()[is_open].sum(0) / np.sqrt(is_open.sum())
        np.testing.assert_allclose(got[0, i], linear, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got[1, i], profile, rtol=1e-4, atol=1e-4)


def test_intercepts_and_offsets_by_depth():
    """By hand: 8 open islands where 2 are typical, twice the evidence; half of one, half the evidence."""
    path = WidePath(9, 2)
    path.typical_open, path.prior = torch.tensor([2.0]), torch.tensor([-1.0, -3.0])
    with torch.no_grad():
        path.offset.copy_(torch.tensor([0.5, 0.0]))
        path.bias.copy_(torch.tensor([0.0, 1.0]))
        n_open = torch.tensor([8.0, 0.5])
        assert path.offsets(n_open).tolist() == [[2.0, 3.0], [-0.25, -1.5]]
        batch = collate(sp.csr_matrix(np.array([[1] * 8 + [0]], dtype=np.uint8)), np.array([0]))
        assert path.scores(batch)[0].tolist() == [[0.0, 2.0]]
        path.typical_open = path.prior = None  # a model of format 2
        assert path.offsets(n_open).tolist() == [[0.5, 0.0], [0.5, 0.0]]
        assert path.scores(batch)[0].tolist() == [[0.0, 1.0]]


def test_the_gate_starts_from_the_share_of_the_weighted_cells():
    path = WidePath(5, 3)
    targets = torch.tensor([0] * 6 + [1] * 2)
    scores = torch.zeros(2, 8, 3)
    start_gate(path, scores, targets, torch.ones(8), torch.tensor([0.5, 2.5, 0.0]))
    assert path.prior is not None
    np.testing.assert_allclose(path.prior.numpy(), np.log(np.array([3, 5, 1]) / 8), rtol=1e-6)
    assert path.offset[2] < path.offset[:2].min(), "a type without a cell"


def test_rare_types_are_spread_over_some_folds():
    random = np.random.default_rng(0)
    cells = sp.csr_matrix((random.random((40, 30)) < 0.4).astype(np.uint8))
    labels = np.array([0] * 20 + [1] * 18 + [2] * 2)
    tables = fit_wide(cells, labels, **(SETTINGS | {"n_folds": 4}))
    assert sorted(set(tables.fold)) == [0, 1, 2, 3]
    assert len(set(tables.fold[labels == 2])) == 2
    assert torch.isfinite(tables.linear).all()
    assert torch.isfinite(tables.profile).all()


def test_idf_by_hand():
    tokens = sp.csr_matrix(np.array([[3, 0, 1], [1, 0, 0]], dtype=np.uint8))
    np.testing.assert_allclose(
        inverse_document_frequency(tokens), np.log(1 + 2 / (1 + np.array([2, 0, 1]))), rtol=1e-6
    )


def test_positions_are_the_right_singular_vectors(tokens):
    cells, _ = tokens
    got = svd_positions(cells, 4, seed=0)
    assert got.shape == (cells.shape[1], 4)
    assert got.dtype == np.float32
    np.testing.assert_allclose((got**2).mean(0), 1, rtol=1e-3)  # of root mean square one
    weighted = tf_idf(cells, inverse_document_frequency(cells)).toarray()
    _, _, exact = np.linalg.svd(weighted, full_matrices=False)
    cosine = np.abs((got.T / np.sqrt(cells.shape[1]) * exact[:4]).sum(1))
    assert cosine[:2].min() > 0.99, "up to sign"
    few = svd_positions(cells[:3], 8, seed=0)
    assert (few[:, 3:] == 0).all(), "more dimensions than cells: the missing ones are zero"
