"""Whether prediction sets hold the true type as often as they say, and how large they are beside a linear model's.

    python perf/set_coverage.py --sets schep snare bm0828 granja [--cache FOLDER]

Every cell is named by a model that has not seen it: SNARE's libraries 09G and 09H by one of 09A-09F, the cells of the
other sets by those of three stratified folds, pooled (`--folds 1`: those of the first fold alone). These cells are
parted at random 20 times: one half calibrates, probabilities and thresholds, the other is judged. Logistic regression
on TF-IDF of all peaks (C = 1 and 10), trained on the same cells, goes through the same functions. Figures are means
over the 20 draws:

coverage   share of judged cells whose type is in their set, and the mean size of the sets
lac, aps, raps   what a type must have enough of (`--scores`): its probability; 1 less the probability of it and all
           likelier types, its own part drawn at random (Romano et al. 2020); that less 0.01 for each rank past
           the second (Angelopoulos et al. 2021)
shipped    sets by the model's own training cells, on all unseen cells: annatac's as `annatac annotate --error-rate`
           writes them, the linear models' by their scores of training cells held out in five folds

Then each type's coverage by the first of the scores, with a 95 % binomial (Clopper-Pearson) interval of as many cells.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

from accuracy import RESULTS
from annatac.annotate.calibration import fit_calibration
from annatac.annotate.conformal import prediction_sets, thresholds
from unseen import NAMES, RATES, unseen

N_DRAWS = 20
SCORES = ("lac", "aps", "raps")


def conformity(p: np.ndarray, score: str, random: np.random.Generator) -> np.ndarray:
    """Return how well each type fits each cell, in [0, 1], higher = better."""
    if score == "lac":
        return p
    order = np.argsort(-p, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    likelier = np.take_along_axis(np.cumsum(np.take_along_axis(p, order, 1), 1), rank, 1) - p
    mass = likelier + random.random((len(p), 1)) * p
    if score == "raps":
        mass = (mass + 0.01 * np.maximum(rank - 1, 0)) / (1 + 0.01 * p.shape[1])
    return 1 - mass


def drawn(kept: dict[str, np.ndarray], method: str, scores: list[str], seed: int) -> list[dict[str, Any]]:
    """Return a row a draw, score and error rate: coverage, size of the sets, and hits by type."""
    known = kept["labels"] >= 0
    logits, labels, n_open = kept[method][known].astype(float), kept["labels"][known], kept["n_open"][known]
    n_types, rows = logits.shape[1], []
    for draw in range(N_DRAWS):
        random = np.random.default_rng([seed, draw])
        order = random.permutation(len(labels))
        fit, judged = np.array_split(order, 2)
        calibration = fit_calibration(logits[fit], labels[fit], n_open[fit])
        p = calibration.probabilities(logits, n_open).astype(float)
        for score in scores:
            fits = conformity(p, score, random)
            for rate in RATES:
                own = fits[fit, labels[fit]]
                inside = prediction_sets(fits[judged], thresholds(own, labels[fit], n_types, rate))
                hit = inside[np.arange(len(judged)), labels[judged]]
                rows.append(
                    {
                        "method": method,
                        "score": score,
                        "rate": rate,
                        "coverage": hit.mean(),
                        "size": inside.sum(1).mean(),
                        "empty": (~inside.any(1)).mean(),
                        "hits": np.bincount(labels[judged][hit], minlength=n_types),
                        "cells": np.bincount(labels[judged], minlength=n_types),
                    }
                )
    return rows


def by_type(
    rows: list[dict[str, Any]], kept: dict[str, np.ndarray], rate: float, score: str
) -> list[dict[str, Any]]:
    """Return each type's coverage over the draws, with the binomial interval of one look at its unseen cells."""
    mine = [row for row in rows if (row["method"], row["score"], row["rate"]) == ("annatac", score, rate)]
    hits, cells = (np.sum([row[name] for row in mine], axis=0) for name in ("hits", "cells"))
    n_unseen = np.bincount(kept["labels"][kept["labels"] >= 0], minlength=len(kept["classes"]))
    found = []
    for kind, hit, cell, n in zip(kept["classes"], hits, cells, n_unseen, strict=True):
        if not cell:
            continue
        x = hit / cell * n
        low = float(beta.ppf(0.025, x, n - x + 1)) if x > 0 else 0.0
        high = float(beta.ppf(0.975, x + 1, n - x)) if x < n else 1.0
        found.append(
            {
                "type": str(kind),
                "unseen": int(n),
                "rate": rate,
                "coverage": hit / cell,
                "low": low,
                "high": high,
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--scores", nargs="+", default=list(SCORES), choices=SCORES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int)
    parser.add_argument("--cache", type=Path, help="folder that keeps what the models say, to go on from")
    parser.add_argument("--output", type=Path, default=RESULTS / "set_coverage.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    shown, types = [], []
    for name in options.sets:
        kept = unseen(name, options.seed, options.folds, options.cache)
        methods = ["annatac", *(one for one in kept if one.startswith("logistic"))]
        rows = [row for method in methods for row in drawn(kept, method, options.scores, options.seed)]
        table = pd.DataFrame(rows).drop(columns=["hits", "cells"])
        mean = table.groupby(["method", "score", "rate"], sort=False).mean().reset_index()
        mean.insert(0, "set", name)
        shown += mean.to_dict("records")
        known = kept["labels"] >= 0
        hit = np.arange(known.sum()), kept["labels"][known]
        for rate in RATES:
            for method in methods:
                inside = kept[f"shipped {rate}" + ("" if method == "annatac" else f", {method}")][known]
                figures = {
                    "coverage": inside[hit].mean(),
                    "size": inside.sum(1).mean(),
                    "empty": (~inside.any(1)).mean(),
                }
                shown.append({"set": name, "method": method, "score": "shipped", "rate": rate, **figures})
            types += [{"set": name, **row} for row in by_type(rows, kept, rate, options.scores[0])]
        print(pd.DataFrame(shown[-len(mean) - len(RATES) * len(methods) :]).round(3).to_string(index=False))
        mine = pd.DataFrame([row for row in types if row["set"] == name])
        print(mine.round(3).to_string(index=False), flush=True)
        content = {"seed": options.seed, "draws": N_DRAWS, "rows": shown, "types": types}
        options.output.write_text(json.dumps(content, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
