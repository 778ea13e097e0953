"""How complete, how fast and how telling attributions are: `python perf/attribution.py`.

Granja (16 types): a model (recipe default, 5 epochs) is trained on a random half of the cells; calls of the other
half are explained, 50 cells a type. Printed and written to perf/results/attribution.json: seconds a cell; how far
the contributions miss the logit's difference; the share of the wide path; what the logit loses where 5, 10 and 20 %
of a cell's open islands are closed, the highest contributions or random ones; the agreement with markers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import annatac
from annatac import datasets, tl
from annatac.config import Recipe
from annatac.corpus.batches import collate


def deleted(tokens, found, share: float, random: np.random.Generator | None):  # type: ignore[no-untyped-def]
    """Return the tokens without that share of each cell's islands: the highest contributions, or random ones."""
    left = tokens.copy()
    left.data = left.data.copy()
    for first, last in zip(left.indptr[:-1], left.indptr[1:], strict=True):
        value = found.contributions.data[first:last]
        order = np.argsort(-value) if random is None else random.permutation(len(value))
        left.data[first + order[: max(1, int(share * len(value)))]] = 0
    left.eliminate_zeros()
    return left


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cells", type=int, default=50, help="of each type")
    options.add_argument("--keep", type=Path, help="folder to keep the model and the annotated half in")
    options.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "attribution.json"
    )
    options.add_argument("--model", type=Path, help="explain by this model, trained on that half, instead")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    adata = datasets.load("granja2019_bmmc_d6t1")
    training = np.random.default_rng(0).random(adata.n_obs) < 0.5
    recipe = Recipe.load("default")
    recipe = dataclasses.replace(recipe, finetune=dataclasses.replace(recipe.finetune, epochs=5))
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        model = (
            annatac.load(chosen.model)
            if chosen.model
            else annatac.finetune(
                adata[training].copy(),
                label_key="cell_type",
                output=folder / "model",
                recipe=recipe,
                overwrite=True,
            )
        )
        query = adata[~training].copy()
        tl.annotate(query, model)
        if chosen.keep:
            query.write_h5ad(folder / "annotated.h5ad")
    start = time.perf_counter()
    found = tl.attribution(query, model, max_cells=chosen.cells)
    seconds = time.perf_counter() - start
    difference = (found.cells["logit"] - found.cells["baseline"]).abs()
    missed = (found.cells["missed"].abs() / difference).to_numpy()
    tokens, _ = model.tokens(query[found.cells.index])
    targets = found.cells["target"].cat.codes.to_numpy()

    def logit(cells) -> float:  # type: ignore[no-untyped-def]
        with torch.inference_mode():
            logits = model.artifact.network(collate(cells, np.arange(cells.shape[0]))).logits_BC.numpy()
        own = logits[np.arange(len(logits)), targets]
        return float((own - (logits.sum(1) - own) / (logits.shape[1] - 1)).mean())

    full = logit(tokens)
    random = np.random.default_rng(0)
    lost = {
        share: {
            "highest": full - logit(deleted(tokens, found, share, None)),
            "random": full - logit(deleted(tokens, found, share, random)),
        }
        for share in (0.05, 0.1, 0.2)
    }
    agreement = tl.attribution_agreement(found, tl.markers(query))
    wide = np.abs(found.wide.data).sum()
    encoder = np.abs(found.contributions.data - found.wide.data).sum()
    result = {
        "cells": len(found.cells),
        "open_islands_a_cell": float(found.cells["n_open"].mean()),
        "milliseconds_a_cell": 1000 * seconds / len(found.cells),
        "missed_share_of_difference": {"median": float(np.median(missed)), "max": float(missed.max())},
        "wide_share_of_absolute_contributions": float(wide / (wide + encoder)),
        "mean_logit": full,
        "logit_lost": lost,
        "agreement": agreement.to_dict("records"),
    }
    chosen.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "agreement"}, indent=2))
    print(agreement.round(2).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
