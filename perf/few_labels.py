"""Few labelled cells: the default recipe with and without a base model, beside two simple baselines.

    python perf/few_labels.py --base human-base --draws 0 1 2 3 4

From each study 5, 10, 20 or 50 cells a type are drawn; all methods learn from those alone and are judged on the same
other cells of the study (at most 3,000, drawn at random). Studies: Granja 2019 bone marrow with its 10 coarse types,
and Buenrostro 2018 (BM0828), 7 FACS-sorted types; in the latter a type of 51 cells has one left to judge by at 50.
The baselines are class-balanced logistic regression on TF-IDF (C = 1 and 10) and multinomial naive Bayes without a
prior on binary peaks (smoothing 0.1 and 1): both settings are printed, the better one is their head start.
`human-base` is made from bulk profiles alone (docs/pretraining.md): neither study is in it.
What stands in the output already is not measured again. `python perf/few_labels_picture.py` draws the curves.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB

import annatac
from annatac import datasets
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.cli.allocator import keep_memory
from annatac.train.positions import inverse_document_frequency, tf_idf

RESULTS = Path(__file__).parent / "results"
STUDIES = {
    "granja": ("granja2019_bmmc_d6t1", "cell_type_coarse"),
    "bm0828": ("buenrostro2018_bm0828", "cell_type"),
}
MOST_JUDGED = 3000


def draw(labels: np.ndarray, n_cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to learn from, ``n_cells`` a type, and the rows to judge by."""
    random = np.random.default_rng([seed, n_cells])
    train = np.concatenate(
        [random.permutation(np.flatnonzero(labels == name))[:n_cells] for name in np.unique(labels)]
    )
    others = np.setdiff1d(np.arange(len(labels)), train)
    if len(others) > MOST_JUDGED:
        others = np.sort(random.choice(others, MOST_JUDGED, replace=False))
    return np.sort(train), others


def baselines(reference: AnnData, labels: np.ndarray, query: AnnData) -> dict[str, np.ndarray]:
    """Return the predictions of each baseline at each setting."""
    x, q = sp.csr_matrix(reference.X), sp.csr_matrix(query.X)
    idf = inverse_document_frequency(x)
    found = {}
    for c in (1, 10):
        model = LogisticRegression(C=c, class_weight="balanced", max_iter=300)
        found[f"logistic regression (C={c})"] = model.fit(tf_idf(x, idf), labels).predict(tf_idf(q, idf))
    for alpha in (0.1, 1.0):
        bayes = MultinomialNB(alpha=alpha, fit_prior=False).fit((x > 0).astype(np.float32), labels)
        found[f"naive Bayes (alpha={alpha:g})"] = bayes.predict((q > 0).astype(np.float32))
    return found


def ours(reference: AnnData, label_key: str, query: AnnData, base: str | None, seed: int) -> np.ndarray:
    """Return the forced choice of the default recipe."""
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            reference, label_key=label_key, output=Path(folder) / "model", base=base, seed=seed,
            hierarchy="none", keep_reference=False,
        )  # fmt: skip
    tokens, _ = model.tokens(query)
    return np.array(model.classes)[model.predict(tokens).probabilities.argmax(1)]


def judge(study: str, n_cells: int, seed: int, base: str) -> list[dict[str, object]]:
    """Return accuracy and macro-F1 of every arm on one draw."""
    name, label_key = STUDIES[study]
    adata = datasets.load(name)
    labels = adata.obs[label_key].astype(str).to_numpy()
    train, others = draw(labels, n_cells, seed)
    reference, query = adata[train].copy(), adata[others].copy()
    guesses = baselines(reference, labels[train], query)
    guesses["annatac, no base"] = ours(reference, label_key, query, None, seed)
    guesses["annatac, human-base"] = ours(reference, label_key, query, base, seed)
    return [
        {
            "study": study, "cells_per_type": n_cells, "draw": seed, "method": method,
            "accuracy": accuracy(labels[others], guess), "macro_f1": macro_f1(labels[others], guess),
        }
        for method, guess in guesses.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", default="human-base", help="a ready base or a folder")
    parser.add_argument("--studies", nargs="+", default=list(STUDIES))
    parser.add_argument("--cells", nargs="+", type=int, default=[5, 10, 20, 50])
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, default=RESULTS / "few_labels.json")
    options = parser.parse_args()
    keep_memory()
    warnings.simplefilter("ignore")
    found = json.loads(options.output.read_text()) if options.output.is_file() else {"rows": []}
    rows = found["rows"]
    if found.get("base", options.base) != options.base:
        parser.error(f"{options.output} holds figures of the base {found['base']}: name another --output.")
    done = {(row["study"], row["cells_per_type"], row["draw"]) for row in rows}
    for n_cells in options.cells:
        for seed in options.draws:
            for study in options.studies:
                if (study, n_cells, seed) not in done:
                    rows += judge(study, n_cells, seed, options.base)
                    options.output.write_text(
                        json.dumps({"base": options.base, "rows": rows}, indent=1) + "\n"
                    )
    table = pd.DataFrame(rows).groupby(["study", "method", "cells_per_type"], sort=False)
    for figure in ("macro_f1", "accuracy"):
        print(f"\n{figure}, mean over the draws")
        print(table[figure].mean().unstack().sort_index(axis=1).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
