"""Where the open peaks of each type lie: promoters, exons, introns or between genes (paper, Fig. 4B)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.genome.elements import element_of, gene_model
from annatac.genome.intervals import intervals_of
from annatac.pp.validate import validate_counts
from annatac.tl.contrasts.pseudobulks import group_sums
from annatac.tl.groups import codes_of, large_groups

if TYPE_CHECKING:
    from anndata import AnnData

UNION = "all types"  # what stands for the union in the column cell_type; is_union tells it from a type


def elements(
    adata: AnnData,
    genes: str | Path | pd.DataFrame,
    *,
    groupby: str = keys.LABEL,
    min_share: float = 0.05,
    upstream_bp: int = 2000,
    downstream_bp: int = 100,
    min_cells: int = 10,
) -> pd.DataFrame:
    """Return how many of each type's open peaks are promoter, exon, intron or distal, and of their union.

    Parameters
    ----------
    adata
        Cells x peaks, counts; backed works.
    genes
        GTF or GFF3 (with exons: promoter, exon, intron, distal), or BED or a table of genes
        (promoter, gene body, distal).
    groupby
        Column of ``obs`` with the types.
    min_share
        A peak is a type's if it is open in at least this share of its cells. Types of deeper cells have more
        peaks by the same share.
    upstream_bp, downstream_bp
        Reach of a promoter around the start site.
    min_cells
        Types with fewer cells are left out, with a warning.

    Returns
    -------
    DataFrame, one row a type and element, the union last: cell_type, is_union, element, n_peaks, share (of
    the type's peaks; NaN where it has none), min_share. A peak that fits several counts as the first of
    promoter, exon, intron.

    Raises
    ------
    InputError
        Features without coordinates, X without counts, or no gene on their chromosomes.
    LabelError
        No column ``groupby``, or no type with enough cells.
    ConfigError
        A number out of range.

    Warns
    -----
    AnnatacWarning
        Types are left out, or so small that one open cell is ``min_share`` of them.
    """
    if not 0 < min_share <= 1:
        raise ConfigError(f"min_share is {min_share}; expected more than 0 and at most 1.")
    intervals = intervals_of(adata.var)
    if intervals is None:
        raise InputError(
            f"The features have no coordinates (the first is '{adata.var_names[0]}'): their place among genes "
            "is not known. Name them like 'chr1:100-600', or give var the columns chrom, start, end."
        )
    validate_counts(adata)
    codes, names = codes_of(adata, groupby)
    large = large_groups(codes, names, min_cells, key=groupby)
    model = gene_model(genes)
    element = element_of(intervals, model, upstream_bp=upstream_bp, downstream_bp=downstream_bp)
    distal = len(model.elements) - 1
    if (element == distal).all():
        raise InputError(
            f"None of the {adata.n_vars:,} features touches one of the {len(model.genes):,} genes: features are "
            f"named like '{adata.var_names[0]}', genes lie on {', '.join(pd.unique(model.genes['chrom'])[:3])}. "
            "Give genes of the same assembly."
        )
    n_cells = np.bincount(codes[codes >= 0], minlength=len(names))
    n_open = group_sums(adata, codes, len(names))[1]
    single = [names[code] for code in large if min_share * n_cells[code] <= 1]
    if single:
        warnings.warn(
            f"Of {', '.join(single)} one open cell makes a peak the type's ({min_share:g} of the cells are one or "
            "less): such shares, and those of all types with them, are of chance openings too. Raise min_share.",
            AnnatacWarning,
            stacklevel=2,
        )
    is_open = n_open[large] >= min_share * n_cells[large][:, None]
    is_open &= n_open[large] > 0
    rows = []
    for name, mask, is_union in [
        *((names[code], is_open[i], False) for i, code in enumerate(large)),
        (UNION, is_open.any(axis=0), True),
    ]:
        n_peaks = np.bincount(element[mask], minlength=len(model.elements))
        for kind, n in zip(model.elements, n_peaks.tolist(), strict=True):
            share = n / mask.sum() if mask.any() else np.nan
            rows.append((name, is_union, kind, n, share, min_share))
    return pd.DataFrame(rows, columns=["cell_type", "is_union", "element", "n_peaks", "share", "min_share"])
