from __future__ import annotations

import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import keys, tl
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.tl.communities.cell_graph import leiden, lsi
from annatac.tl.communities.label_consensus import consensus
from annatac.tl.communities.novel_groups import group_names, profile_correlation

pytest.importorskip("scanpy")
pytest.importorskip("igraph")


def annotated(n_known=60, n_novel=(30, 20), n_peaks=240, seed=0):
    """Return cells of two known types, 'a' and 'b', and of kinds of novel cells; each opens peaks of its own."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(2 + len(n_novel)), [n_known, n_known, *n_novel])
    if n_known == 0:
        kind = np.repeat(np.arange(2, 2 + len(n_novel)), n_novel)
    own = np.arange(n_peaks)[None, :] % (2 + len(n_novel)) == kind[:, None]
    counts = rng.random(own.shape) < np.where(own, 0.5, 0.05)
    is_novel = kind >= 2
    probabilities = np.where(is_novel, 0.6, np.where(kind == 0, 0.9, 0.1))[:, None] * [1, -1] + [0, 1]
    label = np.where(is_novel, keys.NOVEL_LABEL, np.array(["a", "b"])[np.minimum(kind, 1)])
    return ad.AnnData(
        X=sp.csr_matrix(counts.astype(np.int32)),
        obs=pd.DataFrame(
            {
                keys.LABEL: pd.Categorical(label),
                keys.CONFIDENCE: probabilities.max(1).astype(np.float32),
                keys.NOVELTY: np.where(is_novel, 0.8, 0.1).astype(np.float32),
                keys.IS_NOVEL: is_novel,
                keys.N_OPEN: counts.sum(1),
                "kind": kind,
            },
            index=[f"cell{i}" for i in range(len(kind))],
        ),
        var=pd.DataFrame(index=[f"chr1:{i * 5000}-{i * 5000 + 500}" for i in range(n_peaks)]),
        obsm={keys.PROBABILITIES: probabilities.astype(np.float32)},
        uns={keys.UNS: {"classes": np.array(["a", "b"])}},
    )


def test_novel_kinds_become_groups_with_their_own_markers():
    cells = annotated()
    before = cells.obs[keys.LABEL].copy()
    assert tl.clusters(cells) is None
    group = cells.obs[keys.NOVEL_GROUP].astype(str)
    found = cells.uns[keys.CLUSTERS]
    assert found["groups"]["group"].tolist() == ["novel_1", "novel_2"]
    assert found["groups"]["n_cells"].tolist() == [30, 20]
    assert set(group[cells.obs["kind"] == 2]) == {"novel_1"}
    assert set(group[cells.obs["kind"] == 3]) == {"novel_2"}
    assert set(group[cells.obs["kind"] < 2]) == {""}
    assert found["groups"]["by_probability_1"].tolist() == ["a", "a"]
    assert found["groups"]["probability_1"].to_numpy() == pytest.approx([0.6, 0.6])
    for name, kind in (("novel_1", 2), ("novel_2", 3)):
        peaks = found["markers"]["peak"][found["markers"]["group"] == name].head(20)
        assert len(peaks) == 20
        assert all(int(peak[5:].split("-")[0]) // 5000 % 4 == kind for peak in peaks)
    assert cells.obs[keys.LABEL].equals(before)
    assert (found["consensus"]["n_cells"].sum(), found["consensus"]["n_conflicts"].sum()) == (170, 0)
    assert (cells.obs[keys.CLUSTER_LABEL].astype(str) == before.astype(str)).all()


def test_a_cell_that_differs_from_its_cluster_is_listed_and_keeps_its_label():
    cells = annotated(n_novel=())
    label = cells.obs[keys.LABEL].astype(str).to_numpy()
    label[3] = "b"
    cells.obs[keys.LABEL] = pd.Categorical(label)
    tl.clusters(cells, resolution=0.5)
    found = cells.uns[keys.CLUSTERS]
    assert found["conflicts"][["consensus", "label", "n_cells"]].to_numpy().tolist() == [["a", "b", 1]]
    assert cells.obs[keys.LABEL].iloc[3] == "b"
    assert cells.obs[keys.CLUSTER_LABEL].iloc[3] == "a"
    assert len(found["groups"]) == len(found["markers"]) == 0


def test_the_seed_repeats_and_a_file_keeps_all(tmp_path):
    cells = annotated()
    first, second = tl.clusters(cells, seed=3, copy=True), tl.clusters(cells, seed=3, copy=True)
    assert keys.CLUSTERS not in cells.uns
    first.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    for name in ("groups", "markers", "consensus", "conflicts"):
        pd.testing.assert_frame_equal(first.uns[keys.CLUSTERS][name], second.uns[keys.CLUSTERS][name])
        assert len(read.uns[keys.CLUSTERS][name]) == len(first.uns[keys.CLUSTERS][name])
    assert (read.obs[keys.NOVEL_GROUP].astype(str) == first.obs[keys.NOVEL_GROUP].astype(str)).all()


def test_a_query_of_novel_cells_alone():
    cells = tl.clusters(annotated(n_known=0), copy=True)
    groups = cells.uns[keys.CLUSTERS]["groups"]
    assert groups["n_cells"].tolist() == [30, 20]
    assert (groups["n_markers"] > 0).all()  # one group against the other
    assert set(groups["by_profile_1"]) == {""}  # no labelled cell to compare with
    with pytest.warns(AnnatacWarning, match="the one group novel_1: nothing to compare with"):
        alone = tl.clusters(annotated(n_known=0, n_novel=(30,)), novel_resolution=0.01, copy=True)
    assert alone.uns[keys.CLUSTERS]["groups"]["n_markers"].tolist() == [0]


def test_few_cells():
    with pytest.warns(AnnatacWarning, match="4 of 124 cells are novel: too few for groups of 10"):
        cells = tl.clusters(annotated(n_novel=(4,)), copy=True)
    assert len(cells.uns[keys.CLUSTERS]["groups"]) == 0
    with pytest.raises(InputError, match=r"at least 10 cells \(min_cells\); 1 found"):
        tl.clusters(annotated()[:1].copy())


def test_bad_input():
    cells = annotated()
    with pytest.raises(ConfigError, match=r"min_share is 0\.4; 0\.5 to 1 is expected"):
        tl.clusters(cells, min_share=0.4)
    with pytest.raises(ConfigError, match="min_cells 2"):
        tl.clusters(cells, min_cells=2)
    del cells.obs[keys.IS_NOVEL], cells.obsm[keys.PROBABILITIES]
    with pytest.raises(
        InputError, match=r"obs\['annatac_is_novel'\], obsm\['annatac_probabilities'\] missing"
    ):
        tl.clusters(cells)


def test_without_leiden_the_extra_is_named():
    code = (
        "import sys; sys.modules['igraph'] = None\n"
        "import numpy as np\nfrom annatac.tl.communities.cell_graph import leiden\n"
        "from annatac.errors import MissingDependencyError\n"
        "try:\n    leiden(np.zeros((30, 2), np.float32), resolution=1)\n"
        "except MissingDependencyError as error:\n"
        "    assert 'leidenalg' in str(error) and 'annatac[plot]' in str(error)\n"
        "else:\n    raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_consensus_by_hand():
    cluster = np.array(["1", "1", "1", "1", "2", "2", "2"], dtype=object)
    label = np.array(["a", "a", "a", "b", "c", "a", "b"], dtype=object)
    confidence = np.array([1, 0.5, 0.6, 0.4, 0.9, 0.9, 0.9])
    found = consensus(cluster, label, confidence, 0.5)
    assert found.label.tolist() == ["a"] * 4 + [""] * 3
    assert found.clusters["most_frequent"].tolist() == ["a", "a"]  # a tie goes by the alphabet
    assert found.clusters["share"].to_numpy() == pytest.approx([3 / 4, 1 / 3])
    assert found.clusters["n_conflicts"].tolist() == [1, 0]
    assert found.conflicts.to_numpy().tolist() == [["1", "a", "b", 1, 0.25, 0.4]]


def test_groups_are_numbered_by_size_and_small_ones_are_none():
    codes = np.repeat([0, 1, 2], [3, 12, 30])
    assert pd.Series(group_names(codes, 10)).value_counts().to_dict() == {"novel_1": 30, "novel_2": 12, "": 3}


def test_correlation_of_profiles_takes_off_what_is_common():
    common = np.array([9.0, 9, 9, 1, 1, 1])
    types = pd.DataFrame([common + np.eye(6)[i] * 2 for i in (3, 4)], index=["a", "b"])
    found = profile_correlation(types.rename(index={"a": "x", "b": "y"}), types)
    assert np.diag(found) == pytest.approx([1, 1])
    assert found.loc["x", "b"] == pytest.approx(-1)


def test_lsi_of_more_cells_than_are_fitted_and_of_an_empty_cell(monkeypatch):
    cells = annotated()
    counts = sp.vstack([cells.X, sp.csr_matrix((1, cells.n_vars))]).tocsr()
    assert not lsi(counts)[-1].any()
    monkeypatch.setattr("annatac.tl.communities.cell_graph.MAX_CELLS_FITTED", 90)
    found = leiden(lsi(sp.csr_matrix(cells.X)), resolution=0.5)
    assert pd.crosstab(found, cells.obs["kind"].to_numpy()).astype(bool).sum().tolist() == [1, 1, 1, 1]
