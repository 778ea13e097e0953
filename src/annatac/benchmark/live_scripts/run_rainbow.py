"""RAINBOW as its package runs it; counts of peaks in, labels out."""

from __future__ import annotations

import anndata
import pandas as pd
import scrainbow
from exchange import read, write_labels

reference, query, content = read()
labels = pd.Series(content["labels"], dtype="category")


def cells(counts, **columns):
    obs = pd.DataFrame(columns, index=[str(i) for i in range(counts.shape[0])])
    return anndata.AnnData(counts, obs=obs)


train = cells(reference)
train.obs["cell_type"] = labels.to_numpy()
train.obs["cell_type"] = train.obs["cell_type"].astype("category")
write_labels(scrainbow.run(train, cells(query)), labels.cat.categories)
