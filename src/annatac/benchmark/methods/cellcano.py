"""Cellcano (Ma et al. 2023), written anew: two rounds of a small network on gene scores."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import softmax
from sklearn.feature_selection import f_classif
from torch import nn

from annatac.benchmark.gene_features import log_gene_scores
from annatac.benchmark.method import MethodSpec, Probabilities, labels_of

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]


class Cellcano:
    """Round 1 learns from the reference; round 2 from the query cells that it is surest of.

    The 3,000 genes with the largest ANOVA F; scaled, clipped at 6; network of 64 and 16 units. A query of 1,000 cells
    or more is scaled by its own mean and spread and goes through round 2; a smaller one is scaled as the reference.
    """

    n_genes, clip, min_query = 3000, 6.0, 1000

    def __init__(
        self, genes: pd.DataFrame | None = None, *, epochs: int = 100, student_epochs: int = 30
    ) -> None:
        self.genes, self.epochs, self.student_epochs = genes, epochs, student_epochs

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        x, _ = log_gene_scores(reference, self.genes)
        names, y = np.unique(labels_of(reference, label_key), return_inverse=True)
        self.classes, self.seed = [str(name) for name in names], seed
        f, _ = f_classif(x, y)
        self.chosen = np.argsort(-np.nan_to_num(f, nan=-1.0), kind="stable")[: self.n_genes]
        dense = x[:, self.chosen].toarray()
        self.mean, self.sd = dense.mean(0), dense.std(0)
        random = np.random.default_rng([seed, 1])
        self.network = _train(
            self._scaled(dense, self.mean, self.sd), y, len(names), random, epochs=self.epochs, batch_size=16
        )

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x, _ = log_gene_scores(query, self.genes)
        dense = x[:, self.chosen].toarray()
        second_round = len(dense) >= self.min_query
        mean, sd = (dense.mean(0), dense.std(0)) if second_round else (self.mean, self.sd)
        scaled = self._scaled(dense, mean, sd)
        first = softmax(_logits(self.network, scaled), axis=1)
        if second_round:
            first = self._second(scaled, first)
        return first.astype(np.float32), self.classes

    def _second(self, x: Floats, first: Floats) -> Floats:
        """Return round 2's probabilities; anchors keep those of round 1."""
        call = first.argmax(1)
        entropy = -(first * np.log(first + 1e-12)).sum(1)
        anchor = np.zeros(len(x), dtype=bool)
        for name in np.unique(call):
            rows = np.flatnonzero(call == name)
            anchor[rows[entropy[rows] <= np.quantile(entropy[rows], 0.4)]] = True
        rows = np.flatnonzero(anchor)
        names, n = np.unique(call[rows], return_counts=True)
        random = np.random.default_rng([self.seed, 2])
        more = [
            random.choice(rows[call[rows] == name], int(n.mean()) - count)
            for name, count in zip(names, n, strict=True)
            if count < int(n.mean())
        ]
        rows = np.concatenate([rows, *more])
        k = len(self.classes)
        teacher = _train(x[rows], call[rows], k, random, epochs=self.epochs, batch_size=32)
        student = _train(
            *(x[rows], call[rows], k, random),
            epochs=self.student_epochs,
            batch_size=32,
            teacher=_logits(teacher, x[rows]),
        )
        found = first.copy()
        found[~anchor] = softmax(_logits(student, x[~anchor]), axis=1)
        return found

    def _scaled(self, dense: Floats, mean: Floats, sd: Floats) -> Floats:
        z = (dense - mean) / np.where(sd > 0, sd, 1)
        return np.minimum(z, self.clip).astype(np.float32)


def _train(
    x: Floats,
    y: Whole,
    n_types: int,
    random: np.random.Generator,
    *,
    epochs: int,
    batch_size: int,
    teacher: Floats | None = None,
) -> nn.Sequential:
    """Return a trained network; with ``teacher`` (logits) the loss is 0.1 CE + 0.9 KL at temperature 3.

    A student learns at a rate of 0.001, all others at 0.0001, falling by 5 % every 1,000 steps: as in the package.
    """
    generator = torch.Generator().manual_seed(int(random.integers(2**31)))
    sizes = (x.shape[1], 64, 16)
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(sizes):
        layers += [_Dropout(generator), nn.Linear(wide, narrow), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(sizes[-1], n_types))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, 0, 0.1, a=-0.2, b=0.2, generator=generator)
            nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4 if teacher is None else 1e-3)
    decay = 0.95 if teacher is None else 1.0
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: decay ** (step // 1000))
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    soft = None if teacher is None else torch.from_numpy(softmax(teacher / 3, axis=1).astype(np.float32))
    network.train()
    for _ in range(epochs):
        for rows in torch.from_numpy(random.permutation(len(x))).split(batch_size):
            logits = network(inputs[rows])
            loss = nn.functional.cross_entropy(logits, labels[rows])
            if soft is not None:
                distance = nn.functional.kl_div(
                    (logits / 3).log_softmax(1), soft[rows], reduction="batchmean"
                )
                loss = 0.1 * loss + 0.9 * distance
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


class _Dropout(nn.Module):
    """Dropout at 0.5 from a stream of its own: nothing global is seeded."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * (torch.rand(x.shape, generator=self.generator) < 0.5) * 2


def _logits(network: nn.Sequential, x: Floats) -> Floats:
    with torch.inference_mode():
        found: Floats = network(torch.from_numpy(x)).numpy()
    return found


METHODS = {
    "cellcano": MethodSpec(
        about="Cellcano on gene scores: network of 64 and 16, anchors and distillation from 1,000 query cells on",
        make=Cellcano,
        source="reimplemented",
        inductive=False,
    )
}
