"""How large a model is on disk, and what its tables lose in 8 and in 4 bits.

    python perf/model_size.py --splits bm0828 schep snare granja --seeds 0

Size: a model of the default recipe over 250,000 islands (of the DNase peaks of dnase_164_bulk, hg19) and 16 types,
with 800 drawn cells of about 1,500 open islands as its reference. The weights are random: their number decides.

Calls: on the splits of real data of perf/accuracy.py, models are trained as always but left in float32; the query's
cells are then named with all tables (island vectors, wide path, likelihood ratios) in float32, in 8 and in 4 bits.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import accuracy
import annatac
import annotate_scale
from annatac.annotate import fit, trust
from annatac.annotate.annotator import Annotator
from annatac.annotate.calls import CallSettings, make_calls
from annatac.annotate.reference import reference_tensors
from annatac.benchmark.metrics import accuracy as share_right
from annatac.benchmark.metrics import macro_f1
from annatac.config import Recipe
from annatac.model import Network, artifact
from annatac.model.packing import rounded, table_bits
from annatac.pp.universe import Universe

RESULTS = Path(__file__).parent / "results"
N_TYPES = 16


def sizes() -> dict[str, int]:
    """Return the bytes of each file of a large model."""
    chrom, start, levels = annotate_scale.profiles()
    tokens, kind = annotate_scale.draw(levels, 800, 0)
    table = annotate_scale.islands_table(chrom, start)
    made = {"bin_size": annotate_scale.BIN_BP, "source": "fragments"}
    openness = np.asarray(tokens.sum(0), dtype=np.float64).ravel() / tokens.shape[0]
    universe = Universe.from_table(table, openness, made, "hg19")
    torch.manual_seed(0)
    recipe = Recipe.load("default")
    network = Network(len(universe), N_TYPES, recipe.model)
    for name in artifact.WIDE:
        network.state_dict()[name].normal_()
    model = artifact.Artifact(
        network=network,
        universe=universe,
        classes=[f"type {k}" for k in range(N_TYPES)],
        recipe=recipe,
        island_settings={"bin_size": annotate_scale.BIN_BP},
        reference=reference_tensors(tokens, kind, N_TYPES, 0),
        held_out={artifact.RATIOS: torch.randn(len(universe), N_TYPES)},
    )
    with tempfile.TemporaryDirectory() as folder:
        artifact.save(model, Path(folder) / "model")
        return {path.name: path.stat().st_size for path in sorted((Path(folder) / "model").iterdir())}


def in_bits(model: Annotator, bits: int) -> Annotator:
    """Return the model with its tables rounded."""
    network = copy.deepcopy(model.artifact.network)
    state = network.state_dict()
    for name in (artifact.VECTORS, *artifact.WIDE):
        state[name].copy_(rounded(state[name], bits))
    packed = Annotator(replace(model.artifact, network=network))
    if model.trust is not None:
        ratios = rounded(torch.from_numpy(model.trust.log_ratios), bits).numpy()
        packed.trust = replace(model.trust, log_ratios=ratios)
    return packed


def calls(split: str, seed: int) -> list[dict[str, Any]]:
    """Return the figures of one split: float32, 8 bits and 4 bits."""
    adata, train, test = accuracy.splits(seed)[split]()
    truth = adata.obs["cell_type"].astype(str).to_numpy()[test]
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            adata[train].copy(), label_key="cell_type", output=f"{folder}/model", seed=seed
        )
    tokens, _ = model.tokens(adata[test].copy())
    classes = np.array(model.classes)
    rows: list[dict[str, Any]] = []
    forms = {"float32": model, "8 bits": in_bits(model, 8), "4 bits": in_bits(model, 4)}
    for name, form in forms.items():
        found = make_calls(form, tokens, form.predict(tokens), CallSettings())
        probabilities = found.obsm["annatac_probabilities"]
        best = classes[probabilities.argmax(1)]
        whole = (best, found.obs["annatac_label"].astype(str).to_numpy(), probabilities)
        if not rows:
            first = whole
        rows.append(
            {
                "split": split,
                "seed": seed,
                "tables": name,
                "n_islands": len(model.artifact.universe),
                "n_cells": len(test),
                "accuracy": share_right(truth, best),
                "macro_f1": macro_f1(truth, best),
                "same_best_type": float(np.mean(best == first[0])),
                "same_label": float(np.mean(whole[1] == first[1])),
                "mean_change_of_probability": float(np.abs(probabilities - first[2]).mean()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--splits", nargs="*", default=["bm0828", "schep", "snare", "granja"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    path = RESULTS / "model_size.json"
    old = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    n_bytes = sizes()
    for name, size in n_bytes.items():
        print(f"{name:26s} {size / 1e6:8.2f} MB")
    print(
        f"{'all':26s} {sum(n_bytes.values()) / 1e6:8.2f} MB; tables in {table_bits(250_000)} bits", flush=True
    )
    fit.quantise = lambda network: None  # leave the tables as they were trained
    trust.rounded = lambda table, bits: table
    rows = [row for row in old["rows"] if row["split"] not in options.splits]
    for split in options.splits:
        for seed in options.seeds:
            for row in calls(split, seed):
                rows.append(row)
                print(
                    f"{split:8s} {seed} {row['tables']:8s} {row['accuracy']:.3f} / {row['macro_f1']:.3f}, best type "
                    f"{row['same_best_type']:.4f} and label {row['same_label']:.4f} the same, probabilities "
                    f"{row['mean_change_of_probability']:.1e} apart",
                    flush=True,
                )
            path.write_text(json.dumps({"bytes": n_bytes, "rows": rows}, indent=1) + "\n")
    path.write_text(json.dumps({"bytes": n_bytes, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
