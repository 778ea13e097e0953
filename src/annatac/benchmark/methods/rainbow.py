"""RAINBOW (2024), written anew: contrastive learning on peaks with a frozen prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from torch import nn

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
MIN_SHARE_OPEN = 0.03


class Rainbow:
    """Two random cells of each type shall find each other by cosine (temperature 0.1)."""

    n_prior, prior_cells, n_components, n_items, batch_size = 1000, 500, 100, 1000, 64

    def __init__(self, *, epochs: int = 100) -> None:
        self.epochs = epochs

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        counts = as_csr(reference.X)
        self.peaks = frequent_peaks(counts)
        x = tf_idf_rows(counts[:, self.peaks])
        self.mean, self.sd = x.mean(0), x.std(0)
        x = self._scaled(x)
        names, y = np.unique(labels_of(reference, label_key), return_inverse=True)
        self.classes = [str(name) for name in names]
        random = np.random.default_rng([seed, 3])
        members = [np.flatnonzero(y == k) for k in range(len(names))]
        self.encoder = _Encoder(self._prior(x, members, random), x.shape[1], int(random.integers(2**31)))
        optimiser = torch.optim.Adam([p for p in self.encoder.parameters() if p.requires_grad], lr=0.005)
        inputs, target = torch.from_numpy(x), torch.arange(len(names))
        for _ in range(self.epochs):
            for first in range(0, self.n_items, self.batch_size):
                n = min(self.batch_size, self.n_items - first)
                picks = np.array([random.choice(rows, (2, n)) for rows in members])  # types x views x items
                # a cell that is drawn several times is encoded once
                drawn, place = np.unique(picks.reshape(-1), return_inverse=True)
                u = nn.functional.normalize(self.encoder(inputs[torch.from_numpy(drawn)]), dim=1)
                u = u[torch.from_numpy(place)].reshape(len(names), 2, n, -1)
                cosine = torch.einsum("kid,lid->ikl", u[:, 0], u[:, 1]) / 0.1
                wanted = target.expand(n, -1)
                loss = nn.functional.cross_entropy(cosine.flatten(0, 1), wanted.flatten())
                loss = loss + nn.functional.cross_entropy(cosine.mT.flatten(0, 1), wanted.flatten())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        vectors = self._vectors(x)
        self.centres = np.array([vectors[rows].mean(0) for rows in members])

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x = self._scaled(tf_idf_rows(as_csr(query.X)[:, self.peaks]))
        cosine = self._vectors(x) @ self.centres.T  # the mean cosine to the cells of each type
        return softmax(cosine / 0.1, axis=1).astype(np.float32), self.classes

    def _prior(self, x: Floats, members: list[npt.NDArray[np.int64]], random: np.random.Generator) -> Floats:
        """Return the principal axes of pseudobulks, (components, peaks)."""
        bulks = []
        for rows in members:
            weight = random.multinomial(self.prior_cells, np.full(len(rows), 1 / len(rows)), self.n_prior)
            bulks.append(weight.astype(np.float32) @ x[rows] / self.prior_cells)
        bulk = np.vstack(bulks)
        pca = PCA(min(self.n_components, *bulk.shape), random_state=0, svd_solver="randomized").fit(bulk)
        return np.asarray(pca.components_, dtype=np.float32)

    def _scaled(self, x: Floats) -> Floats:
        return ((x - self.mean) / np.where(self.sd > 0, self.sd, 1)).astype(np.float32)

    def _vectors(self, x: Floats) -> Floats:
        with torch.inference_mode():
            return normalize(self.encoder(torch.from_numpy(x)).numpy())


class _Encoder(nn.Module):
    """concat[L2(sigmoid(x r')), 0.1 L2(sigmoid(linear 128))] -> linear 128; r is the z-scored prior, frozen."""

    def __init__(self, prior: Floats, n_peaks: int, seed: int) -> None:
        super().__init__()
        r = (prior - prior.mean(1, keepdims=True)) / np.maximum(prior.std(1, keepdims=True), 1e-12)
        self.r = nn.Parameter(torch.from_numpy(r.astype(np.float32)), requires_grad=False)
        self.own, self.last = nn.Linear(n_peaks, 128), nn.Linear(len(prior) + 128, 128)
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.own, self.last):
            limit = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -limit, limit, generator=generator)
            nn.init.uniform_(layer.bias, -limit, limit, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        prior = nn.functional.normalize(torch.sigmoid(x @ self.r.T), dim=1)
        own = nn.functional.normalize(torch.sigmoid(self.own(x)), dim=1)
        found: torch.Tensor = self.last(torch.cat([prior, 0.1 * own], dim=1))
        return found


def frequent_peaks(counts: sp.csr_matrix) -> npt.NDArray[np.int64]:
    """Return the peaks open in at least 3 % of the cells; all where there is none."""
    share = np.bincount(counts.indices, minlength=counts.shape[1]) / max(counts.shape[0], 1)
    kept = np.flatnonzero(share >= MIN_SHARE_OPEN)
    return kept if len(kept) else np.arange(counts.shape[1])


def tf_idf_rows(counts: sp.csr_matrix) -> Floats:
    """Return term frequency x log(cells / cells with the peak open), rows of unit length, dense."""
    n_open = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log(counts.shape[0] / np.maximum(n_open, 1))
    weighted = counts.astype(np.float64).multiply(idf[None, :]).tocsr()  # L2 rows: the term's total cancels
    return np.asarray(normalize(weighted).toarray(), dtype=np.float32)


METHODS = {
    "rainbow": MethodSpec(
        about="RAINBOW: contrastive learning on peaks open in 3 % of the cells, frozen prior of pseudobulks",
        make=Rainbow,
        source="reimplemented",
        inductive=False,
    )
}
