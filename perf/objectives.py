"""Objectives of pre-training by what they do for annotation: 10 labelled cells a type, from several bases.

    python perf/objectives.py --studies granja bm0828 --draws 0 1 2

Of each study two fifths of the cells are judged (at most 2,000) and go into nothing else. Pre-trained on are the
others, without their labels (at most 2,000), and cells of 16 blood types drawn from the bulk profiles of hema_bulk16 in
the study's peaks (`annatac simulate --query`, which sees no label either). Each objective learns from the same cells
for the same epochs; its base is then fine-tuned on the same 10 labelled cells a type.

no base       no pre-training
vectors       the base's island vectors (SVD of the pre-training cells), its encoder as it was drawn
the others    the same vectors, and the encoder as the objective left it

whole         the default recipe: what `annotate` would say
encoder       the encoder and its head alone (`model.wide=false`, batches of 16, 30 epochs, the last one kept: ten
              held-out cells cannot choose): the paper's network
probe         class-balanced logistic regression on the base's mean token of each cell, nothing trained
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import annatac
from annatac import datasets, jobs
from annatac.annotate.fit import new_network
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.config import PretrainConfig, Recipe
from annatac.corpus import collate
from annatac.corpus.batches import in_order_of_depth
from annatac.model import artifact
from annatac.model.artifact import Artifact
from annatac.model.network import Network
from annatac.pp.splits import stratified_split
from annatac.pp.tokens import tokenize
from annatac.pp.universe import Universe
from annatac.train.finetune import FinetuneTask
from annatac.train.from_base import base_vectors, resolve_place, with_encoder_of
from annatac.train.loop import run as loop

RESULTS = Path(__file__).parent / "results"
STUDIES = {
    "granja": ("granja2019_bmmc_d6t1", "cell_type_coarse"),
    "bm0828": ("buenrostro2018_bm0828", "cell_type"),
}
MOST_JUDGED = MOST_UNLABELLED = 2000
N_LABELLED = 10
NOTHING_LEARNT = {"epochs": 1, "learning_rate": 1e-8}
ARMS: dict[str, dict[str, object] | None] = {
    "no base": None,
    "vectors": NOTHING_LEARNT,
    "openness": {"objective": "openness"},
    "open_closed": {"objective": "open_closed"},
    "contrast": {"objective": "contrast"},
    "contrast, thinned": {"objective": "contrast", "thinning": 0.5},
}


def unlabelled(study: str, cells: ad.AnnData, per_type: int, folder: Path) -> ad.AnnData:
    """Return the cells to pre-train on: those of the study and simulated ones, without labels."""
    real = ad.AnnData(cells.X.copy(), var=cells.var[[]].copy(), uns={"genome": cells.uns["genome"]})
    real.write_h5ad(folder / f"{study}.h5ad")
    drawn = folder / f"{study}-simulated.h5ad"
    jobs.simulate("hema_bulk16", drawn, query=folder / f"{study}.h5ad", cells_per_type=per_type)
    simulated = ad.read_h5ad(drawn)
    columns = real.var_names.get_indexer(simulated.var_names)
    assert (columns >= 0).all()
    joined = ad.concat([real, simulated], join="outer", fill_value=0)
    joined.obs = joined.obs[[]].reset_index(drop=True).rename(index=str)
    joined.uns["genome"] = cells.uns["genome"]
    return joined[:, real.var_names].copy()


def finetuned(cells: ad.AnnData, codes: np.ndarray, recipe: Recipe, base: Artifact | None, seed: int):
    """Return the network and its universe after fine-tuning as `annatac finetune` does it, without calibration."""
    islands = annatac.pp.peak_islands(cells)
    universe = Universe.from_islands(islands)
    universe = universe.take(universe.mean_openness > 0)
    tokens, _ = tokenize(islands, universe)
    if base is not None:
        recipe = with_encoder_of(base, recipe)
    recipe = resolve_place(recipe, has_base=base is not None)
    vectors = None if base is None else base_vectors(universe, base, tokens)
    network = new_network(tokens, int(codes.max()) + 1, recipe, base, seed, vectors)
    training, held_out = np.arange(len(codes)), np.arange(0)
    if recipe.finetune.validation_fraction:
        training, held_out = stratified_split(codes, recipe.finetune.validation_fraction, seed)
    task = FinetuneTask(
        network, tokens, codes, recipe.finetune,
        training=training, held_out=held_out, seed=seed, device=torch.device("cpu"),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        network.load_state_dict(loop(task, recipe.finetune, Path(folder) / "run", seed=seed).best)
    return network.eval(), universe


@torch.inference_mode()
def named(network: Network, tokens: sp.csr_matrix) -> np.ndarray:
    """Return the type, a number, that a network names for each cell."""
    found = np.empty(tokens.shape[0], dtype=np.int64)
    for rows in in_order_of_depth(np.diff(tokens.indptr), batch_size=256):
        found[rows] = network(collate(tokens, rows)).logits_BC.argmax(1).numpy()
    return found


@torch.inference_mode()
def pooled(network: Network, tokens: sp.csr_matrix) -> np.ndarray:
    """Return the mean token of each cell."""
    found = np.empty((tokens.shape[0], network.config.width), dtype=np.float32)
    for rows in in_order_of_depth(np.diff(tokens.indptr), batch_size=256):
        found[rows] = network.pooled(collate(tokens, rows)).numpy()
    return found


def guesses(
    cells: ad.AnnData, codes: np.ndarray, query: ad.AnnData, base: Artifact | None, draw: int
) -> dict[str, np.ndarray]:
    """Return the types of the query's cells by the three ways."""
    plain = Recipe.load("default")
    alone = replace(
        plain,
        model=replace(plain.model, wide=False),
        finetune=replace(plain.finetune, epochs=30, batch_size=16, validation_fraction=0.0),
    )
    found = {}
    for way, recipe in (("whole", plain), ("encoder", alone)):
        network, universe = finetuned(cells, codes, recipe, base, draw)
        found[way] = named(network, tokenize(annatac.pp.peak_islands(query), universe)[0])
    if base is not None:
        network = base.network.eval()
        ours, theirs = (
            pooled(network, tokenize(annatac.pp.peak_islands(x), base.universe)[0]) for x in (cells, query)
        )
        probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        found["probe"] = probe.fit(ours, codes).predict(theirs)
    return found


