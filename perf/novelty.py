"""How well cells of a type that the reference lacks are told from those of known types.

    python perf/novelty.py --sets granja bm0828 schep snare [--cache FOLDER] [--softmax-from FILE]

Each type is left out of the reference in turn; in Granja (coarse types) also lineages as a whole. Judged are the
cells of the test split (perf/accuracy.py; SNARE: libraries 09G and 09H) of known types, and all cells of the type
left out (SNARE: those of the test libraries). The score's three statistics and their equal weights were chosen on Schep
and on SNARE's libraries 09A-09D -> 09E-09F.

annatac's novelty needs the wide path and the profiles, not the network: with `--softmax-from FILE` no network is
trained, and the softmax's figures are those of an earlier run with the same seed.

AUROC of annatac's novelty, beside, from the same model or the same tokens: 1 - the best softmax; the mean distance to
the 15 nearest reference cells in 30 LSI dimensions; the log-likelihood of the best type's profile an open island.
The last two are adjusted for depth on the reference (each cell left out of it). Then the share of novel cells found
where 5 % of the judged known cells are false alarms, and as shipped, with the false alarms over all known cells and in
the known type that has the highest share of them (of 10 judged cells or more). "One threshold": the same by the novelty
alone, 0.95 for all types, as it was before a type's own held-out cells were heeded; what the cells are called comes,
with `--softmax-from`, from the wide path and an encoder without layers that learnt for one epoch.
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
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import randomized_svd

import annatac
from accuracy import RESULTS
from annatac import datasets, keys
from annatac.annotate.depth import DepthTrend
from annatac.benchmark import sets
from annatac.config import Recipe
from annatac.train.positions import inverse_document_frequency, tf_idf

FULL = {
    "granja": "granja2019_bmmc_d6t1",
    "bm0828": "buenrostro2018_bm0828",
    "schep": "schep2017_lines",
    "snare": "chen2019_snare_adcortex",
}
N_FOLDS = {"granja": 5, "bm0828": 3, "schep": 3}
LINEAGES = {
    "T": ("CD4 T", "CD8 T"),
    "B": ("B", "Pre-B"),
    "monocytes": ("Mono",),
    "NK": ("NK",),
    "progenitors": ("HSC", "CMP/LMPP", "CLP", "GMP"),
}
MIN_CELLS = 8  # of a type left out, for an AUROC
MIN_KNOWN = 10  # judged cells of a known type, for a share of false alarms


def cells_of(name: str) -> Any:
    """Return the data set with the judged types in obs['cell_type']."""
    key = "cell_type_coarse" if name == "granja" else "cell_type"
    return datasets.load(FULL[name]) if name == "snare" else sets.load(FULL[name], key)


def left_out(name: str, labels: np.ndarray) -> dict[str, tuple[str, ...]]:
    """Return what is left out in turn, by name: each type, and Granja's lineages of several types."""
    found: dict[str, tuple[str, ...]] = {one: (one,) for one in sorted(set(labels))}
    if name == "granja":
        found |= {f"lineage {one}": types for one, types in LINEAGES.items() if len(types) > 1}
    return found


def split(name: str, adata: Any, novel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference's rows and the judged ones."""
    if name == "snare":
        test = adata.obs["batch"].isin(["09G", "09H"]).to_numpy()
        return np.flatnonzero(~test & ~novel), np.flatnonzero(test)
    labels = adata.obs["cell_type"].to_numpy()
    fold = StratifiedKFold(N_FOLDS[name], shuffle=True, random_state=0)
    train, test_rows = next(fold.split(labels, labels))
    return train[~novel[train]], np.union1d(test_rows, np.flatnonzero(novel))


def rivals(reference: sp.csr_matrix, labels: np.ndarray, query: sp.csr_matrix) -> dict[str, np.ndarray]:
    """Return the two depth-adjusted scores of the query's cells that need no network, higher = newer."""
    idf = inverse_document_frequency(reference)
    x, y = tf_idf(reference, idf), tf_idf(query, idf)
    basis = randomized_svd(x, 30, random_state=0)[2].T
    neighbours = NearestNeighbors(n_neighbors=16).fit(x @ basis)
    own = neighbours.kneighbors(x @ basis)[0][:, 1:].mean(1)
    other = neighbours.kneighbors(y @ basis, n_neighbors=15)[0].mean(1)
    codes, names = pd.factorize(labels)
    binary = sp.csr_matrix((np.ones(reference.nnz), reference.indices, reference.indptr), reference.shape)
    open_query = sp.csr_matrix((np.ones(query.nnz), query.indices, query.indptr), query.shape)
    members = sp.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), (len(names), len(codes)))
    counts = np.asarray((members @ binary).todense()) + 0.1
    n_ref, n_query = (np.maximum(np.diff(m.indptr), 1) for m in (reference, query))
    log_p = np.log(counts / counts.sum(1, keepdims=True))
    likelihood = np.asarray(binary @ log_p.T)
    cell = np.repeat(np.arange(len(codes)), np.diff(reference.indptr))
    type_, island = codes[cell], reference.indices
    total = counts.sum(1)[type_] - n_ref[cell]
    without = np.log(np.maximum(counts[type_, island] - 1, 0.1) / total)
    likelihood[np.arange(len(codes)), codes] = np.bincount(cell, without, len(codes))
    own_fit = -likelihood.max(1) / n_ref
    other_fit = -np.asarray(open_query @ log_p.T).max(1) / n_query
    return {
        "kNN distance": DepthTrend.fit(own, n_ref).standardised(other, n_query),
        "profile likelihood": DepthTrend.fit(own_fit, n_ref).standardised(other_fit, n_query),
    }


