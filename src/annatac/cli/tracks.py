"""``annatac tracks``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, FragmentFiles, GeneFile, GroupBy, MinCells, Types
from annatac.cli.terminal import say
from annatac.errors import ConfigError


def tracks(
    cells: Cells,
    fragments: FragmentFiles,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION|GENE", help="chr12:6,780,000-6,830,000, or with --gtf a gene."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Picture of the region (.png, .pdf, .svg)."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Coverage of the region as numbers.")
    ] = None,
    bigwig: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write one bigWig file a type into this folder.")
    ] = None,
    bedgraph: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The same as bedGraph, which needs no other package.")
    ] = None,
    gtf: GeneFile = None,
    peaks: Annotated[
        Path | None, typer.Option(metavar="BED", help="Peaks to draw; the cells' features otherwise.")
    ] = None,
    groupby: GroupBy = None,
    types: Types = None,
    genome: options.Genome = None,
    bin_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="BP", help="Width of a bin; a thousandth of the region, 50 for whole genomes."
        ),
    ] = None,
    min_cells: MinCells = 10,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Draw the coverage of a locus by cell type, or write it for a genome browser.

    \b
    Examples:
      annatac tracks out.h5ad --fragments fragments.tsv.gz --region CD4 \\
          --gtf genes.gtf.gz -o cd4.png
      annatac tracks out.h5ad --fragments fragments.tsv.gz --bigwig tracks
    """
    from annatac import jobs

    if bigwig is not None and bedgraph is not None:
        raise ConfigError("Choose one of --bigwig and --bedgraph.")
    written = jobs.tracks(
        cells,
        fragments=fragments,
        region=region,
        plot=output,
        table=table,
        folder=bigwig if bigwig is not None else bedgraph,
        file_format="bedgraph" if bedgraph is not None else "bigwig",
        genes=gtf,
        peaks=peaks,
        groupby=groupby,
        types=types,
        genome=genome,
        bin_size=bin_size,
        min_cells=min_cells,
        overwrite=overwrite,
    )
    say(f"Written: {', '.join(map(str, written))}")
