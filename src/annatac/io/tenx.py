"""10x matrices: the ``.h5`` files of Cell Ranger ATAC and ARC, and their folders with ``matrix.mtx``."""

from __future__ import annotations

import zlib
from collections import Counter, UserDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.io
import scipy.sparse as sp

from annatac import keys
from annatac.errors import DamagedFileError, InputError
from annatac.genome.assemblies import genome_label
from annatac.genome.bed import read_bed
from annatac.genome.intervals import island_names, open_text
from annatac.io.counts import as_counts, matrix_anndata
from annatac.io.hdf5 import open_hdf5, texts

if TYPE_CHECKING:
    from anndata import AnnData

PEAKS = "Peaks"
_NEEDED = ("barcodes", "data", "indices", "indptr", "shape", "features")


def _peaks_only(types: Sequence[str], path: Path) -> npt.NDArray[np.bool_]:
    """Return which features are peaks; refuse a matrix without any, naming what it is."""
    kept = np.array([kind == PEAKS for kind in types], dtype=bool)
    if len(types) and not kept.any():
        counts = Counter(types)
        found = ", ".join(f"{n:,} x '{kind}'" for kind, n in counts.most_common())
        rna = " This is an RNA matrix." if "Gene Expression" in counts else ""
        raise InputError(
            f"{path} holds no peaks: its features are {found}.{rna} Expected features of type '{PEAKS}': "
            "give "
            "filtered_peak_bc_matrix.h5 (Cell Ranger ATAC) or filtered_feature_bc_matrix.h5 of Cell Ranger "
            "ARC."
        )
    return kept


def read_10x_h5(path: Path, *, backed: bool = False) -> AnnData:
    """Return the peaks of a Cell Ranger ATAC or ARC matrix (genes and other features are left out).

    ``var`` has chrom, start, end; ``uns['genome']`` is the file's assembly where it states one. ``backed``
    leaves X on disk where all features are peaks: cells are consecutive there, and are read as they are
    asked for.

    Raises
    ------
    DamagedFileError, InputError
        A truncated file; no peaks in it (an RNA matrix is named as such); an empty matrix.
    """
    with open_hdf5(path) as file:
        if "matrix" not in file:
            _refuse_old_rna(file, path)
        group = file["matrix"]
        missing = [name for name in _NEEDED if name not in group]
        if missing:
            raise InputError(
                f"{path}: the group 'matrix' lacks {', '.join(missing)} (it has {', '.join(group)}). "
                "Expected a "
                "matrix as Cell Ranger ATAC or ARC writes it."
            )
        features = group["features"]
        names = texts(features["id"])
        types = texts(features["feature_type"]) if "feature_type" in features else [PEAKS] * len(names)
        kept = _peaks_only(types, path)
        n_features, n_cells = (int(n) for n in group["shape"][...])
        barcodes = texts(group["barcodes"])
        genomes = texts(features["genome"]) if "genome" in features else []
        intervals = texts(features["interval"]) if "interval" in features else None
        var = pd.DataFrame(index=pd.Index(names, dtype=object))
        if intervals is not None:
            var["interval"] = intervals
        if backed and kept.all():
            counts = _left_on_disk(path, group, (n_cells, n_features))
            return _with_genome(matrix_anndata(counts, barcodes, var, source=path), genomes, kept)
        arrays = (group["data"][...], group["indices"][...], group["indptr"][...])
        try:
            counts = sp.csr_matrix(arrays, shape=(n_cells, n_features))
        except ValueError as error:
            raise DamagedFileError(
                f"{path} is damaged: its arrays do not make a matrix of {n_features:,} features x "
                f"{n_cells:,} "
                f"cells ({error}). Copy or download it again."
            ) from error
    if not kept.all():
        var, counts = var[kept], counts[:, np.flatnonzero(kept)]
    return _with_genome(matrix_anndata(as_counts(counts), barcodes, var, source=path), genomes, kept)


def _left_on_disk(path: Path, group: h5py.Group, shape: tuple[int, int]) -> Any:
    """Return the matrix (cells x features) as anndata's backed sparse data set, from which rows are taken.

    Raises
    ------
    DamagedFileError
        The arrays' lengths do not make a matrix.
    """
    from anndata.io import sparse_dataset

    indptr = group["indptr"]
    n_counts = int(indptr[-1]) if len(indptr) else 0
    if len(indptr) != shape[0] + 1 or not len(group["data"]) == len(group["indices"]) == n_counts:
        raise DamagedFileError(
            f"{path} is damaged: its arrays do not make a matrix of {shape[1]:,} features x {shape[0]:,} "
            f"cells ({len(indptr):,} offsets, {len(group['data']):,} counts, {len(group['indices']):,} "
            "indices). Copy or download it again."
        )
    # the file stays open as long as the group is used
    return sparse_dataset(_Rows(h5py.File(path, "r")["matrix"].id, shape))


