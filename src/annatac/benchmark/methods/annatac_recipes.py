"""This package: its recipes, trained and used as the commands do."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annatac import keys
from annatac.benchmark.gene_features import genes_of
from annatac.benchmark.method import MethodSpec, Probabilities
from annatac.config import Recipe

if TYPE_CHECKING:
    from anndata import AnnData


class Ours:
    """A recipe, on its kind of islands; the genes of TSS islands are those of the assembly.

    Parameters
    ----------
    base
        A ready base to start from; 'auto', the one that suits the reference, or none.
    calibrate
        Calibration trains twice more; without it the probabilities are the softmax, as published.
    adapt
        Take the query's cells into the types' profiles, as ``annotate --adapt`` does.
    """

    def __init__(
        self, recipe: str | Recipe, *, base: str | None = None, calibrate: bool = True, adapt: bool = False
    ) -> None:
        self.recipe, self.base, self.calibrate = Recipe.load(recipe), base, calibrate
        self.adapt = adapt

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        from annatac.annotate.fit import finetune

        labels = reference.obs[label_key]
        lone = labels.map(labels.value_counts()).to_numpy() < 2
        if lone.any():  # fine-tuning refuses them: none to check with. Its calls never name such a type
            reference = reference[~lone].copy()
        tss = self.recipe.islands == "tss"
        with tempfile.TemporaryDirectory() as folder:
            self.model = finetune(
                reference,
                label_key=label_key,
                batch_key=batch_key,
                output=Path(folder) / "model",
                recipe=self.recipe,
                base=self.base,
                genes=genes_of(str(reference.uns.get(keys.GENOME, ""))) if tss else None,
                seed=seed,
                calibrate=self.calibrate,
            )

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        from annatac.annotate.adapt import adapt
        from annatac.annotate.blocks import call_blocks, joined
        from annatac.annotate.calls import CallSettings

        settings, cells = CallSettings(adapt=self.adapt), self.model.query(query)
        adaptation = adapt(self.model, cells, settings) if self.adapt else None
        calls = joined(call_blocks(self.model, cells, settings, adaptation=adaptation))
        return calls.obsm[keys.PROBABILITIES], list(self.model.classes)


def published(islands: str, epochs: int) -> Ours:
    """Return the recipe ``paper`` (its exact fast form), cut to so many epochs, from untrained weights."""
    recipe = Recipe.load("paper")
    finetune = replace(recipe.finetune, epochs=epochs)
    return Ours(replace(recipe, islands=islands, finetune=finetune), calibrate=False)  # type: ignore[arg-type]


METHODS = {
    "annatac": MethodSpec(
        about="recipe default", make=lambda: Ours("default"), source="annatac", own_features=True
    ),
    "annatac_adapt": MethodSpec(
        about="recipe default, adapted to the query's cells (from 500 of them on)",
        make=lambda: Ours("default", adapt=True),
        source="annatac",
        inductive=False,
        own_features=True,
    ),
    "annatac_large": MethodSpec(
        about="recipe large", make=lambda: Ours("large"), source="annatac", own_features=True
    ),
    "annatac_base": MethodSpec(
        about="recipe default from the ready base that suits the reference, or none",
        make=lambda: Ours("default", base="auto"),
        source="annatac",
        own_features=True,
    ),
    "paper_tss": MethodSpec(
        about="annATAC as published, on islands with a TSS, without pre-training, 10 of 100 epochs",
        make=lambda: published("tss", 10),
        source="annatac",
        own_features=True,
    ),
    "paper_all": MethodSpec(
        about="annATAC as published but on all islands, without pre-training, 3 of 100 epochs",
        make=lambda: published("all", 3),
        source="annatac",
        own_features=True,
    ),
}
