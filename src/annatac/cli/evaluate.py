"""``annatac evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, show


def evaluate(
    annotated: Annotated[Path, typer.Argument(metavar="H5AD", help="Output of `annatac annotate`.")],
    truth: Annotated[str, typer.Option(metavar="COLUMN", help="Column of obs with the true types.")],
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Judge the groups of this column too: sample, condition, ..."),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the confusion matrix (.png, .pdf, .svg).")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Compare labels with the truth, where it is known.

    \b
    The best known type of every cell is judged first; then the accepted cells
    alone, those not called novel. Types that the model does not know are kept
    apart.

    \b
    Examples:
      annatac evaluate out.h5ad --truth cell_type --by sample
      annatac evaluate out.h5ad --truth cell_type --json scores.json \\
          --plot confusion.png
    """
    from annatac import jobs

    show(jobs.evaluate(annotated, truth=truth, by=by, json_path=json, plot_path=plot))
    written = [str(path) for path in (json, plot) if path is not None]
    if written:
        say(f"Written: {' and '.join(written)}")
