"""Every cheap method of the registry learns simulated types, and keeps to the one interface."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

import annatac
from annatac.benchmark import sets
from annatac.benchmark.gene_features import log_gene_scores
from annatac.benchmark.method import labels_of, method, methods, where_defined
from annatac.benchmark.methods.cellcano import Cellcano
from annatac.benchmark.methods.cnn import Cnn
from annatac.benchmark.methods.epianno import EpiAnno
from annatac.benchmark.methods.harmony import LsiHarmony, harmony
from annatac.benchmark.methods.rainbow import Rainbow
from annatac.benchmark.methods.singler import SingleR
from annatac.errors import ConfigError, InputError
from annatac.genome.intervals import intervals_of
from annatac.simulate import simulate_cells
from annatac.train.positions import inverse_document_frequency, tf_idf

CHEAP = ("linear_svc", "logistic", "logistic_balanced", "lsi_knn", "mlp", "naive_bayes", "seurat")
#: Published recipes, with fewer steps than they take by default.
PUBLISHED = {
    "cellcano": lambda genes: Cellcano(genes, epochs=60),
    "cnn": lambda genes: Cnn(max_epochs=8, learning_rate=1e-3),
    "epianno": lambda genes: EpiAnno(n_steps=400),
    "lsi_harmony": lambda genes: LsiHarmony(),
    "rainbow": lambda genes: Rainbow(epochs=3),
    "singler": lambda genes: SingleR(genes),
}


@pytest.fixture(scope="module")
def genes(cells):
    """A gene in the middle of every other island: each island's openness is some gene's score."""
    table = intervals_of(cells[0].var).iloc[::2]
    start = table["start"] + 2_000
    symbols = [f"G{i}" for i in range(len(table))]
    return pd.DataFrame(
        {"chrom": table["chrom"], "start": start, "end": start + 1_000, "symbol": symbols, "strand": "+"}
    )


@pytest.fixture(scope="module")
def cells():
    """Reference and query (another donor) of four simulated types."""
    adata = simulate_cells(480, cell_types=4, n_islands=1200, open_islands=200, donors=3)
    is_query = (adata.obs["donor"] == "donor3").to_numpy()
    return adata[~is_query].copy(), adata[is_query].copy()


def predictions(name, reference, query, made=None):
    """Return probabilities, types and calls; the query goes without its labels."""
    made = made or method(name).make()
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


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_names_most_cells_and_the_same_ones_again(cells, genes, name):
    reference, query = cells
    if name == "epianno":  # full batches: a few hundred peaks are enough
        reference, query = reference[:, :400].copy(), query[:, :400].copy()
    first, classes, calls = predictions(name, reference, query, PUBLISHED[name](genes))
    assert sorted(classes) == sorted(set(labels_of(reference, "cell_type")))
    assert first.shape == (query.n_obs, 4)
    assert first.dtype == np.float32
    np.testing.assert_allclose(first.sum(1), 1, atol=1e-5)
    truth = labels_of(query, "cell_type")
    most_frequent = max(np.unique(truth, return_counts=True)[1]) / len(truth)
    assert (calls == truth).mean() > most_frequent + 0.1
    again, _, _ = predictions(name, reference, query, PUBLISHED[name](genes))
    np.testing.assert_array_equal(first, again)


def test_cellcano_keeps_its_surest_calls_and_learns_the_others_from_them():
    random = np.random.default_rng(0)
    kind = np.repeat([0, 1], 200)
    x = (random.normal(0, 0.5, (400, 20)) + 2.0 * (kind[:, None] == np.arange(20) % 2)).astype(np.float32)
    sure = random.permutation(np.linspace(0.51, 0.99, 200))
    called = np.concatenate([sure, 1 - sure])  # type 0 for the first half, as it is
    first = np.column_stack([called, 1 - called]).astype(np.float32)
    made = Cellcano(epochs=60, student_epochs=300)
    made.seed, made.classes = 0, ["a", "b"]
    second = made._second(x, first)
    anchors = np.isin(np.tile(sure, 2), np.sort(sure)[-80:])  # the surest 40 % of each predicted type
    np.testing.assert_array_equal(second[anchors], first[anchors])
    assert (second[~anchors] != first[~anchors]).all()
    assert (second.argmax(1) == kind).mean() > 0.9


def test_methods_on_genes_say_which_assemblies_they_know(cells):
    unknown = cells[0].copy()
    unknown.uns["genome"] = "dm6"
    with pytest.raises(InputError, match=r"'dm6', for which there is no table of genes. Known are: hg19"):
        SingleR().fit(unknown, "cell_type", None, 0)


def test_singler_takes_the_quantile_of_spearman_correlations(cells, genes):
    reference, query = cells
    made = SingleR(genes)
    made.fit(reference, "cell_type", None, 0)
    x, _ = log_gene_scores(query[:3], genes)
    markers = np.unique(np.concatenate([made.markers[a, b] for a, b in ((0, 1), (1, 0))]))
    found = made._scores(x.toarray(), (0, 1))
    own = made.x[made.codes == 1][:, markers].toarray()
    expected = [spearmanr(x[0, markers].toarray().ravel(), one).statistic for one in own]
    assert found[0, 1] == pytest.approx(np.quantile(expected, 0.8), abs=1e-5)


def test_harmony_mixes_batches_and_keeps_types_apart():
    random = np.random.default_rng(0)
    kind, batch = np.repeat([0, 1, 2], 200), np.tile([0, 1], 300)
    centres = np.array([[6.0, 0, 0], [0, 6, 0], [0, 0, 6]])
    shift = np.array([[0, 0, 0], [2.0, 2.0, -1.0]])
    vectors = centres[kind] + shift[batch] + random.normal(0, 0.3, (600, 3))

    def gap(x):
        """Distance between the batches of a type over that between types."""
        mean = np.array([[x[(kind == k) & (batch == b)].mean(0) for b in (0, 1)] for k in (0, 1, 2)])
        between = np.linalg.norm(mean[:, 0] - mean[:, 1], axis=1).mean()
        return between / np.linalg.norm(mean[0].mean(0) - mean[1].mean(0))

    corrected = harmony(vectors, batch, seed=0)
    assert gap(vectors) > 0.3
    assert gap(corrected) < 0.1


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
    assert set(where_defined()) == set(methods())


def test_the_lcl_replicates_are_one_line():
    merged = sets.merge_lcl(np.array(["LCL 1", "LCL 2 Rep1", "LMPP"], dtype=object))
    assert merged.tolist() == ["LCL", "LCL", "LMPP"]


@pytest.mark.dataset("schep2017_lines")
def test_schep_has_ten_types_once_its_lines_are_merged():
    labels = sets.load("schep2017_lines").obs["cell_type"]
    assert labels.nunique() == 10
    assert (labels == "LCL").sum() == 150
