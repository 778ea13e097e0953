"""Accuracy against cost: depth, width, k, rank, feed-forward, a budget of islands, a larger teacher.

    python perf/shapes.py                    # every shape but the large ones, on the four inner splits
    python perf/shapes.py --only large taught

The splits are those of perf/sweep.py, inside the training data. The wide path of a split is fitted once and
is the same for all shapes, so that what differs is the encoder: `model` is the whole network, `encoder` the
linear readout of its cell vector, which sees nothing of the wide path. A budget of islands (`max_open`) is
for the encoder alone; the wide path sees all. `large` trains for 5 epochs, and so does `default, 5 epochs`.
`taught by large` is the default shape whose loss is half the cross-entropy, half the divergence from what
`large` says (temperature 2). Cost: cells of 1,500 open islands in a universe of 250,000, 16 types.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from annatac import datasets
from annatac.annotate.fit import new_network
from annatac.benchmark.metrics import accuracy, macro_f1
from annatac.config import Recipe, from_dict
from annatac.corpus.batches import collate, in_order_of_depth
from annatac.corpus.streams import keyed_uniform
from annatac.model import Network, TokenBatch
from annatac.pp import openness_classes, peak_islands, stratified_split
from annatac.train import finetune
from annatac.train.finetune import FinetuneTask
from annatac.train.loop import BatchLoss, run
from annatac.train.wide import fit_wide
from encoder import random_cells
from sweep import inner_splits

RESULTS = Path(__file__).parent / "results"
SPLITS = ("granja, 1,500 cells", "snare 09A+09B", "schep", "bm0828")
FITTED: dict[Any, Any] = {}  # the wide tables of each split


@dataclass(frozen=True)
class Shape:
    """A recipe, what differs from it, and how islands are chosen where there is a budget."""

    recipe: str = "default"
    change: dict[str, Any] = field(default_factory=dict)
    max_open: int | None = None
    keep: str = "all"  # idf, norm, class, random
    teacher: str | None = None


SHAPES = {
    "default": Shape(),
    "no attention (depth 0)": Shape(change={"model.depth": 0}),
    "depth 2": Shape(change={"model.depth": 2}),
    "width 32, heads of 16": Shape(
        change={"model.width": 32, "model.head_dim": 16, "model.feed_forward": 64}
    ),
    "width 96, heads of 48": Shape(
        change={"model.width": 96, "model.head_dim": 48, "model.feed_forward": 192}
    ),
    "k 16": Shape(change={"model.k": 16}),
    "k 64": Shape(change={"model.k": 64}),
    "feed-forward 48 (1 x)": Shape(change={"model.feed_forward": 48}),
    "feed-forward 192 (4 x)": Shape(change={"model.feed_forward": 192}),
    "position 16": Shape(change={"model.position_dim": 16}),
    "position 64": Shape(change={"model.position_dim": 64}),
    "256 islands, highest idf": Shape(max_open=256, keep="idf"),
    "256 islands, longest position vector": Shape(max_open=256, keep="norm"),
    "256 islands, highest class": Shape(max_open=256, keep="class"),
    "256 islands, at random": Shape(max_open=256, keep="random"),
    "512 islands, highest idf": Shape(max_open=512, keep="idf"),
    "512 islands, at random": Shape(max_open=512, keep="random"),
    "default, 5 epochs": Shape(change={"finetune.epochs": 5}),
    "large, 5 epochs": Shape("large", change={"finetune.epochs": 5}),
    "large, feed-forward 384 (2 x), 5 epochs": Shape(
        "large", change={"finetune.epochs": 5, "model.feed_forward": 384}
    ),
    "taught by large": Shape(teacher="large, 5 epochs"),
}


class Task(FinetuneTask):
    """Fine-tuning whose encoder may see a budget of islands and learn from a teacher's logits too."""

    shape: Shape
    score_of: npt.NDArray[np.float32]  # of each island: the higher, the sooner it is kept
    taught: Tensor | None = None

    def read(self, rows: npt.NDArray[np.int64], epoch: int) -> Any:
        return rows, super().read(rows, epoch)

    def loss(self, read: Any) -> BatchLoss:
        rows, lesson = read
        found = super().loss(lesson)
        if self.taught is None:
            return found
        student = self._last[0].div(2).log_softmax(1)
        target = self.taught[rows].div(2).softmax(1)
        divergence = nn.functional.kl_div(student, target, reduction="batchmean") * 4
        return BatchLoss((found.mean + divergence) / 2, found.weight)

    def _cells(self, rows: Any, keep: Any = None) -> tuple[TokenBatch, Tensor | None]:
        whole, scores = super()._cells(rows, keep)
        if self.shape.max_open is None:
            return whole, scores
        few = within_budget(self.tokens, rows, keep, self.shape, self.score_of, self.seed)
        return collate(few, np.arange(len(rows))), scores

    def _logits(
        self, batch: TokenBatch, scores: Tensor | None, dropout_BH: Tensor | None = None
    ) -> list[Tensor]:
        self._last = super()._logits(batch, scores, dropout_BH)
        return self._last


