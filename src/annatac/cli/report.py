"""``annatac report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say


def report(
    annotated: Annotated[Path, typer.Argument(metavar="H5AD", help="Output of `annatac annotate`.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="HTML", help="Page to write.")] = Path(
        "report.html"
    ),
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column of obs with the true types: adds how right the labels are."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column of obs with samples or donors; 'sample' if there is one."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the page.")] = None,
    markers: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Marker peaks made before. Otherwise they are computed."),
    ] = None,
    genes: Annotated[
        Path | None,
        typer.Option(
            "--genes",
            "--gtf",
            metavar="FILE",
            help="Genes (GTF, GFF3 or BED): the nearest gene of each computed marker.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Model that named the cells: adds the islands it went by for each type."
        ),
    ] = None,
    no_markers: Annotated[bool, typer.Option("--no-markers", help="Leave computed markers out.")] = False,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Write one page about annotated cells, to be opened in any browser.

    \b
    Quality, composition, a map of the cells to zoom and hover, confidence and
    novelty with advice, markers, a page a type, a methods paragraph. One file,
    which loads nothing from the network.

    \b
    Examples:
      annatac report out.h5ad -o report.html --by donor
      annatac report out.h5ad -o report.html --truth cell_type \\
          --genes genes.gtf.gz --model blood_model
    """
    from annatac.report import report as write

    written = write(
        annotated,
        output,
        truth_key=truth,
        sample_key=by,
        markers=markers,
        genes=genes,
        model=model,
        title=title,
        compute_markers=not no_markers,
        seed=seed,
    )
    say(f"Written: {written} ({written.stat().st_size / 1e6:.1f} MB). Open it in a browser.")
