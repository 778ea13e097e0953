"""The paper's CNN: annATAC's head (convolution, fully connected layers) without its encoder, on the same islands."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.special import softmax
from torch import nn

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.errors import LabelError
from annatac.pp.islands import peak_islands
from annatac.pp.splits import stratified_split
from annatac.train.positions import svd_positions

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
MAX_OPENNESS = 5


class Cnn:
    """An island's SVD vector (200) times its openness -> one number -> ReLU -> 512 -> 128 -> types.

    Training as the paper fine-tunes: class weight (1 - frequency)^2, Adam 1e-4, rate x 0.3 every 4 epochs, a
    stratified tenth held out, the best epoch by accuracy, an end after 10 epochs without a better one. The paper
    names no batch for the CNN: 32 is ours, and at most 40 epochs.
    """

    def __init__(self, *, max_epochs: int = 40, learning_rate: float = 1e-4) -> None:
        self.max_epochs, self.learning_rate = max_epochs, learning_rate

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        x = _openness(reference)
        names, y = np.unique(labels_of(reference, label_key), return_inverse=True)
        self.classes = [str(name) for name in names]
        try:
            train, held = stratified_split(y, 0.1, seed)
        except LabelError:  # no type has two cells
            train, held = np.arange(len(y)), np.arange(len(y))
        torch_seed = torch.Generator().manual_seed(seed)
        self.network = _Head(svd_positions(x[train], 200, seed), len(names), torch_seed)
        weight = torch.from_numpy(((1 - np.bincount(y) / len(y)) ** 2).astype(np.float32))
        optimiser = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, 4, 0.3)
        labels, random = torch.from_numpy(y), np.random.default_rng([seed, 4])
        best, since, kept = -1.0, 0, {}
        for _ in range(self.max_epochs):
            for rows in np.array_split(random.permutation(train), max(1, len(train) // 32)):
                logits = self.network(_dense(x, rows))
                loss = nn.functional.cross_entropy(logits, labels[rows], weight=weight)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
            accuracy = float((self._logits(x[held]).argmax(1) == y[held]).mean())
            since += 1
            if accuracy > best:
                best, since = accuracy, 0
                kept = {name: value.clone() for name, value in self.network.state_dict().items()}
            if since >= 10:
                break
        self.network.load_state_dict(kept)

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        return softmax(self._logits(_openness(query)), axis=1).astype(np.float32), self.classes

    def _logits(self, x: sp.csr_matrix) -> Floats:
        parts = np.array_split(np.arange(x.shape[0]), x.shape[0] // 256 + 1)
        with torch.inference_mode():
            return np.vstack([self.network(_dense(x, rows)).numpy() for rows in parts])


class _Head(nn.Module):
    """The 1 x 200 convolution over islands, then fully connected layers."""

    def __init__(self, vectors: Floats, n_types: int, generator: torch.Generator) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.from_numpy(vectors), requires_grad=False)
        self.convolution = nn.Linear(vectors.shape[1], 1)
        sizes = (len(vectors), 512, 128, n_types)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        for layer in (self.convolution, *self.layers):
            limit = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -limit, limit, generator=generator)
            nn.init.uniform_(layer.bias, -limit, limit, generator=generator)

    def forward(self, openness: torch.Tensor) -> torch.Tensor:
        weight = (
            self.vectors @ self.convolution.weight.T
        ).T  # an island's vector enters by its openness alone
        h = torch.relu(openness * weight + self.convolution.bias)
        for layer in self.layers[:-1]:
            h = torch.relu(layer(h))
        found: torch.Tensor = self.layers[-1](h)
        return found


def _openness(adata: AnnData) -> sp.csr_matrix:
    """Return cells x islands of the features, clipped at 5; the same features give the same islands."""
    x = sp.csr_matrix(peak_islands(adata).X).astype(np.float32)
    x.data = np.minimum(x.data, MAX_OPENNESS)
    return x


def _dense(x: sp.csr_matrix, rows: npt.NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(x[rows].toarray())


METHODS = {
    "cnn": MethodSpec(
        about="the paper's CNN: annATAC's head on the islands' SVD vectors, no encoder",
        make=Cnn,
        source="reimplemented",
    )
}
