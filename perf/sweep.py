"""What each setting of the default recipe is worth, on splits inside the training data.

    python perf/sweep.py                                       # the default recipe
    python perf/sweep.py --set finetune.class_weight=sqrt --set finetune.label_smoothing=0.05
    python perf/sweep.py --set model.depth=4 --splits granja
    python perf/sweep.py --wide-only --set finetune.wide_background=0
    python perf/sweep.py --recipe large --set model.max_open=512 --splits bm0828 schep --seed 0 1 2 --device cuda

Choices are made here and judged by perf/accuracy.py: the cells judged there (the first stratified fifth of
Granja, SNARE libraries 09G and 09H) are never seen here.  `start` is the wide path alone, before the
encoder has learnt anything (all there is with --wide-only); `best` is the epoch with the lowest loss on
held-out training cells.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import yaml
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from annatac import datasets
from annatac.annotate.fit import new_network
from annatac.benchmark import sets
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.config import Recipe, from_dict
from annatac.corpus.batches import collate, in_order_of_depth
from annatac.pp import openness_classes, peak_islands, stratified_split
from annatac.train.finetune import FinetuneTask
from annatac.train.loop import run

RESULTS = Path(__file__).parent / "results"


def inner_splits() -> dict[str, tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Return data set, labels, training rows and judged rows of each split."""
    found = {}
    for name, short, n_folds in (
        ("granja2019_bmmc_d6t1", "granja", 4),
        ("buenrostro2018_bm0828", "bm0828", 3),
        ("schep2017_lines", "schep", 3),
    ):
        labels = sets.load(name).obs[sets.TRUTH].to_numpy(dtype=str)
        rows = np.arange(len(labels))
        if short == "granja":  # leave the judged fifth alone
            rows, _ = next(StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels))
        inner = StratifiedKFold(n_folds, shuffle=True, random_state=1)
        train, test = next(inner.split(rows, labels[rows]))
        found[short] = (name, labels, rows[train], rows[test])
        if short == "granja":
            few = np.random.default_rng(0).choice(rows[train], 1500, replace=False)
            found["granja, 1,500 cells"] = (name, labels, few, rows[test])
    name = "chen2019_snare_adcortex"
    obs = datasets.load(name).obs
    labels, batch = obs["cell_type"].astype(str).to_numpy(), obs["batch"].astype(str).to_numpy()
    for pair in (("09A", "09B"), ("09C", "09D"), ("09E", "09F")):
        is_test = np.isin(batch, pair)
        train = np.flatnonzero(~is_test & ~np.isin(batch, ["09G", "09H"]))
        found[f"snare {'+'.join(pair)}"] = (name, labels, train, np.flatnonzero(is_test))
    return found


def judge(network: Any, tokens: sp.csr_matrix, classes: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return accuracy, macro-F1, mean confidence, the share under 0.5, and 15-neighbour accuracy of vectors."""
    probabilities = np.zeros((tokens.shape[0], len(classes)), dtype=np.float32)
    vectors = np.zeros((tokens.shape[0], network.config.head_hidden[-1]), dtype=np.float32)
    device = network.encoder.table.vectors.device
    network.eval()
    with network.predicting():
        for rows in in_order_of_depth(np.diff(tokens.indptr), batch_size=256):
            output = network(collate(tokens, rows, device=device))
            probabilities[rows] = output.logits_BC.softmax(1).cpu().numpy()
            vectors[rows] = output.embedding_BD.cpu().numpy()
    guess, best = classes[probabilities.argmax(1)], probabilities.max(1)
    figures = [accuracy(truth, guess), macro_f1(truth, guess), float(best.mean()), float((best < 0.5).mean())]
    neighbours = KNeighborsClassifier(15).fit(vectors[::2], truth[::2])  # do vectors of a type lie together?
    return [*figures, accuracy(truth[1::2], neighbours.predict(vectors[1::2]))]


def one(
    split: tuple[str, np.ndarray, np.ndarray, np.ndarray],
    recipe: Recipe,
    seed: int,
    *,
    wide_only: bool = False,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train on a split, or fit the wide path alone, and return its row."""
    name, labels, train, test = split
    tokens = openness_classes(peak_islands(datasets.load(name)).X)
    tokens = sp.csr_matrix(tokens[:, np.unique(tokens[train].indices)])
    classes, codes = np.unique(labels[train], return_inverse=True)
    codes = codes.astype(np.int64)
    training, held_out = stratified_split(codes, recipe.finetune.validation_fraction, seed)
    network = new_network(tokens[train], len(classes), recipe, None, seed).to(device)
    began = time.perf_counter()
    task = FinetuneTask(
        network,
        sp.csr_matrix(tokens[train]),
        codes,
        recipe.finetune,
        training=training,
        held_out=held_out,
        seed=seed,
        device=torch.device(device),
    )
    start = judge(network, sp.csr_matrix(tokens[test]), classes, labels[test])
    if wide_only:
        return {"start": start, "best": start, "best_epoch": 0, "seconds": time.perf_counter() - began}
    with tempfile.TemporaryDirectory() as folder:
        trained = run(task, recipe.finetune, Path(folder), seed=seed)
    network.load_state_dict(trained.best)
    best = judge(network, sp.csr_matrix(tokens[test]), classes, labels[test])
    seconds = time.perf_counter() - began
    return {"start": start, "best": best, "best_epoch": trained.best_epoch + 1, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="PART.KEY=VALUE")
    parser.add_argument("--splits", nargs="+", help="names, or beginnings of names")
    parser.add_argument("--wide-only", action="store_true", help="do not train the encoder")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="several: each in turn")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = json.loads(json.dumps(asdict(Recipe.load(options.recipe))))
    for change in options.set:
        key, value = change.split("=")
        part, key = key.split(".")
        settings[part][key] = yaml.safe_load(value)
    recipe = from_dict(Recipe, settings, where="--set")
    rows = {}
    print(f"{'split':22s} {'start':>15s} {'best':>15s} epoch  confidence  under 0.5  neighbours  seconds")
    splits = {
        name: split
        for name, split in inner_splits().items()
        if not options.splits or any(name.startswith(wanted) for wanted in options.splits)
    }
    for (name, split), seed in product(splits.items(), options.seed):
        row = one(split, recipe, seed, wide_only=options.wide_only, device=options.device)
        rows[name if len(options.seed) == 1 else f"{name}, seed {seed}"] = row
        start, best = row["start"], row["best"]
        print(
            f"{name:22s} {start[0]:7.3f} /{start[1]:6.3f} {best[0]:7.3f} /{best[1]:6.3f} {row['best_epoch']:5d} "
            f"{best[2]:11.3f} {best[3]:10.3f} {best[4]:11.3f} {row['seconds']:8.0f}",
            flush=True,
        )
    for when in ("start", "best"):
        mean = np.mean([row[when] for row in rows.values()], axis=0)
        figures = f"accuracy {mean[0]:.3f}, macro-F1 {mean[1]:.3f}, neighbours {mean[4]:.3f}"
        print(f"mean of {len(rows)} runs, {when}: {figures}")
    name = "_".join(
        [options.recipe, *["wide"] * options.wide_only, *[change.replace("=", "-") for change in options.set]]
    )
    (RESULTS / f"sweep_{name}.json").write_text(
        json.dumps({"set": options.set, "seed": options.seed, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
