"""Time and memory of marker peaks: `python perf/markers.py` (50,000 simulated cells x 200,000 peaks).

Ten types of unequal size; a cell opens some 3,000 peaks (median; log-normal depth), a type's own 2 % of the
peaks four times as often. Printed and written to perf/results/markers.json: seconds, peak memory, how
many of the planted peaks come out and how many others do (FDR 5 %, log2 fold change 0.5).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys, tl

SHARES = np.array([0.25, 0.2, 0.15, 0.1, 0.1, 0.07, 0.05, 0.04, 0.03, 0.01])


def simulated(n_cells: int, n_peaks: int, n_open: int, seed: int) -> tuple[ad.AnnData, np.ndarray]:
    """Return cells x peaks and bool (types, peaks), the peaks that are a type's own."""
    random = np.random.default_rng(seed)
    base = random.gamma(0.6, size=n_peaks)
    own = random.random((len(SHARES), n_peaks)) < 0.02
    types = np.sort(random.choice(len(SHARES), n_cells, p=SHARES))
    depth = 1.15 * n_open * random.lognormal(0, 0.5, n_cells)
    parts = []
    for kind in range(len(SHARES)):
        cumulative = np.cumsum(base * np.where(own[kind], 4, 1))
        members = np.flatnonzero(types == kind)
        for rows in np.array_split(members, max(1, len(members) // 1000)):
            n = random.poisson(depth[rows])
            columns = np.searchsorted(cumulative, random.random(n.sum()) * cumulative[-1]).astype(np.int32)
            indptr = np.concatenate([[0], np.cumsum(n)])
            part = sp.csr_matrix(
                (np.ones(len(columns), np.int32), columns, indptr), shape=(len(rows), n_peaks)
            )
            part.sum_duplicates()
            parts.append(part)
    start = 10_000 * np.arange(n_peaks)
    var = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 500})
    var.index = [f"chr1:{s}-{s + 500}" for s in start]
    obs = pd.DataFrame({"type": pd.Categorical.from_codes(types, [f"type {i}" for i in range(len(SHARES))])})
    obs.index = obs.index.astype(str)
    return ad.AnnData(sp.vstack(parts, format="csr"), obs=obs, var=var), own


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cells", type=int, default=50_000)
    options.add_argument("--peaks", type=int, default=200_000)
    options.add_argument("--open", type=int, default=3_000)
    options.add_argument("--max-cells", type=int, default=2_000)
    options.add_argument("--max-background", type=int, default=10_000)
    options.add_argument(
        "--weigh", action="store_true", help="weigh each cell: 0.9 its type, the rest the others"
    )
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    adata, own = simulated(given.cells, given.peaks, given.open, given.seed)
    if given.weigh:
        is_own = adata.obs["type"].cat.codes.to_numpy()[:, None] == np.arange(len(SHARES))
        adata.obsm[keys.PROBABILITIES] = np.where(is_own, 0.9, 0.1 / (len(SHARES) - 1)).astype(np.float32)
        adata.uns[keys.UNS] = {"classes": adata.obs["type"].cat.categories.to_numpy()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    started, cpu_started = time.perf_counter(), time.process_time()
    bounds = {"max_cells": given.max_cells, "max_background": given.max_background}
    found = tl.markers(adata, "type", weigh=given.weigh, **bounds)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    chosen = found.is_marker()
    x = adata.X
    figures = {
        **vars(given),
        "entries": int(x.nnz),
        "matrix_gb": round((x.data.nbytes + x.indices.nbytes + x.indptr.nbytes) / 2**30, 2),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "memory_before_gb": round(before, 2),
        "memory_peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "planted_found": [round(float(row[mine].mean()), 3) for row, mine in zip(chosen, own, strict=True)],
        "false_discoveries": [
            round(float((row & ~mine).sum() / max(row.sum(), 1)), 3)
            for row, mine in zip(chosen, own, strict=True)
        ],
    }
    print(found.cells.round(3).to_string())
    print(json.dumps(figures, indent=1))
    out = Path(__file__).parent / "results" / ("markers_weighed.json" if given.weigh else "markers.json")
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
