"""Labels by neighbours in LSI space: nearest reference cells, or anchors as in Seurat and Signac."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.pp.counts import as_csr
from annatac.train.positions import inverse_document_frequency, tf_idf

if TYPE_CHECKING:
    from anndata import AnnData

Vectors = npt.NDArray[np.float64]


class LsiNeighbours:
    """kNN (``n_neighbors`` nearest by cosine, each one vote) in the reference's LSI, component 1 left out."""

    def __init__(self, *, n_components: int = 30, n_neighbors: int = 15) -> None:
        self.n_components, self.n_neighbors = n_components, n_neighbors

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        x = as_csr(reference.X)
        self.idf = inverse_document_frequency(x)
        weighted = tf_idf(x, self.idf)
        rank = min(self.n_components + 1, *weighted.shape)
        _, _, self.components = randomized_svd(weighted, rank, n_iter=4, random_state=seed)
        self.reference = self._project(weighted)
        self.classes, self.codes = np.unique(labels_of(reference, label_key), return_inverse=True)

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        vectors = self._project(tf_idf(as_csr(query.X), self.idf))
        _, nearest = neighbours(self.reference, vectors, self.n_neighbors)
        votes = np.eye(len(self.classes))[self.codes[nearest]].mean(axis=1)
        return votes.astype(np.float32), [str(name) for name in self.classes]

    def _project(self, weighted: sp.csr_matrix) -> Vectors:
        """Return rows of unit length; component 1 follows the depth and is left out, as is the custom."""
        first = 1 if len(self.components) > 1 else 0
        return normalize(np.asarray(weighted @ self.components[first:].T, dtype=np.float64))


class Anchors(LsiNeighbours):
    """Seurat's label transfer with ``reduction='lsiproject'``, as Signac advises for one ATAC set to another.

    Mutual nearest neighbours (k = 5) of query and reference are anchors; an anchor's score is how far the
    neighbourhoods (k = 30) of its two cells overlap, scaled between the 1 % and the 90 % quantile; a query
    cell takes the labels of its 50 nearest anchors, weighted by a Gaussian kernel of the distance
    (1 - d / d_50, sd 1) and the score. The filter of anchors by features is left out.
    Not compared with the R package yet.
    """

    k_anchor, k_score, k_weight = 5, 30, 50

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        q = self._project(tf_idf(as_csr(query.X), self.idf))
        r = self.reference
        _, q_to_r = neighbours(r, q, self.k_score)
        _, r_to_q = neighbours(q, r, self.k_score)
        forward, back = _edges(q_to_r, self.k_anchor, len(r)), _edges(r_to_q, self.k_anchor, len(q)).T
        pairs = sp.coo_matrix(forward.multiply(back))
        anchor_q, anchor_r = pairs.row, pairs.col
        if not len(anchor_q):
            return super().predict(query)
        _, q_to_q = neighbours(q, q, self.k_score)
        _, r_to_r = neighbours(r, r, self.k_score)
        shared = np.array(
            [
                len(np.intersect1d(q_to_r[i], r_to_r[j])) + len(np.intersect1d(q_to_q[i], r_to_q[j]))
                for i, j in zip(anchor_q, anchor_r, strict=True)
            ],
            dtype=float,
        )
        low, high = np.quantile(shared, [0.01, 0.90])
        score = np.clip((shared - low) / max(high - low, 1e-9), 0, 1)
        # the anchors of the nearest anchor cells; one cell may have several
        distance, nearest = neighbours(q[anchor_q], q, self.k_weight)
        closeness = (1 - distance / np.maximum(distance[:, -1:], 1e-12)) * score[nearest]
        weight = 1 - np.exp(-closeness / 4)  # (2 / sd) ** 2 with sd = 1
        weight += 1e-9
        weight /= weight.sum(axis=1, keepdims=True)
        one_hot = np.eye(len(self.classes))[self.codes[anchor_r]]
        probabilities = np.einsum("nk,nkc->nc", weight, one_hot[nearest])
        return probabilities.astype(np.float32), [str(name) for name in self.classes]


def neighbours(points: Vectors, of: Vectors, k: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Return distances and rows of the ``k`` nearest ``points`` of each row of ``of``, nearest first."""
    return NearestNeighbors(n_neighbors=min(k, len(points)), algorithm="brute").fit(points).kneighbors(of)


def _edges(nearest: npt.NDArray[np.int64], k: int, n_columns: int) -> sp.csr_matrix:
    nearest = nearest[:, :k]
    rows = np.repeat(np.arange(len(nearest)), nearest.shape[1])
    return sp.csr_matrix((np.ones(len(rows)), (rows, nearest.ravel())), shape=(len(nearest), n_columns))


METHODS = {
    "lsi_knn": MethodSpec(
        about="LSI of the reference (30 components), 15 nearest neighbours",
        make=LsiNeighbours,
        source="library",
    ),
    "seurat": MethodSpec(
        about="Seurat/Signac label transfer (lsiproject): anchors, weighted votes",
        make=Anchors,
        source="reimplemented",
        inductive=False,
    ),
}
