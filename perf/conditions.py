"""Is `annatac.tl.differential` honest, and what does it find? `python perf/conditions.py` (about a minute).

Simulated donors (annatac.simulate), of one type: a null with donors dealt to two conditions at random, and
peaks planted with a fold change in the donors of one. Printed and written to perf/results/conditions.json:
the share of null peaks with p < 0.05 and the null data sets with any peak at FDR 5 %, power and false
discoveries at FDR 5 %, and, beside it, a Wilcoxon test with cells as replicates on the same null data.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from annatac import simulate, tl
from annatac.tl.rank_sums import false_discovery_rate, rank_sums

N_REPEATS = 20
FOLDS = (1.5, 2.0, 3.0)


def dealt(n_donors: int, seed: int, fold: float | None = None):
    """Return cells of one type, half of the donors 'b', and which peaks change there."""
    adata = simulate.simulate_cells(
        150 * n_donors, cell_types=["A"], donors=n_donors, n_islands=1500, open_islands=600, seed=seed
    )
    adata.obs["condition"] = np.where(adata.obs["donor"].cat.codes % 2, "b", "a")
    random = np.random.default_rng(seed)
    changed = np.zeros(adata.n_vars, dtype=bool)
    if fold is not None:
        changed[random.choice(adata.n_vars, adata.n_vars // 20, replace=False)] = True
        x = adata.X.tocsc().astype(np.int64)
        mine = changed[np.repeat(np.arange(adata.n_vars), np.diff(x.indptr))]
        mine &= (adata.obs["condition"] == "b").to_numpy()[x.indices]
        x.data[mine] += random.poisson((fold - 1) * x.data[mine])
        adata.X = x.tocsr()
    return adata, changed


def main() -> int:
    warnings.simplefilter("ignore")
    rows = []
    asked = {"groupby": "cell_type", "condition_key": "condition", "sample_key": "donor"}
    for n_donors in (4, 6, 8, 12):
        p_under, any_found, cells_p, cells_any = [], [], [], []
        for seed in range(N_REPEATS):
            adata, _ = dealt(n_donors, seed)
            table = tl.differential(adata, "A", **asked)
            p_under.append((table["p_value"] < 0.05).mean())
            any_found.append((table["fdr"] < 0.05).any())
            depth = np.asarray(adata.X.sum(axis=1)).ravel()
            scale = (np.median(depth) / depth).astype(np.float32)
            p = rank_sums(adata.X, scale, (adata.obs["condition"] == "b").to_numpy()).p_value
            cells_p.append((p < 0.05).mean())
            cells_any.append((false_discovery_rate(p) < 0.05).any())
        row = {
            "donors": f"{n_donors // 2} + {n_donors // 2}",
            "null p<0.05": np.mean(p_under),
            "null sets with any": np.mean(any_found),
            "cells: null p<0.05": np.mean(cells_p),
            "cells: sets with any": np.mean(cells_any),
        }
        for fold in FOLDS:
            power, false = [], []
            for seed in range(N_REPEATS // 2):
                adata, changed = dealt(n_donors, seed, fold)
                table = tl.differential(adata, "A", **asked)
                truly = changed[adata.var_names.get_indexer(table["peak"])]
                sure = (table["fdr"] < 0.05).to_numpy()
                power.append(sure[truly].mean())
                false.append((sure & ~truly).sum() / max(sure.sum(), 1))
            row[f"power x{fold:g}"], row[f"FDP x{fold:g}"] = np.mean(power), np.mean(false)
        rows.append(row)
    table = pd.DataFrame(rows).round(3)
    print(table.to_string(index=False))
    out = Path(__file__).parent / "results" / "conditions.json"
    out.write_text(json.dumps(table.to_dict("records"), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
