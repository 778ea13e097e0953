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
from sklearn.model_selection import StratifiedKFold

import annatac
from annatac import keys
from annatac.benchmark import sets
from annatac.benchmark.methods.annatac_recipes import Ours
from annatac.benchmark.metrics import calibration_error

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "snare": "chen2019_snare_adcortex",
    "bm0828": "buenrostro2018_bm0828",
    "schep": "schep2017_lines",
    "granja": "granja2019_bmmc_d6t1",
}
RATES = (0.05, 0.10)


def error(confidence: np.ndarray, hit: np.ndarray) -> float:
    """Return the expected calibration error of answers that are right (1) or wrong (0)."""
    return calibration_error(hit, np.ones_like(hit), confidence)


def excess(confidence: np.ndarray, hit: np.ndarray, random: np.random.Generator, n: int = 200) -> float:
    """Return the error less what hits drawn with these confidences as probabilities show."""
    drawn = [error(confidence, random.random(len(hit)) < confidence) for _ in range(n)]
    return error(confidence, hit) - float(np.mean(drawn))


def folds(name: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows to train on and to judge."""
    cells = sets.load(NAMES[name])
    if name == "snare":
        is_test = cells.obs["batch"].isin(["09G", "09H"]).to_numpy()
        return [(np.flatnonzero(~is_test), np.flatnonzero(is_test))]
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    return list(StratifiedKFold(3, shuffle=True, random_state=seed).split(labels, labels))


def judge(name: str, seed: int) -> dict[str, object]:
    """Return the figures of one set."""
    cells = sets.load(NAMES[name])
    truth = cells.obs["cell_type"].astype(str).to_numpy()
    raw, calibrated, hit = [], [], []
    covered: dict[float, list[np.ndarray]] = {rate: [] for rate in RATES}
    size: dict[float, list[np.ndarray]] = {rate: [] for rate in RATES}
    for train, test in folds(name, seed):
        method = Ours("default")
        method.fit(cells[train].copy(), "cell_type", "batch" if name == "snare" else None, seed)
        model = method.model
        names = np.array(model.classes)
        at = {kind: i for i, kind in enumerate(model.classes)}
        column = np.array([at.get(kind, -1) for kind in truth[test]])
        tokens, _ = model.tokens(cells[test])
        raw.append(model.predict(tokens).probabilities.max(1))
        for rate in RATES:
            named = annatac.tl.annotate(cells[test].copy(), model, error_rate=rate, copy=True)
            chosen = named.obsm[keys.PREDICTION_SET]
            covered[rate].append((column >= 0) & chosen[np.arange(len(test)), np.maximum(column, 0)])
            size[rate].append(chosen.sum(1))
        probabilities = named.obsm[keys.PROBABILITIES]
        calibrated.append(probabilities.max(1))
        hit.append(names[probabilities.argmax(1)] == truth[test])
    hits = np.concatenate(hit).astype(float)
    found: dict[str, object] = {"set": name, "cells": len(hits), "accuracy": hits.mean()}
    random = np.random.default_rng(seed)
    for kind, parts in (("raw", raw), ("calibrated", calibrated)):
        confidence = np.concatenate(parts).astype(float)
        found[f"{kind}_error"] = error(confidence, hits)
        found[f"{kind}_excess"] = excess(confidence, hits, random)
        draws = []
        for _ in range(500):
            rows = random.integers(len(hits), size=len(hits))
            draws.append(excess(confidence[rows], hits[rows], random, n=3))
        found[f"{kind}_interval"] = np.quantile(draws, [0.025, 0.975]).round(4).tolist()
    for rate in RATES:
        found[f"coverage_{rate:.2f}"] = float(np.concatenate(covered[rate]).mean())
        found[f"size_{rate:.2f}"] = float(np.concatenate(size[rate]).mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "calibration.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in options.sets:
        rows.append(judge(name, options.seed))
        print(pd.DataFrame(rows).round(4).T.to_string(), flush=True)
        options.output.write_text(json.dumps({"seed": options.seed, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
