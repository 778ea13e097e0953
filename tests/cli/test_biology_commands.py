"""``trajectory``, ``explain`` and the layouts of ``embed``."""

from __future__ import annotations

import shutil

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import keys

pytest.importorskip("matplotlib")


@pytest.fixture
def cells(annotated, outputs):
    return shutil.copyfile(annotated, outputs / "cells.h5ad")


@pytest.fixture
def two_types(annotated):
    counts = ad.read_h5ad(annotated, backed="r").obs["cell_type"].value_counts()
    return [str(name) for name in counts.index[:2]]


def test_trajectory(run, cells, outputs, two_types):
    first, second = two_types
    arguments = ("--groupby", "cell_type", "--order", first, "--order", second)
    done = run("trajectory", cells, *arguments, "--csv", outputs / "t.csv")
    assert done.code == 0, done.err
    assert "cells have a pseudo-time" in done.out
    assert "tested features change along it" in done.out
    written = ad.read_h5ad(cells)
    assert written.obs[keys.PSEUDOTIME].max() == 100
    assert written.uns[keys.PSEUDOTIME]["order"].tolist() == [first, second]
    assert {"feature", "fdr", "peak_time"} <= set(pd.read_csv(outputs / "t.csv").columns)
    before = cells.read_bytes()
    done = run("trajectory", cells, "--groupby", "cell_type", "--order", first, "--order", "tipe 9")
    assert (done.code, "Did you mean 'type" in done.err) == (2, True)
    done = run("trajectory", cells)
    assert (done.code, "Name the types in their order" in done.err) == (2, True)
    done = run("trajectory", cells, *arguments, "--pairs", outputs / "p.csv")
    assert (done.code, "--obsm" in done.err) == (2, True)
    assert cells.read_bytes() == before


def test_trajectory_pictures_and_pairs(run, cells, outputs, two_types):
    adata = ad.read_h5ad(cells)
    is_first = (adata.obs["cell_type"] == two_types[0]).to_numpy()
    noise = np.random.default_rng(0).normal(size=(adata.n_obs, 3))
    adata.obsm["activity"] = (noise + 4 * is_first[:, None] * [1, -1, 0]).astype(np.float32)
    adata.obsm["X_umap"] = adata.obsm[keys.EMBEDDING][:, :2] + noise[:, :2].astype(np.float32)
    adata.write_h5ad(cells)
    arguments = ("--groupby", "cell_type", "--order", two_types[0], "--order", two_types[1])
    pictures = [outputs / f"{name}.png" for name in ("path", "heat", "pairs")]
    done = run(
        "trajectory", cells, *arguments, "--obsm", "activity", "--plot", pictures[0], "--heatmap", pictures[1],
        "--pairs", outputs / "p.csv", "--pairs-plot", pictures[2], "--fdr", 1, "--correlation", 0.1,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert all(path.stat().st_size > 5_000 for path in pictures)
    assert {"first", "second", "correlation"} <= set(pd.read_csv(outputs / "p.csv").columns)


def test_explain(run, cells, outputs, model):
    barcode = ad.read_h5ad(cells, backed="r").obs_names[0]
    done = run("explain", cells, "--model", model, "--cell", barcode, "--csv", outputs / "c.csv")
    assert done.code == 0, done.err
    assert barcode in done.out
    table = pd.read_csv(outputs / "c.csv")
    assert {"island", "contribution", "wide", "encoder"} <= set(table.columns)
    done = run(
        "explain", cells, "--model", model, "--max-cells", 12, "--csv", outputs / "t.csv", "--plot",
        outputs / "t.png", "--agreement", outputs / "a.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert pd.read_csv(outputs / "t.csv")["cell_type"].nunique() >= 2
    assert (outputs / "t.png").stat().st_size > 5_000
    assert "spearman" in pd.read_csv(outputs / "a.csv")
    done = run("explain", cells, "--model", model, "--type", "type 11")
    assert (done.code, "Did you mean 'type 1'" in done.err) == (2, True)
    done = run("explain", cells, "--model", model, "--cell", "no-such-cell")
    assert (done.code, "are not there" in done.err) == (2, True)


def test_embed_with_tsne_and_panels(run, cells, outputs):
    pytest.importorskip("scanpy")
    done = run("embed", cells, "--tsne", "--plot", outputs / "e.png", "--sample-key", "donor", "--leiden", 1)
    assert done.code == 0, done.err
    written = ad.read_h5ad(cells)
    assert written.obsm["X_tsne"].shape == written.obsm["X_umap"].shape == (written.n_obs, 2)
    assert "leiden" in written.obs
    assert (outputs / "e.png").stat().st_size > 10_000


def test_clusters(run, cells, outputs):
    pytest.importorskip("igraph")
    tables = [outputs / f"{name}.csv" for name in ("groups", "markers", "cells")]
    options = ("--csv", tables[0], "--markers-csv", tables[1], "--consensus-csv", tables[2])
    done = run("clusters", cells, *options)
    assert done.code == 0, done.err
    assert "of all cells" in done.out
    written = ad.read_h5ad(cells)
    assert {keys.NOVEL_GROUP, keys.CLUSTER, keys.CLUSTER_LABEL} <= set(written.obs)
    table = pd.read_csv(tables[2], keep_default_na=False)
    assert table["barcode"].tolist() == written.obs_names.tolist()
    assert table["conflict"].sum() == written.uns[keys.CLUSTERS]["consensus"]["n_conflicts"].sum()
    assert "by_probability_1" in pd.read_csv(tables[0])
    page = outputs / "page.html"
    assert run("report", cells, "-o", page, "--no-markers").code == 0
    assert "Groups of novel cells" in page.read_text(encoding="utf-8")
    before = cells.read_bytes()
    done = run("clusters", cells, "--min-share", 0.1)
    assert (done.code, "--min-share is 0.1; 0.5 to 1 is expected" in done.err) == (2, True)
    assert cells.read_bytes() == before
