"""Memory and time of `annotate` against the number of cells, and the time from a 10x file to labels on disk.

    python perf/annotate_scale.py --cells 10000 30000 100000
    python perf/annotate_scale.py --cells 10000 100000 1000000 --islands 20000 --open 100 --recipe debug
    ONEDNN_PRIMITIVE_CACHE_CAPACITY=1024 python perf/annotate_scale.py --cells 10000  # as torch has it
    python perf/annotate_scale.py --tenx               # 10,000 cells x 200,000 peaks, Cell Ranger's h5

Cells are simulated: each draws its open islands (about 1,500 of 250,000 5-kb islands) from one of 16 cell
types of the DNase peaks of the data set dnase_164_bulk (hg19). Files of more than 10,000 cells repeat these under
other barcodes, which costs annotate the same. The model is trained on 800 such cells.

Whole processes of the command line: wall and CPU seconds (user and system), peak memory, and the peak of what the
process allocated itself (anonymous pages, read 20 times a second: files that are mapped do not count). A cell's cost
is told without the start: the difference to the row before, over the difference in cells.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

import annatac
from annatac import datasets, keys

RESULTS = Path(__file__).parent / "results"
N_TYPES, N_ISLANDS, N_OPEN, BIN_BP = 16, 250_000, 1_500, 5_000
DISTINCT = 10_000  # cells that are drawn; larger files repeat them


class Cost(NamedTuple):
    """What a process took: seconds, and the peaks of its memory and of what it allocated itself."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    anonymous_mb: float


