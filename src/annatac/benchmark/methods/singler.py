"""SingleR (Aran et al. 2019) on gene scores, written anew: Spearman correlations with labelled cells, fine-tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax
from scipy.stats import rankdata

from annatac.benchmark.gene_features import log_gene_scores
from annatac.benchmark.method import MethodSpec, Probabilities, labels_of

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]
_SHARPNESS = 50.0  # probabilities are the softmax of so many times the label scores: for ranking alone


class SingleR:
    """Markers of each pair of types, correlation with every reference cell, the 0.8 quantile a type.

    The markers of a pair are the genes with the largest difference of median log-scores, 500 (2/3)^log2(K) of them.
    Types within 0.05 of a cell's best score are compared again on their own markers, until one is left.
    """

    quantile, tolerance = 0.8, 0.05

    def __init__(self, genes: pd.DataFrame | None = None) -> None:
        self.genes = genes

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        self.x, _ = log_gene_scores(reference, self.genes)
        names, self.codes = np.unique(labels_of(reference, label_key), return_inverse=True)
        self.classes = [str(name) for name in names]
        k = len(names)
        middle = np.array([np.median(self.x[self.codes == j].toarray(), axis=0) for j in range(k)])
        n_markers = max(1, round(500 * (2 / 3) ** np.log2(k)))
        self.markers: dict[tuple[int, int], Whole] = {}
        for a in range(k):
            for b in range(k):
                if a != b:
                    change = middle[a] - middle[b]
                    best = np.argsort(-change, kind="stable")[:n_markers]
                    self.markers[a, b] = best[change[best] > 0]

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x, _ = log_gene_scores(query, self.genes)
        all_types = tuple(range(len(self.classes)))
        scores = self._scores(np.asarray(x.toarray()), all_types)
        probabilities = softmax(_SHARPNESS * scores, axis=1)
        remaining = {row: self._kept(scores[row], all_types) for row in range(len(scores))}
        while True:
            groups: dict[tuple[int, ...], list[int]] = {}
            for row, kept in remaining.items():
                if len(kept) > 1:
                    groups.setdefault(kept, []).append(row)
            if not groups:
                break
            for kept, rows in groups.items():
                found = self._scores(np.asarray(x[rows].toarray()), kept)
                for row, own in zip(rows, found, strict=True):
                    fewer = self._kept(own, kept)
                    if len(fewer) == len(kept):  # no nearer to one: the best of them
                        fewer = (kept[int(own.argmax())],)
                    remaining[row] = fewer
        calls = np.array([remaining[row][0] for row in range(len(scores))])
        best = probabilities.max(axis=1)
        probabilities[np.arange(len(calls)), calls] = best + 1e-3  # fine-tuning decides
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return probabilities.astype(np.float32), self.classes

    def _kept(self, scores: Floats, types: tuple[int, ...]) -> tuple[int, ...]:
        near = scores >= scores.max() - self.tolerance
        return tuple(name for name, is_near in zip(types, near, strict=True) if is_near)

    def _scores(self, query: Floats, types: tuple[int, ...]) -> Floats:
        """Return the 0.8 quantile of Spearman's correlation with the cells of each of ``types``, (n, types)."""
        pairs = [self.markers[a, b] for a in types for b in types if a != b]
        genes = np.unique(np.concatenate(pairs))
        ranked = _ranks(query[:, genes])
        found = np.empty((len(query), len(types)), dtype=np.float32)
        for column, name in enumerate(types):
            own = _ranks(self.x[self.codes == name][:, genes].toarray())
            found[:, column] = np.quantile(ranked @ own.T, self.quantile, axis=1)
        return found


def _ranks(x: Floats) -> Floats:
    """Return ranks of each row, centred and of unit length: products of such rows are Spearman's correlations."""
    ranks = rankdata(x, axis=1).astype(np.float32)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


METHODS = {
    "singler": MethodSpec(
        about="SingleR on gene scores: Spearman correlation on pairwise markers, fine-tuned",
        make=SingleR,
        source="reimplemented",
    )
}
