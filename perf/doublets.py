"""How well two cells at once are told from one.

    python perf/doublets.py --sets bm0828 schep granja snare --seeds 0 1 2

Doublets are made of two held-out cells of different types (a third of the cells of each set, stratified; drawn at
random, as many as the held-out cells, 300 at least): their counts are added and thinned to the depth of another
held-out cell, in two ways: to as many open peaks (each kept or not as a whole), or count by count to as many counts,
which keeps more of what is open in both.

AUROC of `annatac_doublet_score` of doublets against the held-out cells themselves, of cells with 1,000 open islands or
more (where there are 20 of each) and of all; then the share of either called a doublet, by score alone and as
`annatac_reason` gives it (cells called novel or of low quality have that reason). The score rests on the profiles of
the types: the network is trained for one epoch only. It was chosen on Schep.

taught     what a logistic regression reaches that learns from four fifths of these very doublets and cells to name the
           last fifth, from the score's own statistics, the novelty's, the four highest profile scores and logits
           and the depth: about the most that these can tell

Then the AUROC of the deep doublets of each pair of types (8 or more over the seeds) against all deep cells.
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
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import annatac
from accuracy import RESULTS
from annatac import keys
from annatac.annotate.calls import DOUBLET_RATE
from annatac.annotate.evidence import evidence_of
from annatac.benchmark import sets
from annatac.config import Recipe
from unseen import NAMES

DEEP = 1_000  # open islands
THINNED = ("peaks", "counts")
MIN_CELLS = 20  # of either kind, for an AUROC
MIN_OF_A_PAIR = 8


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
    pair = [
        " + ".join(sorted(two)) for two in zip(labels[first[differs]], labels[second[differs]], strict=True)
    ]
    return AnnData(both, obs=pd.DataFrame({"pair": pair}), var=cells.var.copy(), uns=cells.uns.copy())


def measured(name: str, seed: int) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return the figures of one set, a row a way of thinning, and the deep cells' scores with their pairs."""
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
    found = [judged(model, cells[held].copy(), how, seed) for how in THINNED]
    rows = [row | {"set": name, "seed": seed} for row, _ in found]
    return rows, pd.concat([deep for _, deep in found]).assign(set=name)


def judged(model: Any, single: AnnData, how: str, seed: int) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the figures of doublets of some cells against these cells, and the deep ones' scores by pair."""
    double = doublets(single, max(single.n_obs, 300), how, np.random.default_rng([seed, 0xD0]))
    found: dict[str, Any] = {"thinned": how}
    score, deep, called, reason, seen = [], [], [], [], []
    for query in (single.copy(), double):
        seen.append(all_seen(model, query))
        annatac.tl.annotate(query, model)
        score.append(query.obs[keys.DOUBLET_SCORE].to_numpy())
        deep.append(query.obs[keys.N_OPEN].to_numpy() >= DEEP)
        called.append(score[-1] > 1 - DOUBLET_RATE)
        reason.append((query.obs[keys.REASON] == "doublet").to_numpy())
    taught = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(C=0.3)),
        np.concatenate(seen),
        np.repeat([0, 1], [len(one) for one in seen]),
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        method="predict_proba",
    )[:, 1]
    for what, keep in (("deep", deep), ("all", [np.ones(len(one), bool) for one in score])):
        n_single, n_double = (int(one.sum()) for one in keep)
        found |= {f"{what} cells": n_single, f"{what} doublets": n_double}
        if min(n_single, n_double) < MIN_CELLS:
            continue
        either = np.concatenate([one[own] for one, own in zip(score, keep, strict=True)])
        truth = np.repeat([0, 1], [n_single, n_double])
        found[f"{what} auroc"] = float(roc_auc_score(truth, either))
        found[f"{what} auroc, taught"] = float(roc_auc_score(truth, taught[np.concatenate(keep)]))
        for rule, answers in (("score", called), ("reason", reason)):
            found[f"{what} found, {rule}"] = float(answers[1][keep[1]].mean())
            found[f"{what} false, {rule}"] = float(answers[0][keep[0]].mean())
    pairs = pd.DataFrame(
        {"pair": [*[""] * single.n_obs, *double.obs["pair"]], "score": np.concatenate(score)}
    )
    return found, pairs[np.concatenate(deep)].assign(thinned=how)


def all_seen(model: Any, query: AnnData) -> np.ndarray:
    """Return what the model can say of cells, (n, features)."""
    tokens, trust = model.tokens(query)[0], model.trust
    predicted = model.predict(tokens)
    evidence = evidence_of(tokens, trust.log_ratios, trust.log_background)
    is_open = sp.csr_matrix((np.ones(tokens.nnz, np.float32), tokens.indices, tokens.indptr), tokens.shape)
    ratios = (is_open @ trust.log_ratios) / np.sqrt(np.maximum(predicted.n_open, 1))[:, None]
    statistics = [*trust.doublets.trends, *trust.novelty.trends]
    values = [evidence.mixed, -evidence.fit, -predicted.decision, -evidence.best, -evidence.fit]
    each = [trend.standardised(one, predicted.n_open) for trend, one in zip(statistics, values, strict=True)]
    highest = [np.sort(one, axis=1)[:, -4:] for one in (ratios, predicted.logits)]
    return np.column_stack([*each, *highest, np.log(np.maximum(predicted.n_open, 1))])


def by_pair(deep: pd.DataFrame) -> pd.DataFrame:
    """Return the AUROC of each pair's doublets against all single cells, a row a set and pair, a column a thinning."""
    rows = []
    for (name, how), cells in deep.groupby(["set", "thinned"], sort=False):
        single = cells.score[cells.pair == ""]
        for pair, score in cells[cells.pair != ""].groupby("pair").score:
            if len(score) >= MIN_OF_A_PAIR:
                truth = np.repeat([0, 1], [len(single), len(score)])
                auroc = roc_auc_score(truth, np.concatenate([single, score]))
                rows.append({"set": name, "pair": pair, "thinned": how, "auroc": auroc})
    return pd.DataFrame(rows).pivot(index=["set", "pair"], columns="thinned", values="auroc").reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["bm0828", "schep"], choices=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS / "doublets.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, deep = [], []
    for name in options.sets:
        for seed in options.seeds:
            figures, scores = measured(name, seed)
            rows += figures
            deep.append(scores)
        mean = pd.DataFrame(rows).groupby(["set", "thinned"], sort=False).mean(numeric_only=True)
        print(mean.drop(columns="seed").round(3).T.to_string(), flush=True)
    pairs = by_pair(pd.concat(deep)).sort_values(["set", "counts"])
    print(pairs.round(2).to_string(index=False))
    content = {"rows": rows, "pairs": pairs.to_dict("records")}
    options.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
