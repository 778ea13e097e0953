"""Types of scRNA-seq cells for scATAC-seq cells, through the genes that both have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from annatac.annotate.rna_reference import SharedGenes
from annatac.errors import ConfigError
from annatac.train.positions import inverse_document_frequency, leading_vectors, tf_idf

Floats = npt.NDArray[np.float32]
_CLIP = 3.0  # standard deviations
_COMPONENTS = 30


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """What decides the transfer; the defaults were chosen on simulated pairs (``perf/rna_transfer.py``).

    Attributes
    ----------
    n_markers
        Genes of each type: those highest in it against the type where they are next highest.
    n_smooth
        Query cells, itself among them, whose gene scores are averaged: nearest in the query's own peaks. 1: none.
    novelty_threshold
        A cell whose best probability is under it is novel.
    """

    n_markers: int = 100
    n_smooth: int = 30
    novelty_threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.n_markers < 1 or self.n_smooth < 1:
            raise ConfigError(
                f"n_markers is {self.n_markers}, n_smooth {self.n_smooth}; 1 or more are expected."
            )
        if not 0 <= self.novelty_threshold <= 1:
            raise ConfigError(f"The novelty threshold is {self.novelty_threshold}; 0 to 1 is expected.")


class Transfer(NamedTuple):
    """What :func:`transfer` found.

    Attributes
    ----------
    probabilities
        float32 (cells, types), rows sum to 1; not calibrated: the query has no labels to do it by.
    classes
        Names of the types.
    likeness
        float32 (cells, types), cosine of a cell's marker genes with the mean of each type's cells.
    n_markers
        Marker genes that were used.
    """

    probabilities: Floats
    classes: list[str]
    likeness: Floats
    n_markers: int


def transfer(
    shared: SharedGenes, tokens: sp.csr_matrix, settings: TransferSettings | None = None, *, seed: int = 0
) -> Transfer:
    """Return the probability of each type of the reference for each query cell.

    Both are standardised gene by gene, each by its own mean and spread, since a gene's level in RNA says little of its
    level in accessibility; what is compared is in which cells it is higher than in others. Class-balanced logistic
    regression on the marker genes of the reference names the query.

    Parameters
    ----------
    shared
        Of :func:`annatac.annotate.rna_reference.shared_genes`.
    tokens
        Query cells x peaks, counts: where their neighbours are looked for.

    Notes
    -----
    To standardise by the query's own cells takes a query that holds several types in numbers not far from the
    reference's: its mean stands for the reference's mean. A query of one type alone cannot be named this way.
    """
    settings = settings or TransferSettings()
    classes, codes = np.unique(shared.labels, return_inverse=True)
    markers = marker_genes(shared.rna, codes, settings.n_markers)
    atac = smoothed(shared.atac, tokens, settings.n_smooth, seed)[:, markers]
    x = standardised(shared.rna[:, markers].toarray())
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=300)
    model.fit(x, codes)
    query = standardised(atac.toarray())
    probabilities = model.predict_proba(query).astype(np.float32)
    middle = np.array([x[codes == k].mean(axis=0) for k in range(len(classes))])
    likeness = unit(query) @ unit(middle).T
    return Transfer(probabilities, [str(name) for name in classes], likeness.astype(np.float32), len(markers))


def marker_genes(x: sp.csr_matrix, codes: npt.NDArray[np.integer], n_markers: int) -> npt.NDArray[np.int64]:
    """Return the columns of the marker genes of all types, sorted.

    Those of a type have the largest difference of mean log expression between it and the next highest type, in
    standard errors of the difference.
    """
    mean, error = [], []
    for k in range(int(codes.max()) + 1):
        own = x[codes == k]
        first = np.asarray(own.mean(axis=0)).ravel()
        second = np.asarray(own.multiply(own).mean(axis=0)).ravel()
        mean.append(first)
        error.append(np.maximum(second - first**2, 0) / max(own.shape[0], 1))
    means, errors = np.array(mean), np.array(error)
    chosen: set[int] = set()
    columns = np.arange(means.shape[1])
    for k in range(len(means)):
        others = np.delete(np.arange(len(means)), k)
        rival = others[means[others].argmax(axis=0)]
        change = means[k] - means[rival, columns]
        score = change / np.sqrt(errors[k] + errors[rival, columns] + 1e-4)
        best = np.argsort(-score, kind="stable")[:n_markers]
        chosen |= set(best[score[best] > 0].tolist())
    return np.array(sorted(chosen), dtype=np.int64)


def smoothed(scores: sp.csr_matrix, tokens: sp.csr_matrix, n_smooth: int, seed: int) -> sp.csr_matrix:
    """Return each cell's scores averaged over its nearest cells in the query's LSI, itself among them."""
    n_smooth = min(n_smooth, tokens.shape[0])
    if n_smooth == 1:
        return scores
    weighted = tf_idf(tokens, inverse_document_frequency(tokens))
    vectors = unit(np.asarray(weighted @ leading_vectors(weighted, _COMPONENTS + 1, seed)[:, 1:]))
    others = NearestNeighbors(n_neighbors=n_smooth - 1, algorithm="brute").fit(vectors).kneighbors()[1]
    nearest = np.column_stack([np.arange(len(others)), others])
    rows = np.repeat(np.arange(len(nearest)), n_smooth)
    share = np.full(len(rows), 1 / n_smooth, dtype=np.float32)
    average = sp.csr_matrix((share, (rows, nearest.ravel())), shape=(tokens.shape[0],) * 2)
    return sp.csr_matrix(average @ scores)


def standardised(x: Floats) -> Floats:
    """Return columns of mean 0 and spread 1, cut at three standard deviations; a column that never varies is 0."""
    mean, sd = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / np.where(sd > 1e-6, sd, np.inf)
    return np.clip(z, -_CLIP, _CLIP).astype(np.float32)


def unit(x: npt.NDArray[np.floating]) -> Floats:
    """Return rows of unit length."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0).astype(np.float32)
