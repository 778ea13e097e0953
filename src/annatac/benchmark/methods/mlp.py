"""The paper's MLP: scikit-learn's, two hidden layers. The paper names no sizes: 512 and 128 are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.neural_network import MLPClassifier

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.pp.counts import as_csr
from annatac.train.positions import inverse_document_frequency, tf_idf

if TYPE_CHECKING:
    from anndata import AnnData


class Mlp:
    """ReLU, Adam, on TF-IDF (the paper names no weighting); a tenth is held out to stop early."""

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        x = as_csr(reference.X)
        self.idf = inverse_document_frequency(x)
        labels = labels_of(reference, label_key)
        smallest = min(np.unique(labels, return_counts=True)[1])
        self.model = MLPClassifier(
            (512, 128), max_iter=50, early_stopping=bool(smallest >= 2), random_state=seed
        )
        self.model.fit(tf_idf(x, self.idf), labels)

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x = tf_idf(as_csr(query.X), self.idf)
        return self.model.predict_proba(x).astype(np.float32), [str(name) for name in self.model.classes_]


METHODS = {
    "mlp": MethodSpec(
        about="the paper's MLP: two hidden layers (512, 128), ReLU, Adam, at most 50 epochs",
        make=Mlp,
        source="library",
    )
}
