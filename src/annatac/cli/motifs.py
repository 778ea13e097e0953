"""``annatac motifs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import GroupBy
from annatac.cli.terminal import say


def motifs(
    cells: Annotated[
        Path,
        typer.Argument(
            metavar="H5AD|BED", help="Cells with peaks: output of `annatac annotate`; or all peaks, as BED."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")],
    fasta: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sequence of the assembly, plain or bgzipped; always needed."),
    ] = None,
    motifs: Annotated[
        str,
        typer.Option(metavar="RELEASE|FILE", help="JASPAR release (vertebrates), or MEME or JASPAR file."),
    ] = "JASPAR2024",
    names: Annotated[
        list[str] | None,
        typer.Option("--names", metavar="NAME", help="Only this motif (CTCF, MA0139.2); again for each."),
    ] = None,
    groupby: GroupBy = None,
    markers: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV|BED",
            help="Peaks of each type: a table of `annatac markers`, or BED with the type as name. Computed "
            "from the cells otherwise.",
        ),
    ] = None,
    genome: options.Genome = None,
    p_value: Annotated[float, typer.Option(help="A site's largest p-value.")] = 5e-5,
    fdr: Annotated[float, typer.Option(min=0, max=1, help="Largest false discovery rate.")] = 0.05,
    fold: Annotated[
        float, typer.Option(min=0, help="Test for more than this log2 enrichment; 0 for any at all.")
    ] = 0.5,
    top: Annotated[int, typer.Option(min=1, help="Leading motifs of each type to draw.")] = 1,
    pictures: Annotated[bool, typer.Option(help="Draw enrichment, logos and ridges.")] = True,
    overwrite: options.Overwrite = False,
    seed: options.Seed = 0,
    debug: options.Debug = False,
) -> None:
    """Find the motifs in each type's marker peaks, and how active they are in each cell.

    \b
    Examples:
      annatac motifs out.h5ad --fasta hg38.fa -o motifs
      annatac motifs out.h5ad --fasta hg38.fa -o motifs --markers markers.csv \\
          --names GATA1 --names SPI1
      annatac motifs peaks.bed --fasta hg38.fa -o motifs --markers markers.bed
    """
    from annatac import jobs

    table = jobs.motifs(
        cells,
        output,
        fasta=fasta,
        source=motifs,
        names=names,
        groupby=groupby,
        markers=markers,
        genome=genome,
        p_value=p_value,
        max_fdr=fdr,
        min_log2_enrichment=fold,
        n_top=top,
        pictures=pictures,
        overwrite=overwrite,
        seed=seed,
    )
    say(table.to_string())
    say("A motif says which factors could bind, and not which does: relatives share it (docs/motifs.md).")
    say(f"Written: {', '.join(sorted(file.name for file in output.iterdir())[:8])} ... in {output}")
