"""TF-IDF on all peaks with a linear model: logistic regression, plain or class-balanced, and a linear SVC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.pp.counts import as_csr
from annatac.train.positions import inverse_document_frequency, tf_idf

if TYPE_CHECKING:
    from anndata import AnnData


class Linear:
    """A scikit-learn classifier on binary TF-IDF with rows of unit length."""

    def __init__(self, kind: str, **settings: Any) -> None:
        self.kind, self.settings = kind, settings

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        x = as_csr(reference.X)
        self.idf = inverse_document_frequency(x)
        if self.kind == "logistic":
            self.model: Any = LogisticRegression(max_iter=500, random_state=seed, **self.settings)
        else:
            self.model = LinearSVC(random_state=seed, **self.settings)
        self.model.fit(tf_idf(x, self.idf), labels_of(reference, label_key))

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x = tf_idf(as_csr(query.X), self.idf)
        classes = [str(name) for name in self.model.classes_]
        if self.kind == "logistic":
            return self.model.predict_proba(x).astype(np.float32), classes
        scores = self.model.decision_function(x)
        if scores.ndim == 1:
            scores = np.column_stack([-scores, scores])
        return softmax(scores, axis=1).astype(np.float32), classes


METHODS = {
    "logistic": MethodSpec(
        about="TF-IDF, multinomial logistic regression (C = 10)",
        make=lambda: Linear("logistic", C=10.0),
        source="library",
    ),
    "logistic_balanced": MethodSpec(
        about="TF-IDF, class-balanced multinomial logistic regression (C = 1)",
        make=lambda: Linear("logistic", C=1.0, class_weight="balanced"),
        source="library",
    ),
    "linear_svc": MethodSpec(
        about="TF-IDF, linear support vector classifier (C = 1); its probabilities are the softmax of margins",
        make=lambda: Linear("svc", C=1.0),
        source="library",
    ),
}
