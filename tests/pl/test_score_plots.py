"""Pictures of a benchmark's tidy table: what is drawn, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from annatac.errors import ConfigError, InputError, LabelError, MissingFileError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import keys, pl  # noqa: E402
from annatac.pl.palette import COLORS  # noqa: E402
from annatac.pl.robustness import levels_of  # noqa: E402


def row(method, value, *, metric="accuracy", name="a", kind="split", level=1.0, cell_type="", **more):
    base = {"fold": 0, "repeat": 0, "seed": 0, "held_type": "", "status": "ok", "error": "", "source": "x"}
    figures = {"value": value, "low": value - 0.05, "high": value + 0.05, "n_cells": 9}
    own = {
        "method": method,
        "set": name,
        "kind": kind,
        "level": level,
        "metric": metric,
        "cell_type": cell_type,
    }
    return {**base, **figures, **own, **more}


@pytest.fixture
def table():
    """Two methods on two sets; three metrics; wrong labels on the first set, twice; one task failed."""
    rows = []
    for name in ("b", "a"):
        for method, value in (("logistic", 0.6), ("annatac", 0.8)):
            for i, metric in enumerate(("accuracy", "macro_f1", "cohen_kappa")):
                rows.append(row(method, value - 0.1 * i - 0.1 * (name == "a"), metric=metric, name=name))
            rows += [row(method, v, metric="f1", name=name, cell_type=f"T{v}") for v in (0.1, 0.5, 0.7, 0.9)]
    for level, values in ((0.1, (0.75, 0.65)), (0.2, (0.5, 0.6))):
        for repeat, value in enumerate(values):
            rows.append(row("annatac", value, name="b", kind="label_noise", level=level, repeat=repeat))
    rows.append(row("mlp", np.nan, status="timeout", metric="wall_s"))
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def _closed():
    yield
    matplotlib.pyplot.close("all")


def test_bars_have_the_means_and_intervals(table):
    again = table[table["set"] == "a"].assign(value=table["value"] + 0.1, seed=1)
    ax = pl.score_bars(pd.concat([table, again]), "accuracy")
    heights = [[bar.get_height() for bar in group] for group in ax.containers]
    np.testing.assert_allclose(heights, [[0.6, 0.55], [0.8, 0.75]])  # logistic, annatac on b, a
    assert [text.get_text() for text in ax.get_xticklabels()] == ["b", "a"]
    ends = ax.collections[0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [0.55, 0.65])
    dots = [line.get_ydata().tolist() for line in ax.get_lines()]
    np.testing.assert_allclose(dots, [[0.5, 0.6], [0.7, 0.8]])  # of the set with two runs alone
    one = pl.score_bars(table, "accuracy", methods=["annatac"], sets=["a"], ax=ax)
    assert one is ax
    assert one.containers[-1][0].get_facecolor() == matplotlib.colors.to_rgba(COLORS[0])


def test_a_radar_is_the_mean_over_the_sets(table):
    ax = pl.score_radar(table, ["accuracy", "macro_f1", "cohen_kappa"])
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_allclose(lines["annatac"], [0.75, 0.65, 0.55, 0.75])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["accuracy", "macro-F1", "Cohen's kappa"]
    with pytest.raises(InputError, match="three corners or more; there are 2"):
        pl.score_radar(table, ["accuracy"], corners="sets")
    with pytest.raises(ConfigError, match="polar"):
        pl.score_radar(table, ax=matplotlib.pyplot.subplots()[1])
    lone = table[~((table["method"] == "logistic") & (table["set"] == "a"))]
    lone = lone[~((lone["method"] == "annatac") & (lone["set"] == "b"))]
    with pytest.raises(InputError, match="No data set has results of all 2 methods"):
        pl.score_radar(lone, ["accuracy", "macro_f1", "cohen_kappa"])


def test_violins_show_every_type(table):
    ax = pl.score_violins(table, "f1")
    dots = [line for line in ax.get_lines() if len(line.get_xdata()) == 8]
    assert len(dots) == 2
    assert sorted(dots[0].get_xdata()) == [0.1, 0.1, 0.5, 0.5, 0.7, 0.7, 0.9, 0.9]
    medians = [line.get_xdata()[0] for line in ax.get_lines() if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(medians, 0.6)
    assert len(ax.collections) == 2, "one half-violin a method"
    assert len(pl.score_violins(table, "accuracy").collections) == 0, "two values have no density"


def test_wrong_labels_start_at_the_undisturbed_split(table):
    found = levels_of(table, "label_noise", "accuracy")
    assert found["level"].tolist() == [0.0, 0.1, 0.2]
    np.testing.assert_allclose(found["mean"], [0.8, 0.7, 0.55])
    np.testing.assert_allclose(found["low"], [0.8, 0.65, 0.5])
    assert found["n_runs"].tolist() == [1, 2, 2]
    line = pl.robustness(table).get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(orig=False), [0, 10, 20])
    with pytest.raises(ConfigError, match="Did you mean 'label_noise'"):
        pl.robustness(table, "labelnoise")
    with pytest.raises(InputError, match=r"holds no accuracy of protocol 'depth'.*label_noise, split"):
        pl.robustness(table, "depth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "acuracy"}, "holds no acuracy of protocol 'split'"),
        ({"methods": ["logistik"]}, "no method 'logistik'. Did you mean 'logistic'"),
        ({"sets": ["c"]}, "no set 'c'"),
    ],
)
def test_what_the_table_lacks_is_named(table, change, message):
    with pytest.raises(InputError, match=message):
        pl.score_bars(table, **change)


def test_tables_from_files(table, tmp_path):
    table.to_csv(tmp_path / "results.csv", index=False)
    assert len(pl.score_bars(tmp_path / "results.csv").containers) == 2
    with pytest.raises(MissingFileError, match=r"results.csv of a benchmark is expected"):
        pl.score_bars(tmp_path / "absent.csv")
    pd.DataFrame({"x": [1]}).to_csv(tmp_path / "other.csv")
    with pytest.raises(InputError, match="lacks the column 'method'"):
        pl.score_bars(tmp_path / "other.csv")


def test_predictions_side_by_side():
    import anndata as ad

    obs = pd.DataFrame(
        {"truth": ["a", "b", None, "a"], keys.LABEL: ["a", "b", "b", "b"], "other": ["c", "a", "a", "a"]},
        index=list("wxyz"),
    )
    adata = ad.AnnData(obs=obs, obsm={"X_umap": np.arange(8.0).reshape(4, 2)})
    axes = pl.prediction_panels(adata, "truth", [keys.LABEL, "other"], n_columns=2)
    titles = [ax.get_title() for ax in axes]
    assert titles == ["true type (truth)", "annatac (66.7% agree)", "other (33.3% agree)"]
    legend = axes[0].figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    with pytest.raises(LabelError, match=r"no column 'othr'. Did you mean 'other'"):
        pl.prediction_panels(adata, "truth", ["othr"])
