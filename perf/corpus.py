"""A corpus on disk: how fast it is written, verified and streamed, and what pre-training from it needs in memory.

    python perf/corpus.py --cells 10000 100000
    python perf/corpus.py --cells 10000 100000 --pretrain debug

Cells are simulated, as in perf/annotate_scale.py: 10,000 are drawn (about 1,500 open of 250,000 islands, from the
DNase peaks of dnase_164_bulk, hg19), and a corpus holds them again and again, each sample in another order. Streaming
is what an epoch of pre-training reads: shuffled blocks, batches by depth, padded. The files were just written, so that
they come from the system's cache: the rates are those of this package, not of a disk. Pre-training is one epoch in a
process of its own (the command line), of which the peak memory is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import annotate_scale
from annatac.corpus import Corpus, open_for_writing
from annatac.corpus.batches import collate, plan_batches
from annatac.pp.universe import Universe

RESULTS = Path(__file__).parent / "results"
BATCH = 64  # cells


def timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write(folder: Path, universe: Universe, tokens: Any, n_cells: int) -> None:
    """Write the cells again and again, a sample of 10,000 each time."""
    made = {"bin_size": annotate_scale.BIN_BP, "islands": "all"}
    with open_for_writing(folder, universe, island_settings=made) as writer:
        for number, first in enumerate(range(0, n_cells, tokens.shape[0])):
            order = np.random.default_rng(number).permutation(tokens.shape[0])[: n_cells - first]
            writer.append(f"sample {number}", tokens[order])


def stream(corpus: Corpus) -> float:
    """Read an epoch and return the share of what was padded."""
    rows, n_padded = np.arange(corpus.n_cells), 0
    for batch in plan_batches(rows, corpus.n_open, batch_size=BATCH, seed=0, epoch=0, block=corpus.block):
        n_padded += collate(corpus, batch).real_BN.numel()
    return 1 - float(corpus.n_open.sum(dtype=np.int64)) / n_padded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--pretrain", metavar="RECIPE", help="also pre-train one epoch of this recipe")
    parser.add_argument("--folder", type=Path, help="where drawn cells are kept")
    options = parser.parse_args()
    path = RESULTS / "corpus.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        chrom, start, levels = annotate_scale.profiles()
        tokens, _ = annotate_scale.drawn(options.folder or Path(temporary), levels)
        table = annotate_scale.islands_table(chrom, start)
        openness = np.asarray(tokens.sum(0), dtype=np.float64).ravel() / tokens.shape[0]
        universe = Universe.from_table(table, openness, {"bin_size": annotate_scale.BIN_BP}, "hg19")
        for n_cells in options.cells:
            folder = Path(temporary) / f"corpus_{n_cells}"
            seconds = {"write": timed(lambda: write(folder, universe, tokens, n_cells))}  # noqa: B023
            n_bytes = sum(file.stat().st_size for file in (folder / "shards").iterdir())
            corpus = Corpus.open(folder)
            seconds["verify"] = timed(corpus.verify)
            padding = 0.0

            def read() -> None:
                nonlocal padding
                padding = stream(corpus)  # noqa: B023

            seconds["stream"] = timed(read)
            row: dict[str, Any] = {"bytes_a_cell": n_bytes / n_cells, "padding": padding}
            for what, its in seconds.items():
                row[what] = {"s": its, "cells_s": n_cells / its, "mb_s": n_bytes / its / 1e6}
            if options.pretrain:
                recipe = Path(temporary) / "recipe.yaml"
                recipe.write_text(_one_epoch(options.pretrain))
                command = [sys.executable, "-m", "annatac", "pretrain", str(folder), "--recipe", str(recipe)]
                cost = annotate_scale.measure([*command, "-o", str(folder) + ".model", "--overwrite"])
                row["pretrain"] = {"recipe": options.pretrain, **cost._asdict()}
            rows[f"{n_cells:,} cells"] = row
            print(f"{n_cells:,} cells, {row['bytes_a_cell']:,.0f} bytes a cell, {padding:.1%} padding")
            for what in seconds:
                print(f"  {what:8s} {row[what]['cells_s']:10,.0f} cells/s {row[what]['mb_s']:8,.0f} MB/s")
            if "pretrain" in row:
                its = row["pretrain"]
                cost = f"{its['wall_s']:10,.1f} s, {its['cpu_s']:,.1f} s of CPU"
                print(f"  pretrain {cost}, at most {its['peak_mb']:,.0f} MB")
            sys.stdout.flush()
            shutil.rmtree(folder)
    rows["machine"] = {"cores": os.cpu_count(), "threads": torch.get_num_threads()}
    path.write_text(json.dumps(rows, indent=1) + "\n")


def _one_epoch(recipe: str) -> str:
    import yaml

    from annatac.config import RECIPES, read_yaml

    content = read_yaml(recipe, RECIPES, "recipe")[1]
    content["pretrain"] = {**content.get("pretrain", {}), "epochs": 1}
    return yaml.safe_dump(content)


if __name__ == "__main__":
    main()
