"""A query on another assembly than the model's: what lifting it costs.

    python perf/liftover.py

Granja 2019 and Buenrostro 2018 (BM0828), both hg19: a model is trained on the first of the stratified folds (4/5 and
2/3 of the cells), once on hg19 and once on the same cells with their peaks lifted to hg38; the other cells are named
by each as they are and lifted (hg19ToHg38 chain, forward and back). Lifted islands: the other cells' 5-kb islands,
mapped whole to where most of each lies, as --lift-islands does. Agreement is with the calls of the query as it is.
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

import annatac
from annatac import datasets, keys
from annatac.benchmark import sets
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.genome import intervals_of, island_names
from annatac.genome.liftover import Liftover

RESULTS = Path(__file__).parent / "results"
FOLDS = {"granja2019_bmmc_d6t1": 5, "buenrostro2018_bm0828": 3}


def on_hg38(cells: AnnData, there: Liftover) -> AnnData:
    """Return the cells with the peaks that have a counterpart in hg38, as if they had been called there."""
    table = there.intervals(intervals_of(cells.var))
    kept = (table["start"] >= 0).to_numpy()
    names = island_names(table["chrom"][kept], table["start"][kept], table["end"][kept])
    return AnnData(
        cells.X[:, kept], obs=cells.obs.copy(), var=pd.DataFrame(index=names), uns={keys.GENOME: "hg38"}
    )


def calls(cells: AnnData, model: annatac.annotate.Annotator, *, lift_islands: bool = False) -> np.ndarray:
    """Return the best type of each cell."""
    named = annatac.tl.annotate(cells, model, lift_islands=lift_islands, copy=True)
    return np.array(model.classes)[named.obsm[keys.PROBABILITIES].argmax(1)]


def judge(name: str, seed: int) -> list[dict[str, object]]:
    """Return the figures of one data set."""
    cells = sets.load(name)
    truth = cells.obs["cell_type"].astype(str).to_numpy()
    folds = StratifiedKFold(FOLDS[name], shuffle=True, random_state=seed)
    train, test = next(folds.split(truth, truth))
    chain = datasets.path("hg19_to_hg38_chain")
    there = Liftover.read(chain, source="hg19", target="hg38")
    rows: list[dict[str, object]] = []
    queries = {"hg19": cells[test].copy(), "hg38": on_hg38(cells[test], there)}
    share = (intervals_of(cells.var).pipe(there.intervals)["start"] >= 0).mean()
    for genome, reference in (("hg19", cells[train].copy()), ("hg38", on_hg38(cells[train], there))):
        method = Ours("default")
        method.fit(reference, "cell_type", None, seed)
        same, other = queries[genome], queries["hg38" if genome == "hg19" else "hg19"]
        islands = annatac.pp.peak_islands(other)
        found = {
            "as it is": calls(same, method.model),
            "lifted": calls(other, method.model),
            "islands, as they are": calls(annatac.pp.peak_islands(same), method.model),
            "lifted islands": calls(islands, method.model, lift_islands=True),
        }
        for way, guess in found.items():
            rows.append(
                {
                    "cells": name,
                    "model": genome,
                    "query": way,
                    "accuracy": accuracy(truth[test], guess),
                    "macro_f1": macro_f1(truth[test], guess),
                    "agreement": float(np.mean(guess == found["as it is"])),
                    "peaks_lifted": float(share),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(FOLDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "liftover.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = [row for name in options.sets for row in judge(name, options.seed)]
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    options.output.write_text(json.dumps({"seed": options.seed, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
