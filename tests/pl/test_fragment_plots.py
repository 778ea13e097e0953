"""Plots from fragments: what is drawn, where labels lie, bad input."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import keys
from annatac.errors import ConfigError, InputError, LabelError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import pl  # noqa: E402
from annatac.genome.regions import Region  # noqa: E402
from annatac.pl.footprint_plot import running_mean  # noqa: E402
from annatac.tl.fragments.footprint_profiles import Footprints  # noqa: E402
from annatac.tl.fragments.locus_coverage import Coverage  # noqa: E402


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def some_footprints(*, corrected=True):
    rng = np.random.default_rng(0)
    seen = rng.poisson(50, (2, 3, 501))
    return Footprints(
        motifs=["CTCF", "SPI1"],
        types=["A/1", "B", "C"],
        position=np.arange(-250, 251),
        insertions=seen,
        expected=rng.uniform(30, 60, (2, 3, 501)) if corrected else None,
        bias_variance=np.zeros(2) if corrected else None,
        n_sites=np.array([1200, 30]),
        n_cells=np.array([100, 200, 300]),
        core_bp=np.array([19, 12]),
        shoulder_bp=50,
        flank_norm_bp=50,
        type_order=["A/1", "B", "C"],
    )


def test_footprint_has_its_bias_below_and_its_depths_in_the_legend():
    found = some_footprints()
    ax = pl.footprint(found, "CTCF", smooth_bp=1)
    assert len(ax.lines) == 3
    np.testing.assert_allclose(ax.lines[1].get_ydata(), found.profile("subtract")[0, 1])
    assert "1,200 sites" in ax.get_title()
    depth = found.table()["depth"][0]
    assert ax.get_legend().get_texts()[0].get_text().startswith(f"A/1  {depth:.3f} ±")
    below = ax.child_axes[0]
    assert "bias" in below.get_ylabel()
    assert "bp" in below.get_xlabel()
    assert below.get_xlim() == ax.get_xlim()


def test_footprint_without_correction_says_so():
    ax = pl.footprint(some_footprints(corrected=False), "SPI1", types=["B"])
    assert not ax.child_axes
    assert "not corrected" in ax.get_ylabel()
    assert "not corrected" in ax.get_legend().get_title().get_text()
    assert len(ax.lines) == 1


def test_footprint_bad_input():
    found = some_footprints()
    with pytest.raises(InputError, match=r"No motif is named. There are: CTCF, SPI1"):
        pl.footprint(found)
    with pytest.raises(InputError, match=r"no footprint of 'A1'.*Did you mean 'A/1'"):
        pl.footprint(found, "CTCF", types=["A1"])
    with pytest.raises(ConfigError, match="expected one of: subtract, divide, none"):
        pl.footprint(found, "CTCF", normalise="ratio")


def test_running_mean():
    np.testing.assert_allclose(running_mean(np.array([0.0, 3, 6, 9]), 3), [1.5, 3, 6, 7.5])


def some_coverage(n_types=3):
    values = np.random.default_rng(0).random((n_types, 200)) * 7
    names = [f"type {i}" for i in range(n_types)]
    return Coverage(
        region=Region("chr1", 100_000, 200_000, "GENE"),
        types=names,
        values=values,
        bin_size=500,
        unit="insertions per million in 500 bp",
        n_cells=np.full(n_types, 50),
        type_order=names,
    )


def crowded_genes(n=40):
    rng = np.random.default_rng(1)
    start = rng.integers(90_000, 205_000, n)
    return pd.DataFrame(
        {
            "chrom": "1",
            "start": start,
            "end": start + rng.integers(500, 30_000, n),
            "symbol": [f"LONGNAME{i}" for i in range(n)],
            "strand": rng.choice(["+", "-"], n),
        }
    )


def test_tracks_have_types_scale_and_position():
    found = some_coverage()
    peaks = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [150_000, 5], "end": [150_400, 9]})
    ax = pl.tracks(found, genes=crowded_genes(5), peaks=peaks)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [*found.types, "peaks", "genes"]
    assert "insertions per million" in ax.get_title(loc="right")
    assert f"{found.values.max():.3g}" in ax.get_title(loc="right")
    assert "chr1 (Mb)" in ax.get_xlabel()
    assert ax.get_xlim() == (100_000, 200_000)
    with pytest.raises(ConfigError, match="above 0"):
        pl.tracks(found, y_max=0)


@pytest.mark.parametrize("n_genes", [1, 12, 60])
def test_names_of_genes_never_cover_each_other(n_genes):
    ax = pl.tracks(some_coverage(), genes=crowded_genes(n_genes))
    figure = ax.get_figure()
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text().startswith("LONGNAME")]
    assert boxes
    assert not [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
    frame = ax.get_window_extent().padded(3)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    if n_genes == 60:
        assert "genes not drawn" in ax.get_xlabel()


def test_given_axes_are_drawn_on_and_returned():
    import matplotlib.pyplot as plt

    for draw in (
        lambda ax: pl.tracks(some_coverage(), genes=crowded_genes(8), ax=ax),
        lambda ax: pl.footprint(some_footprints(), "CTCF", ax=ax),
        lambda ax: pl.tss_profile(cells_with_qc(), ax=ax),
        lambda ax: pl.fragment_sizes(cells_with_qc(), ax=ax),
    ):
        _, ax = plt.subplots()
        assert draw(ax) is ax


def cells_with_qc(*, tss=True):
    rng = np.random.default_rng(0)
    result = {
        "types": np.array(["A", "B/2"], dtype=object),
        "n_cells": np.array([5, 6]),
        "fragment_sizes": rng.poisson(20, (2, 1001)),
    }
    if tss:
        result |= {
            "position": np.arange(-2000, 2001),
            "tss_insertions": rng.poisson(9, (2, 4001)),
            "n_tss": 1234,
        }
    return ad.AnnData(obs=pd.DataFrame(index=["c"]), uns={keys.FRAGMENT_QC: result})


def test_quality_plots():
    adata = cells_with_qc()
    ax = pl.tss_profile(adata, smooth_bp=1)
    n = adata.uns[keys.FRAGMENT_QC]["tss_insertions"][0]
    outer = np.concatenate([n[:100], n[-100:]]).mean()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), n / outer)
    assert "1,234" in ax.get_title()
    sizes = pl.fragment_sizes(adata, types=["B/2"])
    assert [text.get_text() for text in sizes.get_legend().get_texts()] == ["B/2"]
    with pytest.raises(LabelError, match=r"no type 'B2'.*Did you mean 'B/2'"):
        pl.tss_profile(adata, types=["B2"])
    with pytest.raises(InputError, match="with a table of genes"):
        pl.tss_profile(cells_with_qc(tss=False))
    with pytest.raises(InputError, match="Compute it first"):
        pl.fragment_sizes(ad.AnnData(obs=pd.DataFrame(index=["c"])))
