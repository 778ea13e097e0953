"""``annatac qc``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, FragmentFiles, GeneFile, GroupBy
from annatac.cli.terminal import say


def qc(
    cells: Cells,
    fragments: FragmentFiles,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="H5AD", help="File to write; the input itself otherwise."),
    ] = None,
    gtf: GeneFile = None,
    groupby: GroupBy = None,
    tss_plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the profile at start sites (.png, .pdf, .svg).")
    ] = None,
    sizes_plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the fragment sizes (.png, .pdf, .svg).")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Judge cells by their fragments: number, enrichment at start sites, sizes.

    \b
    Examples:
      annatac qc out.h5ad --fragments fragments.tsv.gz --gtf genes.gtf.gz \\
          --tss-plot tss.png --sizes-plot sizes.png
    """
    from annatac import jobs

    table = jobs.fragment_qc(
        cells,
        output,
        fragments=fragments,
        genes=gtf,
        groupby=groupby,
        tss_plot=tss_plot,
        sizes_plot=sizes_plot,
    )
    n_read, n_matched = table.attrs["n_read"], table.attrs["n_matched"]
    say(f"{n_matched:,} of {n_read:,} fragments ({n_matched / max(n_read, 1):.1%}) belong to the cells.")
    shown = table.rename(columns=lambda name: name.removeprefix("annatac_")).round(2)
    say(f"Medians by type:\n{shown.to_string()}")
    written = [table.attrs["written"], *(str(path) for path in (tss_plot, sizes_plot) if path is not None)]
    say(f"Written: {', '.join(written)}")
