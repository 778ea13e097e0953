"""``annatac footprints``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, FragmentFiles, GroupBy, MinCells, Types
from annatac.cli.terminal import say


class Correction(StrEnum):
    """How the bias of Tn5 is taken out of the picture."""

    subtract = "subtract"
    divide = "divide"
    none = "none"


def footprints(
    cells: Cells,
    fragments: FragmentFiles,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="CSV", help="Table of footprint depths to write.")
    ],
    sites: Annotated[
        list[str] | None,
        typer.Option("--sites", metavar="BED|NAME=BED", help="Sites of a motif; may be given again."),
    ] = None,
    motif: Annotated[
        list[str] | None,
        typer.Option(
            "--motif",
            metavar="NAME",
            help="Instead, or too: the sites of this motif (CTCF, MA0139.2) in the cells' peaks; needs --fasta.",
        ),
    ] = None,
    motifs: Annotated[
        str,
        typer.Option(
            metavar="RELEASE|FILE", help="Where --motif is: JASPAR release, or MEME or JASPAR file."
        ),
    ] = "JASPAR2024",
    fasta: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sequence of the assembly; without it nothing is corrected."),
    ] = None,
    genome: options.Genome = None,
    background: Annotated[
        Path | None,
        typer.Option(metavar="BED", help="Intervals that teach the bias; the cells' features otherwise."),
    ] = None,
    groupby: GroupBy = None,
    types: Types = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the footprints (.png, .pdf, .svg).")
    ] = None,
    normalise: Annotated[
        Correction | None, typer.Option(help="What is drawn: subtract where there is a FASTA, else none.")
    ] = None,
    profiles: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write every position of every footprint.")
    ] = None,
    flank: Annotated[int, typer.Option(min=1, metavar="BP", help="Half the window around a site.")] = 250,
    kmer: Annotated[int, typer.Option(min=2, max=8, help="Length of the k-mers of the bias.")] = 6,
    min_cells: MinCells = 10,
    seed: options.Seed = 0,
    debug: options.Debug = False,
) -> None:
    """Look for footprints: insertions around the sites of a motif, by cell type.

    \b
    Examples:
      annatac footprints out.h5ad --fragments fragments.tsv.gz \\
          --sites CTCF=ctcf.bed --fasta hg38.fa -o depths.csv --plot ctcf.png
      annatac footprints out.h5ad --fragments fragments.tsv.gz \\
          --motif CTCF --fasta hg38.fa -o depths.csv
    """
    from annatac import jobs

    result = jobs.footprints(
        cells,
        output,
        fragments=fragments,
        sites=sites or (),
        motifs=motif or (),
        source=motifs,
        fasta=fasta,
        genome=genome,
        background=background,
        groupby=groupby,
        types=types,
        flank_bp=flank,
        kmer=kmer,
        min_cells=min_cells,
        seed=seed,
        profiles=profiles,
        plot=plot,
        normalise=None if normalise is None else str(normalise),
    )
    shown = ["motif", "cell_type", "n_insertions", "depth", "depth_se", "flank_accessibility"]
    say(result.table()[shown].round(3).to_string(index=False))
    written = [str(path) for path in (output, profiles, plot) if path is not None]
    say(f"Written: {', '.join(written)}")
