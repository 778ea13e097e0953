"""``read_one``: one input of any accepted kind -> AnnData."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.genome.assemblies import canonical, chrom_lengths, genome_label
from annatac.genome.bed import read_bed
from annatac.genome.intervals import island_names
from annatac.io import arrow, fragments, h5ad, snapatac2, tenx
from annatac.io.barcodes import Barcodes, rows_of
from annatac.io.insertions import Bins, Peaks
from annatac.io.sniff import sniff

if TYPE_CHECKING:
    from anndata import AnnData


def read_one(
    path: str | Path,
    *,
    genome: str | None = None,
    barcodes: Barcodes | None = None,
    min_fragments: int | None = None,
    peaks: str | Path | pd.DataFrame | None = None,
    bin_size: int = 5000,
    chrom_sizes: str | Path | Mapping[str, int] | None = None,
    backed: bool = False,
) -> AnnData:
    """Return cells x features with counts as found, from whatever the user has on disk.

    Parameters
    ----------
    path
        A Cell Ranger ATAC or ARC matrix (``.h5`` or folder with ``matrix.mtx``), an ``outs/`` folder,
        ``.h5ad``, ``.zarr``, ``.h5mu``, an ArchR ``.arrow`` file, a SnapATAC2 ``.h5ad``, or
        ``fragments.tsv(.gz)``.
    genome
        The assembly, in any spelling, or a chromosome-lengths file; stated in ``uns['genome']``.
    barcodes
        The cells to keep, in this order: names, or a file (``singlecell.csv``, ``per_barcode_metrics.csv``,
        or one barcode a line).
    min_fragments
        Fragment input only: keep barcodes with at least so many fragments.
    peaks
        Fragment input only: count insertions in these intervals (a BED file, or a table with columns chrom,
        start, end) and not in bins.
    bin_size
        Fragment input only: width of the bins in bp.
    chrom_sizes
        Fragment files only: chromosome lengths (a file or ``{name: bp}``); other chromosomes are left out,
        and a fragment behind the end of its chromosome is refused.
    backed
        Leave X on disk: of ``.h5ad`` (CSR or dense), ``.zarr`` (CSR), Cell Ranger ATAC's ``.h5``. Other inputs,
        and chosen ``barcodes``, are read into memory.

    Returns
    -------
    X: CSR; int32 where all counts are whole numbers (int64 if large), else as found. Names are never made
    unique. Slots: ``var`` chrom, start, end (int64, 0-based, half-open) where coordinates are known;
    ``uns['genome']`` where stated. From fragments, X counts insertions: each fragment is two, at ``start``
    and ``end - 1``, and its number of reads is not used; in bins, ``var_names`` are such as 'chr1:0-5000' and
    ``uns['annatac_islands']`` is ``{'bin_size': bin_size, 'source': 'fragments'}``.

    Raises
    ------
    MissingFileError, DamagedFileError, InputError, ConfigError
        Missing; truncated or corrupt; of an unknown kind, of RNA, empty, unsorted; an option that does not
        fit.
    """
    path = Path(path)
    backed = backed and barcodes is None
    assembly = None if genome is None else canonical(str(genome))
    if bin_size < 1:
        raise ConfigError(f"bin_size is {bin_size}; a width in bp of at least 1 is expected, such as 5000.")
    for_fragments = {"peaks": peaks is not None, "min_fragments": min_fragments is not None}
    kind, source = sniff(path, prefer_fragments=any(for_fragments.values()))
    if kind == "h5ad" and (
        h5ad.holds_fragments_only(source) or (peaks is not None and _has_fragments(source))
    ):
        kind = "snapatac2"
    adata: AnnData
    if kind in ("fragments", "arrow", "snapatac2"):
        features = Bins(bin_size) if peaks is None else Peaks(_peak_table(peaks))
        if kind == "fragments":
            lengths = None if chrom_sizes is None else _lengths(chrom_sizes)
            adata = fragments.read_fragments(
                source, features=features, barcodes=barcodes, min_fragments=min_fragments, chrom_sizes=lengths
            )
            stated = fragments.stated_genome(source)
            if stated is not None:
                adata.uns[keys.GENOME] = stated
        else:
            reader = arrow.read_arrow if kind == "arrow" else snapatac2.read_snapatac2
            adata = reader(source, features=features, barcodes=barcodes, min_fragments=min_fragments)
    else:
        given = [name for name, is_given in for_fragments.items() if is_given]
        if given:
            raise InputError(
                f"{path} is a matrix of counts, to which {' and '.join(given)} cannot be applied: they need "
                "fragments. Leave the option out, or give the fragments file."
            )
        if kind == "h5ad":
            adata = h5ad.read_h5ad(source, backed=backed)
        elif kind == "zarr":
            adata = h5ad.read_zarr(source, backed=backed)
        elif kind == "h5mu":
            adata = h5ad.read_h5mu(source)
        else:
            adata = (
                tenx.read_10x_h5(source, backed=backed) if kind == "tenx" else tenx.read_mtx_folder(source)
            )
        if barcodes is not None:
            adata = adata[rows_of(barcodes, adata.obs_names.tolist(), path)].copy()
    if assembly is not None:
        _state(adata, assembly, path)
    return adata


def holds_fragments(path: str | Path, *, preferred: bool = False) -> bool:
    """Return whether an input is read as fragments, to be counted, and not as a matrix of counts.

    ``preferred`` says that fragments are taken from a folder that holds both.
    """
    kind, source = sniff(Path(path), prefer_fragments=preferred)
    return kind in ("fragments", "arrow") or (kind == "h5ad" and h5ad.holds_fragments_only(source))


def fragments_genome(path: str | Path) -> str | None:
    """Return the assembly that a fragment file (or an ``outs/`` folder's) states in its header, or None."""
    kind, source = sniff(Path(path), prefer_fragments=True)
    return fragments.stated_genome(source) if kind == "fragments" else None


def _has_fragments(path: Path) -> bool:
    with h5ad.open_hdf5(path) as file:
        return snapatac2.has_fragments(file)


def _lengths(chrom_sizes: str | Path | Mapping[str, int]) -> Mapping[str, int]:
    return chrom_sizes if isinstance(chrom_sizes, Mapping) else chrom_lengths(chrom_sizes)


def _peak_table(peaks: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return the peaks as a var table, under their own names where they have some."""
    named = isinstance(peaks, pd.DataFrame) and peaks.index.dtype == object
    table = peaks if isinstance(peaks, pd.DataFrame) else read_bed(peaks)
    missing = [name for name in (keys.CHROM, keys.START, keys.END) if name not in table]
    if missing or not len(table):
        found = f"lack the columns {', '.join(missing)}" if missing else "are empty"
        raise InputError(
            f"The peaks {found}. Expected a BED file, or a table with columns chrom, start and end."
        )
    table = table[[keys.CHROM, keys.START, keys.END]].copy()
    if not named:
        names = island_names(table[keys.CHROM], table[keys.START], table[keys.END])
        table.index = pd.Index(names, dtype=object)
    return table


def _state(adata: AnnData, assembly: str, path: Path) -> None:
    stated = adata.uns.get(keys.GENOME)
    if isinstance(stated, str) and genome_label(stated) != genome_label(assembly):
        warnings.warn(
            f"{path} states the assembly {stated}; {assembly}, as you chose, is used.",
            AnnatacWarning,
            stacklevel=3,
        )
    adata.uns[keys.GENOME] = assembly