def run(study: str, draws: list[int], epochs: int, per_type: int) -> list[dict[str, object]]:
    """Return one row an arm and draw of one study."""
    name, key = STUDIES[study]
    adata = datasets.load(name)
    labels = adata.obs[key].astype(str).to_numpy()
    types, codes = np.unique(labels, return_inverse=True)
    others, judged = stratified_split(codes, 0.4, 0)
    random = np.random.default_rng(0)
    judged = np.sort(random.permutation(judged)[:MOST_JUDGED])
    query = adata[judged].copy()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        own = adata[np.sort(random.permutation(others)[:MOST_UNLABELLED])]
        cells = unlabelled(study, own, per_type, folder)
        recipe = Recipe.load("default")
        for arm, change in ARMS.items():
            began, base = time.perf_counter(), None
            if change is not None:
                settings: PretrainConfig = replace(recipe.pretrain, **{"epochs": epochs, **change})
                base = annatac.pretrain(
                    cells, output=folder / arm, recipe=replace(recipe, pretrain=settings), seed=0
                )
            seconds = time.perf_counter() - began
            loaded = None if base is None else artifact.load(base)
            for draw in draws:
                stream = np.random.default_rng([draw, N_LABELLED])
                of_type = [others[codes[others] == code] for code in np.unique(codes)]
                chosen = np.sort(np.concatenate([stream.permutation(of)[:N_LABELLED] for of in of_type]))
                row: dict[str, object] = {"study": study, "arm": arm, "draw": draw, "epochs": epochs}
                row |= {"n_unlabelled": own.n_obs, "n_simulated": cells.n_obs - own.n_obs}
                row |= {"n_judged": len(judged), "pretrain_seconds": round(seconds, 1)}
                for way, guess in guesses(adata[chosen].copy(), codes[chosen], query, loaded, draw).items():
                    row[f"{way}_accuracy"] = accuracy(labels[judged], types[guess])
                    row[f"{way}_macro_f1"] = macro_f1(labels[judged], types[guess])
                rows.append(row)
            means = pd.DataFrame(rows[-len(draws) :]).filter(regex="whole|encoder|probe").mean()
            print(study, arm, f"{seconds:.0f} s", means.round(3).to_dict(), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", nargs="+", default=list(STUDIES))
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--cells-per-type", type=int, default=60, help="simulated cells of each of 16 types")
    parser.add_argument("--output", type=Path, default=RESULTS / "objectives.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    kept = json.loads(options.output.read_text()) if options.output.exists() else []
    kept = [row for row in kept if row["study"] not in options.studies]
    for study in options.studies:
        kept += run(study, options.draws, options.epochs, options.cells_per_type)
        options.output.write_text(json.dumps(kept, indent=1) + "\n")
    columns = [name for name in kept[-1] if name.startswith(("whole", "encoder", "probe"))]
    table = pd.DataFrame(kept).groupby(["study", "arm"], sort=False)[columns].mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
