"""Inputs of any kind -> one file of cells x peak islands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annatac import keys
from annatac.errors import ConfigError
from annatac.io.atomic import check_writable
from annatac.io.labels import read_labels
from annatac.io.write import write_cells
from annatac.jobs.reading import LABELS_KEY, read_checked, read_to_lift
from annatac.pp.binning import Assign, Openness
from annatac.pp.islands import peak_islands
from annatac.pp.quality import qc
from annatac.pp.reading import join_samples, sample_names

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
    lift_to: str | None = None,
    chain: str | Path | None = None,
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
    lift_to, chain
        Assembly to lift peaks and fragments to before they are put into islands, and a UCSC chain file that leads
        there, in either direction (None: one of :mod:`annatac.datasets`). Inputs that are on it stay as they are;
        ``genes`` and ``blacklist`` are on it.

    Returns
    -------
    The islands, with ``obs['annatac_n_open']`` and ``obs['annatac_low_quality']``.

    Raises
    ------
    InputError, AssemblyError, ConfigError, OutputError
        Unusable inputs; another assembly than stated; options that do not fit; an output not writable.
    """
    check_writable(output)
    if lift_to is None and chain is not None:
        raise ConfigError(f"{chain} leads between two assemblies: name the one to lift to with --lift-to.")
    reading: dict[str, Any] = {
        "genome": genome,
        "genes": genes,
        "peaks": peaks,
        "barcodes": barcodes,
        "min_fragments": min_fragments,
        "bin_size": bin_size,
        "chrom_sizes": chrom_sizes,
    }
    making: dict[str, Any] = {
        "bin_size": bin_size,
        "islands": islands,
        "genes": genes,
        "assign": assign,
        "openness": openness,
        "blacklist": blacklist,
    }
    if lift_to is None:
        cells = peak_islands(read_checked(inputs, **reading), **making)
    else:
        cells = _lifted(inputs, lift_to, chain, reading, making)
    if labels is not None:
        cells.obs[LABELS_KEY] = read_labels(labels, cells.obs_names)
    qc(cells)
    write_cells(cells, output)
    return cells


def _lifted(
    inputs: Sequence[str | Path],
    target: str,
    chain: str | Path | None,
    reading: dict[str, Any],
    making: dict[str, Any],
) -> AnnData:
    """Return cells x islands of the assembly ``target``: each input is lifted before it is put into islands."""
    parts = []
    for path in inputs:
        adata, lift = read_to_lift(path, target, chain=chain, **reading)
        parts.append(peak_islands(adata, lift=lift, **making))
    return parts[0] if len(parts) == 1 else join_samples(parts, sample_names([Path(path) for path in inputs]))


def facts(cells: AnnData) -> dict[str, float | int | str | None]:
    """Return what there is to say of prepared cells: numbers of cells, islands, open islands; assembly."""
    return {
        "n_cells": cells.n_obs,
        "n_islands": cells.n_vars,
        "median_open": float(cells.obs[keys.N_OPEN].median()),
        "n_low_quality": int(cells.obs[keys.LOW_QUALITY].sum()),
        "genome": cells.uns.get(keys.GENOME),
    }
