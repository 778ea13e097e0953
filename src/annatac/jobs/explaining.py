"""Annotated files and their model: why a cell, or a type, got its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from annatac.errors import ConfigError
from annatac.io.read import read_one
from annatac.jobs.fragments import write_csv
from annatac.jobs.outputs import check_outputs

if TYPE_CHECKING:
    from annatac.tl.reasons.attribution_table import Attribution


def explain(
    path: str | Path,
    *,
    model: str | Path,
    cells: Sequence[str] | None = None,
    cell_type: str | None = None,
    against: str | None = None,
    csv: str | Path | None = None,
    plot: str | Path | None = None,
    agreement: str | Path | None = None,
    genes: str | Path | None = None,
    max_cells: int = 100,
    n_top: int = 100,
    seed: int = 0,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Attribution, pd.DataFrame | None]:
    """Return what the calls rest on, and the agreement with the statistical markers where it is asked for.

    Parameters
    ----------
    cells
        Explain these cells, by name; ``cell_type`` then says for which type (their own best one otherwise).
    cell_type
        Explain the cells of this type only.
    csv
        Table to write: of one cell its open islands, of several or of types the ``n_top`` islands of each type.
    plot
        Picture to draw (PNG, PDF or SVG by its ending): of a cell or a type.
    agreement
        Compute markers of the model's labels too, and write how far they are the islands the model goes by.
    """
    from annatac import tl

    if cells and agreement is not None:
        raise ConfigError("The agreement with markers is of types: leave out the cells.")
    check_outputs(csv, agreement, pictures=[plot])
    adata = read_one(path, backed=agreement is None)
    found = tl.attribution(
        adata,
        model,
        target=cell_type,
        against=against,
        cells=list(cells) if cells else None,
        max_cells=max_cells,
        genes=genes,
        device=device,
        seed=seed,
        on_progress=on_progress,
    )
    one = str(found.cells.index[0]) if cells and len(cells) == 1 else None
    table = None
    if agreement is not None:
        table = tl.attribution_agreement(found, tl.markers(adata), n_top=n_top)
    if csv is not None:
        if one is not None:
            write_csv(found.of_cell(one), csv)
        else:
            found.write_csv(csv, n_top=n_top)
    if plot is not None:
        from annatac import pl

        pl.save(pl.attribution(found, cell=one), plot)
    if table is not None:
        write_csv(table, str(agreement))
    return found, table
