"""CellTypist with feature selection, as its authors train models; counts of peaks."""

from __future__ import annotations

import anndata
import celltypist
import numpy as np
import pandas as pd
import scanpy as sc
from exchange import read, write

reference, query, content = read()
np.random.seed(content["seed"])  # noqa: NPY002 - the package draws from the global stream


def normalised(counts, prefix):
    cells = anndata.AnnData(
        counts,
        obs=pd.DataFrame(index=[f"{prefix}{i}" for i in range(counts.shape[0])]),
        var=pd.DataFrame(index=content["features"]),
    )
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return cells


model = celltypist.train(
    normalised(reference, "r"), labels=content["labels"], check_expression=False, **content["settings"]
)
found = celltypist.annotate(normalised(query, "q"), model=model)
probabilities = found.probability_matrix
probabilities = probabilities.div(probabilities.sum(axis=1), axis=0)  # each is a type against the rest
write(probabilities.to_numpy(), probabilities.columns)
