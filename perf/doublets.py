"""How well two cells at once are told from one.

    python perf/doublets.py --sets bm0828 schep granja snare --seeds 0 1 2

Doublets are made of two held-out cells of different types (a third of the cells of each set, stratified; drawn at
random, as many as the held-out cells, 300 at least): their counts are added and thinned to the depth of another
held-out cell, in two ways: to as many open peaks (each kept or not as a whole), or count by count to as many counts,
which keeps more of what is open in both.

AUROC of `annatac_doublet_score` of doublets against the held-out cells themselves, of cells with 1,000 open islands or
more (where there are 20 of each) and of all; then the share of either called a doublet, by score alone and as
`annatac_reason` gives it (cells called novel or of low quality have that reason).

The score rests on the profiles of the types: the network is trained for one epoch only. It was chosen on Schep.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import annatac
from accuracy import RESULTS
from annatac import keys
from annatac.annotate.calls import DOUBLET_RATE
from annatac.benchmark import sets
from annatac.config import Recipe
from unseen import NAMES

DEEP = 1_000  # open islands
THINNED = ("peaks", "counts")
MIN_CELLS = 20  # of either kind, for an AUROC


def doublets(cells: AnnData, n: int, how: str, random: np.random.Generator) -> AnnData:
    """Return n sums of two cells of different types, thinned to the open peaks or the counts of a third."""
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    x = sp.csr_matrix(cells.X)
    first, second = random.integers(cells.n_obs, size=(2, 20 * n))
    differs = np.flatnonzero(labels[first] != labels[second])[:n]
    both = sp.csr_matrix(x[first[differs]] + x[second[differs]])
    if how == "peaks":
        x, both = ((one > 0).astype(np.float32) for one in (x, both))
    depth = np.asarray(x.sum(1)).ravel()[random.integers(cells.n_obs, size=len(differs))]
    share = np.minimum(depth / np.asarray(both.sum(1)).ravel(), 1)
    kept = random.binomial(both.data.astype(np.int64), np.repeat(share, np.diff(both.indptr)))
    both.data = kept.astype(np.float32)
    both.eliminate_zeros()
    return AnnData(both, var=cells.var.copy(), uns=cells.uns.copy())


def measured(name: str, seed: int) -> list[dict[str, Any]]:
    """Return the figures of one set, a row a way of thinning."""
    cells = sets.load(NAMES[name])
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    train, held = next(StratifiedKFold(3, shuffle=True, random_state=seed).split(labels, labels))
    recipe = Recipe.load("default")
    recipe = replace(
        recipe, finetune=replace(recipe.finetune, epochs=1), model=replace(recipe.model, depth=0)
    )
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            cells[train].copy(),
            label_key="cell_type",
            output=Path(folder) / "model",
            recipe=recipe,
            seed=seed,
        )
    return [judged(model, cells[held].copy(), how, seed) | {"set": name, "seed": seed} for how in THINNED]


def judged(model: Any, single: AnnData, how: str, seed: int) -> dict[str, Any]:
    """Return the figures of doublets of some cells against these cells."""
    double = doublets(single, max(single.n_obs, 300), how, np.random.default_rng([seed, 0xD0]))
    found: dict[str, Any] = {"thinned": how}
    score, deep, called, reason = [], [], [], []
    for query in (single.copy(), double):
        annatac.tl.annotate(query, model)
        score.append(query.obs[keys.DOUBLET_SCORE].to_numpy())
        deep.append(query.obs[keys.N_OPEN].to_numpy() >= DEEP)
        called.append(score[-1] > 1 - DOUBLET_RATE)
        reason.append((query.obs[keys.REASON] == "doublet").to_numpy())
    for what, keep in (("deep", deep), ("all", [np.ones(len(one), bool) for one in score])):
        n_single, n_double = (int(one.sum()) for one in keep)
        found |= {f"{what} cells": n_single, f"{what} doublets": n_double}
        if min(n_single, n_double) < MIN_CELLS:
            continue
        either = np.concatenate([one[own] for one, own in zip(score, keep, strict=True)])
        found[f"{what} auroc"] = float(roc_auc_score(np.repeat([0, 1], [n_single, n_double]), either))
        for rule, answers in (("score", called), ("reason", reason)):
            found[f"{what} found, {rule}"] = float(answers[1][keep[1]].mean())
            found[f"{what} false, {rule}"] = float(answers[0][keep[0]].mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["bm0828", "schep"], choices=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS / "doublets.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in options.sets:
        for seed in options.seeds:
            rows += measured(name, seed)
        mean = pd.DataFrame(rows).groupby(["set", "thinned"], sort=False).mean(numeric_only=True)
        print(mean.drop(columns="seed").round(3).T.to_string(), flush=True)
    options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
