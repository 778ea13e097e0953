"""What a base does to the cells' vectors where many cells are labelled: neighbours in `X_annatac`, with and without it.

    python perf/base_embedding.py --sets bm0828 schep granja10 --seeds 0

The default recipe learns from labelled cells (of BM0828 and Schep two thirds, of Granja 2,500) and annotates others
(the rest; 2,000). Each of these is then named by its 15 nearest neighbours in `X_annatac`, in five folds, beside the
model's own forced choice.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

import annatac
from annatac import keys
from annatac.benchmark import sets
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.cli.allocator import keep_memory

RESULTS = Path(__file__).parent / "results"
#: set: data set, column of types, cells to learn from, cells to annotate
SETS = {
    "bm0828": ("buenrostro2018_bm0828", "cell_type", 355, 178),
    "schep": ("schep2017_lines", "cell_type", 400, 200),
    "granja10": ("granja2019_bmmc_d6t1", "cell_type_coarse", 2500, 2000),
}
N_NEIGHBOURS, N_FOLDS = 15, 5


def judge(name: str, base: str | None, seed: int) -> list[dict[str, object]]:
    """Return accuracy and macro-F1 of the calls and of the neighbours."""
    data, label_key, n_reference, n_query = SETS[name]
    cells = sets.load(data, label_key)
    order = np.random.default_rng(seed).permutation(cells.n_obs)
    reference, query = (
        cells[np.sort(rows)].copy()
        for rows in (order[:n_reference], order[n_reference : n_reference + n_query])
    )
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            reference,
            label_key=sets.TRUTH,
            output=Path(folder) / "model",
            base=base,
            seed=seed,
            calibrate=False,
        )
    annatac.tl.annotate(query, model)
    truth = query.obs[sets.TRUTH].to_numpy(dtype=str)
    calls = np.array(model.classes)[query.obsm[keys.PROBABILITIES].argmax(1)]
    neighbours = cross_val_predict(
        KNeighborsClassifier(N_NEIGHBOURS), query.obsm[keys.EMBEDDING], truth, cv=N_FOLDS
    )
    return [
        {
            "set": name,
            "seed": seed,
            "base": base or "none",
            "by": by,
            "accuracy": accuracy(truth, guess),
            "macro_f1": macro_f1(truth, guess),
        }
        for by, guess in (("calls", calls), ("neighbours", neighbours))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, default=RESULTS / "base_embedding.json")
    options = parser.parse_args()
    keep_memory()
    warnings.simplefilter("ignore")
    rows = [
        row
        for name in options.sets
        for seed in options.seeds
        for base in (None, "human-base")
        for row in judge(name, base, seed)
    ]
    options.output.write_text(json.dumps(rows, indent=1) + "\n")
    table = pd.DataFrame(rows).groupby(["set", "base", "by"], sort=False)
    print(table[["accuracy", "macro_f1"]].mean().round(3).to_string())


if __name__ == "__main__":
    main()
