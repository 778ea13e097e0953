"""Build the ready base model `human-base`: python models/human_base.py -o src/annatac/models/human-base

Island vectors: SVD of the log-ratios of 180 bulk profiles over all islands of 5 kb in which any has signal: 164 cell
types and tissues (DNase; ENCODE, Roadmap) and 16 sorted blood types (ATAC; Corces 2016). Encoder: pre-trained on cells
drawn from the same profiles. No single cell goes in, so that every data set of single cells can judge it. Last, the
base learns where its islands lie in hg38.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import annatac
from annatac import datasets
from annatac.annotate.lifting import placed
from annatac.config import Recipe
from annatac.model import artifact, ready
from annatac.pp.reading import join_samples

GENOME = "hg19"
BACKGROUND = 0.1  # share of a drawn cell's open islands that come from the mean of all profiles
DEPTHS = (500, 5000)  # draws a cell, log-uniform


def dnase() -> AnnData:
    """Return 164 DNase profiles x bins of 500 bp, levels 0 to 4."""
    found = datasets.load("dnase_164_bulk")
    indptr = np.concatenate([[0], np.cumsum(found["counts"], dtype=np.int64)])
    shape = (len(found["cell_type"]), len(found["counts"]))
    x = sp.csc_matrix((found["data"].astype(np.int32), found["indices"].astype(np.int32), indptr), shape)
    start = found["start500"].astype(np.int64) * 500
    return _profiles(sp.csr_matrix(x), found, start, start + 500, "DNase")


def blood() -> AnnData:
    """Return 16 sorted ATAC profiles x peaks."""
    found = datasets.load("hema_bulk16")
    x = sp.csr_matrix(found["X"].astype(np.int32))
    return _profiles(x, found, found["start"], found["end"], "ATAC")


def _profiles(
    x: sp.csr_matrix, found: dict[str, np.ndarray], start: np.ndarray, end: np.ndarray, assay: str
) -> AnnData:
    chrom = found["chrom_names"][found["chrom"]]
    names = [f"{c}:{a}-{b}" for c, a, b in zip(chrom, start, end, strict=True)]
    obs = pd.DataFrame({"assay": assay}, index=found["cell_type"].astype(str))
    return AnnData(x, obs=obs, var=pd.DataFrame(index=names), uns={"genome": GENOME})


def profiles() -> AnnData:
    """Return all profiles over their islands, the sum of the levels in each."""
    parts = [annatac.pp.peak_islands(part, openness="sum") for part in (dnase(), blood())]
    joined = join_samples(parts, ["DNase", "ATAC"])
    joined.var = joined.var.drop(columns="peaks")  # whole bins are what the base knows
    return joined


def drawn_cells(bulk: AnnData, n_cells: int, seed: int) -> AnnData:
    """Return ``n_cells`` a profile, each a draw of islands by the profile's signal."""
    random = np.random.default_rng([seed, 0xB10])
    shares = sp.csr_matrix(bulk.X).toarray().astype(np.float64)
    shares /= shares.sum(1, keepdims=True)
    mean = shares.mean(0)
    parts = []
    for share in shares:
        cumulated = np.cumsum((1 - BACKGROUND) * share + BACKGROUND * mean)
        depth = np.exp(random.uniform(*np.log(DEPTHS), n_cells)).astype(np.int64)
        island = np.searchsorted(cumulated / cumulated[-1], random.random(depth.sum()))
        cell = np.repeat(np.arange(n_cells), depth)
        parts.append(sp.csr_matrix((np.ones(len(cell), np.int32), (cell, island)), (n_cells, len(mean))))
    return AnnData(sp.vstack(parts, format="csr"), var=bulk.var, uns=bulk.uns)


CARD = """# human-base

A base model for human scATAC-seq: a vector for each of {n_islands:,} islands of 5 kb of hg19, where they lie in hg38,
and an encoder. It names no types: `annatac finetune REFERENCE --label-key K --base human-base -o MODEL`.

- **Data.** Island vectors: SVD of the log-ratios of 180 bulk profiles, 164 cell types and tissues of DNase (ENCODE,
  Roadmap: public consortium data) and 16 sorted blood types of ATAC (Corces 2016: public, GEO). Encoder:
  {n_cells:,} **simulated** cells drawn from these profiles ({per} a profile), objective `{objective}`. No
  real single cell and no GPL source went in.
- **Measured on** real cells that it has not seen, with 5 to 50 labelled cells a type: docs/pretraining.md.
- **Where it fails.** Few labels of a type that none of the 180 profiles is near to. Not measured: tissues other than
  blood and marrow, donors with disease. Assemblies other than hg19 and hg38 need a UCSC chain file.
- Rebuilt by `make models` (`models/human_base.py`).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=40, help="drawn cells a profile")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--objective", default="open_closed")
    options = parser.parse_args()
    recipe = Recipe.load("default")
    settings = replace(recipe.pretrain, objective=options.objective, epochs=options.epochs)
    bulk = profiles()
    annatac.pretrain(
        drawn_cells(bulk, options.cells, seed=0),
        profiles=bulk,
        output=options.output,
        recipe=replace(recipe, pretrain=settings),
        seed=0,
        device="cpu",
        overwrite=True,
    )
    base = placed(artifact.load(options.output), datasets.path("hg19_to_hg38_chain"), "hg38")
    artifact.save(base, options.output, overwrite=True)
    write_card(options.output, options.cells, options.objective)


def write_card(folder: Path, n_cells: int, objective: str) -> None:
    """Write the model card, README.md."""
    its = ready.facts(folder)
    card = CARD.format(n_islands=its["n_islands"], n_cells=180 * n_cells, per=n_cells, objective=objective)
    (folder / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
