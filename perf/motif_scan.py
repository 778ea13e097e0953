"""Seconds and memory of `tl.motif_scan` on many peaks: `python perf/motif_scan.py` (random sequence, seed 0).

All vertebrate motifs of JASPAR 2024 in 100,000 peaks of 500 bp that lie in a random sequence of 50 million bases; one
thread, FASTA on disk. Written to perf/results/motif_scan.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys, tl

WIDTH = 500


def main() -> None:
    """Time it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peaks", type=int, default=100_000)
    n = options.parse_args().peaks
    warnings.simplefilter("ignore")
    bases = np.random.default_rng(0).choice(
        np.frombuffer(b"ACGT", np.uint8), n * WIDTH, p=[0.28, 0.22, 0.22, 0.28]
    )
    var = pd.DataFrame(index=[f"chr1:{i * WIDTH}-{(i + 1) * WIDTH}" for i in range(n)])
    adata = ad.AnnData(sp.csr_matrix((1, n), dtype=np.int32), var=var)
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "genome.fa"
        lines = bases.reshape(-1, 50)
        ends = np.full((len(lines), 1), ord("\n"), np.uint8)
        fasta.write_bytes(b">chr1\n" + np.hstack([lines, ends]).tobytes())
        begin, cpu = time.perf_counter(), time.process_time()
        tl.motif_scan(adata, fasta=fasta)
    result = {
        "peaks": n,
        "motifs": adata.varm[keys.MOTIF_HITS].shape[1],
        "peaks_with_a_site": int(adata.varm[keys.MOTIF_HITS].nnz),
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "memory_peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    (Path(__file__).parent / "results" / "motif_scan.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
