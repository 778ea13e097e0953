"""What a base costs or adds where every cell of the reference is labelled.

    python perf/full_labels.py --sets bm0828 schep granja granja10 --seeds 0 1 2

The default recipe with and without a base, trained on the same cells and judged on the same others:

bm0828     Buenrostro 2018, FACS-sorted (7 types), three folds: every cell is judged once
schep      Schep 2017 lines (the LCL lines merged), three folds
granja     Granja 2019 bone marrow (16 types), the first of five folds
granja10   the same cells, 10 coarse types

The seed shuffles the folds and trains the models. Mouse cells are left out: a human base refuses them. What stands in
the output already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.model_selection import StratifiedKFold

from accuracy import RESULTS
from annatac.benchmark import sets
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.cli.allocator import keep_memory

#: set: data set, column of types, folds, folds that are judged
SETS = {
    "bm0828": ("buenrostro2018_bm0828", "cell_type", 3, 3),
    "schep": ("schep2017_lines", "cell_type", 3, 3),
    "granja": ("granja2019_bmmc_d6t1", "cell_type", 5, 1),
    "granja10": ("granja2019_bmmc_d6t1", "cell_type_coarse", 5, 1),
}
NONE = "none"


def named(adata: AnnData, train: np.ndarray, test: np.ndarray, base: str, seed: int) -> np.ndarray:
    """Return the forced choice of the default recipe for the cells to judge."""
    method = Ours("default", base=None if base == NONE else base)
    method.fit(adata[train].copy(), sets.TRUTH, None, seed)
    probabilities, classes = method.predict(adata[test].copy())
    return np.array(classes, dtype=object)[np.asarray(probabilities).argmax(1)]


def judge(name: str, base: str, seed: int) -> dict[str, object]:
    """Return accuracy and macro-F1 over the judged folds."""
    data, label_key, n_folds, n_judged = SETS[name]
    adata = sets.load(data, label_key)
    labels = adata.obs[sets.TRUTH].to_numpy(dtype=str)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(labels, labels)
    truth, guess = [], []
    for train, test in list(folds)[:n_judged]:
        truth.append(labels[test])
        guess.append(named(adata, train, test, base, seed).astype(str))
    found = np.concatenate(truth), np.concatenate(guess)
    figures = {"accuracy": accuracy(*found), "macro_f1": macro_f1(*found)}
    return {"set": name, "seed": seed, "base": base, "n_judged": len(found[0])} | figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--bases", nargs="+", default=[NONE, "human-base"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS / "full_labels.json")
    options = parser.parse_args()
    keep_memory()
    warnings.simplefilter("ignore")
    rows = json.loads(options.output.read_text()) if options.output.is_file() else []
    done = {(row["set"], row["seed"], row["base"]) for row in rows}
    for name in options.sets:
        for seed in options.seeds:
            for base in options.bases:
                if (name, seed, base) not in done:
                    rows.append(judge(name, base, seed))
                    options.output.write_text(json.dumps(rows, indent=1) + "\n")
                    print(
                        {k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()},
                        flush=True,
                    )
    table = pd.DataFrame(rows).pivot_table(index=["set", "base"], values=["accuracy", "macro_f1"], sort=False)
    print("\nmean over the seeds\n" + table.round(4).to_string())


if __name__ == "__main__":
    main()