def profiles(n_islands: int = N_ISLANDS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return chromosome and start of the islands open in most of 164 samples, and their levels in 16 cell types."""
    file = np.load(datasets.path("dnase_164_bulk"), allow_pickle=False)
    chroms, chrom = file["chrom_names"].astype(str), file["chrom"]
    n_bins = len(chrom)
    offsets = np.concatenate([[0], np.cumsum(file["counts"])])
    levels = sp.csr_matrix((file["data"].astype(np.float32), file["indices"], offsets), shape=(n_bins, 164))
    keys_, island = np.unique(chrom.astype(np.int64) * 10**6 + file["start500"] // 10, return_inverse=True)
    summed = (
        sp.csr_matrix((np.ones(n_bins, np.float32), (island, np.arange(n_bins))), (len(keys_), n_bins))
        @ levels
    )
    chosen = np.sort(np.argsort(-summed.getnnz(axis=1), kind="stable")[:n_islands])
    types = np.linspace(0, 163, N_TYPES).astype(int)
    return chroms[keys_[chosen] // 10**6], keys_[chosen] % 10**6 * BIN_BP, summed[chosen][:, types].toarray()


def draw(
    levels: np.ndarray, n_cells: int, seed: int, n_open: int = N_OPEN
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return cells x islands (uint8, 1..5 where open) and each cell's type."""
    random = np.random.default_rng(seed)
    kind = random.integers(levels.shape[1], size=n_cells)
    cumulative = np.cumsum(levels + 0.02, axis=0, dtype=np.float64)
    indices, data, lengths = [], [], []
    for k in kind:
        n = random.poisson(n_open * 1.06 * random.lognormal(0, 0.3))
        drawn = np.searchsorted(cumulative[:, k], random.random(n) * cumulative[-1, k])
        found, count = np.unique(drawn, return_counts=True)
        indices.append(found)
        data.append(np.minimum(count, 5))
        lengths.append(len(found))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    x = sp.csr_matrix(
        (np.concatenate(data).astype(np.uint8), np.concatenate(indices).astype(np.int32), indptr),
        shape=(n_cells, len(levels)),
    )
    return x, kind


def drawn(folder: Path, levels: np.ndarray, n_open: int = N_OPEN) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return the cells that all files repeat, from the folder where they were drawn before."""
    name = f"drawn_{len(levels)}_{n_open}"
    cells, kinds = folder / f"{name}.npz", folder / f"{name}_types.npy"
    if not kinds.is_file():
        x, kind = draw(levels, DISTINCT, 1, n_open)
        sp.save_npz(cells, x, compressed=False)
        np.save(kinds, kind)
    return sp.csr_matrix(sp.load_npz(cells)), np.load(kinds)


def islands_table(chrom: np.ndarray, start: np.ndarray) -> pd.DataFrame:
    names = [f"{c}:{s}-{s + BIN_BP}" for c, s in zip(chrom, start, strict=True)]
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + BIN_BP, "n_peaks": 1}, index=names)


def write_repeated(path: Path, cells: anndata.AnnData, n_cells: int) -> None:
    """Write ``n_cells`` cells to an h5ad file, those of ``cells`` again and again, a part at a time."""
    obs = pd.DataFrame(index=[f"cell{i:07d}-1" for i in range(n_cells)])
    anndata.AnnData(obs=obs, var=cells.var, uns=dict(cells.uns)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        if "X" in file:
            del file["X"]
        group = file.create_group("X")
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        group.attrs["shape"] = np.array([n_cells, cells.n_vars])
        sizes = [min(DISTINCT, n_cells - at) for at in range(0, n_cells, DISTINCT)]
        n_counts = [int(cells.X.indptr[size]) for size in sizes]
        for name in ("data", "indices"):
            array = getattr(cells.X, name)
            whole = group.create_dataset(name, (sum(n_counts),), array.dtype)
            for part, at in zip(n_counts, np.cumsum([0, *n_counts]), strict=False):
                whole[at : at + part] = array[:part]
        indptr = [
            cells.X.indptr[1 : s + 1] + at for s, at in zip(sizes, np.cumsum([0, *n_counts]), strict=False)
        ]
        group["indptr"] = np.concatenate([[0], *indptr]).astype(np.int64)


def write_10x(path: Path, chrom: np.ndarray, start: np.ndarray, levels: np.ndarray) -> None:
    """Write 10,000 cells x 200,000 peaks (500 bp in as many islands) as Cell Ranger does."""
    some = np.sort(np.random.default_rng(3).choice(len(chrom), 200_000, replace=False))
    x, _ = draw(levels[some], 10_000, 4)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name, dtype in (("data", np.int32), ("indices", np.int64), ("indptr", np.int64)):
            group.create_dataset(name, data=getattr(x, name).astype(dtype), compression="gzip", chunks=True)
        group["shape"] = np.array(x.shape[::-1], dtype=np.int32)
        group["barcodes"] = np.array([f"cell{i:07d}-1" for i in range(x.shape[0])], dtype="S")
        peaks = [f"{c}:{s + 2000}-{s + 2500}" for c, s in zip(chrom[some], start[some], strict=True)]
        group["features/id"] = np.array(peaks, dtype="S")
        group["features/feature_type"] = np.full(len(peaks), b"Peaks")
        group["features/genome"] = np.full(len(peaks), b"hg19")


def measure(command: list[str]) -> Cost:
    """Return what a command took.

    A small process starts it: on Linux a child's peak begins at the size of the one that started it.
    """
    code = (
        "import json, os, subprocess, sys, threading, time\n"
        "began, anonymous = time.perf_counter(), [0]\n"
        "silent = subprocess.DEVNULL\n"
        "process = subprocess.Popen(json.loads(sys.argv[1]), stdout=silent, stderr=silent)\n"
        "def watch():\n"
        "    while True:\n"
        "        for line in open(f'/proc/{process.pid}/status'):\n"
        "            if line.startswith('RssAnon'):\n"
        "                anonymous[0] = max(anonymous[0], int(line.split()[1]))\n"
        "        time.sleep(0.05)\n"
        "threading.excepthook = lambda _: None\n"  # the process has ended, or this is not Linux
        "threading.Thread(target=watch, daemon=True).start()\n"
        "_, status, use = os.wait4(process.pid, 0)\n"
        "seconds = time.perf_counter() - began\n"
        "cost = seconds, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024, anonymous[0] / 1024\n"
        "print(json.dumps([status, cost]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, json.dumps(command)], check=True, capture_output=True, text=True
    )
    status, cost = json.loads(found.stdout)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(*cost)


def model_of(folder: Path, name: str, recipe: str, cells: anndata.AnnData, kind: np.ndarray) -> Path:
    """Return a model fine-tuned on 800 of the cells, from the folder if it is there already."""
    model = folder / f"model_{name}"
    if not model.is_dir():
        few = cells[:800].copy()
        few.obs["cell_type"] = [f"type {k}" for k in kind[:800]]
        few.X = few.X.astype(np.int32)
        annatac.finetune(few, label_key="cell_type", output=model, recipe=recipe)
    return model


def marginal(row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, float]:
    """Return milliseconds of CPU and bytes that one more cell costs, by two rows of different numbers of cells."""
    if before is None:
        return {}
    n_cells = row["n_cells"] - before["n_cells"]
    grown = row["anonymous_mb"] - before["anonymous_mb"]
    return {
        "cpu_ms_a_cell_more": (row["cpu_s"] - before["cpu_s"]) / n_cells * 1e3,
        "anonymous_bytes_a_cell_more": grown * 2**20 / n_cells,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="*", default=[])
    parser.add_argument("--tenx", action="store_true", help="time a 10x h5 of 10,000 cells x 200,000 peaks")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--islands", type=int, default=N_ISLANDS, help="of the universe")
    parser.add_argument("--open", type=int, default=N_OPEN, help="islands a cell, about")
    parser.add_argument(
        "--folder", type=Path, help="where the files go (15 GB for a million cells); kept if given"
    )
    options = parser.parse_args()
    path = RESULTS / "annotate_scale.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    what = f"{options.recipe}, {options.open:,} of {options.islands:,} open"
    if kernels := os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        what += f", {kernels} kernels kept"
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = options.folder or Path(temporary)
        chrom, start, levels = profiles(options.islands)
        x, kind = drawn(folder, levels, options.open)
        made = {"bin_size": BIN_BP, "source": "fragments"}
        cells = anndata.AnnData(
            x, obs=pd.DataFrame(index=[str(i) for i in range(DISTINCT)]), var=islands_table(chrom, start),
            uns={keys.GENOME: "hg19", keys.ISLANDS: made},
        )  # fmt: skip
        model = model_of(
            folder, f"{options.recipe}_{options.islands}_{options.open}", options.recipe, cells, kind
        )
        command = [sys.executable, "-m", "annatac", "annotate"]
        before = None
        for n_cells in options.cells:
            query, out = folder / f"cells_{n_cells}.h5ad", folder / "out.h5ad"
            write_repeated(query, cells, n_cells)
            cost = measure([*command, str(query), "--model", str(model), "-o", str(out)])
            row: dict[str, Any] = {"n_cells": n_cells, **cost._asdict(), "bytes": out.stat().st_size}
            row |= marginal(row, before)
            rows[f"{what}, {n_cells:,} cells"] = before = row
            query.unlink()
            out.unlink()
            more = f"; {row['cpu_ms_a_cell_more']:.3f} ms a cell more" if "cpu_ms_a_cell_more" in row else ""
            print(
                f"{what}, {n_cells:9,} cells {cost.wall_s:8.1f} s, {cost.cpu_s:8.1f} s of CPU{more}, "
                f"{cost.peak_mb:7,.0f} MB, its own {cost.anonymous_mb:7,.0f} MB",
                flush=True,
            )
            _record(path, rows)
        if options.tenx:
            query, out = folder / "filtered_peak_bc_matrix.h5", folder / "out.h5ad"
            if not query.is_file():
                write_10x(query, chrom, start, levels)
            with h5py.File(query) as file:
                n_open = len(file["matrix/data"]) / len(file["matrix/barcodes"])
            cost = measure([*command, str(query), "--model", str(model), "-o", str(out)])
            name = f"{options.recipe}, 10x h5 of 10,000 cells x 200,000 peaks"
            rows[name] = {**cost._asdict(), "open_peaks_a_cell": n_open}
            print(
                f"{name:36s} {cost.wall_s:8.1f} s, {cost.cpu_s:8.1f} s of CPU, {cost.peak_mb:7,.0f} MB, "
                f"{n_open:.0f} open peaks a cell",
                flush=True,
            )
            _record(path, rows)


def _record(path: Path, rows: dict[str, Any]) -> None:
    rows["machine"] = {"cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
