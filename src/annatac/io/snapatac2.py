"""SnapATAC2's fragments inside an h5ad file.

``obsm['fragment_paired']`` is a CSR matrix, cells x all bases of ``uns['reference_sequences']`` laid end to
end; an entry's column is a fragment's first base, its value the fragment's length. In
``obsm['fragment_single']`` an entry is one insertion, at its column, whatever its value. A row may hold one
column twice (two fragments with one start), so the arrays are read as they are, never as a matrix.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from annatac.errors import InputError
from annatac.io.barcodes import Barcodes, rows_of
from annatac.io.counts import insertion_anndata
from annatac.io.hdf5 import open_hdf5, texts
from annatac.io.insertions import Bins, InsertionCounter, Peaks

if TYPE_CHECKING:
    from anndata import AnnData

SLOTS = ("fragment_paired", "fragment_single")
_SLICE = 1 << 22  # fragments read at once


def has_fragments(file: h5py.File) -> bool:
    """Whether an open h5ad file holds SnapATAC2's fragments."""
    return "obsm" in file and any(slot in file["obsm"] for slot in SLOTS)


def read_snapatac2(
    path: Path,
    *,
    features: Bins | Peaks,
    barcodes: Barcodes | None = None,
    min_fragments: int | None = None,
) -> AnnData:
    """Return the insertions of each cell of a SnapATAC2 file in bins or peaks; obs is kept.

    Raises
    ------
    DamagedFileError, InputError
        A truncated file; chromosome lengths missing; an entry outside them; no barcode left.
    """
    from anndata.io import read_elem

    with open_hdf5(path) as file:
        slot = next(name for name in SLOTS if name in file["obsm"])
        group = file["obsm"][slot]
        if "uns/reference_sequences" not in file:
            raise InputError(
                f"{path} has obsm['{slot}'] but no uns['reference_sequences'] with the chromosome lengths. "
                "Import "
                "the fragments again with SnapATAC2's pp.import_fragments."
            )
        chroms, lengths = _reference(file["uns/reference_sequences"])
        obs = read_elem(file["obs"])
        indptr = group["indptr"][...].astype(np.int64)
        if len(indptr) != len(obs) + 1:
            raise InputError(
                f"{path}: obsm['{slot}'] has {len(indptr) - 1:,} rows, obs {len(obs):,}. Expected a row a "
                "cell."
            )
        counter = InsertionCounter(features)
        n_entries = int(indptr[-1])
        for a in range(0, n_entries, _SLICE):
            b = min(a + _SLICE, n_entries)
            cell = np.searchsorted(indptr, np.arange(a, b), side="right") - 1
            column = group["indices"][a:b].astype(np.int64)
            width = group["data"][a:b].astype(np.int64) if slot == SLOTS[0] else None
            _count(counter, chroms, lengths, cell, column, width, path)
    names = obs.index.astype(str).tolist()
    cells = np.arange(len(names)) if barcodes is None else rows_of(barcodes, names, path)
    if min_fragments is not None:
        n_fragments = np.diff(indptr)[cells]
        cells = cells[n_fragments >= min_fragments]
        if not len(cells):
            raise InputError(
                f"No cell of {path} has {min_fragments:,} fragments; the richest has "
                f"{n_fragments.max(initial=0):,}. Lower the minimum of fragments."
            )
    counts, var = counter.result(cells)
    adata = insertion_anndata(counts, [names[i] for i in cells], var, features)
    adata.obs = obs.iloc[cells].set_axis(adata.obs_names)
    return adata


def _reference(group: h5py.Group) -> tuple[list[str], np.ndarray]:
    """Return chromosome names and lengths (bp) in the order in which they are laid end to end."""
    names = texts(group["reference_seq_name"])
    return names, np.asarray(group["reference_seq_length"][...]).ravel().astype(np.int64)


def _count(
    counter: InsertionCounter,
    chroms: list[str],
    lengths: np.ndarray,
    cell: np.ndarray,
    column: np.ndarray,
    width: np.ndarray | None,
    path: Path,
) -> None:
    ends = np.cumsum(lengths)
    code = np.searchsorted(ends, column, side="right")
    outside = (code >= len(ends)) | (column < 0)
    if width is not None:
        outside |= width < 1
    if outside.any():
        i = int(np.argmax(outside))
        raise InputError(
            f"{path}: a fragment starts at base {column[i]:,} and is {1 if width is None else width[i]} bp "
            "long; "
            f"the reference has {ends[-1]:,} bases. Import the fragments again with SnapATAC2."
        )
    position = column - (ends - lengths)[code]
    by_chrom = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[by_chrom], np.arange(len(chroms) + 1))
    for j, (a, b) in enumerate(pairwise(edges)):
        if a == b:
            continue
        rows = by_chrom[a:b]
        positions = [position[rows]]
        if width is not None:
            positions.append(position[rows] + width[rows] - 1)
        counter.add(chroms[j], cell[rows], *positions)
