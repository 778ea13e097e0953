"""``report``: annotated cells -> one HTML file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from annatac.errors import ConfigError
from annatac.io.atomic import atomic_path, check_writable
from annatac.io.read import read_one
from annatac.report.cells import cells_of
from annatac.report.content import content_of
from annatac.report.evidence import evidence_of
from annatac.report.layout import layout_of
from annatac.report.markers import MarkerSource, MarkerTable, computed_markers, marker_table
from annatac.report.render import check_jinja2, page

if TYPE_CHECKING:
    from anndata import AnnData

    from annatac.annotate.annotator import Annotator


def report(
    adata: AnnData | str | Path,
    output: str | Path,
    *,
    truth_key: str | None = None,
    sample_key: str | None = None,
    markers: MarkerSource | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    model: Annotator | str | Path | None = None,
    title: str | None = None,
    compute_markers: bool = True,
    n_markers: int = 100,
    max_cells_drawn: int = 100_000,
    seed: int = 0,
) -> Path:
    """Write one self-contained HTML file about annotated cells, to be opened in any browser, and return its path.

    Parameters
    ----------
    adata
        Cells as ``annatac.tl.annotate`` leaves them, or their file; not changed. ``obsm['X_umap']`` is used
        where present, else computed from ``obsm['X_annatac']``.
    output
        HTML file to write, whole or not at all; an older one is replaced.
    truth_key
        Column of ``obs`` with the true types: adds accuracy, confusion matrix and Sankey diagram.
    sample_key
        Column of ``obs`` with the samples (or donors, conditions); ``obs['sample']`` where there is one.
    markers
        Marker peaks: the result of ``annatac.tl.markers``, its table, or its CSV file. Otherwise they are
        computed where X holds counts.
    genes
        GTF, GFF3, BED or table of genes, for the nearest gene of each computed marker.
    model
        The model that named the cells, or its folder: adds the islands that it went by for each type.
    title
        Heading; otherwise from the file's name.
    compute_markers
        Whether markers may be computed (a few minutes for 50,000 cells).
    n_markers
        Markers of each type in the table, the surest.
    max_cells_drawn
        Of more cells a random choice of so many is on the map; all numbers are of all cells.
    seed
        Of that choice, and of a UMAP that is computed.

    Raises
    ------
    InputError, LabelError
        The cells are not annotated; a column is missing; the marker table has not its columns.
    ConfigError
        A number out of range.
    MissingDependencyError
        jinja2 is not installed.
    OutputError
        The file cannot be written.

    Warns
    -----
    AnnatacWarning
        Markers, UMAP or attributions cannot be computed; the report says why and goes without.
    """
    if n_markers < 1 or max_cells_drawn < 1:
        raise ConfigError(
            f"n_markers is {n_markers}, max_cells_drawn {max_cells_drawn}; both are expected to be at least 1."
        )
    output = Path(output)
    check_report(output)
    source = "cells in memory"
    with ExitStack() as files:
        if isinstance(adata, str | Path):
            source = Path(adata).name
            adata = read_one(adata, backed=True)
            if adata.isbacked:
                files.callback(adata.file.close)
        cells = cells_of(adata, truth_key=truth_key, sample_key=sample_key)
        table: MarkerTable | None = None
        if markers is not None:
            table = marker_table(markers, n_top=n_markers)
        elif compute_markers:
            table = computed_markers(adata, genes=genes, n_top=n_markers)
        evidence = {} if model is None else evidence_of(adata, cells, model, table, genes=genes, seed=seed)
        content = content_of(
            adata,
            cells,
            title=title or f"Cell types of {source}",
            source=source,
            layout=layout_of(adata, seed=seed),
            markers=table,
            evidence=evidence,
            max_cells_drawn=max_cells_drawn,
            seed=seed,
        )
        html = page(content)
    with atomic_path(output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return output


def check_report(output: str | Path) -> None:
    """Refuse a report that cannot be written, before work is spent on its content.

    Raises
    ------
    ConfigError, OutputError, MissingDependencyError
        Its name does not end in .html; its folder is not writable; jinja2 is not installed.
    """
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"The report {output} is a page for a browser: give it a name that ends in .html.")
    check_writable(output)
    check_jinja2()
