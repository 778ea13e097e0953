"""Whether confidence and prediction sets mean what they say: calibration error and coverage on cells not trained on.

    python perf/calibration.py --sets snare bm0828 schep granja

snare: libraries 09A-09F -> 09G-09H, the reference's libraries given as batches; bm0828, schep and granja: three
stratified folds, every cell named by a model that has not seen it, pooled. For each set:

error          expected calibration error in 15 bins, of the raw softmax and as `annatac_confidence` gives it
excess         the error less what a perfectly calibrated model of the same confidences shows (200 simulations),
               with a bootstrap interval over cells (95 %, 500 draws)
coverage       share of cells whose true type is in `annatac_prediction_set`, and the mean size of the set, at error
               rates of 0.05 and 0.10
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from accuracy import RESULTS
from annatac.annotate.calibration import softmax
from annatac.benchmark.metrics import calibration_error
from unseen import NAMES, RATES, unseen


def error(confidence: np.ndarray, hit: np.ndarray) -> float:
    """Return the expected calibration error of answers that are right (1) or wrong (0)."""
    return calibration_error(hit, np.ones_like(hit), confidence)


def excess(confidence: np.ndarray, hit: np.ndarray, random: np.random.Generator, n: int = 200) -> float:
    """Return the error less what hits drawn with these confidences as probabilities show."""
    drawn = [error(confidence, random.random(len(hit)) < confidence) for _ in range(n)]
    return error(confidence, hit) - float(np.mean(drawn))


def judge(name: str, seed: int, n_folds: int | None, cache: Path | None) -> dict[str, object]:
    """Return the figures of one set."""
    kept = unseen(name, seed, n_folds, cache)
    labels, probabilities = kept["labels"], kept["probabilities"]
    hits = (probabilities.argmax(1) == labels).astype(float)
    found: dict[str, object] = {"set": name, "cells": len(hits), "accuracy": hits.mean()}
    random = np.random.default_rng(seed)
    for kind, p in (("raw", softmax(kept["annatac"])), ("calibrated", probabilities)):
        confidence = p.max(1).astype(float)
        found[f"{kind}_error"] = error(confidence, hits)
        found[f"{kind}_excess"] = excess(confidence, hits, random)
        draws = []
        for _ in range(500):
            rows = random.integers(len(hits), size=len(hits))
            draws.append(excess(confidence[rows], hits[rows], random, n=3))
        found[f"{kind}_interval"] = np.quantile(draws, [0.025, 0.975]).round(4).tolist()
    for rate in RATES:
        inside = kept[f"shipped {rate}"]
        covered = (labels >= 0) & inside[np.arange(len(labels)), np.maximum(labels, 0)]
        found |= {
            f"coverage_{rate:.2f}": float(covered.mean()),
            f"size_{rate:.2f}": float(inside.sum(1).mean()),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, help="the first so many of the folds only")
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps what the models say (perf/set_coverage.py too)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "calibration.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in options.sets:
        rows.append(judge(name, options.seed, options.folds, options.cache))
        print(pd.DataFrame(rows).round(4).T.to_string(), flush=True)
        options.output.write_text(json.dumps({"seed": options.seed, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
