"""What each protocol does to the cells, counted by hand."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac.benchmark import features, protocols
from annatac.benchmark.suite import SetConfig
from annatac.benchmark.tasks import Task
from annatac.errors import ConfigError, LabelError, OverlapError

TYPES = ["B"] * 40 + ["T"] * 30 + ["CMP/LMPP"] * 9 + ["lone"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """80 cells, four types, five batches; counts that name the cell."""
    random = np.random.default_rng(0)
    x = sp.csr_matrix(random.poisson(1.0, (80, 50)).astype(np.float32))
    obs = pd.DataFrame({"cell_type": TYPES, "batch": [f"b{i % 5}" for i in range(80)]})
    obs.index = obs.index.astype(str)
    names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(50)]
    adata = ad.AnnData(x, obs=obs, var=pd.DataFrame(index=names), uns={"genome": "hg38"})
    file = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    adata.write_h5ad(file)
    return file


def prepared(path, kind="split", *, config=None, **task):
    settings = {"name": "a", "reference": str(path)} | (config or {})
    return protocols.prepare(Task(set=SetConfig(**settings), method="logistic", kind=kind, **task))


def n_of(cells):
    return cells.reference.obs["cell_type"].value_counts().to_dict()


def test_folds_are_stratified_and_judge_every_cell_once_but_the_lone_one(path):
    folds = [prepared(path, fold=fold) for fold in range(5)]
    rows = np.concatenate([one.rows for one in folds])
    assert sorted(rows) == list(range(79)), "the only cell of a type is always learnt from"
    for one in folds:
        assert list(one.truth).count("B") == 8
        assert list(one.truth).count("T") == 6
        assert n_of(one)["lone"] == 1
        assert set(one.reference.obs_names) | set(one.query.obs_names) == {str(i) for i in range(80)}
        assert not one.query.obs.shape[1], "the query goes without its types"


def test_whole_batches_are_held_out(path):
    config = {"batch_key": "batch", "held_out": ("b1", "b4")}
    cells = prepared(path, config=config)
    assert set(cells.rows % 5) == {1, 4}
    assert set(cells.reference.obs["batch"]) == {"b0", "b2", "b3"}
    assert cells.batch_key == "batch"
    one_by_one = prepared(path, config={"batch_key": "batch", "folds": (0, 1, 2, 3, 4)}, fold=3)
    assert set(one_by_one.rows % 5) == {3}


def test_what_is_not_there_is_named(path):
    with pytest.raises(ConfigError, match="holds out 'b9', which is none of its batches: b0, b1"):
        prepared(path, config={"batch_key": "batch", "held_out": ("b9",)})
    with pytest.raises(LabelError, match=r"no column 'bach'.*Did you mean 'batch'"):
        prepared(path, config={"batch_key": "bach", "held_out": ("b1",)})
    with pytest.raises(LabelError, match=r"no column 'celltype'.*Did you mean 'cell_type'"):
        prepared(path, config={"label_key": "celltype"})
    with pytest.raises(ConfigError, match="Type 'C' is not in the reference"):
        prepared(path, "rare", cell_type="C")
    with pytest.raises(LabelError, match="leaves 1 types to learn from"):
        prepared(path, config={"types": {"B": "B"}})


def test_types_are_renamed_and_the_others_left_out(path):
    cells = prepared(path, config={"types": {"B": "lymphoid", "T": "lymphoid", "CMP/LMPP": "progenitor"}})
    assert set(n_of(cells)) == {"lymphoid", "progenitor"}
    assert cells.reference.n_obs + cells.query.n_obs == 79


def test_rare_leaves_so_many_cells_of_one_type(path):
    plain, cut = prepared(path), prepared(path, "rare", cell_type="T", n_cells=5)
    assert n_of(cut) == n_of(plain) | {"T": 5}
    np.testing.assert_array_equal(cut.truth, plain.truth)
    assert n_of(prepared(path, "rare", cell_type="CMP/LMPP", n_cells=20)) == n_of(plain), "fewer are all kept"


def test_held_out_takes_a_type_from_the_reference_alone(path):
    cells = prepared(path, "held_out", cell_type="CMP/LMPP")
    assert "CMP/LMPP" not in n_of(cells)
    assert "CMP/LMPP" in cells.truth


def test_so_many_labels_are_wrong(path):
    plain = prepared(path)
    cells = prepared(path, "label_noise", level=0.25)
    wrong = (cells.reference.obs["cell_type"] != plain.reference.obs["cell_type"]).sum()
    assert wrong == round(0.25 * plain.reference.n_obs)
    np.testing.assert_array_equal(cells.truth, plain.truth)
    other = prepared(path, "label_noise", level=0.25, repeat=1)
    assert (other.reference.obs["cell_type"] != cells.reference.obs["cell_type"]).any()


def test_a_wrong_label_is_drawn_by_the_other_types_frequencies():
    labels = np.array(["a"] * 6000 + ["b"] * 3000 + ["c"] * 1000, dtype=object)
    noisy = protocols.noisy(labels, 1.0, np.random.default_rng(0))
    assert (noisy != labels).all()
    assert (noisy[:6000] == "b").mean() == pytest.approx(0.75, abs=0.03)
    assert (noisy[6000:9000] == "a").mean() == pytest.approx(6 / 7, abs=0.03)


def test_a_share_of_each_type_stays(path):
    plain, cells = n_of(prepared(path)), n_of(prepared(path, "label_fraction", level=0.5))
    assert cells == {name: max(1, round(0.5 * n)) for name, n in plain.items()}


def test_fragments_are_thinned_as_a_binomial():
    counts = sp.csr_matrix(np.full((200, 300), 4, dtype=np.float32))
    thin = protocols.thinned(counts, 0.25, np.random.default_rng(1))
    assert thin.sum() / counts.sum() == pytest.approx(0.25, abs=0.01)
    closed = 1 - thin.nnz / counts.nnz
    assert closed == pytest.approx(0.75**4, abs=0.01)
    assert thin.dtype == counts.dtype
    assert (thin.data > 0).all()


def test_every_method_sees_the_same_cells(path):
    first, second = (
        protocols.prepare(
            Task(set=SetConfig(name="a", reference=str(path)), method=name, kind="depth", level=0.5, seed=7)
        )
        for name in ("logistic", "naive_bayes")
    )
    assert (first.query.X != second.query.X).nnz == 0
    assert (first.reference.X != second.reference.X).nnz == 0


def intervals(*triples):
    return pd.DataFrame(triples, columns=["chrom", "start", "end"])


def test_counts_go_to_the_peak_with_the_longest_overlap():
    target = intervals(("chr1", 100, 200), ("chr1", 200, 300), ("chr2", 0, 50), ("chr1", 5000, 9000))
    source = intervals(
        ("chr1", 150, 280),  # 50 with the first, 80 with the second
        ("1", 190, 210),  # 10 and 10: the first
        ("chr1", 300, 400),  # touches, overlaps none
        ("chr2", 40, 90),
        ("chr3", 0, 10),
        ("chr1", 6000, 6100),  # inside a wide one that starts long before
    )
    moved = features.transfer_matrix(source, target).toarray()
    expected = np.zeros((6, 4), dtype=int)
    expected[[0, 1, 3, 5], [1, 0, 2, 3]] = 1
    np.testing.assert_array_equal(moved, expected)


def test_two_studies_share_the_reference_peaks_that_the_query_measured():
    a = ad.AnnData(
        sp.csr_matrix([[1, 2, 3]]), var=pd.DataFrame(index=["chr1:0-100", "chr1:500-600", "chr2:0-100"])
    )
    b = ad.AnnData(
        sp.csr_matrix([[5, 7, 11]]), var=pd.DataFrame(index=["chr2:50-150", "chr1:590-700", "chr1:550-595"])
    )
    reference, query = features.aligned(a, b)
    assert list(reference.var_names) == list(query.var_names) == ["chr1:500-600", "chr2:0-100"]
    np.testing.assert_array_equal(reference.X.toarray(), [[2, 3]])
    np.testing.assert_array_equal(query.X.toarray(), [[7 + 11, 5]])
    far = ad.AnnData(sp.csr_matrix([[1]]), var=pd.DataFrame(index=["chr5:0-10"]))
    with pytest.raises(OverlapError, match="None of the query's 1 peaks overlaps"):
        features.aligned(a, far)