class _Rows(h5py.Group):
    """A 10x matrix (barcodes one after the other) that says of itself what anndata's CSR matrices say."""

    def __init__(self, group: h5py.h5g.GroupID, shape: tuple[int, int]) -> None:
        super().__init__(group)
        said = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape}
        self._attributes: UserDict[str, Any] = UserDict(said)

    @property
    def attrs(self) -> UserDict[str, Any]:
        return self._attributes


def _with_genome(adata: AnnData, genomes: Sequence[str], kept: npt.NDArray[np.bool_]) -> AnnData:
    adata.var = adata.var.drop(columns="interval", errors="ignore")
    stated = {genome for genome, peak in zip(genomes, kept, strict=False) if peak and genome}
    if len(stated) == 1:
        adata.uns[keys.GENOME] = genome_label(stated.pop())
    return adata


def _refuse_old_rna(file: h5py.File, path: Path) -> None:
    genomes = [name for name in file if isinstance(file[name], h5py.Group) and "gene_names" in file[name]]
    if genomes:
        raise InputError(
            f"{path} is an RNA matrix of Cell Ranger 2 (genes of {', '.join(genomes)}). Expected peaks: give "
            "filtered_peak_bc_matrix.h5 of Cell Ranger ATAC."
        )
    raise InputError(
        f"{path} has no group 'matrix' (it has {', '.join(file)}). Expected a matrix as Cell Ranger ATAC or "
        "ARC writes it."
    )


def either(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that is in the folder, plain or with ``.gz``."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def read_mtx_folder(folder: Path) -> AnnData:
    """Return the peaks of a folder: ``matrix.mtx``, ``barcodes.tsv``, and ``peaks.bed`` or ``features.tsv``.

    Each may be gzipped. Of ARC's ``features.tsv`` the peaks are kept.

    Raises
    ------
    InputError, DamagedFileError
        A file of the three is missing; RNA; sizes that do not agree; a truncated file; an empty matrix.
    """
    matrix, barcode_file = either(folder, "matrix.mtx"), either(folder, "barcodes.tsv")
    bed, table = either(folder, "peaks.bed"), either(folder, "features.tsv")
    if bed is None and table is None and either(folder, "genes.tsv") is not None:
        raise InputError(
            f"{folder} is an RNA matrix (it has genes.tsv, no peaks.bed). Expected the folder "
            "filtered_peak_bc_matrix of Cell Ranger ATAC."
        )
    if matrix is None or barcode_file is None or (bed is None and table is None):
        lacking = [
            name
            for name, path in (
                ("matrix.mtx", matrix),
                ("barcodes.tsv", barcode_file),
                ("peaks.bed or features.tsv", bed or table),
            )
            if path is None
        ]
        raise InputError(
            f"{folder} lacks {' and '.join(lacking)} (also looked for .gz). It has "
            f"{', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'}."
        )
    with open_text(barcode_file) as lines:
        barcodes = [line.rstrip("\r\n").split("\t")[0] for line in lines if line.strip()]
    if bed is not None:
        var = read_bed(bed)
        var.index = pd.Index(island_names(var[keys.CHROM], var[keys.START], var[keys.END]), dtype=object)
        kept = np.ones(len(var), dtype=bool)
    else:
        assert table is not None
        var, kept = _read_features(table)
    counts = _read_mtx(matrix)
    if counts.shape == (len(kept), len(barcodes)):
        counts = as_counts(counts.T)
        if not kept.all():
            counts, var = counts[:, np.flatnonzero(kept)], var[kept]
    else:
        counts = counts.T.tocsr()
    return matrix_anndata(counts, barcodes, var, source=folder)


def _read_features(path: Path) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    with open_text(path) as lines:
        rows = [line.rstrip("\r\n").split("\t") for line in lines if line.strip()]
    kept = _peaks_only([row[2] if len(row) > 2 else "Gene Expression" for row in rows], path)
    return pd.DataFrame(index=pd.Index([row[0] for row in rows], dtype=object)), kept


def _read_mtx(path: Path) -> sp.coo_matrix:
    try:
        return sp.coo_matrix(scipy.io.mmread(path))
    except (EOFError, zlib.error, OSError, ValueError, OverflowError) as error:
        raise DamagedFileError(
            f"{path} is truncated or damaged ({error}). Expected a whole MatrixMarket file; copy or download "
            "it again."
        ) from error
