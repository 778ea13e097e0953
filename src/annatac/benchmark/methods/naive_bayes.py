"""Multinomial naive Bayes without a prior on binary peaks: a likelihood under each type's profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.naive_bayes import MultinomialNB

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData


class NaiveBayes:
    """scikit-learn's, on what is open."""

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        self.model = MultinomialNB(alpha=0.1, fit_prior=False)
        self.model.fit((as_csr(reference.X) > 0).astype(np.float32), labels_of(reference, label_key))

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        probabilities = self.model.predict_proba((as_csr(query.X) > 0).astype(np.float32))
        return probabilities.astype(np.float32), [str(name) for name in self.model.classes_]


METHODS = {
    "naive_bayes": MethodSpec(
        about="multinomial naive Bayes, no prior, binary peaks (smoothing 0.1)",
        make=NaiveBayes,
        source="library",
    )
}
