"""Accuracy of the default recipe beside three simple baselines, on splits of real data.

    python perf/accuracy.py --splits granja snare --seeds 0 1 2

Every method is trained on the same cells and judged on the same held-out ones, in one run:

granja   a stratified fifth of Granja 2019 bone marrow (16 types), the first of five folds
snare    SNARE-seq mouse cortex, libraries 09A-09F -> 09G-09H (14 types)
bm0828   a stratified third of Buenrostro 2018, FACS-sorted (7 types)
schep    a stratified third of Schep 2017 lines (the LCL lines merged)

Baselines, on all peaks: TF-IDF with logistic regression, plain and class-balanced (at C = 1 and 10), and
multinomial naive Bayes without a prior on binary peaks (smoothing 0.1 and 1). Both settings are printed: to
read off the better one on the judged cells is a head start for them.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import MultinomialNB

import annatac
from annatac import datasets
from annatac.benchmark import sets
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.train.positions import inverse_document_frequency, tf_idf

Split = tuple[AnnData, np.ndarray, np.ndarray]  # cells with obs["cell_type"], rows to train on and to judge
RESULTS = Path(__file__).parent / "results"


def splits(seed: int) -> dict[str, Callable[[], Split]]:
    """Return the splits; ``seed`` shuffles the folds of sets with one donor."""

    def folds(name: str, n_folds: int) -> Split:
        adata = sets.load(name)
        labels = adata.obs["cell_type"].to_numpy()
        fold = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        train, test = next(fold.split(labels, labels))
        return adata, train, test

    def snare() -> Split:
        adata = datasets.load("chen2019_snare_adcortex")
        is_test = adata.obs["batch"].isin(["09G", "09H"]).to_numpy()
        return adata, np.flatnonzero(~is_test), np.flatnonzero(is_test)

    return {
        "granja": lambda: folds("granja2019_bmmc_d6t1", 5),
        "snare": snare,
        "bm0828": lambda: folds("buenrostro2018_bm0828", 3),
        "schep": lambda: folds("schep2017_lines", 3),
    }


def baselines(x: sp.csr_matrix, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Return the predictions of each baseline at each setting."""
    idf = inverse_document_frequency(x[train])
    weighted_train, weighted_test = tf_idf(x[train], idf), tf_idf(x[test], idf)
    found: dict[str, Any] = {}
    for name, weight in (("logistic regression", None), ("the same, class-balanced", "balanced")):
        for c in (1, 10):
            model = LogisticRegression(C=c, class_weight=weight, max_iter=300)
            found[f"{name} (C={c})"] = model.fit(weighted_train, labels[train]).predict(weighted_test)
    binary = (x > 0).astype(np.float32)
    for alpha in (0.1, 1.0):
        bayes = MultinomialNB(alpha=alpha, fit_prior=False).fit(binary[train], labels[train])
        found[f"naive Bayes (alpha={alpha:g})"] = bayes.predict(binary[test])
    return found


def ours(
    adata: AnnData, train: np.ndarray, test: np.ndarray, *, recipe: str, seed: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Return forced-choice predictions of the recipe, with the seconds it took."""
    began = time.perf_counter()
    method = Ours(recipe)
    method.fit(adata[train].copy(), sets.TRUTH, None, seed)
    fitted = time.perf_counter()
    query, model = adata[test].copy(), method.model
    annatac.tl.annotate(query, model)
    done = time.perf_counter()
    guess = np.array(model.classes)[query.obsm["annatac_probabilities"].argmax(1)]
    return guess, {"fit_s": fitted - began, "annotate_s": done - fitted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--splits", nargs="+", default=["granja", "snare"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--output", type=Path, default=RESULTS / "accuracy.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for seed in options.seeds:
        for name in options.splits:
            adata, train, test = splits(seed)[name]()
            labels = adata.obs["cell_type"].astype(str).to_numpy()
            x = sp.csr_matrix(adata.X)
            guesses: dict[str, Any] = baselines(x, labels, train, test)
            guess, cost = ours(adata, train, test, recipe=options.recipe, seed=seed)
            guesses[f"annatac {options.recipe}"] = guess
            for method, found in guesses.items():
                row = {
                    "split": name,
                    "seed": seed,
                    "method": method,
                    "accuracy": accuracy(labels[test], found),
                    "macro_f1": macro_f1(labels[test], found),
                }
                rows.append(row | (cost if method.startswith("annatac") else {}))
            shown = pd.DataFrame([r for r in rows if r["split"] == name and r["seed"] == seed])
            print(shown.round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    mean = table.groupby(["split", "method"], sort=False)[["accuracy", "macro_f1"]].mean()
    print("\nmean over seeds", options.seeds)
    print(mean.round(3).to_string())
    options.output.parent.mkdir(exist_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    options.output.write_text(json.dumps({"peak_mb": peak, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
