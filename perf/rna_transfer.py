"""Label transfer from RNA on simulated pairs: what the package does, beside two other ways.

    python perf/rna_transfer.py

Half of the cells of a real ATAC set is the query; the RNA of the other half is made up from its gene scores
(annatac.simulate.simulate_rna), with half, or a quarter, of the genes following their accessibility. So the ATAC is
real, the RNA is not, and how far the two agree is assumed: look at which way is better, not at how good it is. The
package's settings were chosen on these very pairs (half of the genes linked, seed 0).

correlation: highest correlation with a type's mean over the same marker genes. anchors: canonical correlation of the
two sets, mutual nearest neighbours (k = 5), votes of the 50 nearest anchors, as Seurat does it. All use the same
standardised genes and the same smoothing. Prints a table and writes perf/results/rna_transfer.json, where
rows of other sets stay.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import randomized_svd

from annatac import datasets
from annatac.annotate.rna_reference import SharedGenes, shared_genes
from annatac.annotate.rna_transfer import (
    TransferSettings,
    marker_genes,
    smoothed,
    standardised,
    transfer,
    unit,
)
from annatac.benchmark import sets
from annatac.benchmark.metrics import macro_f1
from annatac.benchmark.protocols import stratified_folds
from annatac.pp.counts import as_csr
from annatac.simulate import simulate_rna
from annatac.train.positions import inverse_document_frequency, leading_vectors, tf_idf

SETS = ("schep2017_lines", "buenrostro2018_bm0828", "granja2019_bmmc_d6t1")
MAX_CELLS = 2_500
RESULT = Path(__file__).parent / "results" / "rna_transfer.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--linked", nargs="+", type=float, default=[0.5, 0.25])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        for linked in arguments.linked:
            for seed in arguments.seeds:
                rows += judged(name, linked, seed)
    old = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else []
    new = {(row["set"], row["linked"], row["seed"]) for row in rows}
    kept = [row for row in old if (row["set"], row["linked"], row["seed"]) not in new]
    RESULT.write_text(json.dumps(kept + rows, indent=1) + "\n", encoding="utf-8")


def judged(name: str, linked: float, seed: int) -> list[dict]:
    """Return a row a way, printed as it comes."""
    cells = sets.load(name)
    cells = cells[np.random.default_rng(seed).permutation(cells.n_obs)[:MAX_CELLS]].copy()
    n = cells.obs["cell_type"].map(cells.obs["cell_type"].value_counts()).to_numpy()
    cells = cells[(n >= 10) & (cells.obs["cell_type"] != "")].copy()
    fold = stratified_folds(cells.obs["cell_type"].to_numpy(dtype=object), 2, seed)
    genes = datasets.load(f"{cells.uns['genome']}_genes")
    rna = simulate_rna(cells[fold == 0].copy(), genes, linked=linked, n_cells=1_000, seed=seed)
    query = cells[fold == 1].copy()
    truth = query.obs["cell_type"].to_numpy(dtype=object)
    tokens = as_csr(query.X)
    shared = shared_genes(query, rna, "cell_type", genes)
    settings = TransferSettings()
    found = transfer(shared, tokens, settings, seed=seed)
    ways = {
        "annatac": (found.probabilities, found.classes),
        "annatac, no smoothing": transfer(shared, tokens, TransferSettings(n_smooth=1), seed=seed)[:2],
        "correlation": (found.likeness, found.classes),
        "anchors": anchors(shared, tokens, settings, seed),
    }
    rows = []
    for way, (scores, classes) in ways.items():
        call = np.array(classes, dtype=object)[np.asarray(scores).argmax(axis=1)]
        row = {
            "set": name,
            "linked": linked,
            "seed": seed,
            "way": way,
            "n_cells": len(truth),
            "most_frequent": float(np.unique(truth, return_counts=True)[1].max() / len(truth)),
            "accuracy": float((call == truth).mean()),
            "macro_f1": macro_f1(truth, call),
        }
        rows.append(row)
        figures = f"accuracy {row['accuracy']:.3f} macro-F1 {row['macro_f1']:.3f}"
        print(f"{name:24} {linked:4} {way:22} {figures}", flush=True)
    rows[0]["novel_auroc"] = left_out(query, rna, truth, genes, seed)
    print(f"{name:24} {linked:4} type left out of the RNA: AUROC {rows[0]['novel_auroc']:.2f}", flush=True)
    return rows


def left_out(query, rna, truth, genes, seed: int, n_types: int = 3) -> float:
    """Return how well 1 - confidence betrays the cells of a type that the RNA lacks; mean over the largest types."""
    names, n = np.unique(truth, return_counts=True)
    areas = []
    for name in names[np.argsort(-n)][:n_types]:
        fewer = rna[(rna.obs["cell_type"] != name).to_numpy()].copy()
        shared = shared_genes(query, fewer, "cell_type", genes)
        found = transfer(shared, as_csr(query.X), seed=seed)
        areas.append(roc_auc_score(truth == name, 1 - found.probabilities.max(axis=1)))
    return float(np.mean(areas))


def anchors(shared: SharedGenes, tokens, settings: TransferSettings, seed: int):
    """Return votes of the nearest anchors in canonical correlation space, and the types."""
    classes, codes = np.unique(shared.labels, return_inverse=True)
    markers = marker_genes(shared.rna, codes, settings.n_markers)
    x = standardised(shared.rna[:, markers].toarray())
    q = standardised(smoothed(shared.atac, tokens, settings.n_smooth, seed)[:, markers].toarray())
    by_cell = [(y - y.mean(1, keepdims=True)) / np.maximum(y.std(1, keepdims=True), 1e-6) for y in (x, q)]
    left, _, right = randomized_svd(by_cell[0] @ by_cell[1].T, 20, random_state=seed)
    u, v = unit(left), unit(right.T)
    near_r = NearestNeighbors(n_neighbors=5).fit(u).kneighbors(v)[1]
    near_q = NearestNeighbors(n_neighbors=5).fit(v).kneighbors(u)[1]
    pairs = [(i, j) for i in range(len(v)) for j in near_r[i] if i in near_q[j]]
    of_query, of_rna = np.array(pairs).T
    weighted = tf_idf(tokens, inverse_document_frequency(tokens))
    places = unit(np.asarray(weighted @ leading_vectors(weighted, 31, seed)[:, 1:]))
    k = min(50, len(pairs))
    distance, nearest = NearestNeighbors(n_neighbors=k).fit(places[of_query]).kneighbors(places)
    weight = 1 - np.exp(-(1 - distance / np.maximum(distance[:, -1:], 1e-9)) / 4) + 1e-9
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkc->nc", weight, np.eye(len(classes))[codes[of_rna]][nearest]), classes


if __name__ == "__main__":
    main()
