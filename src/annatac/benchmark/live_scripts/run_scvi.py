"""PeakVI and scANVI of scvi-tools on peaks open in 5 % of the cells, as its tutorials advise."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import scvi
from exchange import read, write
from sklearn.neighbors import KNeighborsClassifier

UNKNOWN = "\0unknown"  # no type is named so

reference, query, content = read()
settings, labels = content["settings"], content["labels"]
scvi.settings.seed = content["seed"]
n = reference.shape[0]
x = sp.vstack([reference, query]).tocsr()
share = np.bincount(x.indices, minlength=x.shape[1]) / x.shape[0]
if (share >= 0.05).sum() >= 200:
    x = x[:, share >= 0.05]
batches = content["batches"] or ["reference"] * n
obs = pd.DataFrame(
    {"batch": [*batches, *["query"] * query.shape[0]], "label": [*labels, *[UNKNOWN] * query.shape[0]]}
)
obs.index = obs.index.astype(str)
if not settings["batches"]:
    obs["batch"] = "one"
cells = anndata.AnnData(x, obs=obs)
if settings["model"] == "peakvi":
    scvi.model.PEAKVI.setup_anndata(cells, batch_key="batch")
    model = scvi.model.PEAKVI(cells)
    model.train(max_epochs=settings["epochs"], accelerator="cpu", enable_progress_bar=False)
    latent = model.get_latent_representation()
    nearest = KNeighborsClassifier(n_neighbors=15).fit(latent[:n], labels)
    write(nearest.predict_proba(latent[n:]), nearest.classes_)
else:
    scvi.model.SCVI.setup_anndata(cells, batch_key="batch", labels_key="label")
    base = scvi.model.SCVI(cells, n_layers=2, n_latent=30)
    base.train(max_epochs=settings["epochs"], accelerator="cpu", enable_progress_bar=False)
    model = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category=UNKNOWN)
    model.train(max_epochs=settings["epochs_labels"], accelerator="cpu", enable_progress_bar=False)
    found = model.predict(soft=True).iloc[n:]
    found = found.drop(columns=UNKNOWN, errors="ignore")
    write(found.div(found.sum(axis=1), axis=0).to_numpy(), found.columns)
