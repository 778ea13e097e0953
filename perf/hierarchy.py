"""How safe the safe labels are, and how much they still say, at several wished levels.

    python perf/hierarchy.py --splits granja snare --seeds 0

One model a split and seed is fine-tuned on the training cells (splits as in perf/accuracy.py) and names the
held-out ones; the Cell Ontology's ancestors of the types are those that `annatac finetune` takes by itself.
Baselines of the same cells and probabilities: the best type of every cell (forced), and the best type or nothing
(reject: cells under the level are not answered at all).
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import annatac
from accuracy import RESULTS, splits
from annatac import keys
from annatac.benchmark import sets
from annatac.benchmark.hierarchical import safe_scores
from annatac.benchmark.methods.annatac_recipes import Ours

LEVELS = (0.8, 0.9, 0.95, 0.99)


def measured(split: str, seed: int, recipe: str) -> list[dict[str, float | str]]:
    """Return one row a level of one split."""
    adata, train, test = splits(seed)[split]()
    method = Ours(recipe)
    method.fit(adata[train].copy(), sets.TRUTH, None, seed)
    model = method.model
    tree = model.hierarchy
    assert tree is not None
    query = adata[test].copy()
    annatac.tl.annotate(query, model)
    truth = query.obs["cell_type"].astype(str).to_numpy(dtype=object)
    p = query.obsm[keys.PROBABILITIES]
    forced = np.array(model.classes, dtype=object)[p.argmax(1)]
    rows: list[dict[str, float | str]] = []
    for level in LEVELS:
        accepted = p.max(1) >= level
        scores = safe_scores(truth, tree.safe_labels(p, level), tree)
        rows.append(
            {
                "split": split,
                "seed": seed,
                "level": level,
                "wished_error": 1 - level,
                **scores,
                "forced_error": float((forced != truth).mean()),
                "reject_answered": float(accepted.mean()),
                "reject_error": float((forced != truth)[accepted].mean()) if accepted.any() else float("nan"),
                "n_unmatched": len(tree.unmatched),
                "n_cells": len(truth),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--splits", nargs="+", default=["granja", "snare"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--output", type=Path, default=RESULTS / "hierarchy.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for split in options.splits:
        for seed in options.seeds:
            rows += measured(split, seed, options.recipe)
            print(pd.DataFrame(rows[-len(LEVELS) :]).round(3).T.to_string(header=False), flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({"recipe": options.recipe, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
