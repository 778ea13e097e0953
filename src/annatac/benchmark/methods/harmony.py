"""LSI of reference and query together, Harmony (Korsunsky et al. 2019) between the two, nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.benchmark.methods.lsi_transfer import neighbours
from annatac.pp.counts import as_csr
from annatac.train.positions import inverse_document_frequency, tf_idf

if TYPE_CHECKING:
    from anndata import AnnData

Vectors = npt.NDArray[np.float64]


class LsiHarmony:
    """Neighbours (15 by cosine, one vote each) in the corrected space."""

    def __init__(self, *, n_components: int = 30, n_neighbors: int = 15) -> None:
        self.n_components, self.n_neighbors = n_components, n_neighbors

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        self.x, self.seed = as_csr(reference.X), seed
        self.classes, self.codes = np.unique(labels_of(reference, label_key), return_inverse=True)

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        both = sp.vstack([self.x, as_csr(query.X)], format="csr")
        weighted = tf_idf(both, inverse_document_frequency(both))
        rank = min(self.n_components + 1, *weighted.shape)
        u, s, _ = randomized_svd(weighted, rank, n_iter=4, random_state=self.seed)
        vectors = (u * s)[:, 1 if rank > 1 else 0 :]  # component 1 follows the depth
        is_query = np.arange(both.shape[0]) >= self.x.shape[0]
        corrected = normalize(harmony(vectors, is_query.astype(np.int64), seed=self.seed))
        _, nearest = neighbours(corrected[~is_query], corrected[is_query], self.n_neighbors)
        votes = np.eye(len(self.classes))[self.codes[nearest]].mean(axis=1)
        return votes.astype(np.float32), [str(name) for name in self.classes]


def harmony(
    vectors: Vectors,
    batch: npt.NDArray[np.int64],
    *,
    seed: int,
    theta: float = 2.0,
    sigma: float = 0.1,
    ridge: float = 1.0,
    max_rounds: int = 10,
) -> Vectors:
    """Return vectors whose batches are mixed within soft clusters, (n, d) float64.

    Parameters
    ----------
    vectors
        (n, d).
    batch
        (n,), 0 to B - 1.
    theta, sigma, ridge
        Weight of the diversity penalty, width of the soft clusters, penalty of the correction: the paper's.

    Notes
    -----
    Clusters: the smaller of 100 and n / 30. Each round clusters the corrected vectors on the sphere (20 updates of
    all cells at once; the published code updates blocks of 5 %), then moves the cells of each batch by a ridge
    regression in each cluster. It ends when the vectors move by under 1e-4 of their length.
    """
    n = len(vectors)
    k = int(np.clip(round(n / 30), 2, 100))
    one_hot = np.eye(int(batch.max()) + 1)[batch]
    share = one_hot.mean(axis=0)
    corrected = vectors.astype(np.float64)
    centres = None
    for _ in range(max_rounds):
        z = normalize(corrected)
        if centres is None:
            centres = normalize(KMeans(k, n_init=1, max_iter=25, random_state=seed).fit(z).cluster_centers_)
        for _ in range(20):
            r = _soft(z @ centres.T, sigma)
            observed = r.T @ one_hot
            expected = np.outer(r.sum(axis=0), share)
            r *= (((expected + 1) / (observed + 1)) ** theta)[:, batch].T
            r /= r.sum(axis=1, keepdims=True)
            centres = normalize(r.T @ z)
        moved = vectors.astype(np.float64)
        design = np.column_stack([np.ones(n), one_hot])
        penalty = np.diag([0.0, *np.full(one_hot.shape[1], ridge)])
        for cluster in range(k):
            weight = r[:, cluster, None] * design
            effect = np.linalg.solve(
                design.T @ weight + penalty + 1e-9 * np.eye(len(penalty)), weight.T @ vectors
            )
            moved -= weight[:, 1:] @ effect[1:]  # the intercept, what the batches share, stays
        change = np.linalg.norm(moved - corrected) / np.linalg.norm(corrected)
        corrected = moved
        if change < 1e-4:
            break
    return corrected


def _soft(cosine: Vectors, sigma: float) -> Vectors:
    weight = np.exp((2 * cosine - 2 * cosine.max(axis=1, keepdims=True)) / sigma)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


METHODS = {
    "lsi_harmony": MethodSpec(
        about="LSI of both (30 components), Harmony between reference and query, 15 nearest neighbours",
        make=LsiHarmony,
        source="reimplemented",
        inductive=False,
    )
}
