"""How few open islands a cell can be called from: `python perf/open_islands.py` (about ten seconds).

TF-IDF and class-balanced logistic regression on 5-kb islands learn four fifths of the cells, at most 4,000;
the open islands of the other fifth are thinned to n a cell. Printed: accuracy and macro-F1 by n, of cells
that had n or more, beside what the most frequent type alone would reach. The model never saw thinned cells:
what it loses on the deep cells of BM0828 is that difference in depth more than the lack of islands.
"""

from __future__ import annotations

import sys
import warnings

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from annatac import datasets
from annatac.pp import peak_islands, stratified_split

SETS = ("granja2019_bmmc_d6t1", "chen2019_snare_adcortex", "buenrostro2018_bm0828")
N_OPEN = (1, 2, 5, 10, 20, 40, 80, 160, 320)


def thinned(x: sp.csr_matrix, n_open: int, random: np.random.Generator) -> sp.csr_matrix:
    """Return x with n_open random open islands a cell."""
    rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    order = np.lexsort((random.random(x.nnz), rows))
    rank = np.empty(x.nnz, dtype=np.int64)
    rank[order] = np.arange(x.nnz) - np.repeat(x.indptr[:-1], np.diff(x.indptr))
    kept = x.copy()
    kept.data = np.where(rank < n_open, kept.data, 0)
    kept.eliminate_zeros()
    return kept


def main(seed: int = 0) -> int:
    warnings.simplefilter("ignore")
    rows = []
    for name in SETS:
        adata = ad.read_h5ad(datasets.path(name))
        x = peak_islands(adata).X.astype(np.float64)
        labels: npt.NDArray = adata.obs["cell_type"].astype(str).to_numpy()
        train, held = stratified_split(labels, 0.2, seed)
        if len(train) > 4000:
            train = np.random.default_rng(seed).choice(train, 4000, replace=False)
        idf = np.log1p(len(train) / (1 + np.asarray((x[train] > 0).sum(0)).ravel()))

        def features(counts: sp.csr_matrix, idf: npt.NDArray[np.float64] = idf) -> sp.csr_matrix:
            weighted = sp.csr_matrix((counts > 0).multiply(idf[None, :]))
            norm = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
            return sp.diags(1 / np.maximum(norm, 1e-9)) @ weighted

        model = LogisticRegression(C=10, class_weight="balanced", max_iter=200)
        model.fit(features(x[train]), labels[train])
        n_had = np.diff(x.indptr)[held]
        random = np.random.default_rng(seed)
        for n_open in N_OPEN:
            cells = held[n_had >= n_open]
            if len(cells) < 50:
                continue
            guess = model.predict(features(thinned(x[cells], n_open, random)))
            truth = labels[cells]
            rows.append(
                {
                    "data": name,
                    "n_open": n_open,
                    "cells": len(cells),
                    "accuracy": accuracy_score(truth, guess),
                    "macro_f1": f1_score(truth, guess, average="macro"),
                    "most frequent": pd.Series(truth).value_counts(normalize=True).iloc[0],
                }
            )
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
