"""``annatac prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say


def prepare(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Files or folders of cells.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="H5AD", help="File to write.")],
    genome: options.Genome = None,
    islands: Annotated[
        options.IslandChoice,
        typer.Option(
            help="All islands, or those with a start site (--gtf).", rich_help_panel=options.ISLANDS
        ),
    ] = options.IslandChoice.all,
    gtf: options.Genes = None,
    bin_size: options.BinSize = 5000,
    assign: Annotated[
        options.AssignChoice,
        typer.Option(
            help="A peak belongs to the island of its midpoint, of its start (as published), or to all that it "
            "overlaps.",
            rich_help_panel=options.ISLANDS,
        ),
    ] = options.AssignChoice.midpoint,
    openness: Annotated[
        options.OpennessChoice,
        typer.Option(
            help="Of an island, from its peaks' counts; the mean is rounded up.",
            rich_help_panel=options.ISLANDS,
        ),
    ] = options.OpennessChoice.mean,
    blacklist: Annotated[
        Path | None,
        typer.Option(
            metavar="BED",
            help="Leave out peaks that overlap these intervals.",
            rich_help_panel=options.ISLANDS,
        ),
    ] = None,
    peaks: options.Peaks = None,
    barcodes: options.Barcodes = None,
    min_fragments: options.MinFragments = None,
    chrom_sizes: options.ChromSizes = None,
    labels: options.Labels = None,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Make peak islands of any input and write them as .h5ad.

    \b
    Not needed before finetune or annotate, which do the same by themselves.
    It saves time where one input is used often, and shows what annatac makes
    of it.

    \b
    Examples:
      annatac prepare outs/fragments.tsv.gz -o islands.h5ad --genome hg38 \\
          --barcodes outs/singlecell.csv
      annatac prepare a.h5ad b.h5ad -o both.h5ad --islands tss \\
          --gtf gencode.gtf.gz
    """
    from annatac import jobs
    from annatac.jobs.preparing import facts

    cells = jobs.prepare(
        inputs,
        output,
        genome=genome,
        islands=islands.value,
        genes=gtf,
        bin_size=bin_size,
        assign=assign.value,
        openness=openness.value,
        blacklist=blacklist,
        peaks=peaks,
        barcodes=barcodes,
        min_fragments=min_fragments,
        chrom_sizes=chrom_sizes,
        labels=labels,
    )
    found = facts(cells)
    say(
        f"{found['n_cells']:,} cells x {found['n_islands']:,} islands on "
        f"{found['genome'] or 'an assembly that is not stated'}, {found['median_open']:,.0f} open in the median "
        f"cell; {found['n_low_quality']:,} cells flagged as low quality.\nWritten: {output}"
    )
