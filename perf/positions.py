"""Island vectors of a corpus past memory: time and peak memory against the number of cells.

    python perf/positions.py --cells 30000 100000

Cells are simulated: each draws about 1,500 of 250,000 islands from one of 16 cell types of the DNase peaks of the data
set dnase_164_bulk (as perf/annotate_scale.py does); 10,000 are drawn, and larger corpora repeat them in another order.
Each corpus is written to disk and then read by a process of its own, which computes 32 vectors an island: wall seconds
of that, and the process's CPU seconds and peak memory. One thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from annatac.corpus import Corpus, open_for_writing
from annatac.genome.intervals import island_names
from annatac.pp.universe import Universe
from annatac.train.streamed_positions import N_READINGS, SVD_TOKENS, island_positions
from annotate_scale import DISTINCT, N_ISLANDS, draw, profiles

RESULTS = Path(__file__).parent / "results"
N_DIMENSIONS = 32


def write(folder: Path, n_cells: int) -> None:
    """Write a corpus of so many cells."""
    chrom, start, levels = profiles()
    names = island_names(chrom, start, start + 5000)
    universe = Universe(
        names=np.asarray(names, dtype=object), n_peaks=np.ones(N_ISLANDS, np.int32),
        mean_openness=np.zeros(N_ISLANDS, np.float32), chrom=chrom.astype(object), start=start, end=start + 5000,
        bin_size=5000, genome="hg19",
    )  # fmt: skip
    cells, _ = draw(levels, min(DISTINCT, n_cells), seed=0)
    random = np.random.default_rng(0)
    with open_for_writing(folder, universe) as writer:
        for number in range(-(-n_cells // DISTINCT)):
            writer.append(f"part{number}", cells[random.permutation(cells.shape[0])])


def measure(folder: str) -> None:
    """Print seconds and peak memory of the vectors of one corpus, as JSON."""
    corpus = Corpus.open(folder)
    began = time.perf_counter()
    vectors = island_positions(corpus, N_DIMENSIONS, 0)
    assert np.isfinite(vectors).all()
    used = resource.getrusage(resource.RUSAGE_SELF)
    row = {
        "cells": corpus.n_cells,
        "open_islands_millions": round(corpus.manifest.n_tokens / 1e6),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss / 2**20, 2),
    }
    print(json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", nargs="+", type=int, default=[30_000, 100_000])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=RESULTS / "positions.json")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    rows = []
    for n_cells in options.cells:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "corpus", n_cells)
            command = [sys.executable, __file__, "--measure", str(Path(folder) / "corpus")]
            rows.append(
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            )
        print(rows[-1], flush=True)
    settings = {"sample_tokens": SVD_TOKENS, "readings": N_READINGS, "dimensions": N_DIMENSIONS}
    options.output.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
