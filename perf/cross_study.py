"""Accuracy from one study to another: peaks that the studies share, against whole islands.

    python perf/cross_study.py --seeds 0 1 2

Granja 2019 and Buenrostro 2018 (BM0828, FACS-sorted) in both directions, over the four classes that both have:
HSC and MPP, CMP and LMPP, GMP, CLP. Of Granja's 10,000 peaks (a random 2 % of the study's) 9 % overlap one of
the other's. Each row is judged on the same cells:

islands            the query's peaks are gathered into islands whatever the reference measured there
shared peaks       the default: peaks of the query that overlap none of the reference's are left out
linear ...         TF-IDF and class-balanced logistic regression (C = 1) on the same two inputs
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import annatac
from annatac import datasets
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.train.positions import inverse_document_frequency, tf_idf

RESULTS = Path(__file__).parent / "results"
GRANJA = {
    "01_HSC": "HSC/MPP",
    "05_CMP.LMPP": "CMP/LMPP",
    "07_GMP": "GMP",
    "06_CLP.1": "CLP",
    "15_CLP.2": "CLP",
}
BM0828 = {
    "HSC": "HSC/MPP",
    "MPP": "HSC/MPP",
    "CMP": "CMP/LMPP",
    "LMPP": "CMP/LMPP",
    "GMP": "GMP",
    "CLP": "CLP",
}


def study(name: str, classes: dict[str, str]) -> AnnData:
    """Return the cells of the four classes, named alike in both studies."""
    adata = datasets.load(name)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).map(classes)
    return adata[adata.obs["cell_type"].notna().to_numpy()].copy()


def linear(reference: sp.csr_matrix, labels: np.ndarray, query: sp.csr_matrix) -> np.ndarray:
    """Return what class-balanced logistic regression says of the query."""
    idf = inverse_document_frequency(reference)
    model = LogisticRegression(C=1, class_weight="balanced", max_iter=300)
    return model.fit(tf_idf(reference, idf), labels).predict(tf_idf(query, idf))


def judge(reference: AnnData, query: AnnData, seed: int) -> dict[str, np.ndarray]:
    """Return each way's predictions for the query's cells."""
    labels = reference.obs["cell_type"].to_numpy(dtype=str)
    found: dict[str, np.ndarray] = {}
    method = Ours("default")
    method.fit(reference, "cell_type", None, seed)
    model = method.model
    own, _ = model.tokens(reference)
    binned = annatac.pp.peak_islands(query, **model.artifact.island_settings)
    for way, cells in (("islands", binned), ("shared peaks", query)):
        tokens, _ = model.tokens(cells)
        found[f"annatac, {way}"] = np.array(model.classes)[model.predict(tokens).probabilities.argmax(1)]
        found[f"linear, {way}"] = linear(own, labels, tokens)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS / "cross_study.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    granja, bm0828 = study("granja2019_bmmc_d6t1", GRANJA), study("buenrostro2018_bm0828", BM0828)
    rows = []
    for direction, reference, query in (
        ("Granja -> BM0828", granja, bm0828),
        ("BM0828 -> Granja", bm0828, granja),
    ):
        truth = query.obs["cell_type"].to_numpy(dtype=str)
        _, counts = np.unique(truth, return_counts=True)
        rows.append(
            {"direction": direction, "method": "most frequent class", "accuracy": counts.max() / len(truth)}
        )
        for seed in options.seeds:
            for method, guess in judge(reference, query, seed).items():
                figures = {"accuracy": accuracy(truth, guess), "macro_f1": macro_f1(truth, guess)}
                rows.append({"direction": direction, "method": method, "seed": seed} | figures)
    table = pd.DataFrame(rows).groupby(["direction", "method"], sort=False)[["accuracy", "macro_f1"]].mean()
    print(table.round(3).to_string())
    options.output.write_text(json.dumps({"mean over seeds": options.seeds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
