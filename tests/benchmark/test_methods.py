"""Every cheap method of the registry learns simulated types, and keeps to the one interface."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import annatac
from annatac.benchmark import sets
from annatac.benchmark.method import labels_of, method, methods
from annatac.errors import ConfigError
from annatac.simulate import simulate_cells
from annatac.train.positions import inverse_document_frequency, tf_idf

CHEAP = ("linear_svc", "logistic", "logistic_balanced", "lsi_knn", "mlp", "naive_bayes", "seurat")


@pytest.fixture(scope="module")
def cells():
    """Reference and query (another donor) of four simulated types."""
    adata = simulate_cells(480, cell_types=4, n_islands=1200, open_islands=200, donors=3)
    is_query = (adata.obs["donor"] == "donor3").to_numpy()
    return adata[~is_query].copy(), adata[is_query].copy()


def predictions(name, reference, query):
    """Return probabilities, types and calls; the query goes without its labels."""
    made = method(name).make()
    made.fit(reference, "cell_type", None, 0)
    unlabelled = query.copy()
    unlabelled.obs = unlabelled.obs[[]]
    probabilities, classes = made.predict(unlabelled)
    return probabilities, classes, np.array(classes, dtype=object)[probabilities.argmax(1)]


@pytest.mark.parametrize("name", CHEAP)
def test_a_method_names_most_cells_of_another_donor(cells, name):
    reference, query = cells
    probabilities, classes, calls = predictions(name, reference, query)
    assert sorted(classes) == sorted(set(labels_of(reference, "cell_type")))
    assert probabilities.shape == (query.n_obs, 4)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    truth = labels_of(query, "cell_type")
    most_frequent = max(np.unique(truth, return_counts=True)[1]) / len(truth)
    assert (calls == truth).mean() > most_frequent + 0.15


@pytest.mark.parametrize("name", CHEAP)
def test_the_same_seed_gives_the_same_probabilities(cells, name):
    first, second = (predictions(name, *cells)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", [name for name in CHEAP if name != "seurat"])
def test_an_inductive_method_looks_at_one_cell_at_a_time(cells, name):
    reference, query = cells
    assert method(name).inductive
    whole, alone = predictions(name, reference, query)[0], predictions(name, reference, query[:1])[0]
    np.testing.assert_allclose(whole[:1], alone, atol=1e-5)


def test_two_types_are_enough_for_each_linear_model(cells):
    reference, query = (
        part[part.obs["cell_type"].isin(sorted(set(part.obs["cell_type"]))[:2])].copy() for part in cells
    )
    for name in ("logistic", "linear_svc"):
        probabilities, _, calls = predictions(name, reference, query)
        assert probabilities.shape == (query.n_obs, 2)
        assert (calls == labels_of(query, "cell_type")).mean() > 0.5


def test_logistic_is_scikit_learn_on_tf_idf(cells):
    reference, query = cells
    idf = inverse_document_frequency(reference.X)
    oracle = LogisticRegression(C=10, max_iter=500).fit(
        tf_idf(reference.X, idf), labels_of(reference, "cell_type")
    )
    expected = oracle.predict_proba(tf_idf(query.X, idf))
    np.testing.assert_allclose(predictions("logistic", reference, query)[0], expected, atol=1e-6)


@pytest.mark.slow
def test_the_default_recipe_is_what_annotate_gives(cells, tmp_path):
    reference, query = cells
    probabilities, classes, _ = predictions("annatac", reference, query)
    model = annatac.finetune(reference, label_key="cell_type", output=tmp_path / "model", seed=0)
    annatac.tl.annotate(query := query.copy(), model)
    assert classes == list(query.uns["annatac"]["classes"])
    np.testing.assert_allclose(probabilities, query.obsm["annatac_probabilities"], atol=1e-6)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'naive_bayes'"):
        method("naive_bays")
    assert set(CHEAP) < set(methods())


def test_the_lcl_replicates_are_one_line():
    merged = sets.merge_lcl(np.array(["LCL 1", "LCL 2 Rep1", "LMPP"], dtype=object))
    assert merged.tolist() == ["LCL", "LCL", "LMPP"]


@pytest.mark.dataset("schep2017_lines")
def test_schep_has_ten_types_once_its_lines_are_merged():
    labels = sets.load("schep2017_lines").obs["cell_type"]
    assert labels.nunique() == 10
    assert (labels == "LCL").sum() == 150
