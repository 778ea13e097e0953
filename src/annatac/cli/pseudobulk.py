"""``annatac pseudobulk``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, GroupBy
from annatac.cli.terminal import say


def pseudobulk(
    cells: Cells,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")],
    groupby: GroupBy = None,
    sample_key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Samples or donors: one group a type and sample."),
    ] = None,
    min_cells: Annotated[int, typer.Option(min=1, help="Groups of fewer cells are left out.")] = 10,
    min_share: Annotated[
        float, typer.Option(help="BED files hold peaks open in this share of the group's cells.")
    ] = 0.05,
    fragments: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|SAMPLE=FILE",
            help="Fragment file of the cells, again for each sample: adds coverage as bigWig.",
        ),
    ] = None,
    bedgraph: Annotated[
        bool, typer.Option("--bedgraph", help="Coverage as bedGraph, which needs no other package.")
    ] = False,
    genome: options.Genome = None,
    bin_size: Annotated[int, typer.Option(min=1, metavar="BP", help="Width of a bin of the coverage.")] = 50,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Add up the counts of each type, or of each type in each sample, for other tools.

    Writes counts.h5ad, a BED file of open peaks a group, with fragments a
    bigWig file a group, and groups.csv, which says what is where.

    \b
    Examples:
      annatac pseudobulk out.h5ad -o bulk
      annatac pseudobulk out.h5ad -o bulk --sample-key donor \\
          --fragments fragments.tsv.gz
    """
    from annatac import jobs

    table = jobs.pseudobulk(
        cells,
        output,
        groupby=groupby,
        sample_key=sample_key,
        min_cells=min_cells,
        min_share=min_share,
        fragments=fragments or (),
        file_format="bedgraph" if bedgraph else "bigwig",
        genome=genome,
        bin_size=bin_size,
        overwrite=overwrite,
    )
    hidden = [column for column in ("bed", "track") if column in table]
    say(table.drop(columns=hidden).to_string(index=False))
    say(f"Written: {', '.join(sorted(file.name for file in output.iterdir()))} in {output}")
