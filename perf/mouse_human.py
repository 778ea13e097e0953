"""Mouse cells and human profiles through start-site islands of genes of one symbol: is there anything to go by?

    python perf/mouse_human.py

Mouse: SNARE-seq of the cortex (6,197 cells, types of 50 cells or more), openness of 5-kb islands with a start site
(mm10). Human: 164 DNase profiles of cell types and tissues (hg19), the same. Genes with one symbol in both, letter case
aside. No human data set of labelled cortex cells is at hand, so that annotation cannot be judged; what can be seen is
whether the genes' ratios agree: those of a mouse type to the mean of the mouse types, with those of a human profile to
the mean of the human ones (Spearman, over genes). Of the 164, three are of neurons to be (fetal brain, two; neuronal
progenitors) and three of astrocytes: their best rank among the 164 is given for each mouse type.
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
from scipy.stats import spearmanr

import annatac
from annatac import datasets

RESULTS = Path(__file__).parent / "results"
NEURONS = ("Fetal brain male", "Fetal brain female", "H1 neuronal progenitor")
ASTROCYTES = ("UwNha", "UwHah", "UwHasp")


def by_gene(cells: AnnData, genes: str) -> pd.DataFrame:
    """Return the mean openness (rows: cells or profiles) of each gene's start-site island, upper-case symbols."""
    islands = annatac.pp.peak_islands(cells, islands="tss", genes=datasets.path(genes), openness="sum")
    names = islands.var["genes"].str.upper().str.split(";")
    column = np.repeat(np.arange(islands.n_vars), names.str.len())
    flat = pd.DataFrame({"gene": np.concatenate(names.to_numpy()), "column": column}).drop_duplicates("gene")
    x = sp.csr_matrix(islands.X)[:, flat["column"].to_numpy()]
    return pd.DataFrame(x.toarray(), islands.obs_names, flat["gene"].to_numpy())


def ratios(levels: pd.DataFrame) -> pd.DataFrame:
    """Return log-levels of equal mean, centred over the rows of each gene."""
    share = levels.div(levels.mean(axis=1), axis=0)
    logs = np.log1p(share)
    return logs - logs.mean()


def human() -> pd.DataFrame:
    """Return 164 DNase profiles by gene."""
    found = datasets.load("dnase_164_bulk")
    indptr = np.concatenate([[0], np.cumsum(found["counts"], dtype=np.int64)])
    shape = (len(found["cell_type"]), len(found["counts"]))
    x = sp.csr_matrix(sp.csc_matrix((found["data"].astype(np.int32), found["indices"], indptr), shape))
    chrom, start = found["chrom_names"][found["chrom"]], found["start500"].astype(np.int64) * 500
    var = pd.DataFrame(index=[f"{c}:{s}-{s + 500}" for c, s in zip(chrom, start, strict=True)])
    profiles = AnnData(
        x, obs=pd.DataFrame(index=found["cell_type"].astype(str)), var=var, uns={"genome": "hg19"}
    )
    return by_gene(profiles, "hg19_genes")


def mouse() -> pd.DataFrame:
    """Return the mean of each type's cells by gene."""
    cells = datasets.load("chen2019_snare_adcortex")
    kinds = cells.obs["cell_type"].astype(str).to_numpy()
    levels = by_gene(cells, "mm10_genes")
    counted = pd.Series(kinds).value_counts()
    return levels.groupby(kinds).mean().loc[counted.index[counted >= 50]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS / "mouse_human.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    ours, theirs = mouse(), human()
    shared = ours.columns.intersection(theirs.columns)
    ours, theirs = ours[shared], theirs[shared]
    spread = (ours > 0).sum() >= 3
    a, b = ratios(ours).loc[:, spread], ratios(theirs).loc[:, spread]
    found = pd.DataFrame(spearmanr(a.T, b.T).statistic[: len(a), len(a) :], a.index, b.index)
    rows = []
    for kind, row in found.iterrows():
        order = row.sort_values(ascending=False)
        ranks = {name: int(order.index.get_loc(name)) + 1 for name in (*NEURONS, *ASTROCYTES)}
        rows.append(
            {
                "mouse_type": kind,
                "best": order.index[0],
                "correlation": round(float(order.iloc[0]), 3),
                "rank_of_best_neuronal": min(ranks[name] for name in NEURONS),
                "rank_of_best_astrocyte": min(ranks[name] for name in ASTROCYTES),
            }
        )
    whole = np.log1p(theirs).corrwith(np.log1p(ours.mean()), axis=1, method="spearman")
    whole = whole.sort_values(ascending=False)
    print(f"{len(shared):,} genes of one symbol, {int(spread.sum()):,} open in three mouse types or more")
    print("all mouse cells together, nearest profiles:", whole.head(8).round(3).to_dict())
    print(pd.DataFrame(rows).to_string(index=False))
    result = {"n_genes": len(shared), "nearest": whole.head(8).round(4).to_dict(), "types": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
