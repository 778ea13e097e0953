"""A base on another assembly than the reference: 10 labelled cells a type on hg38, from human-base, which is on hg19.

    python perf/base_lifted.py --draws 0 1

The cells of perf/few_labels.py (Granja's ten coarse types, BM0828; same draws, judged cells and arms), as they are on
hg19, and with their peaks lifted to hg38 as if they had been called there. On hg38 the base's vectors are carried over
by the places that it keeps of its islands there.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import pandas as pd

from annatac import datasets
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.genome.liftover import Liftover
from few_labels import STUDIES, draw, ours
from liftover import on_hg38

RESULTS = Path(__file__).parent / "results"
N_CELLS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--output", type=Path, default=RESULTS / "base_lifted.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    there = Liftover.read(datasets.path("hg19_to_hg38_chain"), source="hg19", target="hg38")
    rows = []
    for study, (name, key) in STUDIES.items():
        hg19 = datasets.load(name)
        labels = hg19.obs[key].astype(str).to_numpy()
        hg38 = on_hg38(hg19, there)
        for seed in options.draws:
            train, others = draw(labels, N_CELLS, seed)
            for genome, cells in (("hg19", hg19), ("hg38", hg38)):
                for base in (None, "human-base"):
                    guess = ours(cells[train].copy(), key, cells[others].copy(), base, seed)
                    rows.append(
                        {
                            "study": study, "genome": genome, "base": base or "none", "draw": seed,
                            "accuracy": accuracy(labels[others], guess),
                            "macro_f1": macro_f1(labels[others], guess),
                        }
                    )  # fmt: skip
        table = pd.DataFrame(rows).groupby(["study", "base", "genome"], sort=False)
        print(table[["macro_f1", "accuracy"]].mean().round(3).to_string(), flush=True)
    options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
