"""The ready model `human-blood` on real cells, none of which it has seen.

    python perf/human_blood.py

granja      Granja 2019 bone marrow, hg19, 10,335 cells, 10 coarse types clustered from ATAC, a random 2 % of its peaks
bm0828      Buenrostro 2018, hg19, 533 cells, sorted
... hg38    the same cells with their peaks lifted to hg38, for which the model has its own places
pbsmall     hg19 fragments of chr5 and chr11, 150 sorted cells: B, monocytes, T
calderon    hg38, 33 sorted bulk samples of T cells over 13,730 peaks of four chromosomes' parts, each thinned to 10
            cells of 1,000 counts
neurips     NeurIPS 2021 bone marrow, hg38, 500 cells, 599 peaks only

A set's types without a counterpart count as wrong throughout; the lists below are the mapping. The confidence is the
summed probability of the model's types that mean the called one.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import annatac
from annatac import datasets, keys
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.cli.allocator import keep_memory
from annatac.errors import OverlapError
from annatac.genome.liftover import Liftover
from liftover import on_hg38

RESULTS = Path(__file__).parent / "results"
STEM = {"MPP": "HSC", "LMPP": "CMP/LMPP"}
#: set: the set's type -> type as judged, the model's type -> type as judged; what is not listed keeps its name
GRANJA = ({"Mono": "Monocyte"}, STEM)
BM0828 = (
    {"HSC": "HSC/MPP", "MPP": "HSC/MPP", "CMP": "CMP/LMPP"} | {"LMPP": "CMP/LMPP"},
    {"HSC": "HSC/MPP", "MPP": "HSC/MPP", "LMPP": "CMP/LMPP", "Erythroid": "MEP", "Megakaryocyte": "MEP"},
)
PBSMALL = ({"M": "Monocyte"}, {"CD4 T": "T", "CD8 T": "T"})
CALDERON = (
    {"TCD8EM": "CD8 T", "TCD8naive": "CD8 T", "TeffMem": "CD4 T", "TeffNaive": "CD4 T"},
    {},
)
NEURIPS = (
    {
        "CD8+ T": "CD8 T", "CD4+ T naive": "CD4 T", "CD4+ T activated": "CD4 T", "CD14+ Mono": "Monocyte",
        "CD16+ Mono": "Monocyte", "Erythroblast": "Erythroid", "Normoblast": "Erythroid",
        "Proerythroblast": "Erythroid", "Naive CD20+ B": "B", "B1 B": "B", "Transitional B": "B", "G/M prog": "GMP",
        "cDC2": "mDC", "Lymph prog": "CLP",
    },
    {"MPP": "HSC"},
)  # fmt: skip


def pbsmall(model: annatac.annotate.Annotator) -> ad.AnnData:
    """Return the sorted cells, counted in the model's peaks."""
    cells = model.read(datasets.path("pbsmall_fragments"), genome="hg19")
    cells.obs["cell_type"] = cells.obs_names.str[0]
    return cells


def calderon() -> ad.AnnData:
    """Return 10 cells a sorted bulk sample, each 1,000 of its counts drawn at random."""
    samples = datasets.load("calderon2019_bulk")
    random = np.random.default_rng(0)
    x, rows = sp.csr_matrix(samples.X), np.repeat(np.arange(samples.n_obs), 10)
    shares = np.minimum(1000 / np.asarray(x.sum(axis=1)).ravel(), 1)[rows]
    drawn = x[rows]
    drawn.data = random.binomial(
        drawn.data.astype(np.int64), np.repeat(shares, np.diff(drawn.indptr))
    ).astype(np.int32)
    drawn.eliminate_zeros()
    obs = pd.DataFrame({"cell_type": samples.obs["cell_type"].to_numpy()[rows]})
    return ad.AnnData(
        drawn, obs=obs.set_index(obs.index.astype(str)), var=samples.var.copy(), uns=dict(samples.uns)
    )


def judge(
    name: str,
    cells: ad.AnnData,
    column: str,
    mapping: tuple[dict[str, str], dict[str, str]],
    model: annatac.annotate.Annotator,
) -> dict[str, object]:
    """Return the figures of one set."""
    judged, meant = mapping
    truth = cells.obs[column].astype(str).replace(judged).to_numpy(dtype=str)
    row: dict[str, object] = {"set": name, "cells": len(truth)}
    try:
        named = annatac.tl.annotate(cells, model, copy=True)
    except OverlapError as error:
        return row | {"refused": str(error)}
    probabilities = pd.DataFrame(named.obsm[keys.PROBABILITIES], columns=model.classes)
    merged = probabilities.T.groupby([meant.get(one, one) for one in model.classes]).sum().T
    guess, best = (
        merged.columns.to_numpy(dtype=str)[merged.to_numpy().argmax(1)],
        merged.max(axis=1).to_numpy(),
    )
    overlap = named.uns["annatac"]["overlap"]
    print(
        pd.crosstab(pd.Series(truth, name=name), pd.Series(guess, name="called")).to_string(),
        "\n",
        flush=True,
    )
    return row | {
        "median_open": float(overlap["median_open_known"]),
        "most_frequent": float(pd.Series(truth).value_counts(normalize=True).iloc[0]),
        "accuracy": accuracy(truth, guess),
        "macro_f1": macro_f1(truth, guess),
        "confidence": float(best.mean()),
        "novel": float(named.obs[keys.IS_NOVEL].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="human-blood")
    parser.add_argument("--sets", nargs="+", default=["granja", "bm0828", "pbsmall", "calderon", "neurips"])
    parser.add_argument("--output", type=Path, default=RESULTS / "human_blood.json")
    options = parser.parse_args()
    keep_memory()
    warnings.simplefilter("ignore")
    model = annatac.load(options.model)
    there = Liftover.read(datasets.path("hg19_to_hg38_chain"), source="hg19", target="hg38")
    rows = []
    for name, data, column, mapping in (
        ("granja", "granja2019_bmmc_d6t1", "cell_type_coarse", GRANJA),
        ("bm0828", "buenrostro2018_bm0828", "cell_type", BM0828),
        ("neurips", "neurips2021_bmmc_600peaks", "cell_type", NEURIPS),
    ):
        if name in options.sets:
            cells = datasets.load(data)
            rows.append(judge(name, cells, column, mapping, model))
            if name != "neurips":
                rows.append(judge(f"{name}, hg38", on_hg38(cells, there), column, mapping, model))
    if "pbsmall" in options.sets:
        rows.append(judge("pbsmall", pbsmall(model), "cell_type", PBSMALL, model))
    if "calderon" in options.sets:
        rows.append(judge("calderon", calderon(), "cell_type", CALDERON, model))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    options.output.write_text(json.dumps({"model": model.artifact.model_id, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
