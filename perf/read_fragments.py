"""Time and memory from a fragment file to an island matrix: `python perf/read_fragments.py`.

5,946,068 real fragments (chr12 and chr21 of 33 sorted bulk T-cell samples, hg38) become cells x 5-kb islands.
Each run is a process of its own, so that its peak memory is its own; the time starts after the imports. The
stages, and pandas' C engine doing the same, show where the time goes. `--barcodes N` draws barcodes of single
cells instead: a tenth of N holds 80 % of the fragments, the rest are empty droplets.

Prints a table and writes perf/results/read_fragments.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import datasets
from annatac.io import read_one
from annatac.io.fragments import _blocks
from annatac.io.textblocks import _whole_lines, line_blocks

NAME = "calderon2019_fragments"
RESULTS = Path(__file__).parent / "results" / "read_fragments.json"


def unpack(path: Path) -> str:
    return f"{sum(len(block) for block in _whole_lines(path, 1 << 20)):,} bytes"


def unpack_ahead(path: Path) -> str:
    return f"{sum(len(block) for block in line_blocks(path)):,} bytes"


def parse(path: Path) -> str:
    return f"{sum(len(block.start) for block in _blocks(path)):,} fragments"


def islands(path: Path) -> str:
    x = read_one(path, min_fragments=1).X
    return f"{x.shape[0]:,} x {x.shape[1]:,}, {x.nnz:,} entries, {x.sum():,} insertions"


def peaks(path: Path) -> str:
    start = np.arange(0, 133_000_000, 4_000)  # 33,250 peaks of 1 kb
    table = pd.DataFrame({"chrom": "chr12", "start": start, "end": start + 1000})
    x = read_one(path, min_fragments=1, peaks=table).X
    return f"{x.shape[0]:,} x {x.shape[1]:,}, {x.nnz:,} entries, {x.sum():,} insertions"


def with_pandas(path: Path) -> str:
    """The same matrix with pandas' C engine, in chunks, without the checks of order and columns."""
    names: dict[str, dict[str, int]] = {"chrom": {}, "barcode": {}}
    parts = []
    for table in pd.read_csv(
        path,
        sep="\t",
        header=None,
        comment="#",
        usecols=[0, 1, 2, 3],
        names=["chrom", "start", "end", "barcode", "n"],
        dtype={"chrom": "category", "barcode": "category", "start": np.int64, "end": np.int64},
        chunksize=1_000_000,
    ):
        codes = {}
        for name, known in names.items():
            new = [known.setdefault(value, len(known)) for value in table[name].cat.categories]
            codes[name] = np.array(new)[table[name].cat.codes]
        for position in (table["start"].to_numpy(), table["end"].to_numpy() - 1):
            bins = codes["chrom"] * 60_000 + position // 5000
            n = np.ones(len(bins), dtype=np.int32)
            shape = (len(names["barcode"]), 60_000 * len(names["chrom"]))
            parts.append(sp.coo_matrix((n, (codes["barcode"], bins)), shape=shape).tocsr())
    shape = parts[-1].shape
    for part in parts:
        part.resize(shape)
    x = sum(parts[1:], start=parts[0])
    return f"{x.nnz:,} entries, {x.sum():,} insertions"


METHODS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "unpack": ("unpacking alone", unpack),
    "unpack_ahead": ("unpacking in a thread", unpack_ahead),
    "parse": ("unpacking and parsing", parse),
    "islands": ("annatac.read: islands", islands),
    "peaks": ("annatac.read: 33,250 peaks", peaks),
    "pandas": ("pandas' C engine, the same islands", with_pandas),
}


def peak_mb() -> float:
    """Return this process's peak resident memory (getrusage's includes that of the parent, on Linux)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024**2 if sys.platform == "darwin" else 1024
    )


def work(method: str, path: Path) -> None:
    """Run one method and print what it took."""
    import anndata  # noqa: F401  (not part of the time)

    wall, cpu = time.perf_counter(), time.process_time()
    found = METHODS[method][1](path)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = peak_mb()
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "found": found}))


def with_many_barcodes(path: Path, n_barcodes: int, folder: Path) -> Path:
    """Write the fragments of ``path`` with the barcodes of single cells and empty droplets."""
    rng = np.random.default_rng(0)
    letters = rng.choice(list("ACGT"), size=(n_barcodes, 16))
    names = np.array(["".join(row) + "-1" for row in letters], dtype=object)
    out = folder / "fragments.tsv.gz"
    with gzip.open(out, "wb", compresslevel=1) as file:
        for table in pd.read_csv(path, sep="\t", header=None, chunksize=500_000):
            cell = rng.random(len(table)) < 0.8
            full = max(n_barcodes // 10, 1)
            code = np.where(cell, rng.integers(0, full, len(table)), rng.integers(0, n_barcodes, len(table)))
            table[3] = names[code]
            file.write(table.to_csv(sep="\t", header=False, index=False).encode())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--barcodes", type=int, help="draw this many barcodes")
    parser.add_argument("--worker", nargs=2, metavar=("METHOD", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker[0], Path(arguments.worker[1]))
        return
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        path = datasets.path(NAME)
        if arguments.barcodes:
            path = with_many_barcodes(path, arguments.barcodes, Path(folder))
        load = os.getloadavg()[0]
        print(f"{NAME}, {arguments.runs} runs, {os.cpu_count()} cores, load before {load:.1f}")
        print(f"{'':36}{'wall s':>16}{'cpu s':>8}{'peak MB':>9}")
        for method in arguments.methods:
            command = [sys.executable, __file__, "--worker", method, str(path)]
            runs = [
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                for _ in range(arguments.runs)
            ]
            wall = sorted(run["wall_s"] for run in runs)
            row = {
                "what": METHODS[method][0],
                "wall_s_median": statistics.median(wall),
                "wall_s_min": wall[0],
                "wall_s_max": wall[-1],
                "cpu_s_median": statistics.median(run["cpu_s"] for run in runs),
                "peak_mb": max(run["peak_mb"] for run in runs),
                "found": runs[0]["found"],
            }
            table[method] = row
            print(
                f"{row['what']:36}{row['wall_s_median']:6.2f} ({wall[0]:.2f}-{wall[-1]:.2f})"
                f"{row['cpu_s_median']:7.2f}{row['peak_mb']:9.0f}  {row['found']}"
            )
    name = RESULTS.name if not arguments.barcodes else f"read_fragments_{arguments.barcodes}_barcodes.json"
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        "command": f"python perf/read_fragments.py {' '.join(sys.argv[1:])}".strip(),
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_before": load,
        "data": NAME,
        "runs": arguments.runs,
        "results": table,
    }
    (RESULTS.parent / name).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
