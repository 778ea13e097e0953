"""``annatac elements``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, GroupBy
from annatac.cli.terminal import say


def elements(
    cells: Cells,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="CSV", help="Table to write.")],
    gtf: Annotated[
        Path, typer.Option(metavar="FILE", help="Genes: GTF or GFF3 (with exons), or BED (without).")
    ],
    groupby: GroupBy = None,
    min_share: Annotated[
        float, typer.Option(help="A peak is a type's if open in this share of its cells.")
    ] = 0.05,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw stacked bars.")] = None,
    debug: options.Debug = False,
) -> None:
    """Tell how many peaks of each type are promoters, exons, introns or distal.

    \b
    Examples:
      annatac elements out.h5ad --gtf genes.gtf.gz -o elements.csv \\
          --plot elements.png
    """
    from annatac import jobs

    table = jobs.elements(cells, output, genes=gtf, groupby=groupby, min_share=min_share, plot=plot)
    wide = table.pivot_table(index="cell_type", columns="element", values="n_peaks", sort=False)
    say(f"Peaks open in at least {100 * min_share:g} % of the type's cells:\n{wide.astype(int).to_string()}")
    say(f"Written: {', '.join(str(path) for path in (output, plot) if path is not None)}")
