"""What adapting to the query costs or adds: each model names the same cells with and without.

    python perf/adapt.py --seeds 0 [--sets snare granja_coarse] [--held-out] [--bases none human-base]

The sets and splits are those of the suite `quick`. With --held-out the type that has the third most reference cells is
taken out of the reference: accuracy and macro-F1 are of the other cells, and the shares of known and of unknown cells
that are called novel are in the output; adapting leaves them as they are. What stands in the output already is not
measured again. No human base starts a model of mouse cells.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from annatac import keys
from annatac.annotate.adapt import adapt
from annatac.annotate.blocks import call_blocks, joined
from annatac.annotate.calls import CallSettings
from annatac.benchmark import sets
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.metrics import accuracy, calibration_error, macro_f1
from annatac.benchmark.protocols import prepare
from annatac.benchmark.suite import Suite
from annatac.benchmark.tasks import Task, tasks_of
from annatac.cli.allocator import keep_memory

RESULTS = Path(__file__).parent / "results"
NONE = "none"


def judge(task: Task, base: str) -> list[dict[str, Any]]:
    """Return a row without and a row with adaptation."""
    cells = prepare(task, own_features=True)
    method = Ours("default", base=None if base == NONE else base)
    began = time.perf_counter()
    method.fit(cells.reference, sets.TRUTH, cells.batch_key, task.seed)
    fit_s = time.perf_counter() - began
    known = np.isin(cells.truth.astype(str), method.model.classes)
    rows, plain = [], None
    for wished in (False, True):
        began = time.perf_counter()
        settings, query = CallSettings(adapt=wished), method.model.query(cells.query)
        adaptation = adapt(method.model, query, settings) if wished else None
        calls = joined(call_blocks(method.model, query, settings, adaptation=adaptation))
        probabilities = calls.obsm[keys.PROBABILITIES]
        guess = np.array(method.model.classes, dtype=object)[probabilities.argmax(1)]
        novel = calls.obs[keys.IS_NOVEL].to_numpy()
        plain = guess if plain is None else plain
        rows.append(
            {
                "adapted": wished,
                "accuracy": accuracy(cells.truth[known], guess[known]),
                "macro_f1": macro_f1(cells.truth[known], guess[known]),
                "calibration_error": calibration_error(
                    cells.truth[known], guess[known], probabilities.max(1)[known]
                ),
                "changed": float((guess != plain).mean()),
                "novel_known": float(novel[known].mean()),
                "novel_unknown": float(novel[~known].mean()) if (~known).any() else None,
                "n_query": len(guess),
                "fit_s": fit_s,
                "annotate_s": time.perf_counter() - began,
                **({} if adaptation is None else adaptation.record),
            }
        )
    return rows


def third(task: Task) -> str:
    """Return the type with the third most reference cells."""
    names, counts = np.unique(prepare(task).reference.obs[sets.TRUTH].astype(str), return_counts=True)
    return str(names[np.argsort(-counts, kind="stable")[2]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", help="of the suite quick; all where none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--bases", nargs="+", default=[NONE])
    parser.add_argument("--held-out", action="store_true", help="take a type out of the reference")
    parser.add_argument("--output", type=Path, default=RESULTS / "adapt.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    keep_memory()
    suite = replace(Suite.load("quick"), methods=("annatac",), seeds=tuple(options.seeds))
    found = json.loads(options.output.read_text())["rows"] if options.output.exists() else []
    print(f"{'set':18s} {'base':11s} seed  without          with            ECE          changed  cells")
    for task in tasks_of(suite, sets.types_of):
        if options.sets and task.set.name not in options.sets:
            continue
        if options.held_out:
            task = replace(task, kind="held_out", cell_type=third(task))
        for base in options.bases:
            if base != NONE and sets.load_reference(task.set).uns.get(keys.GENOME) != "hg19":
                continue
            key = {"set": task.set.name, "seed": task.seed, "base": base, "left_out": task.cell_type}
            rows = [row for row in found if key.items() <= row.items()]
            if not rows:
                rows = [key | row for row in judge(task, base)]
                found += rows
                options.output.write_text(json.dumps({"rows": found}, indent=1) + "\n")
            a, b = rows
            print(
                f"{task.set.name:18s} {base:11s} {task.seed:4d}  {a['accuracy']:.3f} / {a['macro_f1']:.3f}    "
                f"{b['accuracy']:.3f} / {b['macro_f1']:.3f}   {a['calibration_error']:.3f} {b['calibration_error']:.3f}"
                f"  {b['changed']:6.3f}  {b['n_cells'] if b['used'] else 'not: ' + b['why_not']}  {task.cell_type}",
                flush=True,
            )


if __name__ == "__main__":
    main()
