"""Annotated cells: marker peaks, regulatory elements, differences between conditions; tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from annatac import keys
from annatac.io.atomic import atomic_path
from annatac.io.read import read_one


def markers(
    path: str | Path,
    output: str | Path,
    *,
    groupby: str | None = None,
    genes: str | Path | None = None,
    donor_key: str | None = None,
    weigh: bool = False,
    max_fdr: float = 0.05,
    min_log2_fold_change: float = 0.5,
    bed: str | Path | None = None,
    heatmap: str | Path | None = None,
    volcano: str | Path | None = None,
    volcano_type: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Write the marker peaks of every type as CSV, and as BED and pictures where asked.

    Returns
    -------
    DataFrame, a row a type: cells, compared cells, background, n_markers.
    """
    from annatac import pl, tl

    found = tl.markers(
        read_one(path), groupby or keys.LABEL, genes=genes, donor_key=donor_key, weigh=weigh, seed=seed
    )
    bounds: dict[str, Any] = {"max_fdr": max_fdr, "min_log2_fold_change": min_log2_fold_change}
    found.write_csv(output, **bounds)
    if bed is not None:
        found.write_bed(bed, **bounds)
    if heatmap is not None:
        pl.save(pl.marker_heatmap(found, **bounds), heatmap)
    if volcano is not None:
        pl.save(pl.volcano(found, volcano_type or found.types[0], **bounds), volcano)
    return found.cells.assign(n_markers=found.is_marker(**bounds).sum(axis=1))


def elements(
    path: str | Path,
    output: str | Path,
    *,
    genes: str | Path,
    groupby: str | None = None,
    min_share: float = 0.05,
    plot: str | Path | None = None,
) -> pd.DataFrame:
    """Write the shares of promoter, exon, intron and distal peaks of every type as CSV, and draw them."""
    from annatac import pl, tl

    table = tl.elements(read_one(path), genes, groupby=groupby or keys.LABEL, min_share=min_share)
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    if plot is not None:
        pl.save(pl.elements(table), plot)
    return table


def conditions(
    path: str | Path,
    output: str | Path,
    *,
    condition_key: str,
    sample_key: str,
    cell_type: str | None = None,
    groupby: str | None = None,
    compare: tuple[str, str] | None = None,
    block_key: str | None = None,
    plot: str | Path | None = None,
) -> pd.DataFrame:
    """Write what differs between conditions as CSV: the peaks of a type, or the shares of the types."""
    from annatac import pl, tl

    adata, by = read_one(path), groupby or keys.LABEL
    if cell_type is None:
        table = tl.composition(
            adata,
            by,
            condition_key=condition_key,
            sample_key=sample_key,
            conditions=compare,
            block_key=block_key,
        )
    else:
        table = tl.differential(
            adata,
            cell_type,
            groupby=by,
            condition_key=condition_key,
            sample_key=sample_key,
            conditions=compare,
            block_key=block_key,
        )
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    if plot is not None and cell_type is None:
        pl.save(pl.composition(adata, by, sample_key=sample_key, condition_key=condition_key), plot)
    elif plot is not None:
        pl.save(pl.volcano(table), plot)
    return table