def within_budget(
    tokens: sp.csr_matrix, rows: Any, keep: Any, shape: Shape, score_of: npt.NDArray[np.float32], seed: int
) -> sp.csr_matrix:
    """Return the cells ``rows`` with at most ``max_open`` islands each."""
    some = tokens[rows]
    if keep is not None:
        some.data = np.where(keep, some.data, 0)
        some.eliminate_zeros()
    cell = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
    draw = keyed_uniform("budget", seed, 0, np.asarray(rows)[cell], some.indices)
    score = {
        "random": draw, "class": some.data + draw, "idf": score_of[some.indices], "norm": score_of[some.indices]
    }[shape.keep]  # fmt: skip
    order = np.lexsort((-score, cell))
    place = np.arange(len(order)) - some.indptr[cell[order]]
    some.data[order[place >= shape.max_open]] = 0
    some.eliminate_zeros()
    return some


def judge(network: Network, tokens: sp.csr_matrix, task: Task, classes: Any, truth: Any) -> dict[str, float]:
    """Return accuracy and macro-F1 of the whole network and of the encoder alone."""
    assert network.wide is not None
    logits = np.zeros((2, tokens.shape[0], len(classes)), dtype=np.float32)
    network.eval()
    with torch.inference_mode():
        for rows in in_order_of_depth(np.diff(tokens.indptr), batch_size=256):
            batch = collate(tokens, rows)
            path = network.wide
            scores = path.scores(batch)
            if task.shape.max_open is not None:
                few = within_budget(tokens, rows, None, task.shape, task.score_of, 1)
                batch = collate(few, np.arange(len(rows)))
            output = network(batch, scores)
            logits[0, rows], logits[1, rows] = output.logits_BC.numpy(), output.readout_BC.numpy()
    guesses = classes[logits.argmax(2)]
    return {
        f"{what}_{name}": float(measure(truth, guess))
        for what, guess in zip(("model", "encoder"), guesses, strict=True)
        for name, measure in (("accuracy", accuracy), ("macro_f1", macro_f1))
    }


def recipe_of(shape: Shape) -> Recipe:
    settings = json.loads(json.dumps(asdict(Recipe.load(shape.recipe))))
    settings["model"]["max_open"] = 0  # budgets are the task's here, by several orders of islands
    for key, value in shape.change.items():
        part, name = key.split(".")
        settings[part][name] = value
    return from_dict(Recipe, settings, where="shape")


