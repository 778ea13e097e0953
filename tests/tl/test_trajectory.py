"""Pseudo-time and what changes along it, on cells whose differentiation is planted."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from annatac import keys, tl
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError
from annatac.tl.trajectories.principal_curve import project, smooth_curve
from annatac.tl.trajectories.trend_tests import count_trend, spline_basis, value_trend
from annatac.train.positions import inverse_document_frequency, tf_idf

N_CELLS, N_PEAKS, N_PLANTED = 1200, 2000, 300
STAGES = ["stem/1", "middle", "ripe", "other"]


@pytest.fixture(scope="session")
def differentiation():
    """Cells of three stages on a line of true time, and 200 of another type; 300 peaks change with time."""
    random = np.random.default_rng(0)
    n_line = N_CELLS - 200
    time = np.r_[random.random(n_line), np.full(200, np.nan)]
    base = random.lognormal(0, 0.8, N_PEAKS)
    middle = random.random(N_PLANTED)
    rate = np.tile(base, (N_CELLS, 1))
    on = np.exp(-0.5 * ((time[:n_line, None] - middle) / 0.2) ** 2)
    rate[:n_line, :N_PLANTED] *= 0.3 + 4 * on
    # a constant share of the counts: else null peaks would change, relative to all counts, too
    rate[:, :N_PLANTED] *= base[:N_PLANTED].sum() / rate[:, :N_PLANTED].sum(1, keepdims=True)
    rate[n_line:, -200:] *= 5
    rate /= rate.sum(1, keepdims=True)
    # depth goes with time: it must not make null peaks change
    depth = 500 * random.lognormal(0, 0.4, N_CELLS) * (1 + np.nan_to_num(time))
    counts = sp.csr_matrix(random.poisson(rate * depth[:, None]))
    stage = np.array(STAGES, dtype=object)[np.nan_to_num(np.floor(time * 3), nan=3).astype(int)]
    obs = pd.DataFrame({keys.LABEL: pd.Categorical(stage), "true_time": time})
    obs.index = [f"cell{i}" for i in range(N_CELLS)]
    var = pd.DataFrame(index=[f"chr1:{10_000 * i}-{10_000 * i + 500}" for i in range(N_PEAKS)])
    adata = ad.AnnData(counts, obs=obs, var=var)
    weighted = tf_idf(counts, inverse_document_frequency(counts))
    u, s, _ = np.linalg.svd(weighted.toarray(), full_matrices=False)
    adata.obsm[keys.EMBEDDING] = (u[:, 1:9] * s[1:9]).astype(np.float32)
    activity = np.c_[np.nan_to_num(time), -np.nan_to_num(time), random.normal(size=(N_CELLS, 18))]
    activity[:, :2] += random.normal(0, 0.3, (N_CELLS, 2))
    motifs = ["GATA1_a", "TCF7", *(f"null{i}" for i in range(18))]
    adata.obsm["motifs"] = pd.DataFrame(activity, index=adata.obs_names, columns=motifs)
    return adata


@pytest.fixture(scope="session")
def ordered(differentiation):
    return tl.trajectory(differentiation, order=STAGES[:3], copy=True)


@pytest.fixture(scope="session")
def changed(ordered):
    return tl.trajectory_features(ordered)


@pytest.mark.parametrize("options", [{}, {"n_iterations": 0}, {"scale": "length"}])
def test_a_planted_order_is_recovered(differentiation, options):
    ordered = tl.trajectory(differentiation, order=STAGES[:3], copy=True, **options)
    assert keys.PSEUDOTIME not in differentiation.obs
    value, true = ordered.obs[keys.PSEUDOTIME].to_numpy(), ordered.obs["true_time"].to_numpy()
    assert value.dtype == np.float32
    known = np.isfinite(value)
    assert (np.nanmin(value), np.nanmax(value)) == (0, 100)
    assert not known[ordered.obs[keys.LABEL] == "other"].any()
    assert known.sum() == pytest.approx(0.95 * 1000, abs=2)
    assert spearmanr(value[known], true[known]).statistic > 0.95
    for stage in range(3):  # within a stage the labels are no help
        own = known & (ordered.obs[keys.LABEL] == STAGES[stage]).to_numpy()
        assert spearmanr(value[own], true[own]).statistic > 0.7
    written = ordered.uns[keys.PSEUDOTIME]
    assert written["order"].tolist() == STAGES[:3]
    assert written["curve"].shape == (200, 8)


def test_diffusion_needs_no_order(differentiation):
    pytest.importorskip("scanpy")
    line = differentiation[differentiation.obs[keys.LABEL] != "other"].copy()
    tl.diffusion_pseudotime(line, root="stem/1")
    value = line.obs[keys.PSEUDOTIME]
    assert spearmanr(value, line.obs["true_time"]).statistic > 0.9
    root = line.uns[keys.PSEUDOTIME]["root_cell"]
    assert value[root] == 0
    again = tl.diffusion_pseudotime(line, root=root, copy=True)
    assert np.array_equal(again.obs[keys.PSEUDOTIME], value)
    with pytest.raises(LabelError, match=r"neither a cell nor a type.*Did you mean 'stem/1'"):
        tl.diffusion_pseudotime(line, root="stem1")


def test_changing_peaks_are_found_and_null_ones_are_not(changed):
    found = changed.changing(max_fdr=0.05).index
    planted = changed.table.index.isin([f"chr1:{10_000 * i}-{10_000 * i + 500}" for i in range(N_PLANTED)])
    is_found = changed.table.index.isin(found)
    assert is_found[planted].mean() > 0.9
    assert (is_found & ~planted).sum() / is_found.sum() < 0.07  # 5 % is expected
    null = changed.table["p_value"].to_numpy()[~planted]
    assert (null < 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_peak_time_is_when_the_peak_is_open(ordered, changed):
    true = ordered.obs["true_time"].to_numpy()
    value = ordered.obs[keys.PSEUDOTIME].to_numpy()
    known = np.isfinite(value)
    random = np.random.default_rng(0)
    random.random(N_CELLS - 200), random.lognormal(0, 0.8, N_PEAKS)
    middle = random.random(N_PLANTED)  # as planted
    as_rank = 100 * np.searchsorted(np.sort(true[known]), middle) / known.sum()
    names = [f"chr1:{10_000 * i}-{10_000 * i + 500}" for i in range(N_PLANTED)]
    sure = changed.table.reindex(names)
    sure = (sure["fdr"] < 1e-6).to_numpy(), sure["peak_time"].to_numpy()
    assert spearmanr(sure[1][sure[0]], as_rank[sure[0]]).statistic > 0.9
    z = changed.z_scores(names[:3])
    assert np.allclose([z.mean(1), z.std(1)], [[0] * 3, [1] * 3], atol=1e-3)


def test_shuffled_time_finds_nothing(ordered):
    shuffled = ordered.copy()
    value = shuffled.obs[keys.PSEUDOTIME].to_numpy().copy()
    known = np.flatnonzero(np.isfinite(value))
    value[known] = np.random.default_rng(1).permutation(value[known])
    shuffled.obs[keys.PSEUDOTIME] = value
    found = tl.trajectory_features(shuffled)
    assert len(found.changing()) <= 2
    assert (found.table["p_value"] < 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_values_of_obsm_and_pairs(ordered, changed):
    motifs = tl.trajectory_features(ordered, obsm="motifs")
    assert set(motifs.changing(max_fdr=0.01).index) == {"GATA1_a", "TCF7"}
    pairs = tl.trajectory_pairs(changed, motifs, min_correlation=0.8)
    late = changed.table.loc[pairs.loc[pairs["second"] == "GATA1_a", "first"], "peak_time"]
    early = changed.table.loc[pairs.loc[pairs["second"] == "TCF7", "first"], "peak_time"]
    assert len(late) > 20
    assert len(early) > 20
    assert early.median() < 20
    assert late.median() > 80
    named = tl.trajectory_features(ordered, obsm="motifs", names=["Gata1(var.2)", "x", *map(str, range(18))])
    assert tl.trajectory_pairs(named, motifs, match="name")[["first", "second"]].to_numpy().tolist() == [
        ["Gata1(var.2)", "GATA1_a"]
    ]
    with pytest.raises(InputError, match="different bins"):
        tl.trajectory_pairs(changed, tl.trajectory_features(ordered, obsm="motifs", n_bins=50))
    with pytest.raises(InputError, match=r"pairs are more than max_pairs = 10"):
        tl.trajectory_pairs(changed, motifs, max_pairs=10)


def test_score_test_is_that_of_a_poisson_regression():
    """With dispersion taken out, the score test nears the likelihood ratio of a Poisson regression."""
    from sklearn.linear_model import PoissonRegressor

    random = np.random.default_rng(3)
    time, depth = random.random(800), random.lognormal(1, 0.4, 800)
    y = random.poisson(depth * np.exp(0.25 * np.sin(3 * time)))
    basis = spline_basis(time, 4)
    trend = count_trend(sp.csr_matrix(y[:, None]), depth, basis)
    fit = PoissonRegressor(alpha=0, tol=1e-10, max_iter=5000).fit(basis, y / depth, sample_weight=depth)
    rate = y.sum() / depth.sum()

    def log_likelihood(mean):
        return (y * np.log(mean) - mean).sum()

    ratio = 2 * (log_likelihood(depth * fit.predict(basis)) - log_likelihood(depth * rate))
    pearson = ((y - depth * rate) ** 2 / (depth * rate)).sum() / (len(y) - 1)
    assert trend.statistic[0] * 4 * pearson == pytest.approx(ratio, rel=0.1)


def test_f_test_is_that_of_least_squares():
    random = np.random.default_rng(4)
    time = random.random(200)
    y = np.c_[time**2 + random.normal(0, 0.3, 200), random.normal(size=200), np.ones(200)]
    basis = spline_basis(time, 5)
    trend = value_trend(y, basis)
    design = np.c_[np.ones(200), basis]
    for j in range(2):
        rest = ((y[:, j] - design @ np.linalg.lstsq(design, y[:, j], rcond=None)[0]) ** 2).sum()
        total = ((y[:, j] - y[:, j].mean()) ** 2).sum()
        assert trend.statistic[j] == pytest.approx(((total - rest) / 5) / (rest / (200 - 6)))
    assert np.isnan(trend.p_value[2])


def test_projection_by_hand():
    curve = np.array([[0.0, 0], [2, 0], [2, 2]])
    along, off = project(np.array([[1.0, 1], [3, 1], [-1, 0], [2, 5]]), curve)
    assert along.tolist() == [1, 3, 0, 4]
    assert off.tolist() == [1, 1, 1, 3]


def test_a_straight_line_stays_straight_to_its_ends():
    time = np.linspace(0, 1, 300)
    points = np.c_[time, 2 * time]
    curve = smooth_curve(time, points, n_nodes=11, bandwidth=0.2)
    assert np.allclose(curve, np.c_[np.linspace(0, 1, 11), 2 * np.linspace(0, 1, 11)])


def test_bad_input(differentiation, ordered):
    with pytest.raises(
        LabelError, match=r"No cell has 'midle' in obs\['annatac_label'\]. Did you mean 'middle'"
    ):
        tl.trajectory(differentiation, order=["stem/1", "midle"])
    with pytest.raises(ConfigError, match="expected two groups or more, each once"):
        tl.trajectory(differentiation, order=["ripe", "ripe"])
    with pytest.raises(
        LabelError, match=r"Too few cells .* at least 500 a group are needed: 'stem/1' \(\d+\)"
    ):
        tl.trajectory(differentiation, order=STAGES[:2], min_cells=500)
    with pytest.raises(InputError, match=r"obsm\['X_pca'\] is missing"):
        tl.trajectory(differentiation, order=STAGES[:2], use_rep="X_pca")
    with pytest.raises(
        ConfigError, match=r"scale is 'ranks'; expected 'rank' or 'length'. Did you mean 'rank'"
    ):
        tl.trajectory(differentiation, order=STAGES[:2], scale="ranks")
    noise = differentiation.copy()
    noise.obs["noise"] = np.tile(["a", "b", "c"], N_CELLS // 3)
    with pytest.warns(AnnatacWarning, match="do not follow each other along the curve"):
        tl.trajectory(noise, order=["a", "b", "c"], groupby="noise")
    with pytest.raises(LabelError, match="obs has no column 'annatac_pseudotime'"):
        tl.trajectory_features(differentiation)
    with pytest.raises(InputError, match=r"obsm\['motif'\] is missing. Did you mean 'motifs'"):
        tl.trajectory_features(ordered, obsm="motif")
    with pytest.raises(InputError, match="30 cells have a pseudo-time"):
        tl.trajectory_features(ordered[ordered.obs[keys.PSEUDOTIME].notna()][:30])
    with pytest.raises(InputError, match=r"None of the 2,000 features is open in 5000"):
        tl.trajectory_features(ordered, min_open=5000)
