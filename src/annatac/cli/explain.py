"""``annatac explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.fragment_options import Cells, GeneFile
from annatac.cli.terminal import cells_bar, say


def explain(
    cells: Cells,
    model: Annotated[
        Path, typer.Option("--model", metavar="DIR", help="Folder of the model that named the cells.")
    ],
    cell: Annotated[
        list[str] | None, typer.Option(metavar="BARCODE", help="Explain this cell; may be given again.")
    ] = None,
    cell_type: Annotated[
        str | None, typer.Option("--type", metavar="NAME", help="Explain this type; all types otherwise.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Over this type, instead of over the mean of all others."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Table of islands to write.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the cell or the type (.png, .pdf, .svg).")
    ] = None,
    agreement: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Compare with the statistical markers of the labels, by type."),
    ] = None,
    gtf: GeneFile = None,
    max_cells: Annotated[int, typer.Option(min=1, help="Cells of each type, drawn at random.")] = 100,
    n_top: Annotated[int, typer.Option(min=1, help="Islands of each type in the tables.")] = 100,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Show which open islands a cell's, or a type's, label rests on.

    \b
    Examples:
      annatac explain out.h5ad --model model --type "B cell" --gtf genes.gtf.gz \\
          --csv why.csv --plot why.png
      annatac explain out.h5ad --model model --cell AAACGAAAGCGCAATG-1 --plot cell.png
      annatac explain out.h5ad --model model --agreement agreement.csv
    """
    from annatac import jobs

    with cells_bar("Explaining") as on_progress:
        found, table = jobs.explain(
            cells,
            model=model,
            cells=cell,
            cell_type=cell_type,
            against=against,
            csv=csv,
            plot=plot,
            agreement=agreement,
            genes=gtf,
            max_cells=max_cells,
            n_top=n_top,
            seed=seed,
            device=device,
            on_progress=on_progress,
        )
    if cell and len(cell) == 1:
        name = str(found.cells.index[0])
        facts = found.cells.loc[name]
        say(
            f"{name}: {facts['target']}, {facts['logit'] - facts['baseline']:+.2f} from {facts['n_open']:,} open "
            "islands"
        )
        shown = found.of_cell(name, n_top=10)
    else:
        types = "1 type" if len(found.targets) == 1 else f"{len(found.targets)} types"
        say(f"{len(found.cells):,} cells of {types}; the islands that speak most for each:")
        shown = found.table(n_top=10 if len(found.targets) == 1 else 3)
    hidden = [column for column in ("chrom", "start", "end") if column in shown]
    say(shown.drop(columns=hidden).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if table is not None:
        say(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    written = [str(path) for path in (csv, plot, agreement) if path is not None]
    if written:
        say(f"Written: {', '.join(written)}")
