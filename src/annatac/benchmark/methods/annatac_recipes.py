"""This package: its recipes, trained and used as the commands do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from annatac import keys
from annatac.benchmark.method import MethodSpec, Probabilities

if TYPE_CHECKING:
    from anndata import AnnData


class Ours:
    """A recipe that takes all islands, started from a base where one is named."""

    def __init__(self, recipe: str, base: str | None = None) -> None:
        self.recipe, self.base = recipe, base

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        from annatac.annotate.fit import finetune

        labels = reference.obs[label_key]
        lone = labels.map(labels.value_counts()).to_numpy() < 2
        if lone.any():  # fine-tuning refuses them: none to check with. Its calls never name such a type
            reference = reference[~lone].copy()

        with tempfile.TemporaryDirectory() as folder:
            self.model = finetune(
                reference,
                label_key=label_key,
                batch_key=batch_key,
                output=Path(folder) / "model",
                recipe=self.recipe,
                base=self.base,
                seed=seed,
            )

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        from annatac.annotate.calls import CallSettings, make_calls

        tokens, _ = self.model.tokens(query)
        calls = make_calls(self.model, tokens, self.model.predict(tokens), CallSettings())
        return calls.obsm[keys.PROBABILITIES], list(self.model.classes)


METHODS = {
    "annatac": MethodSpec(
        about="recipe default", make=lambda: Ours("default"), source="annatac", own_features=True
    ),
    "annatac_large": MethodSpec(
        about="recipe large", make=lambda: Ours("large"), source="annatac", own_features=True
    ),
}
