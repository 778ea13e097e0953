"""Inputs of any kind -> one file of cells x peak islands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annatac import keys
from annatac.io.atomic import check_writable
from annatac.io.write import write_cells
from annatac.jobs.reading import read_checked
from annatac.pp.binning import Assign, Openness
from annatac.pp.islands import peak_islands
from annatac.pp.quality import qc

if TYPE_CHECKING:
    from anndata import AnnData


def prepare(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    genome: str | None = None,
    islands: str = "all",
    genes: str | Path | None = None,
    bin_size: int = 5000,
    assign: Assign = "midpoint",
    openness: Openness = "mean",
    blacklist: str | Path | None = None,
    peaks: str | Path | None = None,
    barcodes: str | Path | None = None,
    min_fragments: int | None = None,
    chrom_sizes: str | Path | None = None,
    labels: str | Path | None = None,
) -> AnnData:
    """Write cells x peak islands (h5ad) and return them.

    Parameters
    ----------
    output
        File to write; an older one is replaced.
    islands, genes, bin_size, assign, openness, blacklist
        As in :func:`annatac.pp.peak_islands`.
    genome, peaks, barcodes, min_fragments, chrom_sizes
        As in :func:`annatac.read`.
    labels
        Table of barcode and type for ``obs['cell_type']``.

    Returns
    -------
    The islands, with ``obs['annatac_n_open']`` and ``obs['annatac_low_quality']``.

    Raises
    ------
    InputError, AssemblyError, ConfigError, OutputError
        Unusable inputs; another assembly than stated; options that do not fit; an output not writable.
    """
    check_writable(output)
    adata = read_checked(
        inputs,
        genome=genome,
        genes=genes,
        labels=labels,
        peaks=peaks,
        barcodes=barcodes,
        min_fragments=min_fragments,
        bin_size=bin_size,
        chrom_sizes=chrom_sizes,
    )
    cells = peak_islands(
        adata,
        bin_size=bin_size,
        islands=islands,  # type: ignore[arg-type]
        genes=genes,
        assign=assign,
        openness=openness,
        blacklist=blacklist,
    )
    qc(cells)
    write_cells(cells, output)
    return cells


def facts(cells: AnnData) -> dict[str, float | int | str | None]:
    """Return what there is to say of prepared cells: numbers of cells, islands, open islands; assembly."""
    return {
        "n_cells": cells.n_obs,
        "n_islands": cells.n_vars,
        "median_open": float(cells.obs[keys.N_OPEN].median()),
        "n_low_quality": int(cells.obs[keys.LOW_QUALITY].sum()),
        "genome": cells.uns.get(keys.GENOME),
    }
