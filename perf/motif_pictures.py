"""Draw the pictures of docs/motifs.md from simulated cells and sequence: `python perf/motif_pictures.py` (a minute).

Four types of 150 cells, 4,000 peaks of 400 bp. The sequence is random, GC-richer in one half of the peaks; a type's 300
marker peaks hold, in 40 % of them, a site drawn from the JASPAR matrix of the factor that is planted for it (5 % of
all other peaks). So the pictures show what comes out when it is known what went in, and nothing about real cells.
Needs pyjaspar and pyfaidx. The command that is run is printed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac.cli import main as annatac
from annatac.io import read_motifs

PLANTED = {"B cell": "EBF1", "Monocyte": "CEBPA", "Erythroid": "GATA1", "T cell": "TCF7"}
N_PEAKS, WIDTH, N_MARKERS, N_CELLS = 4_000, 400, 300, 150


def make(folder: Path) -> None:
    random = np.random.default_rng(0)
    gc = np.where(np.arange(N_PEAKS) % 2, 0.42, 0.55) + random.normal(0, 0.03, N_PEAKS)
    is_gc = random.random((N_PEAKS, WIDTH)) < gc[:, None]
    bases = np.where(is_gc, random.integers(1, 3, is_gc.shape), 3 * random.integers(0, 2, is_gc.shape))
    rate = random.lognormal(-2.2, 0.5, N_PEAKS)
    depth = random.lognormal(0, 0.3, (len(PLANTED) * N_CELLS, 1))
    rates = np.tile(rate, (len(depth), 1))
    for i, factor in enumerate(PLANTED.values()):
        mine = np.arange(i * N_MARKERS, (i + 1) * N_MARKERS)
        rates[i * N_CELLS : (i + 1) * N_CELLS, mine] *= 4
        motif = read_motifs(names=[factor])[0]
        chance = np.full(N_PEAKS, 0.05)
        chance[mine] = 0.4
        for peak in np.flatnonzero(random.random(N_PEAKS) < chance):
            word = np.array([random.choice(4, p=row) for row in motif.probabilities()])
            word = word if random.random() < 0.5 else 3 - word[::-1]
            at = random.integers(0, WIDTH - len(word))
            bases[peak, at : at + len(word)] = word
    text = "".join(np.array(list("ACGT"))[bases.ravel()])
    lines = [text[i : i + 80] for i in range(0, len(text), 80)]
    (folder / "genome.fa").write_text(">chr1\n" + "\n".join(lines) + "\n")
    obs = pd.DataFrame({"annatac_label": np.repeat(list(PLANTED), N_CELLS)})
    obs.index = [f"cell{i}" for i in range(len(obs))]
    var = pd.DataFrame(index=[f"chr1:{i * WIDTH}-{(i + 1) * WIDTH}" for i in range(N_PEAKS)])
    counts = sp.csr_matrix(random.poisson(rates * depth).astype(np.int32))
    ad.AnnData(counts, obs=obs, var=var).write_h5ad(folder / "cells.h5ad")


def main() -> int:
    images = Path(__file__).parents[1] / "docs" / "images"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        arguments = ["motifs", str(folder / "cells.h5ad"), "--fasta", str(folder / "genome.fa")]
        arguments += ["-o", str(folder / "motifs")]
        print("annatac", *arguments)
        code = annatac(arguments)
        table = pd.read_csv(folder / "motifs" / "enrichment.csv")
        called = table[table["is_enriched"]]
        shown = ["cell_type", "name", "motif", "n_with", "n_expected", "log2_enrichment", "fdr", "leader"]
        print(called[called["leader"] == called["motif"]][shown].to_string(index=False))
        print(called.groupby("cell_type", sort=False)["name"].agg(", ".join).to_string())
        active = pd.read_csv(folder / "motifs" / "marker_motifs.csv")
        print(active.groupby("cell_type", sort=False).head(3).to_string(index=False))
        shutil.copy(folder / "motifs" / "enrichment.png", images / "motif_enrichment_simulated.png")
        planted = table[
            [
                PLANTED[t].casefold() == name.casefold()
                for t, name in zip(table["cell_type"], table["name"], strict=True)
            ]
        ]
        print(planted[shown].to_string(index=False))
        for kind in ("logo", "ridge"):
            leader = called[called["cell_type"] == "B cell"].iloc[0]
            file = next((folder / "motifs").glob(f"{kind}_*{leader['motif']}*.png"))
            shutil.copy(file, images / f"motif_{kind}_simulated.png")
    return code


if __name__ == "__main__":
    sys.exit(main())
