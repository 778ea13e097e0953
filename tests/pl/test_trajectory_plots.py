"""Plots of trajectories and attributions: what is on them, and what they refuse."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import keys, tl
from annatac.errors import ConfigError, InputError, LabelError
from annatac.tl.reasons.attribution_table import Attribution

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import pl  # noqa: E402


@pytest.fixture(autouse=True)
def _closed():
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture(scope="module")
def cells():
    random = np.random.default_rng(0)
    time = np.linspace(0, 1, 400)
    peak = np.linspace(0, 1, 60)
    rate = 0.2 + 3 * np.exp(-0.5 * ((time[:, None] - peak) / 0.15) ** 2)
    angle = 3 * time
    xy = np.c_[np.cos(angle), np.sin(angle)] + random.normal(0, 0.08, (400, 2))
    obs = pd.DataFrame({keys.LABEL: np.where(time < 0.5, "early/1", "late")})
    obs[keys.CONFIDENCE], obs["donor"] = time.astype(np.float32), np.tile(["d1", "d2"], 200)
    obs.index = [f"c{i}" for i in range(400)]
    var = pd.DataFrame(index=[f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(60)])
    adata = ad.AnnData(sp.csr_matrix(random.poisson(rate)), obs=obs, var=var)
    adata.obsm[keys.EMBEDDING] = adata.obsm["X_umap"] = xy.astype(np.float32)
    activity = np.c_[time, -time, np.sin(4 * time)] + random.normal(0, 0.2, (400, 3))
    adata.obsm["motifs"] = pd.DataFrame(activity, index=obs.index, columns=["GATA1", "TCF7", "SPI1"])
    tl.trajectory(adata, order=["early/1", "late"])
    adata.obs.loc[adata.obs_names[:3], keys.PSEUDOTIME] = np.nan
    return adata


def test_the_path_on_the_layout(cells, tmp_path):
    ax = pl.trajectory(cells)
    assert ax.get_title() == "early/1 → late"
    assert ax.get_xlabel() == "UMAP 1"
    n_without = int(cells.obs[keys.PSEUDOTIME].isna().sum())
    assert f"grey: {n_without} cells without" in [text.get_text() for text in ax.texts]
    x, y = ax.lines[0].get_data()
    assert np.hypot(x, y) == pytest.approx(np.ones(len(x)), abs=0.12)  # it runs along the bow, not through it
    assert x[0] > 0.5 > 0 > x[-1]
    assert pl.save(ax, tmp_path / "path.png").stat().st_size > 10_000
    with pytest.raises(InputError, match=r"obsm\['X_tsne'\] is missing.*tsne=True"):
        pl.trajectory(cells, basis="tsne")
    with pytest.raises(ConfigError, match="basis is 'pca'"):
        pl.trajectory(cells, basis="pca")
    with pytest.raises(LabelError, match=r"Did you mean 'annatac_pseudotime'"):
        pl.trajectory(cells, pseudotime="annatac_pseudotim")


def test_heat_map_in_the_order_of_time(cells, tmp_path):
    features = tl.trajectory_features(cells)
    ax = pl.trajectory_heatmap(features)
    image = np.asarray(ax.images[0].get_array())
    assert len(image) == len(features.changing())
    assert (np.diff(image.argmax(1)) >= 0).all()
    assert ax.get_xlabel() == "pseudo-time (0 to 100)"
    assert len(ax.get_yticklabels()) == 30
    with pytest.raises(InputError, match=r"None of the 60 features changes"):
        pl.trajectory_heatmap(features, min_change=100)


def test_pairs_row_by_row(cells, tmp_path):
    peaks, motifs = tl.trajectory_features(cells), tl.trajectory_features(cells, obsm="motifs")
    pairs = tl.trajectory_pairs(peaks, motifs)
    left, right = pl.trajectory_pairs(peaks, motifs, pairs, titles=("peaks", "motifs"))
    one, two = (np.asarray(ax.images[0].get_array()) for ax in (left, right))
    assert one.shape == two.shape
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(one, two, strict=True)) >= 0.7
    assert pl.save(left, tmp_path / "pairs.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="no correlated pair"):
        pl.trajectory_pairs(peaks, motifs, pairs[:0])


def test_panels_with_samples(cells):
    axes = pl.umap_panels(cells, sample_key="donor")
    assert [ax.get_title() for ax in axes] == ["annatac label", "confidence", "donor"]
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == ["d1", "d2"]
    cells.obsm["X_tsne"] = cells.obsm["X_umap"]
    assert pl.umap_panels(cells, basis="tsne")[0].get_xlabel() == "t-SNE 1"
    del cells.obsm["X_tsne"]
    with pytest.raises(LabelError, match=r"obs has no column 'doner'. Did you mean 'donor'"):
        pl.umap_panels(cells, sample_key="doner")


def test_bars_of_a_cell_and_of_a_type():
    value = np.array([[2.0, -1, 0.5], [1, 0, -0.25]], dtype=np.float32)
    cells = pd.DataFrame(
        {
            "target": pd.Categorical(["B/1", "B/1"]),
            "n_open": [3, 2],
            "logit": [1.7, 0.9],
            "baseline": [0.2, 0.15],
        },
        index=["c1", "c2"],
    )
    islands = pd.DataFrame({"gene": ["CD19", "", "PAX5"]}, index=["i1", "i2", "i3"])
    matrix = sp.csr_matrix(value)
    found = Attribution(
        types=["B/1", "T"], islands=islands, contributions=matrix, wide=matrix, cells=cells, parameters={}
    )
    ax = pl.attribution(found, cell="c1", n_top=2)
    assert [bar.get_width() for bar in ax.patches] == [2, -1]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["CD19  (i1)", "i2"]
    assert "1 other islands together: +0.50" in ax.get_xlabel()
    assert ax.get_title(loc="left") == "c1 called B/1: +1.50 from 3 open islands"
    ax = pl.attribution(found, cell_type="B/1")
    assert [bar.get_width() for bar in ax.patches] == [1.5, 0.125, -0.5]
    assert ax.get_yticklabels()[0].get_text() == "CD19  (i1, open in 100%)"
    with pytest.raises(ConfigError, match="a cell or a type, not both"):
        pl.attribution(found, cell="c1", cell_type="B/1")
