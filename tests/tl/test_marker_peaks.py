from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import hypergeom, mannwhitneyu, rankdata

from annatac import tl
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError
from annatac.genome.nearest import nearest_genes
from annatac.simulate import simulate_cells
from annatac.tl import rank_sums as rank_sums_module
from annatac.tl.marking.matching import match_background, quantiles
from annatac.tl.rank_sums import directed_false_discovery_rate, false_discovery_rate, rank_sums


def _counts(n_cells=60, n_peaks=40, seed=0, share=0.4):
    rng = np.random.default_rng(seed)
    x = rng.poisson(rng.gamma(0.5, 1.5, n_peaks), (n_cells, n_peaks)) * (
        rng.random((n_cells, n_peaks)) < share
    )
    x[:, 0], x[:, 1] = 0, 1  # closed everywhere; open in every cell
    return x


def _planted(n_cells=600, n_peaks=300, n_markers=30, seed=0):
    """Three types, the first ``n_markers`` peaks of type k * n_markers open four times as often in type k."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n_cells)
    rate = np.full((3, n_peaks), 0.15)
    for k in range(3):
        rate[k, k * n_markers : (k + 1) * n_markers] *= 4
    depth = rng.lognormal(0, 0.5, n_cells)[:, None]
    x = rng.poisson(rate[kind] * depth).astype(np.int32)
    start = 10_000 * np.arange(n_peaks)
    names = [f"chr1:{s}-{s + 500}" for s in start]
    obs = pd.DataFrame({"type": np.array(["A/1", "B 2", "C"])[kind]}, index=[f"c{i}" for i in range(n_cells)])
    return ad.AnnData(sp.csr_matrix(x), obs=obs, var=pd.DataFrame(index=names))


@pytest.mark.parametrize("entries_at_once", [7, 10_000])
def test_rank_sums_agree_with_scipy(monkeypatch, entries_at_once):
    monkeypatch.setattr(rank_sums_module, "_ENTRIES_AT_ONCE", entries_at_once)
    x = _counts()
    scale = np.random.default_rng(1).choice([0.5, 1, 1.25, 3], len(x))  # ties across counts and cells
    values = (x * scale[:, None]).astype(np.float32)
    is_in = np.arange(len(x)) < 30  # of 60: without skewness
    found = rank_sums(sp.csr_matrix(x), scale.astype(np.float32), is_in)
    for j in range(x.shape[1]):
        a, b = (values[rows, j].astype(np.float64) for rows in (is_in, ~is_in))
        if len(np.unique(values[:, j])) == 1:
            assert (found.p_value[j], found.auc[j]) == (1, 0.5)
            continue
        u, p = mannwhitneyu(a, b, alternative="two-sided", method="asymptotic")
        assert found.auc[j] == pytest.approx(u / (len(a) * len(b)))
        assert found.p_value[j] == pytest.approx(p, rel=1e-9)
        assert found.share_in[j] == pytest.approx((a > 0).mean())
        assert found.share_out[j] == pytest.approx((b > 0).mean())


def test_skewed_rank_sums_agree_with_the_exact_hypergeometric_tail():
    n_in, n = 100, 1000
    is_in = np.arange(n) < n_in
    for n_open, n_open_in in ((8, 4), (20, 8), (60, 16), (60, 0), (200, 40)):
        open_cells = np.concatenate([np.arange(n_open_in), n_in + np.arange(n_open - n_open_in)])
        column = sp.csr_matrix((np.ones(n_open, int), (open_cells, np.zeros(n_open, int))), shape=(n, 1))
        found = rank_sums(column, np.ones(n, np.float32), is_in).p_value[0] / 2
        law = hypergeom(n, n_open, n_in)
        tails = (
            (law.sf(n_open_in), law.sf(n_open_in - 1))
            if n_open_in > n_open * n_in / n
            else (0, law.cdf(n_open_in))
        )
        assert 0.9 * tails[0] <= found <= 1.1 * tails[1]


def test_rank_sums_by_hand():
    # in: 0 3; out: 0 1 0. Ranks: zeros (1+2+3)/3 = 2, one 4, three 5. R_in = 7, U = 7 - 3 = 4 of 6
    counts = sp.csr_matrix(np.array([[0], [3], [0], [1], [0]]))
    found = rank_sums(counts, np.ones(5, np.float32), np.array([True, True, False, False, False]))
    assert found.auc[0] == pytest.approx(4 / 6)
    assert found.share_in[0] == 0.5
    assert found.share_out[0] == pytest.approx(1 / 3)


def test_false_discovery_rate_by_hand():
    assert false_discovery_rate(np.array([0.01, np.nan, 0.04, 0.03])) == pytest.approx(
        [0.03, np.nan, 0.04, 0.04], nan_ok=True
    )


def test_true_changes_down_let_no_false_ones_up_pass():
    random = np.random.default_rng(0)
    p = random.uniform(size=4000)
    p[:2000] *= 1e-8  # truly down
    is_up = random.random(4000) < 0.5
    is_up[:2000] = False
    assert (false_discovery_rate(p)[is_up] < 0.05).sum() > 10
    assert (directed_false_discovery_rate(p, is_up)[is_up] < 0.05).sum() == 0


def test_background_is_alike_in_depth_and_taken_once():
    rng = np.random.default_rng(0)
    depth = rng.normal(size=(2000, 1))
    is_in = rng.random(2000) < 0.1 * (1 + (depth[:, 0] > 0))
    space = quantiles(depth)
    match = match_background(space, is_in, n_each=3)
    assert len(np.unique(match.outside)) == len(match.outside) == 3 * is_in.sum()
    assert not is_in[match.outside].any()
    assert is_in[match.inside].all()
    assert abs(depth[match.inside].mean() - depth[match.outside].mean()) < 0.02
    assert abs(depth[is_in].mean() - depth[~is_in].mean()) > 0.2


def test_large_types_keep_a_background_of_their_depth():
    space = quantiles(np.arange(100.0)[:, None])
    is_in = np.arange(100) >= 30
    match = match_background(space, is_in, n_each=5)
    assert len(match.inside) == len(match.outside) == 30
    assert match.inside.tolist() == list(range(30, 60))  # the nearest to 0..29


def test_tss_enrichment_is_matched_too():
    adata = _planted()
    adata = adata[np.flatnonzero((adata.obs["type"] != "C") | (np.arange(600) < 150))].copy()
    rng = np.random.default_rng(3)
    adata.obs["tsse"] = rng.normal(size=adata.n_obs) + 1.5 * (adata.obs["type"] == "C")
    matched = tl.markers(adata, "type", n_background=1).cells.loc["C"]
    alone = tl.markers(adata, "type", n_background=1, match_on=()).cells
    assert abs(matched["tsse_type"] - matched["tsse_background"]) < 0.5  # of 1.5
    assert "tsse_type" not in alone


def test_planted_markers_come_out():
    adata = _planted()
    found = tl.markers(adata, "type")
    assert found.types == ["A/1", "B 2", "C"]
    chosen = found.is_marker()
    for k in range(3):
        own = np.zeros(adata.n_vars, dtype=bool)
        own[30 * k : 30 * (k + 1)] = True
        assert chosen[k][own].mean() > 0.95
        assert chosen[k][~own].mean() < 0.04  # FDR 5 % of some 30
        assert np.median(found.log2_fold_change[k][own]) == pytest.approx(2, abs=0.35)
    table = found.table("B 2", n_top=5)
    assert list(table["cell_type"]) == ["B 2"] * 5
    assert (np.diff(table["p_value"]) >= 0).all()
    assert set(table["start"] // 10_000) <= set(range(30, 60))


def test_no_markers_in_random_groups_whatever_their_depth():
    adata = _planted(n_markers=0, n_cells=1500)
    rng = np.random.default_rng(5)
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    deep = rng.random(1500) < 0.3 * depth / depth.mean()
    adata.obs["type"] = np.where(deep, "deep", "rest")
    found = tl.markers(adata, "type")
    assert found.is_marker(max_fdr=0.05).mean() < 0.01
    assert (found.p_value < 0.05).mean() < 0.1


def test_dense_and_sparse_and_seed_agree():
    adata = _planted()
    first, again = tl.markers(adata, "type"), tl.markers(adata, "type")
    adata.X = adata.X.toarray()
    dense = tl.markers(adata, "type")
    assert np.array_equal(first.p_value, again.p_value)
    assert np.array_equal(first.p_value, dense.p_value)


def test_donors_as_replicates():
    adata = _planted(n_cells=1200)
    adata.obs["donor"] = [f"d{i % 4}" for i in range(1200)]
    adata.obs.loc[(adata.obs["type"] == "C") & (adata.obs["donor"] != "d0"), "type"] = None
    with pytest.warns(AnnatacWarning, match=r"1 of 3 types have under 3 donors with 10 cells.*'C' \(1\)"):
        found = tl.markers(adata, "type", donor_key="donor")
    assert list(found.cells["n_donors"]) == [4, 4, 1]
    assert np.isnan(found.donor_fdr[2]).all()
    chosen = found.is_marker(max_donor_fdr=0.05)[0]
    assert chosen[:30].mean() > 0.9
    assert chosen[90:].mean() < 0.02
    assert {"donor_fdr", "donor_log2_fold_change"} <= set(found.table("A/1"))


def test_files(tmp_path):
    genes = pd.DataFrame({"chrom": ["1"], "tss": [305_000], "symbol": ["G"], "strand": ["-"]})
    found = tl.markers(_planted(), "type", genes=genes)
    table = pd.read_csv(found.write_csv(tmp_path / "m.csv"))
    assert len(table) == len(found.table())
    assert set(table["gene"]) == {"G"}
    bed = pd.read_csv(found.write_bed(tmp_path / "m.bed", "B 2"), sep="\t", header=None)
    assert list(bed[3].unique()) == ["B_2"]
    assert bed[1].is_monotonic_increasing
    assert ((bed[2] - bed[1]) == 500).all()


def test_nearest_gene_by_hand():
    genes = pd.DataFrame(
        {
            "chrom": ["chr1", "chr1", "chr2"],
            "tss": [1000, 5000, 10],
            "symbol": ["P", "M", "Q"],
            "strand": ["+", "-", "+"],
        }
    )
    where = pd.DataFrame(
        {
            "chrom": ["1", "1", "1", "2", "9"],
            "start": [400, 2800, 5400, 100, 5],
            "end": [600, 3000, 5600, 200, 9],
        }
    )
    found = nearest_genes(where, genes)
    assert list(found["gene"]) == ["P", "P", "M", "Q", ""]
    # upstream of P; downstream of P; upstream of M, which is read leftwards; downstream of Q
    assert found["distance"].tolist()[:4] == [-500, 1900, -500, 140]
    assert found["distance"].isna().tolist() == [False] * 4 + [True]


def test_bad_input():
    adata = _planted(n_cells=90)
    with pytest.raises(LabelError, match=r"no column 'typ'. Did you mean 'type'\?"):
        tl.markers(adata, "typ")
    with pytest.raises(ConfigError, match="min_cells is 1"):
        tl.markers(adata, "type", min_cells=1)
    adata.obs.iloc[:3, 0] = "rare"
    with pytest.warns(AnnatacWarning, match=r"under 10 cells and are left out: 'rare' \(3\)"):
        found = tl.markers(adata, "type")
    with pytest.raises(LabelError, match=r"No markers of a type 'A/2'. Did you mean 'A/1'\?"):
        found.table("A/2")
    with pytest.raises(InputError, match="donor_key"):
        found.table(max_donor_fdr=0.1)
    adata.obs["tsse"] = np.nan
    adata.obs["type"] = adata.obs["type"].replace("rare", "C")
    with pytest.raises(InputError, match=r"obs\['tsse'\] has 90 values that are missing"):
        tl.markers(adata, "type")
    del adata.obs["tsse"]
    adata.var_names = [f"peak{i}" for i in range(adata.n_vars)]
    adata.obs["type"] = adata.obs["type"].replace("rare", "C")
    with pytest.raises(InputError, match="no nearest gene"):
        tl.markers(adata, "type", genes=pd.DataFrame({"chrom": ["1"], "tss": [1], "symbol": ["G"]}))
    found = tl.markers(adata, "type")
    with pytest.raises(InputError, match="no coordinates"):
        found.write_bed("never.bed")
    adata.obs["type"] = "one"
    with pytest.raises(LabelError, match="All labelled cells are 'one'"):
        tl.markers(adata, "type")
    adata.X = adata.X + sp.csr_matrix(np.full(adata.shape, 0.5))
    adata.obs["type"] = ["a", "b"] * 45
    with pytest.raises(InputError, match="counts"):
        tl.markers(adata, "type")


def test_weights_of_0_and_1_are_the_rank_sum_test_and_others_its_permutations():
    random = np.random.default_rng(0)
    x = sp.csr_matrix(random.poisson(0.5, (60, 5)))
    scale = random.uniform(0.5, 2, 60).astype(np.float32)
    is_in = np.arange(60) < 25
    hard, whole = rank_sums(x, scale, is_in), rank_sums(x, scale, is_in.astype(np.float64))
    for one, other in zip(hard, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    weight = random.random(60)
    found = rank_sums(x, scale, weight)
    values = (x.toarray() * scale[:, None].astype(np.float64)).astype(np.float32)
    for column in range(5):
        ranks = rankdata(values[:, column])
        centred = weight - weight.mean()
        drawn = np.array([random.permutation(centred) @ ranks for _ in range(20_000)])
        p_value = (np.abs(drawn) >= np.abs(centred @ ranks) - 0.5).mean()
        assert found.p_value[column] == pytest.approx(p_value, abs=0.02)
        assert found.share_in[column] == pytest.approx(np.average(values[:, column] > 0, weights=weight))


def test_cells_of_doubtful_type_count_less():
    cells = simulate_cells(600, cell_types=2, n_islands=300, open_islands=60, seed=1)
    types = cells.obs["cell_type"].astype(str)
    first, second = types.unique()
    probability = np.where((types == first).to_numpy()[:, None], [0.95, 0.05], [0.05, 0.95])
    wrong = (
        np.random.default_rng(0).random(600) < 0.25
    )  # a quarter of the labels are wrong, and the model unsure
    label = np.where(wrong, np.where(types == first, second, first), types)
    probability[wrong] = 0.5
    cells.obs["label"] = label
    cells.obsm["annatac_probabilities"] = probability.astype(np.float32)
    cells.uns["annatac"] = {"classes": np.array([first, second])}
    true = tl.markers(cells, "cell_type").auc[0]
    hard, weighed = (tl.markers(cells, "label", weigh=weigh).auc for weigh in (False, True))
    place = sorted([first, second]).index(sorted(types.unique())[0])
    assert np.corrcoef(weighed[place], true)[0, 1] > np.corrcoef(hard[place], true)[0, 1]


def test_the_models_own_labels_are_weighed_and_novel_cells_count_for_no_type():
    cells = simulate_cells(200, cell_types=2, n_islands=100, open_islands=20, seed=2)
    label = cells.obs["cell_type"].astype(str).to_numpy().astype(object)
    classes = sorted(set(label))
    label[:40] = "Novel_cell_type"
    cells.obs["annatac_label"] = cells.obs["of"] = label
    unsure = np.where((label == classes[0])[:, None], [0.75, 0.25], [0.25, 0.75])
    unsure[:40] = [1.0, 0.0]  # the nearest type, which they are not
    cells.obsm["annatac_probabilities"] = unsure.astype(np.float32)
    assert not tl.markers(cells).parameters["weigh"], "nobody knows whose probabilities these are"
    cells.uns["annatac"] = {"classes": np.array(classes)}
    found = tl.markers(cells)
    assert found.parameters["weigh"]
    assert not tl.markers(cells, "of").parameters["weigh"]
    row, novel = found.row_of(classes[0]), found.row_of("Novel_cell_type")
    hard = tl.markers(cells, weigh=False)
    assert np.abs(found.auc[row] - hard.auc[row]).max() > 0.01
    np.testing.assert_allclose(
        found.auc[novel], hard.auc[novel], rtol=1e-5, err_msg="unknown to the model: whole"
    )
    cells.obsm["annatac_probabilities"][:40] = [0, 1]
    np.testing.assert_array_equal(found.auc, tl.markers(cells).auc)


def test_weighing_needs_the_models_probabilities():
    cells = simulate_cells(100, cell_types=2, n_islands=100, open_islands=20)
    with pytest.raises(InputError, match="needs the model's probabilities, and obsm has no"):
        tl.markers(cells, "cell_type", weigh=True)
    cells.obsm["annatac_probabilities"] = np.ones((100, 1), np.float32)
    cells.uns["annatac"] = {"classes": np.array(["other"])}
    with pytest.raises(InputError, match="needs groups that are types of the model"):
        tl.markers(cells, "cell_type", weigh=True)
