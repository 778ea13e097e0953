"""``annatac annotate --rna-reference``: a query named by scRNA-seq cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from annatac.cli.terminal import counted, say

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Options that say something about a model: an RNA reference has none.
_OF_A_MODEL = (
    "novelty_method",
    "novelty_rate",
    "error_rate",
    "safe_level",
    "hierarchy",
    "chain",
    "lift_islands",
    "adapt",
)


def check_source(context: typer.Context, model: str | None, rna_reference: Path | None) -> None:
    """Refuse both of a model and an RNA reference, neither, and options that go with the other one."""
    if (model is None) == (rna_reference is None):
        raise typer.BadParameter("give either --model or --rna-reference")
    given = [
        name
        for name in (_OF_A_MODEL if model is None else ("label_key", "rna_layer", "gtf"))
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        other = "--model" if model is None else "--rna-reference"
        raise typer.BadParameter(f"--{given[0].replace('_', '-')} goes with {other}")


def by_rna(queries: Sequence[Path], output: Path, **options: Any) -> None:
    """Annotate and say what came out of it."""
    from annatac import jobs

    if options["label_key"] is None:
        raise typer.BadParameter("--rna-reference needs --label-key: the column of its obs with the types")
    found = jobs.annotate_by_rna(queries, output, **options)
    overlap = found.overlap
    say(
        f"Annotated {sum(found.cells_per_label.values()):,} cells by {overlap['n_rna_cells']:,} RNA cells, over "
        f"{overlap['n_genes_shared']:,} genes in common ({overlap['n_genes_used']:,} markers used). Confidence is not "
        f"calibrated: the query has no labels to do it by.\n{counted(found.cells_per_label)}"
    )
    written = (output, options["csv"], options["report"])
    say(f"Written: {', '.join(str(path) for path in written if path is not None)}")
