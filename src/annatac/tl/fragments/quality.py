"""Quality of cells from their fragments: enrichment at start sites, and fragment sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import ConfigError, InputError
from annatac.genome.annotation import as_genes
from annatac.io.fragment_cells import CellFragmentReader
from annatac.tl.fragments.cell_fragments import Fragments, cell_fragments
from annatac.tl.fragments.sites import SiteCounter, read_sites
from annatac.tl.groups import cell_groups

if TYPE_CHECKING:
    from anndata import AnnData

CENTRE_BP = 50  # on either side of a start site
OUTER_BP = 100  # outermost bp on either side of the window
NUCLEOSOME_FREE_BP, MONONUCLEOSOME_BP = 147, 294
_PRIOR_INSERTIONS = 10.0


def fragment_qc(
    adata: AnnData,
    fragments: Fragments,
    *,
    genes: str | Path | pd.DataFrame | None = None,
    groupby: str | None = None,
    min_cells: int = 1,
    flank_bp: int = 2000,
    max_length_bp: int = 1000,
    copy: bool = False,
) -> AnnData | None:
    """Write how many fragments each cell has, how enriched they are at start sites, and how long they are.

    The score of a cell is its insertions a bp within 50 bp of start sites, over those in the outermost
    100 bp on either side of the window. About 5 to 8 is usual for good cells; it depends on the gene table,
    so compare cells by one table only.

    Parameters
    ----------
    adata
        Cells.
    fragments
        A fragment file, or one for each sample, by the sample's name; streamed once.
    genes
        GTF, GFF3 or BED file, or a table of chrom, tss, symbol and strand; without it no enrichment.
    groupby
        Column of ``obs`` with the types whose curves are kept; ``annatac_label`` where there is one, else all
        cells are one type.
    min_cells
        Types of fewer cells get no curves of their own.
    flank_bp
        Half the window around a start site.
    max_length_bp
        Longer fragments are counted together.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: ``obs['annatac_n_fragments']`` (int64), ``obs['annatac_nucleosome_signal']``
    (float32: fragments of 147 to 293 bp over shorter ones; NaN without those),
    ``obs['annatac_tss_enrichment']`` (float32; NaN for cells without fragments; only with ``genes``), and
    ``uns['annatac_fragment_qc']``: ``types`` and ``type_order`` (str), ``n_cells``, ``fragment_sizes`` (int64, types x
    (max_length_bp + 1), the last entry holds all longer ones), ``n_read``, ``n_matched``; with ``genes`` also
    ``position`` (bp), ``tss_insertions`` (int64, types x positions), ``n_tss`` (start sites on
    the chromosomes of the fragments).

    Raises
    ------
    InputError
        No barcode matches a cell; no start site lies on a chromosome of the fragments.
    ConfigError
        A window that is too narrow.

    Notes
    -----
    ArchR divides by the flank's rate but at least 0.2, Signac replaces an empty flank by the mean. Here the
    flank of a cell is drawn towards what its number of fragments predicts, as strongly as 10 insertions
    would, so that cells of few fragments have no extreme scores.
    """
    if flank_bp < CENTRE_BP + OUTER_BP or max_length_bp < MONONUCLEOSOME_BP:
        raise ConfigError(
            f"flank_bp is {flank_bp} and max_length_bp {max_length_bp}; at least {CENTRE_BP + OUTER_BP} and "
            f"{MONONUCLEOSOME_BP} are expected."
        )
    groups = cell_groups(adata, groupby, min_cells=min_cells)
    counter = None
    if genes is not None:
        table = as_genes(genes)
        strand = table.get("strand", "+")
        start_sites = pd.DataFrame({"chrom": table["chrom"], "start": table["tss"], "strand": strand})
        counter = SiteCounter(
            read_sites(start_sites.assign(end=start_sites["start"] + 1)), len(groups.names), flank_bp
        )
    n_cells = adata.n_obs
    n_fragments, n_free, n_mono, n_centre, n_outer = np.zeros((5, n_cells), dtype=np.int64)
    sizes = np.zeros((len(groups.names), max_length_bp + 1), dtype=np.int64)
    readers: list[CellFragmentReader] = []
    chroms: set[str] = set()
    for part in cell_fragments(adata, fragments, on_read=readers.append):
        chroms.add(part.chrom)
        length, group = part.end - part.start, groups.code[part.cell]
        n_fragments += np.bincount(part.cell, minlength=n_cells)
        n_free += np.bincount(part.cell[length < NUCLEOSOME_FREE_BP], minlength=n_cells)
        is_mono = (length >= NUCLEOSOME_FREE_BP) & (length < MONONUCLEOSOME_BP)
        n_mono += np.bincount(part.cell[is_mono], minlength=n_cells)
        used = group >= 0
        np.add.at(sizes, (group[used], np.minimum(length[used], max_length_bp)), 1)
        if counter is None:
            continue
        for position in (part.start, part.end - 1):
            hit, offset = counter.add(part.chrom, position[used], group[used])
            _count_zones(part.cell[used][hit], offset, flank_bp, n_centre, n_outer)
            hit, offset = counter.near(part.chrom, position[~used])
            _count_zones(part.cell[~used][hit], offset, flank_bp, n_centre, n_outer)

    if counter is not None and not n_outer.any() and not n_centre.any():
        raise InputError(
            "No insertion lies near a start site of the genes, which are on "
            f"{', '.join(list(counter.sites.bounds)[:3])}. Check the assembly of genes and fragments."
        )
    adata = adata.copy() if copy else adata
    adata.obs[keys.N_FRAGMENTS] = n_fragments
    with np.errstate(divide="ignore", invalid="ignore"):
        signal = np.where(n_free > 0, n_mono / n_free, np.nan)
    adata.obs[keys.NUCLEOSOME_SIGNAL] = signal.astype(np.float32)
    result: dict[str, Any] = {
        "types": np.array(groups.names, dtype=object),
        "type_order": np.array(groups.order, dtype=object),
        "n_cells": groups.n_cells,
        "fragment_sizes": sizes,
        "n_read": sum(reader.n_fragments for reader in readers),
        "n_matched": sum(reader.n_matched for reader in readers),
    }
    if counter is not None:
        adata.obs[keys.TSS_ENRICHMENT] = _scores(n_centre, n_outer, n_fragments).astype(np.float32)
        result["position"] = np.arange(-flank_bp, flank_bp + 1)
        result["tss_insertions"] = counter.counts[0]
        bounds = counter.sites.bounds
        result["n_tss"] = sum(bounds[chrom].stop - bounds[chrom].start for chrom in chroms & set(bounds))
    adata.uns[keys.FRAGMENT_QC] = result
    return adata if copy else None


def _count_zones(
    cell: npt.NDArray[np.int64],
    offset: npt.NDArray[np.int64],
    flank_bp: int,
    n_centre: npt.NDArray[np.int64],
    n_outer: npt.NDArray[np.int64],
) -> None:
    away = np.abs(offset)
    n_centre += np.bincount(cell[away <= CENTRE_BP], minlength=len(n_centre))
    n_outer += np.bincount(cell[away > flank_bp - OUTER_BP], minlength=len(n_outer))


def _scores(
    n_centre: npt.NDArray[np.int64], n_outer: npt.NDArray[np.int64], n_fragments: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return insertions a bp in the centre over those in the outer flank, the latter shrunk."""
    with np.errstate(divide="ignore", invalid="ignore"):
        predicted = n_fragments * (n_outer.sum() / n_fragments.sum())
        outer = (n_outer + _PRIOR_INSERTIONS) / (1 + _PRIOR_INSERTIONS / predicted)
        score = (n_centre / (2 * CENTRE_BP + 1)) / (outer / (2 * OUTER_BP))
    return np.where(n_fragments > 0, score, np.nan)