def train(
    name: str, shape: Shape, split_name: str, split: Any, teachers: dict[Any, Tensor], seed: int
) -> dict[str, float]:
    data, labels, train_rows, test_rows = split
    recipe = recipe_of(shape)
    tokens = openness_classes(peak_islands(datasets.load(data)).X)
    tokens = sp.csr_matrix(tokens[:, np.unique(tokens[train_rows].indices)])
    classes, codes = np.unique(labels[train_rows], return_inverse=True)
    own = sp.csr_matrix(tokens[train_rows])
    training, held_out = stratified_split(codes.astype(np.int64), recipe.finetune.validation_fraction, seed)
    began = time.perf_counter()
    network = new_network(own, len(classes), recipe, None, seed)

    def fitted_once(*arguments: Any, **options: Any) -> Any:
        if split_name not in FITTED:
            FITTED[split_name] = fit_wide(*arguments, **options)
        return FITTED[split_name]

    with mock.patch.object(finetune, "fit_wide", fitted_once):
        task = Task(
            network, own, codes.astype(np.int64), recipe.finetune, training=training, held_out=held_out,
            seed=seed, device=torch.device("cpu"),
        )  # fmt: skip
    task.shape = shape
    task.score_of = (
        network.encoder.table.vectors.detach().norm(dim=1).numpy()
        if shape.keep == "norm"
        else network.wide.idf.numpy()
    )
    if shape.teacher is not None:
        task.taught = teachers[(shape.teacher, split_name)]
    with tempfile.TemporaryDirectory() as folder:
        trained = run(task, recipe.finetune, Path(folder), seed=seed)
    network.load_state_dict(trained.best)
    row = judge(network, sp.csr_matrix(tokens[test_rows]), task, classes, labels[test_rows])
    row["seconds"] = time.perf_counter() - began
    if name in {each.teacher for each in SHAPES.values()}:
        with torch.no_grad():
            network.eval()
            said = torch.zeros(len(codes), len(classes))
            for rows in in_order_of_depth(np.diff(own.indptr), batch_size=256):
                said[rows] = task._logits(rows)[0]
        teachers[(name, split_name)] = said
    return row


def cost(shape: Shape) -> dict[str, float]:
    """Return milliseconds to predict a cell and to train on one, and the bytes of the network's weights."""
    network = Network(250_000, 16, recipe_of(shape).model)
    n_cells = 64 if shape.recipe == "default" else 8
    batch = random_cells(n_cells, 250_000, shape.max_open or 1_500)
    network.eval()
    times = []
    with torch.inference_mode():
        for _ in range(4):
            began = time.perf_counter()
            network(batch)
            times.append(time.perf_counter() - began)
    n_weights = sum(p.numel() for n, p in network.named_parameters() if not n.startswith("encoder.table"))
    return {"predict_ms": min(times[1:]) / n_cells * 1e3, "weights_beside_table": n_weights}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", help="beginnings of names of shapes")
    parser.add_argument("--splits", nargs="+", default=list(SPLITS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    splits = inner_splits()
    path = RESULTS / "shapes.json"
    table = json.loads(path.read_text())["rows"] if path.is_file() else {}
    teachers: dict[Any, Tensor] = {}
    for name, shape in SHAPES.items():
        if options.only and not any(name.startswith(wanted) for wanted in options.only):
            continue
        rows = {
            each: train(name, shape, each, splits[each], teachers, options.seed) for each in options.splits
        }
        mean = {key: float(np.mean([row[key] for row in rows.values()])) for key in next(iter(rows.values()))}
        table[name] = {"splits": rows, "mean": mean, **cost(shape)}
        print(
            f"{name:38s} model {mean['model_accuracy']:.3f} / {mean['model_macro_f1']:.3f}   encoder "
            f"{mean['encoder_accuracy']:.3f} / {mean['encoder_macro_f1']:.3f}   {table[name]['predict_ms']:8.2f} ms "
            f"{mean['seconds']:6.0f} s",
            flush=True,
        )
        RESULTS.mkdir(exist_ok=True)
        content = {"seed": options.seed, "splits": options.splits, "rows": table}
        path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