def measured(name: str, types: tuple[str, ...], adata: Any, seed: int, recipe: Recipe) -> dict[str, Any]:
    """Return the figures of one fine-tuning without ``types``."""
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    novel = np.isin(labels, types)
    train, test = split(name, adata, novel)
    reference, query = adata[train].copy(), adata[test].copy()
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            reference,
            label_key="cell_type",
            batch_key="batch" if name == "snare" else None,
            output=Path(folder) / "model",
            recipe=recipe,
            seed=seed,
        )
    annatac.tl.annotate(query, model)
    tokens, query_tokens = model.tokens(reference)[0], model.tokens(query)[0]
    predicted = model.predict(query_tokens)
    is_novel = novel[test]
    scores = {
        "annatac": query.obs[keys.NOVELTY].to_numpy(dtype=float),
        "1 - softmax": 1 - predicted.probabilities.max(1),
        **rivals(tokens, labels[train], query_tokens),
    }
    called = {
        "shipped": query.obs[keys.IS_NOVEL].to_numpy(dtype=bool),
        "one threshold": scores["annatac"] > 0.95,
    }
    known = pd.Series(labels[test])[~is_novel]
    enough = known.groupby(known).transform("size") >= MIN_KNOWN
    softmax_called = predicted.probabilities.max(1) < 0.5
    return {
        "n_novel": int(is_novel.sum()),
        "n_known": int((~is_novel).sum()),
        **{f"auroc {how}": float(roc_auc_score(is_novel, score)) for how, score in scores.items()},
        **{
            f"found {how}": float((score[is_novel] > np.quantile(score[~is_novel], 0.95)).mean())
            for how, score in scores.items()
        },
        **{f"{how} found": float(one[is_novel].mean()) for how, one in called.items()},
        **{f"{how} false alarms": float(one[~is_novel].mean()) for how, one in called.items()},
        **{
            f"{how} false alarms, worst type": float(
                pd.Series(one[~is_novel], known.index)[enough].groupby(known[enough]).mean().max()
            )
            for how, one in called.items()
        },
        "softmax < 0.5 found": float(softmax_called[is_novel].mean()),
        "softmax < 0.5 false alarms": float(softmax_called[~is_novel].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(FULL))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps each run's figures, to go on from")
    parser.add_argument("--output", type=Path, default=RESULTS / "novelty.json")
    parser.add_argument("--softmax-from", type=Path, help="results of an earlier run: no network is trained")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    recipe, earlier = Recipe.load("default"), {}
    if options.softmax_from is not None:
        # one step: the softmax is that of the earlier run, and novelty does not ask the network
        recipe = replace(
            recipe, finetune=replace(recipe.finetune, epochs=1), model=replace(recipe.model, depth=0)
        )
        content = json.loads(options.softmax_from.read_text())
        assert content["seed"] == options.seed
        earlier = {(row["set"], row["left out"]): row for row in content["rows"]}
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        adata = cells_of(name)
        for number, (what, types) in enumerate(left_out(name, adata.obs["cell_type"].astype(str)).items()):
            kept = None if options.cache is None else options.cache / f"{name}_{options.seed}_{number}.json"
            if kept is not None and kept.is_file():
                row = json.loads(kept.read_text())
            else:
                test = split(name, adata, np.isin(adata.obs["cell_type"].astype(str), types))[1]
                if np.isin(adata.obs["cell_type"].astype(str).to_numpy()[test], types).sum() < MIN_CELLS:
                    continue
                row = {"set": name, "left out": what, **measured(name, types, adata, options.seed, recipe)}
                if options.softmax_from is not None:
                    old = earlier.get((name, what), {})
                    row |= {column: old.get(column, float("nan")) for column in row if "softmax" in column}
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(row))
            rows.append(row)
            print(
                f"{name} {what}: {row['auroc annatac']:.3f}, softmax {row['auroc 1 - softmax']:.3f}",
                flush=True,
            )
    table = pd.DataFrame(rows).set_index(["set", "left out"])
    whole = table.index.get_level_values(1).isin([*(f"lineage {x}" for x in LINEAGES)])
    singles = table[~whole].groupby("set", sort=False).mean()
    singles.index = pd.MultiIndex.from_product([singles.index, ["MEAN of types"]])
    shown = pd.concat([table, singles])
    with pd.option_context("display.width", 250, "display.max_columns", None):
        print(shown.filter(regex="^(n_|auroc)").round(3).to_string())
        print(shown.filter(regex="found|false").round(3).to_string())
    options.output.write_text(json.dumps({"seed": options.seed, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
