"""``annatac conditions``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, GroupBy
from annatac.cli.terminal import say


def conditions(
    cells: Cells,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="CSV", help="Table to write.")],
    condition_key: Annotated[str, typer.Option(metavar="COLUMN", help="Condition of each cell.")],
    sample_key: Annotated[
        str, typer.Option(metavar="COLUMN", help="Sample of each cell; samples are the replicates.")
    ],
    cell_type: Annotated[
        str | None,
        typer.Option("--type", metavar="NAME", help="Compare the peaks of this type; else the composition."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="REFERENCE OTHER", help="Which conditions, where there are more than two."),
    ] = None,
    block_key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Donors seen under both conditions, or batches.")
    ] = None,
    groupby: GroupBy = None,
    min_cells: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Samples of fewer cells are left out: 10 of the type, or 100 in all for the composition.",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it.")] = None,
    debug: options.Debug = False,
) -> None:
    """Compare groups of samples: shares of the types, or the peaks of one type.

    At least two samples in each condition are needed; three or more are advised.

    \b
    Examples:
      annatac conditions out.h5ad --condition-key disease --sample-key donor \\
          -o composition.csv --plot composition.png
      annatac conditions out.h5ad --condition-key disease --sample-key donor \\
          --type "B cell" -o b_cells.csv
    """
    from annatac import jobs

    table = jobs.conditions(
        cells,
        output,
        condition_key=condition_key,
        sample_key=sample_key,
        cell_type=cell_type,
        groupby=groupby,
        compare=compare,
        block_key=block_key,
        min_cells=min_cells,
        plot=plot,
    )
    reference, other = table.attrs["conditions"]
    n_reference, n_other = table.attrs["n_samples"]
    say(f"{other} ({n_other} samples) over {reference} ({n_reference} samples):")
    say(table.head(20).round(4).to_string(index=False))
    say(f"{int((table['fdr'] < 0.05).sum()):,} of {len(table):,} rows have an FDR under 0.05.")
    say(f"Written: {', '.join(str(path) for path in (output, plot) if path is not None)}")
