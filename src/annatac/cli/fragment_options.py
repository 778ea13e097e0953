"""Options of the commands that read fragment files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Cells = Annotated[Path, typer.Argument(metavar="H5AD", help="Cells: output of `annatac annotate`.")]
FragmentFiles = Annotated[
    list[str],
    typer.Option(
        "--fragments",
        metavar="FILE|SAMPLE=FILE",
        help="Fragment file of the cells; of several samples, one option a sample. A .tbi beside it lets a "
        "region be read alone.",
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column of obs with the types; annatac_label otherwise."),
]
Types = Annotated[
    list[str] | None, typer.Option("--type", metavar="NAME", help="Only this type; may be given again.")
]
MinCells = Annotated[int, typer.Option(min=1, help="Types of fewer cells are left out.")]
GeneFile = Annotated[
    Path | None,
    typer.Option("--gtf", metavar="FILE", help="Genes of the assembly: GTF, GFF3 or BED, also gzipped."),
]
