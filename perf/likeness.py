"""How like real cells simulated ones are: cells drawn from 16 sorted blood types' bulk ATAC against real cells.

    python perf/likeness.py

Real cells: Granja 2019 (ten coarse types) and BM0828 (sorted), at most 300 a type that has a bulk profile (mapped as in
perf/zero_shot.py). Simulated: as many a type, from hema_bulk16 as `annatac simulate --query` does it: the query gives
peaks, depth, counts and each peak's mean openness over all its cells, the bulk the ratios between types. No label is
used to fit. Both are looked at in the peaks in which the profiles have signal.

Classifier: logistic regression on TF-IDF of open peaks tells real from simulated cells of one type, 5-fold AUC; 0.5 is
not told apart. It sees every peak at once, so that small differences of many peaks add up. Beside it the same for real
cells of the type and of the real type that is hardest to tell from it. Types: macro-F1 of such a model naming real
cells' types among real ones, simulated cells' among simulated ones, and real cells' when it learnt from simulated ones.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from scipy.stats import ks_2samp, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from annatac import datasets, simulate
from annatac.benchmark.metrics import macro_f1
from annatac.jobs.simulating import QUERY_BACKGROUND, mixture_of
from annatac.pl.canvas import pyplot, save
from annatac.pp.counts import as_csr
from annatac.simulate.fit import cell_statistics, columns_of
from annatac.simulate.islands import group_peaks
from annatac.train.positions import inverse_document_frequency, tf_idf
from zero_shot import SETS

RESULTS, IMAGES = Path(__file__).parent / "results", Path(__file__).parents[1] / "docs" / "images"
MOST = 300  # cells a type
FEWEST = 20
SHORT = {"granja2019_bmmc_d6t1": "Granja 2019", "buenrostro2018_bm0828": "BM0828"}
REAL, MADE = "#404040", "#D55E00"


def chosen(truth: np.ndarray, types: list[str], random: np.random.Generator) -> np.ndarray:
    """Return rows of at most ``MOST`` cells of each type."""
    rows = [random.permutation(np.flatnonzero(truth == name))[:MOST] for name in types]
    return np.sort(np.concatenate(rows))


def drawn(profiles: simulate.Profiles, named: dict[str, str], wanted: pd.Series, **options: object):
    """Return counts and types of simulated cells, ``wanted[type]`` of each, shared out over the type's profiles."""
    of_type = pd.Series({name: named.get(name, name) for name in profiles.names})
    numbers = {
        name: -(-int(wanted[kind]) // int((of_type == kind).sum()))
        for name, kind in of_type.items()
        if kind in wanted
    }
    cells = simulate.from_bulk(profiles, numbers, **options)
    kinds = cells.obs["cell_type"].astype(str).map(of_type).to_numpy(dtype=str)
    keep = np.concatenate([np.flatnonzero(kinds == kind)[: int(n)] for kind, n in wanted.items()])
    return sp.csr_matrix(cells.X)[keep], kinds[keep]


def auc(real: sp.csr_matrix, made: sp.csr_matrix) -> float:
    """Return how well a linear model tells the two apart, out of fold."""
    both = sp.csr_matrix(sp.vstack([real, made]))
    is_real = np.repeat([1, 0], [real.shape[0], made.shape[0]])
    model = LogisticRegression(C=1, max_iter=200)
    weighted = tf_idf(both, inverse_document_frequency(both))
    score = cross_val_predict(model, weighted, is_real, cv=5, method="decision_function")
    return float(roc_auc_score(is_real, score))


def separability(x: sp.csr_matrix, kinds: np.ndarray) -> float:
    """Return the macro-F1 of naming the types of held-out cells."""
    model = LogisticRegression(C=1, class_weight="balanced", max_iter=200)
    return macro_f1(kinds, cross_val_predict(model, tf_idf(x, inverse_document_frequency(x)), kinds, cv=5))


def carried_over(
    made: sp.csr_matrix, made_kinds: np.ndarray, real: sp.csr_matrix, kinds: np.ndarray
) -> float:
    """Return the macro-F1 of naming real cells after learning from simulated ones."""
    idf = inverse_document_frequency(made)
    model = LogisticRegression(C=1, class_weight="balanced", max_iter=200).fit(tf_idf(made, idf), made_kinds)
    return macro_f1(kinds, model.predict(tf_idf(real, idf)))


def facts(x: sp.csr_matrix, island_of: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a set of cells is like."""
    to_island = sp.csr_matrix((np.ones(len(island_of)), (np.arange(len(island_of)), island_of)))
    binary = sp.csr_matrix((np.ones(x.nnz), x.indices, x.indptr), shape=x.shape)
    return {
        "islands": np.diff((binary @ to_island).indptr),
        "peaks": np.diff(x.indptr),
        "counts": np.asarray(x.sum(1)).ravel(),
        "openness": np.asarray(binary.mean(0)).ravel(),
        "mean": np.asarray(x.mean(0)).ravel(),
        "levels": np.bincount(np.minimum(x.data.astype(int), 5), minlength=6)[1:] / x.nnz,
    }


def compare(name: str, seed: int) -> tuple[dict[str, object], dict[str, object]]:
    """Return the figures of one study, and what its picture shows."""
    key, judged, named = SETS[name]
    adata = datasets.load(name)
    truth = adata.obs[key].astype(str).replace(judged).to_numpy(dtype=str)
    bulk = simulate.as_profiles(datasets.load_profiles("hema_bulk16")).on_peaks(
        adata.var, adata.uns["genome"]
    )
    x = as_csr(adata.X)[:, columns_of(adata, bulk.peaks)]
    counted = pd.Series(truth).value_counts()
    has_profile = {named.get(profile, profile) for profile in bulk.names}
    types = sorted(kind for kind in counted.index if kind in has_profile and counted[kind] >= FEWEST)
    rows = chosen(truth, types, np.random.default_rng(seed))
    real, kinds = sp.csr_matrix(x[rows]), truth[rows]
    wanted = pd.Series(kinds).value_counts()[types]

    statistics = cell_statistics(adata, peaks=bulk.peaks)
    shares = mixture_of(adata, bulk, statistics, background=QUERY_BACKGROUND)
    options = {"statistics": statistics, "shares": shares, "background": QUERY_BACKGROUND, "seed": seed}
    made, made_kinds = drawn(bulk, named, wanted, **options)

    island_of, _ = group_peaks(bulk.peaks)
    is_real, is_made = facts(real, island_of), facts(made, island_of)
    between = pd.DataFrame(np.ones((len(types), len(types))), types, types)
    for i, one in enumerate(types):
        for other in types[:i]:
            n = min(wanted[one], wanted[other])
            between.loc[one, other] = between.loc[other, one] = auc(
                real[kinds == one][:n], real[kinds == other][:n]
            )
    told = {
        kind: {
            "n_cells": int(wanted[kind]),
            "simulated": auc(real[kinds == kind], made[made_kinds == kind]),
            "nearest_type": between[kind].min(),
        }
        for kind in types
    }
    figures = {
        "set": name,
        "seed": seed,
        "n_types": len(types),
        "n_cells": len(rows),
        "n_peaks": real.shape[1],
        "open_islands": {
            who: np.percentile(its["islands"], [5, 25, 50, 75, 95]).round(1).tolist()
            for who, its in (("real", is_real), ("simulated", is_made))
        },
        "open_islands_ks": float(ks_2samp(is_real["islands"], is_made["islands"]).statistic),
        "count_levels": {
            "real": is_real["levels"].round(4).tolist(),
            "simulated": is_made["levels"].round(4).tolist(),
        },
        "peak_openness_spearman": float(spearmanr(is_real["openness"], is_made["openness"]).statistic),
        "within_type_openness_spearman": {
            kind: float(
                spearmanr(real[kinds == kind].getnnz(0), made[made_kinds == kind].getnnz(0)).statistic
            )
            for kind in types
        },
        "counts_per_open_peak": {
            "real": float(is_real["counts"].sum() / is_real["peaks"].sum()),
            "simulated": float(is_made["counts"].sum() / is_made["peaks"].sum()),
        },
        "auc": told,
        "separability": {
            "real": separability(real, kinds),
            "simulated": separability(made, made_kinds),
            "real_from_simulated": carried_over(made, made_kinds, real, kinds),
        },
    }
    return figures, {"real": is_real, "made": is_made, "told": told, "types": types}


def picture(shown: dict[str, dict], title: str, path: Path) -> None:
    """Draw the comparison of one study."""
    figure, axes = pyplot().subplots(2, 3, figsize=(12.5, 7.2), layout="constrained")
    real, made, types = shown["real"], shown["made"], shown["types"]
    both = (("real", real, REAL, "-"), ("simulated", made, MADE, "--"))
    (depth, levels, complexity), (openness, dropout, told) = axes
    for label, its, color, style in both:
        share = np.linspace(0, 1, len(its["islands"]))
        depth.plot(np.sort(its["islands"]), share, style, color=color, label=label)
        _in_bins(complexity, its["counts"], its["peaks"], (style, color, label))
        _in_bins(dropout, its["mean"], 1 - its["openness"], (style, color, label))
    depth.set(xscale="log", xlabel="open islands of a cell", ylabel="share of cells with at most as many")
    complexity.set(xscale="log", yscale="log", xlabel="counts of a cell", ylabel="open peaks (complexity)")
    at = np.geomspace(real["mean"][real["mean"] > 0].min(), real["mean"].max(), 60)
    dropout.plot(at, np.exp(-at), color="#999999", linewidth=0.8, label="Poisson")
    dropout.set(xscale="log", xlabel="mean count of a peak", ylabel="share of cells with it closed (dropout)")
    for shift, (label, its, color, _) in zip((-0.2, 0.2), both, strict=True):
        levels.bar(np.arange(1, 6) + shift, its["levels"], 0.38, color=color, label=label)
    levels.set(xlabel="counts of an open peak", ylabel="share of open peaks", xticks=range(1, 6))
    levels.set_xticklabels(["1", "2", "3", "4", "5+"])
    lowest = min(its["openness"][its["openness"] > 0].min() for its in (real, made)) / 2
    openness.plot([lowest, 1], [lowest, 1], color="#999999", linewidth=0.8)
    x, y = (np.maximum(its["openness"], lowest) for its in (real, made))
    openness.scatter(x, y, s=2, alpha=0.15, color=MADE, linewidths=0, rasterized=True)
    openness.set(
        xscale="log", yscale="log", xlabel="share of real cells with a peak open", ylabel="of simulated cells"
    )
    place = np.arange(len(types))[::-1]
    for shift, which, color, label in (
        (0.2, "simulated", MADE, "real or simulated"), (-0.2, "nearest_type", REAL, "this or the nearest real type"),
    ):  # fmt: skip
        widths = [shown["told"][kind][which] - 0.5 for kind in types]
        told.barh(place + shift, widths, 0.36, left=0.5, color=color, label=label)
    told.axvline(0.5, color="#999999", linewidth=0.8)
    told.set(yticks=place, xlim=(0.4, 1), ylim=(-0.6, len(types) + 1.2), xlabel="AUC of telling apart")
    told.set_yticklabels(types)
    for ax in (depth, levels, complexity, dropout, told):
        ax.legend(
            frameon=False, fontsize=9, loc="upper right" if ax in (told, levels, dropout) else "upper left"
        )
    for ax in axes.ravel():
        ax.spines[["top", "right"]].set_visible(False)
    for axis in (complexity.yaxis, complexity.xaxis, depth.xaxis):
        axis.set_minor_formatter(NullFormatter())
    figure.suptitle(title, fontsize=12)
    save(depth, path, dpi=110)


def _in_bins(ax: Axes, x: np.ndarray, y: np.ndarray, how: tuple[str, str, str]) -> None:
    """Draw the mean of y in twelve bins of x that hold more than four values."""
    edges = np.geomspace(max(x[x > 0].min(), 1e-4), x.max(), 13)
    place = np.digitize(x, edges)
    middle = [(x[place == i].mean(), y[place == i].mean()) for i in range(1, 13) if (place == i).sum() > 4]
    style, color, label = how
    ax.plot(*zip(*middle, strict=True), style, marker="o", markersize=3.5, color=color, label=label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "likeness.json")
    parser.add_argument("--images", type=Path, default=IMAGES)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for name in options.sets:
        figures, shown = compare(name, options.seed)
        print(json.dumps(figures, indent=1), flush=True)
        found.append(figures)
        short = SHORT[name]
        words = (
            f"{short}: {figures['n_cells']:,} real cells, and as many simulated from bulk profiles of blood"
        )
        picture(shown, words, options.images / f"likeness_{short.split()[0].lower()}.png")
    options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
