"""ArchR's Arrow files (HDF5).

``/Fragments/<chrom>/Ranges`` holds, for each fragment, its 1-based start and its end minus that start
(ArchR writes ``cbind(start + 1, end - (start + 1))`` of a fragment file's line), so that the fragment is
``[first - 1, first + second)`` here. ``RGValues`` and ``RGLengths`` are the barcodes, run-length encoded,
without the sample; ``/Metadata/CellNames`` are those that passed ArchR's filters. R stores arrays
transposed: h5py sees ``Ranges`` as 2 x n.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from annatac.errors import DamagedFileError, InputError
from annatac.io.barcodes import Barcodes, cell_barcodes, rows_of
from annatac.io.counts import insertion_anndata
from annatac.io.hdf5 import open_hdf5, texts
from annatac.io.insertions import Bins, InsertionCounter, Peaks

if TYPE_CHECKING:
    from anndata import AnnData

_SLICE = 1 << 22  # fragments read at once


def read_arrow(
    path: Path,
    *,
    features: Bins | Peaks,
    barcodes: Barcodes | None = None,
    min_fragments: int | None = None,
) -> AnnData:
    """Return the insertions (both ends of each fragment) of an Arrow file's cells in bins or peaks.

    obs_names are the barcodes without ArchR's ``sample#``; chosen ``barcodes`` may have it.

    Raises
    ------
    DamagedFileError, InputError
        A truncated file; no fragments; no barcode left.
    """
    counter = InsertionCounter(features)
    with open_hdf5(path) as file:
        groups = file.get("Fragments", {})
        passed = texts(file["Metadata/CellNames"]) if "Metadata/CellNames" in file else []
        names = [name.rpartition("#")[2] for name in passed]
        code_of = {name: i for i, name in enumerate(names)}
        n_passed = len(names)
        n_fragments = np.zeros(n_passed, dtype=np.int64)
        for chrom in groups:
            group = groups[chrom]
            length = np.asarray(group["RGLengths"][...]).ravel().astype(np.int64)
            for name in texts(group["RGValues"]):
                if code_of.setdefault(name, len(names)) == len(names):
                    names.append(name)
            code = np.array([code_of[name] for name in texts(group["RGValues"])], dtype=np.int64)
            n_fragments = np.append(n_fragments, np.zeros(len(names) - len(n_fragments), dtype=np.int64))
            np.add.at(n_fragments, code, length)
            _count(counter, str(chrom), group, np.repeat(code, length), path)
    if not n_fragments.sum():
        raise InputError(f"{path} holds no fragments. Expected an Arrow file with /Fragments/<chromosome>.")
    cells = np.arange(n_passed or len(names), dtype=np.int64)
    if not n_passed:
        cells = np.array(sorted(cells, key=names.__getitem__), dtype=np.int64)
    if barcodes is not None:
        wanted = _without_sample(barcodes)
        cells = cells[rows_of(wanted, [names[i] for i in cells], path)]
    if min_fragments is not None:
        cells = cells[n_fragments[cells] >= min_fragments]
        if not len(cells):
            raise InputError(
                f"No cell of {path} has {min_fragments:,} fragments; the richest has {n_fragments.max():,}. "
                "Lower the minimum of fragments."
            )
    counts, var = counter.result(cells)
    return insertion_anndata(counts, [names[i] for i in cells], var, features)


def _without_sample(barcodes: Barcodes) -> list[str]:
    return [name.rpartition("#")[2] for name in cell_barcodes(barcodes)]


def _count(counter: InsertionCounter, chrom: str, group: h5py.Group, cell: np.ndarray, path: Path) -> None:
    ranges = group["Ranges"]
    across = ranges.shape[0] == 2
    n = ranges.shape[1] if across else ranges.shape[0]
    if n != len(cell):
        raise DamagedFileError(
            f"{path} is damaged: /Fragments/{chrom} has {n:,} fragments but barcodes for {len(cell):,}. "
            "Make the "
            "Arrow file again with ArchR's createArrowFiles."
        )
    for a in range(0, n, _SLICE):
        part = ranges[:, a : a + _SLICE] if across else ranges[a : a + _SLICE].T
        first, more = part[0].astype(np.int64), part[1].astype(np.int64)
        if (first < 1).any() or (more < 0).any():
            i = int(np.argmax((first < 1) | (more < 0)))
            raise InputError(
                f"{path}: fragment {a + i:,} of {chrom} has start {first[i]} and width {more[i]}. Expected a "
                "start from 1 and a width from 0, as ArchR writes them."
            )
        counter.add(chrom, cell[a : a + _SLICE], first - 1, first + more - 1)
