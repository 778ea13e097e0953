"""``annatac trajectory``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from annatac import keys
from annatac.cli import options
from annatac.cli.fragment_options import Cells, GeneFile
from annatac.cli.terminal import say


class Basis(StrEnum):
    """Which layout is drawn on."""

    umap = "umap"
    tsne = "tsne"


def trajectory(
    cells: Cells,
    order: Annotated[
        list[str] | None,
        typer.Option(
            "--order", metavar="TYPE", help="A type on the way, the earliest first; again for each."
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(metavar="TYPE|BARCODE", help="Instead of an order: where diffusion pseudo-time starts."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="H5AD", help="File to write; the input itself otherwise."),
    ] = None,
    groupby: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of obs with the types (or clusters).")
    ] = keys.LABEL,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of the peaks that change along it.")
    ] = None,
    heatmap: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw them (.png, .pdf, .svg).")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the cells with the path, after `embed`.")
    ] = None,
    basis: Annotated[Basis, typer.Option(help="Layout of --plot.")] = Basis.umap,
    obsm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Features of this slot instead of peaks: motif deviations, say."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="With --obsm: peaks and features that run alike."),
    ] = None,
    pairs_plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw these pairs side by side.")
    ] = None,
    gtf: GeneFile = None,
    fdr: Annotated[float, typer.Option(min=0, max=1, help="Largest false discovery rate.")] = 0.05,
    correlation: Annotated[float, typer.Option(min=0, max=1, help="Smallest correlation of a pair.")] = 0.7,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Order cells in pseudo-time, and find the peaks that change along it.

    \b
    Examples:
      annatac trajectory out.h5ad --order HSC --order GMP --order Monocyte \\
          --plot path.png --csv peaks.csv --heatmap peaks.png
      annatac trajectory pericytes.h5ad --groupby leiden --order 2 --order 0 --order 1
      annatac trajectory out.h5ad --root HSC -o dpt.h5ad
    """
    from annatac import jobs

    done = jobs.trajectory(
        cells,
        output,
        order=order,
        root=root,
        groupby=groupby,
        csv=csv,
        heatmap=heatmap,
        plot=plot,
        basis=str(basis),
        obsm=obsm,
        pairs=pairs,
        pairs_plot=pairs_plot,
        genes=gtf,
        max_fdr=fdr,
        min_correlation=correlation,
        seed=seed,
    )
    say(f"{done.n_cells:,} cells have a pseudo-time (obs['{keys.PSEUDOTIME}'], 0 to 100).")
    if done.features is not None:
        changing = len(done.features.changing(max_fdr=fdr))
        say(f"{changing:,} of {len(done.features.table):,} tested features change along it (FDR {fdr:g}).")
    if done.n_pairs is not None:
        say(f"{done.n_pairs:,} pairs run alike (correlation {correlation:g} or more).")
    say(f"Written: {', '.join(map(str, done.written))}")
