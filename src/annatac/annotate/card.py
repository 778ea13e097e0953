"""The model card: what a model was made from, what it was measured on, and where it fails."""

from __future__ import annotations

from annatac import __version__
from annatac.model.artifact import Artifact


def model_card(artifact: Artifact) -> str:
    """Return README.md of a model folder."""
    universe, training = artifact.universe, artifact.training
    figures = artifact.metrics["held_out"]
    judged = "No cell was held out: how accurate it is was not measured."
    if figures:
        judged = (
            f"On {artifact.metrics['n_held_out']:,} cells held out ({training['held_out']}), by which epoch "
            f"{artifact.metrics['best_epoch']} was\n  chosen (0: as it started): accuracy "
            f"{figures['accuracy']:.3f}, macro-F1 {figures['macro_f1']:.3f}. Expect less on\n  another donor, "
            "platform or tissue."
        )
    doubted = artifact.mislabelled
    left_out = "" if doubted is None else f"; {len(doubted):,} more look mislabelled and were left out"
    n_cells = {name.replace("|", "\\|"): n for name, n in training["cells_per_type"].items()}
    rows = "\n".join(f"| {name} | {n:,} |" for name, n in n_cells.items())
    place = f"{len(universe):,} islands"
    if universe.has_coordinates:
        place += f" of {universe.bin_size:,} bp on {universe.genome or 'an assembly that was not stated'}"
    return f"""# A cell type annotator for scATAC-seq

Written by annatac {__version__}, recipe `{artifact.recipe.name}`, model {artifact.model_id}.

- Knows {len(artifact.classes)} cell types over {place}.
- Trained on {training["n_cells"]:,} labelled cells (`{training["label_key"]}`), seed {training["seed"]}{left_out}.
- {judged}

| cell type | cells |
|---|---|
{rows}

Use: `annatac annotate QUERY --model FOLDER -o out.h5ad`.

Limits: a cell of a type that is not in the table gets one of these names or `Novel_cell_type`; shallow
cells are called with less certainty.
"""
