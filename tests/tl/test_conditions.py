from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import polygamma
from scipy.stats import ttest_ind

from annatac import tl
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError
from annatac.tl.contrasts.moderated import _inverse_trigamma, fit, size_factors


def _cells(seed=0, n_samples=8, n_each=80, n_peaks=400, n_changed=0, fold=3.0, spread=0.2, more=1.0):
    """Cells of two types; peaks of type A change in the samples of condition 'case', its share by ``more``."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(2, 0.2, n_peaks)
    parts, obs = [], []
    for s in range(n_samples):
        case = s % 2 == 1
        rate = base * np.exp(rng.normal(0, spread, n_peaks))
        odds = (more if case else 1.0) * np.exp(rng.normal(0, spread))
        for kind in ("A", "B"):
            n = n_each if kind == "B" else int(n_each * odds)
            mean = rate.copy()
            if case and kind == "A":
                mean[:n_changed] *= fold
            parts.append(rng.poisson(mean, (n, n_peaks)))
            obs += [(f"s{s}", "case" if case else "control", kind, f"d{s // 2}")] * n
    x = np.concatenate(parts)
    table = pd.DataFrame(obs, columns=["sample", "condition", "type", "donor"], dtype="category")
    table.index = [f"c{i}" for i in range(len(table))]
    var = pd.DataFrame(index=[f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(n_peaks)])
    return ad.AnnData(sp.csr_matrix(x), obs=table, var=var)


ASKED = {"condition_key": "condition", "sample_key": "sample", "conditions": ("control", "case")}


def test_false_positive_rate_on_null_data():
    rates, found = [], 0
    for seed in range(6):
        table = tl.differential(_cells(seed), "A", groupby="type", **ASKED)
        assert len(table) > 300
        rates.append((table["p_value"] < 0.05).mean())
        found += int((table["fdr"] < 0.05).sum())
    assert 0.03 < np.mean(rates) < 0.07
    assert found <= 2


def test_planted_changes_are_found():
    adata = _cells(n_changed=40)
    table = tl.differential(adata, "A", groupby="type", **ASKED)
    changed = table["peak"].isin(adata.var_names[:40])
    assert (table.loc[changed, "fdr"] < 0.05).mean() > 0.9
    assert (table["fdr"] < 0.05)[~changed].sum() <= 4
    assert table.loc[changed, "log2_fold_change"].median() == pytest.approx(np.log2(3), abs=0.2)
    assert table.attrs["n_samples"] == [4, 4]
    other = tl.differential(adata, "B", groupby="type", **ASKED)
    assert (other["fdr"] < 0.05).sum() <= 1


def test_cells_as_replicates_would_deceive():
    """The same null data with cells as replicates: that is why samples are demanded."""
    adata = _cells(0)
    mine = adata[adata.obs["type"] == "A"]
    x, case = mine.X.toarray(), (mine.obs["condition"] == "case").to_numpy()
    assert (ttest_ind(x[case], x[~case]).pvalue < 0.05).mean() > 0.15


def test_blocks_are_taken_out():
    adata = _cells(3, n_changed=40)
    rng = np.random.default_rng(0)  # give both samples of a donor the same large shift
    shift = rng.binomial(1, 0.5, (4, 400)) * 2 + 1
    donor = adata.obs["donor"].cat.codes.to_numpy()
    adata.X = sp.csr_matrix(adata.X.toarray() * shift[donor])
    plain = tl.differential(adata, "A", groupby="type", **ASKED)
    paired = tl.differential(adata, "A", groupby="type", block_key="donor", **ASKED)
    hits = [t.loc[t["peak"].isin(adata.var_names[:40]), "t"].median() for t in (plain, paired)]
    assert hits[1] > hits[0]


def test_composition_null_and_planted():
    null = [tl.composition(_cells(seed), "type", **ASKED)["p_value"].iloc[0] for seed in range(20)]
    assert np.mean(np.array(null) < 0.05) <= 0.2
    table = tl.composition(_cells(1, more=3.0), "type", **ASKED).set_index("cell_type")
    assert table.loc["A", "fdr"] < 0.01
    assert table.loc["A", "log2_odds_ratio"] == pytest.approx(np.log2(3), abs=0.4)
    assert table.loc["A", "share_other"] > table.loc["A", "share_reference"]
    assert table["share_other"].sum() == pytest.approx(1)


def test_pseudobulk_by_hand():
    x = np.array([[1, 0, 2], [3, 0, 0], [0, 5, 0], [0, 1, 1]])
    obs = pd.DataFrame({"type": ["a", "a", "b", "b"], "s": ["x", "y", "x", "x"]}, index=list("pqrs"))
    adata = ad.AnnData(sp.csr_matrix(x), obs=obs, uns={"genome": "hg38"})
    bulks = tl.pseudobulk(adata, "type", min_cells=2)
    assert list(bulks.obs_names) == ["a", "b"]
    assert np.array_equal(bulks.X, [[4, 0, 2], [0, 6, 1]])
    assert np.array_equal(bulks.layers["share_open"], [[1, 0, 0.5], [0, 1, 0.5]])
    assert bulks.uns["genome"] == "hg38"
    by = tl.pseudobulk(adata, "type", sample_key="s", min_cells=1)
    assert list(by.obs_names) == ["x:a", "y:a", "x:b"]
    assert np.array_equal(by.X, [[1, 0, 2], [3, 0, 0], [0, 6, 1]])
    assert list(by.obs["n_cells"]) == [1, 1, 2]


def test_open_peaks_as_bed(tmp_path):
    bulks = tl.pseudobulk(_cells(n_peaks=20), "type")
    path = tl.write_open_peaks(bulks, tmp_path / "a.bed", group="A", min_share=0.3)
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    share = np.asarray(bulks["A"].layers["share_open"]).ravel()
    assert len(lines) == (share >= 0.3).sum() > 0
    assert lines[0][0] == "chr1"
    assert int(lines[0][4]) == round(1000 * float(share[share >= 0.3][0]))
    with pytest.raises(LabelError, match="No group 'C'"):
        tl.write_open_peaks(bulks, tmp_path / "b.bed", group="C")
    with pytest.raises(ConfigError, match="min_share is 0"):
        tl.write_open_peaks(bulks, tmp_path / "b.bed", min_share=0)


def test_moderated_fit_agrees_with_ordinary_t_where_variances_differ_wildly():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(10, 3000)) * np.exp(rng.normal(0, 6, 3000))  # nothing to borrow: prior df near 0
    group = np.repeat([0.0, 1.0], 5)
    found = fit(y, None, np.column_stack([np.ones(10), group]), 1)
    t, _ = ttest_ind(y[5:], y[:5])
    assert np.median(np.abs(found.t / t - 1)) < 0.05
    assert found.effect == pytest.approx(y[5:].mean(axis=0) - y[:5].mean(axis=0))


def test_moderated_fit_pools_equal_variances():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(6, 5000))
    found = fit(y, None, np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)]), 1)
    assert found.t.std() == pytest.approx(1, abs=0.05)  # as good as a known variance
    assert (found.p_value < 0.05).mean() == pytest.approx(0.05, abs=0.01)


def test_inverse_trigamma():
    for x in (0.01, 0.5, 3.0, 200.0):
        assert _inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_size_factors_ignore_what_changes():
    rng = np.random.default_rng(0)
    base = rng.gamma(5, 20, 500)
    counts = rng.poisson(np.outer([1, 1, 2, 2], base)).astype(float)
    counts[2:, :50] *= 10  # opened widely
    factors = size_factors(counts)
    assert factors[2] / factors[0] == pytest.approx(2, rel=0.05)


def test_refused_without_replicates():
    adata = _cells(n_samples=3)
    with pytest.raises(LabelError, match=r"'control' has 2 and 'case' has 1 samples.*At least 2 in each"):
        tl.differential(adata, "A", groupby="type", **ASKED)
    with pytest.raises(LabelError, match="At least 2 in each condition are needed, 3 or more are advised"):
        tl.composition(adata, "type", **ASKED)
    with pytest.warns(AnnatacWarning, match="only large differences"):
        tl.composition(_cells(n_samples=4), "type", **ASKED)


def test_bad_input():
    adata = _cells()
    with pytest.raises(LabelError, match="No cell is 'a' in obs"):
        tl.differential(adata, "a", groupby="type", **ASKED)
    with pytest.raises(LabelError, match=r"has cells of 'control' and 'case'.*block_key"):
        tl.differential(adata, "A", groupby="type", condition_key="condition", sample_key="donor")
    with pytest.raises(LabelError, match=r"No sample is 'cases'. Did you mean 'case'\?"):
        tl.composition(adata, "type", **{**ASKED, "conditions": ("control", "cases")})
    with pytest.raises(ConfigError, match="two different names"):
        tl.composition(adata, "type", **{**ASKED, "conditions": ("case", "case")})
    with pytest.raises(LabelError, match="There are 8 conditions"):
        tl.composition(adata, "type", condition_key="sample", sample_key="sample")
    adata.obs["batch"] = adata.obs["condition"]
    with pytest.raises(LabelError, match="cannot tell 2 blocks from the condition"):
        tl.composition(adata, "type", block_key="batch", **ASKED)
    with pytest.raises(LabelError, match=r"too few to compare. Lower min_count"):
        tl.differential(adata, "A", groupby="type", min_count=1e6, **ASKED)
    with pytest.warns(AnnatacWarning, match="samples have under 75 cells of 'A' and are left out"):
        tl.differential(adata, "A", groupby="type", min_cells=75, **ASKED)
    adata.X = adata.X * 0.5
    with pytest.raises(InputError, match="counts"):
        tl.differential(adata, "A", groupby="type", **ASKED)
