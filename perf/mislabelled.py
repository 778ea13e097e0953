"""Reference cells whose label is probably wrong: are those that were made wrong told, and right ones left alone?

    python perf/mislabelled.py
    python perf/mislabelled.py --sets bm0828 schep --shares 0 0.1 --seeds 0 1 2

The references are those of the benchmark's tier `quick`, with the labels as they come (share 0) and with a share of
them made another type's, as its protocol `label_noise` does; both studies of progenitors as one reference, whose
batches differ; and small simulated ones (120 to 400 cells, 3 to 8 types). For each: the estimated share of wrong
labels, the evidence (2 log likelihood ratio to none wrong), how many cells are left out, how many of these are wrong,
and how many of the wrong ones are left out.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from annatac.annotate.fit import new_network
from annatac.benchmark import sets
from annatac.benchmark.features import aligned
from annatac.benchmark.protocols import noisy, prepare
from annatac.benchmark.suite import Suite
from annatac.benchmark.tasks import Task
from annatac.config import Recipe
from annatac.pp import openness_classes, peak_islands
from annatac.simulate import simulate_cells
from annatac.train.finetune import wide_tables
from annatac.train.mislabelled import doubts

RESULTS = Path(__file__).parent / "results"
BOTH_STUDIES = "granja and bm0828"
SIMULATED = {
    "simulated, 120 cells": (120, 3),
    "simulated, 200 cells": (200, 5),
    "simulated, 400 cells": (400, 8),
}


def reference(name: str, share: float, seed: int) -> tuple[AnnData, np.ndarray]:
    """Return cells, of whose labels a share is wrong, and their true types."""
    if name in SIMULATED:
        n_cells, n_types = SIMULATED[name]
        cells = simulate_cells(n_cells, cell_types=n_types, n_islands=2000, open_islands=400, seed=seed)
        truth = cells.obs[sets.TRUTH].to_numpy(dtype=object)
        cells.obs[sets.TRUTH] = noisy(truth, share, np.random.default_rng(seed))
        return cells, truth
    if name == BOTH_STUDIES:
        [config] = [config for config in Suite.load("quick").sets if config.name == "granja_to_bm0828"]
        both = aligned(sets.load_reference(config), sets.load_query(config))
        cells = ad.concat(both, merge="same", uns_merge="same", index_unique="-")
        truth = cells.obs[sets.TRUTH].to_numpy(dtype=object)
        cells.obs[sets.TRUTH] = noisy(truth, share, np.random.default_rng(seed))
        return cells, truth
    [config] = [config for config in Suite.load("quick").sets if config.name == name]
    right = prepare(Task(set=config, method="", kind="split", seed=seed))
    truth = right.reference.obs[sets.TRUTH].to_numpy(dtype=object)
    given = (
        prepare(Task(set=config, method="", kind="label_noise", level=share, seed=seed)) if share else right
    )
    return given.reference, truth


def judge(adata: AnnData, truth: np.ndarray, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Return what is found in the labels of a reference, beside its true ones."""
    given = adata.obs[sets.TRUTH].astype(str).to_numpy()
    classes, codes = np.unique(given, return_inverse=True)
    codes = codes.astype(np.int64)
    tokens = openness_classes(peak_islands(adata).X)
    tokens = tokens[:, np.unique(tokens.indices)]
    network = new_network(tokens, len(classes), recipe, None, seed)
    began = time.process_time()
    tables = wide_tables(network, tokens, codes, recipe.finetune, seed, None)
    fitted = time.process_time()
    found = doubts(tables, tokens, codes)
    is_wrong = given != truth.astype(str)
    n_out, n_hit = int(found.wrong.sum()), int((found.wrong & is_wrong).sum())
    return {
        "cells": len(given), "types": len(classes), "estimated": round(found.share, 4),
        "evidence": round(found.evidence, 1), "left_out": n_out,
        "of_them_wrong": round(n_hit / n_out, 3) if n_out else None,
        "of_wrong_left_out": round(n_hit / is_wrong.sum(), 3) if is_wrong.any() else None,
        "tables_s": round(fitted - began, 1), "judging_s": round(time.process_time() - fitted, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [config.name for config in Suite.load("quick").sets]
    parser.add_argument("--sets", nargs="+", default=[*names, BOTH_STUDIES, *SIMULATED])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.05, 0.1, 0.2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--output", type=Path, default=RESULTS / "mislabelled.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    recipe = Recipe.load(options.recipe)
    rows = []
    for name in options.sets:
        for share in options.shares:
            for seed in options.seeds:
                found = judge(*reference(name, share, seed), recipe, seed)
                rows.append({"set": name, "share": share, "seed": seed, **found})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    print(table.drop(columns="seed").groupby(["set", "share"], sort=False).mean().round(3).to_string())
    options.output.write_text(json.dumps({"recipe": recipe.name, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
