"""CellTypist (Dominguez Conde et al. 2022), written anew: two passes of one-against-the-rest logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
_TARGET = 1e4  # counts a cell is scaled to
_CLIP = 10.0


class CellTypist:
    """Peaks scaled to 10,000 a cell, log1p, standardised, clipped at 10 above.

    A first pass by stochastic gradient descent (alpha 1e-4) chooses the 300 features of each type with the largest
    absolute weights; logistic regression (C = 1) on their union, one type against the rest, decides.
    """

    n_top, max_iter = 300, 1000

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        x, labels = log_normalised(as_csr(reference.X)), labels_of(reference, label_key)
        dense = x.toarray()
        self.mean, self.sd = dense.mean(0), dense.std(0)
        self.chosen = np.flatnonzero(dense.any(axis=0))
        first = SGDClassifier(loss="log_loss", alpha=1e-4, max_iter=self.max_iter, random_state=seed)
        weight = np.abs(first.fit(self._scaled(dense), labels).coef_)
        if weight.shape[1] > self.n_top:
            best = np.argpartition(weight, -self.n_top, axis=1)[:, -self.n_top :]
            self.chosen = self.chosen[np.unique(best)]
        model = LogisticRegression(C=1.0, max_iter=self.max_iter)
        self.model = OneVsRestClassifier(model).fit(self._scaled(dense), labels)

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        scores = self.model.decision_function(self._scaled(log_normalised(as_csr(query.X)).toarray()))
        if scores.ndim == 1:  # two types have one column
            scores = np.column_stack([-scores, scores])
        probabilities = expit(scores)
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-300)
        return probabilities.astype(np.float32), [str(name) for name in self.model.classes_]

    def _scaled(self, dense: Floats) -> Floats:
        """Return the chosen features standardised as the reference, clipped above."""
        sd = self.sd[self.chosen]
        z = (dense[:, self.chosen] - self.mean[self.chosen]) / np.where(sd > 0, sd, 1)
        return np.minimum(z, _CLIP)


def log_normalised(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return log(1 + counts scaled to 10,000 a cell), float32."""
    total = np.asarray(counts.sum(axis=1)).ravel()
    x = sp.csr_matrix(sp.diags(_TARGET / np.maximum(total, 1)) @ counts, dtype=np.float32)
    x.data = np.log1p(x.data)
    return x


METHODS = {
    "celltypist": MethodSpec(
        about="CellTypist on peaks: features chosen by a first pass, logistic regression one against the rest",
        make=CellTypist,
        source="reimplemented",
    )
}
