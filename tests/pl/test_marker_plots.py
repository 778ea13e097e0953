from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import tl
from annatac.errors import ConfigError, InputError, LabelError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import pl  # noqa: E402


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], 60)
    rate = np.full((3, 120), 0.2)
    for k in range(3):
        rate[k, 20 * k : 20 * k + 20] = 0.9
    obs = pd.DataFrame(
        {
            "type": np.array(["A/1", "B a long name", "C"])[kind],
            "sample": [f"s{i % 4}" for i in range(180)],
            "condition": ["x" if i % 2 else "y" for i in range(180)],
        },
        index=[f"c{i}" for i in range(180)],
    )
    var = pd.DataFrame(index=[f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(120)])
    return ad.AnnData(sp.csr_matrix(rng.poisson(rate[kind])), obs=obs, var=var)


@pytest.fixture(scope="module")
def genes():
    start = 10_000 * np.arange(12)
    names = [f"G{i}" for i in range(12)]
    return pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + 3000, "symbol": names, "strand": "+"}
    )


@pytest.fixture(scope="module")
def found(cells, genes):
    return tl.markers(cells, "type", genes=genes)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_given_axes_are_drawn_on_and_returned(cells, genes, found):
    import matplotlib.pyplot as plt

    table = tl.elements(cells, genes, groupby="type")
    for draw in (
        lambda ax: pl.marker_heatmap(found, ax=ax),
        lambda ax: pl.volcano(found, "C", ax=ax),
        lambda ax: pl.elements(table, ax=ax),
        lambda ax: pl.composition(cells, "type", sample_key="sample", ax=ax),
    ):
        _, ax = plt.subplots()
        assert draw(ax) is ax
        assert draw(None) is not ax


def test_heatmap_shows_the_fold_changes_in_blocks(found):
    ax = pl.marker_heatmap(found, n_top=5, n_names=1)
    shown = np.asarray(ax.images[0].get_array())
    assert shown.shape == (3, 15)
    for k in range(3):
        assert (shown[:, 5 * k : 5 * k + 5].argmax(axis=0) == k).all()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["A/1 (60)", "B a long name (60)", "C (60)"]
    names = [tick.get_text() for tick in ax.get_xticklabels()]
    assert set(names) <= {f"G{i}" for i in range(12)}
    assert "15 marker peaks" in ax.get_xlabel()


def test_volcano_counts_and_names(found):
    ax = pl.volcano(found, "A/1", n_names=3)
    chosen = found.is_marker()[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"more open ({chosen.sum()})" in labels
    assert 1 <= len(ax.texts) <= 3
    assert len({text.get_text() for text in ax.texts}) == len(ax.texts)


def test_volcano_of_conditions(cells):
    with pytest.warns(UserWarning, match="only large differences"):
        table = tl.differential(
            cells, "C", groupby="type", condition_key="condition", sample_key="sample", min_count=1
        )
    ax = pl.volcano(table)
    assert ax.get_title() == "C"
    assert ax.get_xlabel() == "log2 fold change (y over x)"


def test_element_bars_fill_100_percent(cells, genes):
    ax = pl.elements(tl.elements(cells, genes, groupby="type"))
    width = {}
    for patch in ax.patches:
        width[round(patch.get_y(), 2)] = width.get(round(patch.get_y(), 2), 0) + patch.get_width()
    assert list(width.values()) == pytest.approx([100] * 4)
    assert "at least 5 %" in ax.get_xlabel()
    assert ax.get_yticklabels()[-1].get_text().startswith("all types (")


def test_composition_stands_by_condition(cells):
    ax = pl.composition(cells, "type", sample_key="sample", condition_key="condition")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "s1 (45)",
        "s3 (45)",
        "s0 (45)",
        "s2 (45)",
    ]
    assert {text.get_text() for text in ax.texts} == {"x", "y"}


def test_bad_input(cells, found):
    with pytest.raises(InputError, match="there is nothing to draw"):
        pl.marker_heatmap(found, min_log2_fold_change=50)
    with pytest.raises(ConfigError, match="n_top is 0"):
        pl.marker_heatmap(found, n_top=0)
    with pytest.raises(InputError, match="Say which type to draw: A/1, B a long name, C"):
        pl.volcano(found)
    with pytest.raises(LabelError, match="No markers of a type 'D'"):
        pl.volcano(found, "D")
    with pytest.raises(InputError, match="no column log2_fold_change, fdr"):
        pl.volcano(pd.DataFrame({"peak": []}))
    with pytest.raises(InputError, match=r"table of annatac\.tl\.elements"):
        pl.elements(pd.DataFrame({"a": [1]}))
