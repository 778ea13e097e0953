"""Cells x peaks to cells x islands: annatac beside a sparse matrix product, seconds of one core.

    python perf/peaks_to_islands.py --runs 3

SnapATAC2 2.9 has nothing that turns a peak matrix into bins: its tiles and peaks are both counted from fragments
(perf/compare_snapatac2.py). The nearest thing that users do by hand is the product of the counts with the
peaks-in-islands indicator, divided by the peaks of an island and rounded up, as SciPy computes it; both give the
same matrix. The data: Granja 2019 (real, 10,335 cells x 10,000 peaks), and 10,000 simulated cells x 200,000 peaks
(perf/annotate_scale.py, about 1,500 open). `annatac.pp.peak_islands` also checks the counts, finds the peaks'
islands and names them; the product is timed alone, its indicator given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

import annotate_scale
from annatac import datasets, keys
from annatac.pp import peak_islands
from annatac.pp.binning import island_openness
from annatac.pp.layout import island_layout

RESULTS = Path(__file__).parent / "results"


def simulated() -> anndata.AnnData:
    chrom, start, levels = annotate_scale.profiles()
    some = np.sort(np.random.default_rng(3).choice(len(chrom), 200_000))  # an island has 1 to 7 of them
    nth = np.arange(len(some)) - np.searchsorted(some, some)
    at = start[some] + 600 * nth
    names = [f"{c}:{s}-{s + 500}" for c, s in zip(chrom[some], at, strict=True)]
    x, _ = annotate_scale.draw(levels[some], 2_000, 4)
    x = sp.csr_matrix(sp.vstack([x] * 5))
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(x.shape[0])])
    return anndata.AnnData(x.astype(np.int32), obs, pd.DataFrame(index=names), {keys.GENOME: "hg19"})


def seconds(work: Callable[[], Any], runs: int) -> float:
    """Return the median CPU time of a call."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows = []
    print(f"{'data':28s} {'peak_islands':>13s} {'counts alone':>13s} {'product':>9s}   CPU seconds")
    for name, adata in (("Granja 2019", datasets.load("granja2019_bmmc_d6t1")), ("simulated", simulated())):
        x = sp.csr_matrix(adata.X)
        layout = island_layout(adata, np.asarray(x.sum(0), dtype=np.float64).ravel())
        peak_of, island_of, n = layout.peak_of, layout.island_of, len(layout.kept)
        indicator = sp.csr_matrix((np.ones(len(peak_of), np.float32), (peak_of, island_of)), (x.shape[1], n))
        n_peaks = np.bincount(island_of, minlength=n).astype(np.float32)

        def product() -> sp.csr_matrix:
            found = sp.csr_matrix(x @ indicator)  # noqa: B023
            found.data = np.ceil(found.data / n_peaks[found.indices])  # noqa: B023
            found.sort_indices()
            return found

        def counts() -> sp.csr_matrix:
            return island_openness(x, peak_of, island_of, n, "mean")  # noqa: B023

        apart = abs(counts() - product())
        if apart.nnz and apart.max():
            raise SystemExit(f"{name}: the two matrices differ")
        row = {
            "data": name,
            "peak_islands_s": seconds(lambda: peak_islands(adata), options.runs),  # noqa: B023
            "counts_s": seconds(counts, options.runs),
            "product_s": seconds(product, options.runs),
        }
        rows.append(row)
        print(
            f"{name:28s} {row['peak_islands_s']:13.2f} {row['counts_s']:13.2f} {row['product_s']:9.2f}",
            flush=True,
        )
    (RESULTS / "peaks_to_islands.json").write_text(
        json.dumps({"runs": options.runs, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
