"""How well a query is named that is much shallower than its reference.

    python perf/shallow.py --sets schep bm0828 snare granja --folds 0 1 2

Each method learns once from the cells of a split of the benchmark (suite `protocols`; of sets without batches each fold
that is asked for) and names the others at all, half, a quarter and a tenth of their fragments, drawn as
the benchmark draws them. `raw` are the network's own best types, before calibration.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from annatac.benchmark import protocols, sets
from annatac.benchmark.method import Method
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.methods.naive_bayes import NaiveBayes
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.benchmark.suite import SetConfig, Suite
from annatac.benchmark.tasks import Task
from annatac.cli.allocator import keep_memory

RESULTS = Path(__file__).parent / "results"
LEVELS = (1.0, 0.5, 0.25, 0.1)


def judge(config: SetConfig, fold: int, seed: int, base: str | None) -> list[dict[str, Any]]:
    """Return a row for each method and level."""
    methods: dict[str, Method] = {"annatac": Ours("default", base=base), "naive bayes": NaiveBayes()}
    rows: list[dict[str, Any]] = []
    task = Task(set=config, method="", kind="depth", fold=fold, seed=seed)
    for level in LEVELS:
        cells = protocols.prepare(replace(task, level=level))
        for name, method in methods.items():
            if level == LEVELS[0]:
                method.fit(cells.reference, sets.TRUTH, cells.batch_key, seed)
            probabilities, classes = method.predict(cells.query)
            guesses = {name: np.asarray(probabilities)}
            if isinstance(method, Ours):
                tokens, _ = method.model.tokens(cells.query)
                guesses[f"{name}, raw"] = method.model.predict(tokens).logits
            for called, values in guesses.items():
                guess = np.array(classes, dtype=object)[values.argmax(1)].astype(str)
                truth = cells.truth.astype(str)
                found = {"accuracy": accuracy(truth, guess), "macro_f1": macro_f1(truth, guess)}
                key = {"set": config.name, "fold": fold, "seed": seed, "method": called, "level": level}
                rows.append(key | found)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["schep", "bm0828", "snare", "granja"])
    parser.add_argument("--folds", nargs="+", type=int, default=[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--base", help="name of a base, or auto")
    parser.add_argument("--output", type=Path, default=RESULTS / "shallow.json")
    options = parser.parse_args()
    keep_memory()
    warnings.simplefilter("ignore")
    configs = {config.name: config for config in Suite.load("protocols").sets}
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        for seed in options.seeds:
            for fold in [0] if configs[name].batch_key else options.folds:
                rows += judge(configs[name], fold, seed, options.base)
                options.output.write_text(json.dumps(rows, indent=1) + "\n")
        table = pd.DataFrame(rows)
        table = table[table["set"] == name].pivot_table(
            index=["set", "method"], columns="level", values=["accuracy", "macro_f1"], sort=False
        )
        print(table.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
