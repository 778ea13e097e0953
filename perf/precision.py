"""bfloat16 against float32: a whole fine-tuning and annotation of real cells, accuracy and time.

    python perf/precision.py --set granja --seed 0 --threads 1

Both models are trained on the same cells of a split of perf/accuracy.py, by the default recipe without calibration,
and judged on the same held-out ones. The first model also names them in bfloat16: what that alone changes. Steps are
told by the cells a second of the median epoch, which the run log has; the whole run includes all that is not the
network (the wide path, SVD, islands, validation).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import annatac
from accuracy import splits
from annatac.benchmark import sets
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.config import Recipe
from annatac.train.runlog import read_run_log

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--set", default="granja", help="split of perf/accuracy.py")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    adata, train, test = splits(options.seed)[options.set]()
    truth = adata.obs[sets.TRUTH].astype(str).to_numpy()[test]
    reference, query = adata[train].copy(), adata[test].copy()

    def named(model: Any, precision: str) -> tuple[np.ndarray, float]:
        began = time.perf_counter()
        cells = annatac.tl.annotate(query, model, precision=precision, copy=True)
        return cells.obsm["annatac_probabilities"], time.perf_counter() - began

    rows, probabilities = [], {}
    for trained_in in ("float32", "bf16"):
        recipe = Recipe.load(options.recipe)
        recipe = replace(recipe, finetune=replace(recipe.finetune, precision=trained_in))
        with tempfile.TemporaryDirectory() as folder:
            began, cpu_began = time.perf_counter(), time.process_time()
            model = annatac.finetune(
                reference, label_key=sets.TRUTH, output=f"{folder}/model", recipe=recipe, seed=options.seed,
                calibrate=False,
            )  # fmt: skip
            fit_s, fit_cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
            epochs = [
                e["cells_per_s"] for e in read_run_log(f"{folder}/model/run.jsonl") if e["event"] == "epoch"
            ]
        for named_in in ("float32", "bf16") if trained_in == "float32" else ("bf16",):
            found, annotate_s = named(model, named_in)
            probabilities[trained_in, named_in] = found
            guess = np.array(model.classes)[found.argmax(1)]
            rows.append(
                {
                    "trained": trained_in,
                    "named": named_in,
                    "accuracy": accuracy(truth, guess),
                    "macro_f1": macro_f1(truth, guess),
                    "same_calls": float(
                        (found.argmax(1) == probabilities["float32", "float32"].argmax(1)).mean()
                    ),
                    "largest_change": float(np.abs(found - probabilities["float32", "float32"]).max()),
                    "epochs": len(epochs),
                    "train_cells_per_s": float(np.median(epochs)),
                    "fit_s": fit_s,
                    "fit_cpu_s": fit_cpu_s,
                    "annotate_s": annotate_s,
                }
            )
    for row in rows:
        print(
            "  ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in row.items()
            )
        )
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    machine = [name for name in ("avx512_bf16", "amx_bf16") if known.get(name)]
    content = {
        "options": vars(options),
        "machine": machine,
        "n_train": len(train),
        "n_test": len(test),
        "rows": rows,
    }
    (RESULTS / "precision.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
