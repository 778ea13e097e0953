"""``annatac simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say

_AFTER, _CELLS = "What the cells take after", "Cells"


def simulate(
    profiles: Annotated[
        str,
        typer.Argument(
            metavar="PROFILES",
            help="Bulk profiles: .h5ad, a folder of BED, narrowPeak or bigWig files named by type, or the name of "
            "a data set.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="H5AD", help="File to write.")],
    query: Annotated[
        Path | None,
        typer.Option(
            metavar="CELLS",
            help="Unlabelled cells to stand in for: their peaks, depth, counts and mean openness.",
            rich_help_panel=_AFTER,
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="CELLS", help="Cells whose depth and counts are taken on.", rich_help_panel=_AFTER
        ),
    ] = None,
    peaks: Annotated[
        Path | None,
        typer.Option(
            metavar="BED|CELLS",
            help="Peaks to simulate; those of the profiles otherwise.",
            rich_help_panel=_AFTER,
        ),
    ] = None,
    median_open: Annotated[
        float | None,
        typer.Option(
            min=1, help="Open islands of the median cell (2,000), without --like.", rich_help_panel=_AFTER
        ),
    ] = None,
    cells_per_type: Annotated[
        int, typer.Option(min=1, help="Cells of each type.", rich_help_panel=_CELLS)
    ] = 200,
    mixture: Annotated[
        str,
        typer.Option(
            metavar="equal|fitted|CSV",
            help="Types in equal numbers, in the shares that the query seems to hold, or by a table of type and "
            "number of cells.",
            rich_help_panel=_CELLS,
        ),
    ] = "equal",
    background: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of a cell's fragments that say nothing of its type (0.1; 0.5 with --query).",
            rich_help_panel=_CELLS,
        ),
    ] = None,
    doublets: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the cells that are two.", rich_help_panel=_CELLS)
    ] = 0.0,
    batches: Annotated[int, typer.Option(min=1, help="Batches.", rich_help_panel=_CELLS)] = 1,
    batch_effect: Annotated[
        float,
        typer.Option(min=0, help="Log-normal shift of each peak in a batch, sd.", rich_help_panel=_CELLS),
    ] = 0.2,
    type_key: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Column of obs with the types.", rich_help_panel=options.READING),
    ] = "cell_type",
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Average the profiles of one type.", rich_help_panel=options.READING),
    ] = False,
    genome: options.Genome = None,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Draw cells with known types from bulk profiles.

    \b
    Not a single labelled cell is needed: simulate for a query, fine-tune on
    what was simulated, annotate the query. The file says that its cells are
    simulated.

    \b
    Examples:
      annatac simulate hema_bulk16 -o cells.h5ad --query query.h5ad
      annatac simulate narrow_peaks/ -o cells.h5ad --genome hg38 \\
          --cells-per-type 500 --like real.h5ad
    """
    from annatac import jobs

    done = jobs.simulate(
        profiles,
        output,
        cells_per_type=cells_per_type,
        mixture=mixture,
        query=query,
        like=like,
        peaks=peaks,
        type_key=type_key,
        genome=genome,
        merge=merge,
        median_open=median_open,
        background=background,
        doublets=doublets,
        batches=batches,
        batch_effect=batch_effect,
        seed=seed,
    )
    of = (
        f" (of {done.n_peaks_of_query:,}; the profiles know nothing of the others)"
        if done.n_peaks_of_query
        else ""
    )
    say(
        f"Simulated {sum(done.n_cells.values()):,} cells of {len(done.n_cells)} types over {done.n_peaks:,} peaks{of} "
        f"on {done.genome}, {done.median_open:,.0f} open islands in the median cell."
    )
    if done.shares:
        most = sorted(done.shares.items(), key=lambda pair: -pair[1])[:5]
        say("The query seems to hold " + ", ".join(f"{share:.0%} {name}" for name, share in most) + ".")
    say(f"Written: {output}")
