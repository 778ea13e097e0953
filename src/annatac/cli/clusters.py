"""``annatac clusters``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, GeneFile
from annatac.cli.terminal import say


def clusters(
    cells: Cells,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="H5AD", help="File to write; the input itself otherwise."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of the groups of novel cells.")
    ] = None,
    markers_csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of the groups' marker islands.")
    ] = None,
    consensus_csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of every cell's label beside that of its cluster."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="The model: groups are then compared with its reference's types."
        ),
    ] = None,
    gtf: GeneFile = None,
    novel_resolution: Annotated[
        float, typer.Option(metavar="NUMBER", help="Higher makes more groups of novel cells (Leiden).")
    ] = 0.5,
    resolution: Annotated[
        float, typer.Option(metavar="NUMBER", help="Higher makes more clusters of all cells (Leiden).")
    ] = 2.0,
    min_cells: Annotated[int, typer.Option(help="Novel cells in clusters of fewer are of no group.")] = 10,
    min_share: Annotated[
        float, typer.Option(help="A cluster has a consensus where so large a share has one label.")
    ] = 0.5,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Group the novel cells, and hold every label against those of its cluster.

    \b
    No label is changed: groups and clusters stand in columns of their own.

    \b
    Examples:
      annatac clusters out.h5ad --model model --csv groups.csv
      annatac clusters out.h5ad -o clustered.h5ad --consensus-csv cells.csv \\
          --markers-csv markers.csv --gtf genes.gtf.gz
    """
    from annatac import jobs

    found = jobs.clusters(
        cells,
        output,
        csv=csv,
        consensus_csv=consensus_csv,
        markers_csv=markers_csv,
        model=model,
        genes=gtf,
        novel_resolution=novel_resolution,
        resolution=resolution,
        min_cells=min_cells,
        min_share=min_share,
        seed=seed,
    )
    groups, clustered = found["groups"], found["consensus"]
    if len(groups):
        columns = [
            "group",
            "n_cells",
            "n_markers",
            "by_probability_1",
            "probability_1",
            "by_profile_1",
            "correlation_1",
        ]
        say(groups[columns].round(2).to_string(index=False))
    else:
        say("No group of novel cells.")
    without = int((clustered["consensus"] == "").sum())
    say(
        f"{len(clustered)} clusters of all cells, {without} without a consensus; in the others "
        f"{clustered['n_conflicts'].sum():,} cells have another label than their cluster's."
    )
    written = [cells if output is None else output, csv, markers_csv, consensus_csv]
    say(f"Written: {', '.join(str(path) for path in written if path is not None)}")
