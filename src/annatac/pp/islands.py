"""Peak islands: fixed genomic bins, and how open each is in every cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.pp.binning import Assign, Openness
from annatac.pp.counts import in_chunks
from annatac.pp.layout import island_layout
from annatac.pp.lift import Lift
from annatac.pp.validate import validate_counts

if TYPE_CHECKING:
    from anndata import AnnData


def peak_islands(
    adata: AnnData,
    *,
    bin_size: int = 5000,
    islands: Literal["all", "tss"] = "all",
    genes: str | Path | pd.DataFrame | None = None,
    assign: Assign = "midpoint",
    openness: Openness = "mean",
    blacklist: str | Path | pd.DataFrame | None = None,
    within: pd.DataFrame | None = None,
    lift: Lift | None = None,
    standard_chromosomes: bool = True,
) -> AnnData:
    """Return the cells' peak islands: chromosomes cut into bins, and the openness of the peaks in each.

    Parameters
    ----------
    adata
        Cells x peaks, counts; X dense, sparse or backed. Counts in bins (from fragments) and islands are
        returned as they are, or regrouped where ``bin_size`` is a multiple of theirs. Features without
        coordinates are returned under their names, with a warning.
    bin_size
        Width of an island in bp.
    islands
        ``'all'``, or ``'tss'``: those with a transcription start site of ``genes`` (the paper's choice).
    genes
        Path of a GTF, GFF3 or BED file, or a table with chrom, symbol and tss.
    assign
        A peak belongs to the bin of its midpoint ``(start + end) // 2``, of its ``'start'`` (the published
        code), or to every bin that it overlaps.
    openness
        Of an island, from the counts of all its peaks in this data, closed ones included: their mean, rounded
        up (the published code), their sum, their maximum, or 1 where any is open.
    blacklist
        BED file or table of intervals; peaks that overlap one are left out.
    within
        Table of intervals (chrom, start, end); peaks that overlap none of them are left out. A model gives the
        peaks of its reference: what is open beside them in the same island was never seen in training.
    lift
        Take the features to another assembly first; ``blacklist``, ``within`` and ``genes`` are on that one.
    standard_chromosomes
        Leave out the mitochondrion and scaffolds; a warning says how many counts go with them.

    Returns
    -------
    New AnnData of cells x islands, in the order of the genome; ``adata`` is not changed.
    X: int32 CSR. obs and uns: as in ``adata``. var: index 'chr1:5000-10000', ``chrom``, ``start``, ``end``,
    ``n_peaks``, ``peaks`` ('start-end;...' of the peaks, '' where a bin was counted whole) and, with genes,
    ``genes`` (';'-joined symbols whose start site lies in the island). ``uns['annatac_islands']``: the
    parameters, among them ``share_within``, the share of all counts that lie ``within``, and, after a lift,
    ``lifted_from`` and ``share_lifted``, the assembly and the share of all counts that have a counterpart;
    ``uns['genome']`` is then the new assembly.

    Raises
    ------
    ConfigError
        An unknown choice, ``islands='tss'`` without genes, or bins that cannot be regrouped exactly.
    InputError
        X holds no counts (see :func:`annatac.pp.validate_counts`), no peak is left, or a file cannot be used.
    OverlapError
        No peak overlaps ``within``.
    """
    layout = island_layout(
        adata,
        validate_counts(adata),
        bin_size=bin_size,
        islands=islands,
        genes=genes,
        assign=assign,
        openness=openness,
        blacklist=blacklist,
        within=within,
        lift=lift,
        standard_chromosomes=standard_chromosomes,
    )
    parts = [layout.of(x) for x in in_chunks(adata.X)]
    x = parts[0] if len(parts) == 1 else sp.vstack(parts, format="csr")
    found = _new(adata, sp.csr_matrix(x), layout.var, layout.parameters)
    if layout.genome is not None:
        found.uns[keys.GENOME] = layout.genome
    return found


def _new(adata: AnnData, x: sp.csr_matrix, var: pd.DataFrame, parameters: dict[str, Any]) -> AnnData:
    from anndata import AnnData

    uns = {**adata.uns, keys.ISLANDS: parameters}
    return AnnData(x, obs=adata.obs.copy(), var=var.copy(), uns=uns)
