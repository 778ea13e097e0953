"""What a worker of `annatac prepare` needs in memory: a matrix on disk is read in blocks, and a shard held at a time.

    python perf/prepare_memory.py --cells 1000 4000 16000 48000

Cells are simulated, as in perf/annotate_scale.py: about 1,500 open of 250,000 islands, drawn from bulk DNase (hg19);
2,500 are drawn and repeated. Each file becomes a corpus of its own, by one worker in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import anndata
import pandas as pd
import scipy.sparse as sp

import annotate_scale as scale
from annatac import keys

RESULTS = Path(__file__).parent / "results"
DISTINCT = 2_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[2_500, 10_000])
    options = parser.parse_args()
    chrom, start, levels = scale.profiles()
    drawn, _ = scale.draw(levels, DISTINCT, 1)
    made = {"bin_size": scale.BIN_BP, "source": "fragments"}
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for n_cells in options.cells:
            x = sp.vstack([drawn] * -(-n_cells // DISTINCT), format="csr")[:n_cells]
            anndata.AnnData(
                x, obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]),
                var=scale.islands_table(chrom, start), uns={keys.GENOME: "hg19", keys.ISLANDS: made},
            ).write_h5ad(folder / f"{n_cells}.h5ad")  # fmt: skip
            command = [sys.executable, "-m", "annatac", "prepare", str(folder / f"{n_cells}.h5ad")]
            command += ["-o", str(folder / f"corpus{n_cells}"), "--genome", "hg19", "--workers", "1"]
            cost = scale.measure(command)
            cpu_s, peak_mb = cost.cpu_s, cost.peak_mb
            rows.append({"n_cells": n_cells, "n_open": int(x.nnz), "cpu_s": cpu_s, "peak_mb": peak_mb})
            print(
                f"{n_cells:>8,} cells, {x.nnz:>12,} open: {peak_mb:,.0f} MB, {cpu_s:.1f} s of CPU", flush=True
            )
    (RESULTS / "prepare_memory.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
