"""Annotated cells: marker peaks, regulatory elements, differences between conditions; tables and pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError, nearest
from annatac.genome.intervals import intervals_of
from annatac.io.atomic import atomic_path
from annatac.io.read import read_one
from annatac.jobs.outputs import check_outputs
from annatac.tl.groups import codes_of


def markers(
    path: str | Path,
    output: str | Path,
    *,
    groupby: str | None = None,
    genes: str | Path | None = None,
    donor_key: str | None = None,
    weigh: bool | None = None,
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
    DataFrame, a row a type: cells, compared cells, background, n_markers; ``attrs`` has the files written.
    """
    from annatac import pl, tl

    check_outputs(output, bed, pictures=(heatmap, volcano))
    if volcano_type is not None and volcano is None:
        raise ConfigError(
            f"'{volcano_type}' is the type of the volcano plot (--type): give --volcano FILE too."
        )
    adata, by = read_one(path), groupby or keys.LABEL
    if bed is not None and intervals_of(adata.var) is None:
        raise InputError(
            f"The features have no coordinates (the first is '{adata.var_names[0]}'): a BED file cannot be written. "
            "Leave --bed out, or name the peaks like 'chr1:100-600'."
        )
    if volcano_type is not None:
        names = codes_of(adata, by)[1]
        if volcano_type not in names:
            raise LabelError(
                f"No cell has the type '{volcano_type}' in obs['{by}'].{nearest(volcano_type, names)} Types: "
                f"{', '.join(names)}."
            )
    found = tl.markers(adata, by, genes=genes, donor_key=donor_key, weigh=weigh, seed=seed)
    bounds: dict[str, Any] = {"max_fdr": max_fdr, "min_log2_fold_change": min_log2_fold_change}
    table = found.cells.assign(n_markers=found.is_marker(**bounds).sum(axis=1))
    drawn = []
    if heatmap is not None and not table["n_markers"].any():
        warnings.warn(
            f"No peak is a marker of any type (FDR at most {max_fdr:g}, log2 fold change at least "
            f"{min_log2_fold_change:g}): {heatmap} is not drawn.",
            AnnatacWarning,
            stacklevel=2,
        )
    elif heatmap is not None:
        drawn.append((pl.marker_heatmap(found, **bounds), heatmap))
    if volcano is not None:
        drawn.append((pl.volcano(found, volcano_type or found.types[0], **bounds), volcano))
    found.write_csv(output, **bounds)
    if bed is not None:
        found.write_bed(bed, **bounds)
    for axes, file in drawn:
        pl.save(axes, file)
    table.attrs["written"] = [output, *([] if bed is None else [bed]), *(file for _, file in drawn)]
    return table


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

    check_outputs(output, pictures=[plot])
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
    min_cells: int | None = None,
    plot: str | Path | None = None,
) -> pd.DataFrame:
    """Write what differs between conditions as CSV: the peaks of a type, or the shares of the types.

    ``min_cells``: samples of fewer are left out; of the type by default under 10, for the shares of the types under
    100 of all cells.
    """
    from annatac import pl, tl

    check_outputs(output, pictures=[plot])
    adata, by = read_one(path), groupby or keys.LABEL
    if cell_type is None:
        table = tl.composition(
            adata,
            by,
            condition_key=condition_key,
            sample_key=sample_key,
            conditions=compare,
            block_key=block_key,
            min_cells=min_cells or 100,
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
            min_cells=min_cells or 10,
        )
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    if plot is not None and cell_type is None:
        pl.save(pl.composition(adata, by, sample_key=sample_key, condition_key=condition_key), plot)
    elif plot is not None:
        pl.save(pl.volcano(table), plot)
    return table
