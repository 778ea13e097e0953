"""Time and memory of motif deviations: `OMP_NUM_THREADS=1 python perf/motif_deviations.py`.

10,000 simulated cells x 100,000 peaks (5,000 insertions a cell, peaks of unequal openness), 800 motifs of which each
has a site in 0.5 to 20 % of the peaks (3 % in the median): no sequence is involved. Both ways are timed: the exact
moments over all background peaks on all cells, and 50 drawn sets, as chromVAR does, on ``--sampled-cells`` cells,
from which the time of all cells follows. Prints a table; writes perf/results/motif_deviations.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys, tl

N_CELLS, N_PEAKS, N_MOTIFS, DEPTH = 10_000, 100_000, 800, 5_000


def make() -> ad.AnnData:
    random = np.random.default_rng(0)
    openness = random.lognormal(0, 1, N_PEAKS)
    edges = np.cumsum(openness / openness.sum())
    parts = []
    for _ in range(0, N_CELLS, 1_000):
        at = np.minimum(np.searchsorted(edges, random.random(1_000 * DEPTH)), N_PEAKS - 1)
        row = np.repeat(np.arange(1_000), DEPTH)
        block = sp.coo_matrix((np.ones(len(at), np.int32), (row, at)), shape=(1_000, N_PEAKS)).tocsr()
        block.sum_duplicates()
        parts.append(block)
    share = np.clip(np.exp(random.normal(np.log(0.03), 0.8, N_MOTIFS)), 0.005, 0.2)
    columns = [random.choice(N_PEAKS, int(s * N_PEAKS), replace=False) for s in share]
    first = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    hits = sp.csc_matrix(
        (np.ones(first[-1], np.uint16), np.concatenate(columns), first), shape=(N_PEAKS, N_MOTIFS)
    ).tocsr()
    names = [f"m{i}" for i in range(N_MOTIFS)]
    adata = ad.AnnData(
        sp.vstack(parts, format="csr"), var=pd.DataFrame(index=[f"p{i}" for i in range(N_PEAKS)])
    )
    adata.var[keys.GC] = random.beta(8, 9, N_PEAKS).astype(np.float32)
    adata.varm[keys.MOTIF_HITS] = hits
    adata.uns[keys.MOTIFS] = {
        "ids": np.array(names, dtype=object),
        "names": np.array(names, dtype=object),
        "widths": np.full(N_MOTIFS, 8),
        "counts": np.ones((8 * N_MOTIFS, 4)),
    }
    return adata


def timed(adata: ad.AnnData, n_background: int | None) -> dict[str, object]:
    wall, cpu = time.perf_counter(), time.process_time()
    tl.motif_deviations(adata, n_background=n_background)
    return {
        "n_background": n_background,
        "n_cells": adata.n_obs,
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sampled-cells", type=int, default=500)
    parser.add_argument("--sampled-only", action="store_true")
    arguments = parser.parse_args()
    adata = make()
    before = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    rows = [] if arguments.sampled_only else [timed(adata, None)]
    rows.append(timed(adata[: arguments.sampled_cells].copy(), 50))
    print(f"{adata.X.nnz:,} counts, {adata.varm[keys.MOTIF_HITS].nnz:,} hits; {before} GB before")
    print(pd.DataFrame(rows).to_string(index=False))
    if not arguments.sampled_only:
        result = {"entries": int(adata.X.nnz), "hits": int(adata.varm[keys.MOTIF_HITS].nnz)}
        path = Path(__file__).parent / "results" / "motif_deviations.json"
        path.write_text(json.dumps({**result, "memory_before_gb": before, "runs": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
