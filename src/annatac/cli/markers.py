"""``annatac markers``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, GeneFile, GroupBy
from annatac.cli.terminal import say


def markers(
    cells: Cells,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="CSV", help="Table to write.")],
    gtf: GeneFile = None,
    groupby: GroupBy = None,
    donor_key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Donors: adds a test with donors as replicates (3 or more)."),
    ] = None,
    weigh: Annotated[
        bool | None,
        typer.Option(
            "--weigh/--no-weigh",
            help="Count each cell by its probability of the type, not by its label alone. By default where the "
            "types are the model's labels.",
        ),
    ] = None,
    fdr: Annotated[float, typer.Option(min=0, max=1, help="Largest false discovery rate.")] = 0.05,
    fold: Annotated[float, typer.Option(help="Smallest log2 fold change to the background.")] = 0.5,
    bed: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the peaks as BED too.")] = None,
    heatmap: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the strongest peaks (.png, .pdf, .svg).")
    ] = None,
    volcano: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw all peaks of one type, see --type.")
    ] = None,
    cell_type: Annotated[
        str | None, typer.Option("--type", metavar="NAME", help="Type of the volcano; the first otherwise.")
    ] = None,
    seed: options.Seed = 0,
    debug: options.Debug = False,
) -> None:
    """Find the peaks that tell each type from others of the same depth.

    \b
    Examples:
      annatac markers out.h5ad -o markers.csv --gtf genes.gtf.gz --bed markers.bed
      annatac markers out.h5ad -o markers.csv --heatmap heat.png \\
          --volcano b.png --type "B cell"
    """
    from annatac import jobs

    table = jobs.markers(
        cells,
        output,
        groupby=groupby,
        genes=gtf,
        donor_key=donor_key,
        weigh=weigh,
        max_fdr=fdr,
        min_log2_fold_change=fold,
        bed=bed,
        heatmap=heatmap,
        volcano=volcano,
        volcano_type=cell_type,
        seed=seed,
    )
    say(table[["n_cells", "n_used", "n_background", "n_markers"]].to_string())
    say("P-values rank peaks: the labels come from the same cells (docs/markers.md).")
    say(f"Written: {', '.join(map(str, table.attrs['written']))}")
