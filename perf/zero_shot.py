"""Annotation without a labelled cell: `annatac simulate` from bulk profiles, `finetune`, `annotate`, on real cells.

    python perf/zero_shot.py --sets granja2019_bmmc_d6t1 --seeds 0 1 2
    python perf/zero_shot.py --sets buenrostro2018_bm0828 --mixtures equal --cells 60

16 sorted blood types (bulk ATAC) on two sets of real cells. BM0828 chose the settings (the share of background, and
that the mixture is fitted); Granja, ten coarse types, is judged. Types without a counterpart count as wrong: of Granja
Pre-B has no bulk profile (9 % of the cells), and of the profiles Ery, Mega, mDC and pDC have no type there.

correlation   of a cell with each profile's logarithm, over the same peaks: the best profile
equal         simulated cells of all types in equal numbers (the default)
fitted        in the shares that the unlabelled query seems to hold

BM0828's cells are deep, so that fewer are drawn there. What stands in the output already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import annatac
from annatac import datasets, jobs, simulate
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.cli.allocator import keep_memory
from annatac.pp.counts import as_csr
from annatac.simulate.fit import columns_of

RESULTS = Path(__file__).parent / "results"
GMP = {f"GMP-{letter}": "GMP" for letter in "ABC"}
#: data set: column of types, types as judged, profile -> type as judged
SETS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "buenrostro2018_bm0828": (
        "cell_type",
        {"HSC": "HSC/MPP", "MPP": "HSC/MPP", "CMP": "CMP/LMPP", "LMPP": "CMP/LMPP"},
        {"HSC": "HSC/MPP", "MPP": "HSC/MPP", "LMPP": "CMP/LMPP", "Ery": "MEP", "Mega": "MEP", **GMP},
    ),
    "granja2019_bmmc_d6t1": (
        "cell_type_coarse",
        {},
        {"MPP": "HSC", "LMPP": "CMP/LMPP", "CD4": "CD4 T", "CD8": "CD8 T", **GMP},
    ),
}


def correlation(query: ad.AnnData, profiles: simulate.Profiles) -> np.ndarray:
    """Return the profile whose logarithm correlates best with each cell's open peaks."""
    is_open = (as_csr(query.X)[:, columns_of(query, profiles.peaks)] > 0).astype(np.float32)
    level = np.log1p(np.asarray(profiles.signal.todense()))
    level -= level.mean(axis=1, keepdims=True)
    level /= np.linalg.norm(level, axis=1, keepdims=True)
    return np.array(profiles.names, dtype=object)[np.asarray(is_open @ level.T).argmax(axis=1)]


def zero_shot(name: str, mixture: str, seed: int, n_cells: int, folder: Path) -> np.ndarray:
    """Return the profile that the two commands name for each cell, learnt from ``n_cells`` a type."""
    cells, model = folder / "cells.h5ad", folder / f"model-{mixture}-{seed}"
    jobs.simulate(
        "hema_bulk16", cells, query=datasets.path(name), mixture=mixture, cells_per_type=n_cells, seed=seed
    )
    jobs.finetune([cells], model, label_key="cell_type", seed=seed, hierarchy="none")
    query = datasets.load(name)
    annatac.tl.annotate(query, annatac.load(model))
    classes = np.array(query.uns["annatac"]["classes"], dtype=object)
    return classes[query.obsm["annatac_probabilities"].argmax(axis=1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--mixtures", nargs="+", default=["equal", "fitted"])
    parser.add_argument("--cells", type=int, default=200, help="simulated cells a type")
    parser.add_argument("--output", type=Path, default=RESULTS / "zero_shot.json")
    options = parser.parse_args()
    keep_memory()
    warnings.simplefilter("ignore")
    rows = json.loads(options.output.read_text()) if options.output.is_file() else []
    done = {(row["set"], row["method"], row["seed"]) for row in rows}
    for name in options.sets:
        key, judged, named = SETS[name]
        query = datasets.load(name)
        truth = query.obs[key].astype(str).replace(judged).to_numpy(dtype=str)
        runs = [
            ("correlation", 0),
            *((mixture, seed) for seed in options.seeds for mixture in options.mixtures),
        ]
        for method, seed in runs:
            if (name, method, seed) in done:
                continue
            if method == "correlation":
                bulk = simulate.as_profiles(datasets.load_profiles("hema_bulk16"))
                guess = correlation(query, bulk.on_peaks(query.var, query.uns["genome"]))
            else:
                with tempfile.TemporaryDirectory() as folder:
                    guess = zero_shot(name, method, seed, options.cells, Path(folder))
            called = np.array([named.get(profile, profile) for profile in guess], dtype=str)
            figures = {"accuracy": accuracy(truth, called), "macro_f1": macro_f1(truth, called)}
            rows.append({"set": name, "method": method, "seed": seed} | figures)
            options.output.write_text(json.dumps(rows, indent=1) + "\n")
    table = pd.DataFrame(rows).groupby(["set", "method"], sort=False)[["accuracy", "macro_f1"]]
    print(table.agg(["mean", "min", "max", "count"]).round(3).to_string())


if __name__ == "__main__":
    main()
