"""Counts insertions (the two ends of every fragment) in bins or in peaks, a part at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import InputError
from annatac.genome.chroms import sort_key, to_ucsc
from annatac.genome.intervals import island_names

Ints = npt.NDArray[np.int64]


class Bins:
    """Bins of equal size from position 0 of every chromosome."""

    def __init__(self, bin_size: int):
        self.bin_size = bin_size

    def index(self, chrom: str, position: Ints) -> tuple[Ints, None]:
        return position // self.bin_size, None


class Peaks:
    """Given intervals, which may overlap: an insertion counts in each that contains it."""

    def __init__(self, peaks: pd.DataFrame):
        self.table = peaks
        self._by_chrom: dict[str, tuple[Ints, npt.NDArray[np.bool_], sp.csr_matrix]] = {}
        names = to_ucsc(peaks[keys.CHROM].to_numpy(dtype=object))
        start, end = peaks[keys.START].to_numpy(np.int64), peaks[keys.END].to_numpy(np.int64)
        for chrom in pd.unique(names):
            member = np.flatnonzero(names == chrom)
            edges = np.unique(np.concatenate([start[member], end[member]]))
            first = np.searchsorted(edges, start[member])
            n_pieces = np.searchsorted(edges, end[member]) - first
            peak = np.repeat(member, n_pieces)
            piece = np.repeat(first - (np.cumsum(n_pieces) - n_pieces), n_pieces) + np.arange(n_pieces.sum())
            to_peak = sp.csr_matrix(
                (np.ones(len(peak), dtype=np.int32), (piece, peak)), shape=(len(edges), len(peaks))
            )
            self._by_chrom[str(chrom)] = (edges, np.diff(to_peak.indptr) > 0, to_peak)

    def index(self, chrom: str, position: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        found = self._by_chrom.get(str(to_ucsc(np.array([chrom], dtype=object))[0]))
        if found is None:
            return np.zeros_like(position), np.zeros(len(position), dtype=bool)
        edges, covered, _ = found
        piece = np.searchsorted(edges, position, side="right") - 1
        return piece, (piece >= 0) & covered[piece]

    def to_peaks(self, chrom: str) -> sp.csr_matrix:
        """Return pieces x peaks: which peaks contain each piece of ``chrom``."""
        return self._by_chrom[str(to_ucsc(np.array([chrom], dtype=object))[0])][2]


class InsertionCounter:
    """Adds up insertions a cell and feature; memory grows with the matrix, not with the fragments."""

    def __init__(self, features: Bins | Peaks):
        self.features = features
        self._parts: dict[str, list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray]]] = {}

    def add(self, chrom: str, cell: Ints, *positions: Ints) -> None:
        """Count one insertion of ``cell[i]`` at each ``position[i]`` (0-based) of ``chrom``."""
        packed = []
        for position in positions:
            piece, inside = self.features.index(chrom, position)
            key = (piece << 32) | cell
            packed.append(key if inside is None else key[inside])
        key = np.concatenate(packed)
        parts = self._parts.setdefault(chrom, [])
        if not len(key):
            return
        key.sort()
        first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        n = np.diff(first, append=len(key))
        key = key[first]
        small = np.uint8 if n.max() < 256 else np.int32
        parts.append((key.astype(np.int32), (key >> 32).astype(np.int32), n.astype(small)))

    def result(
        self, cells: Ints, *, order: Callable[[str], object] = sort_key
    ) -> tuple[sp.csr_matrix, pd.DataFrame]:
        """Return counts (cells x features, int32) of the chosen cells, in their order, and the features.

        Bins: those with at least one insertion in a chosen cell, chromosomes in ``order``. Peaks: all, as
        they were given.
        """
        n_known = 1 + max(
            [int(cells.max(initial=-1))]
            + [int(part[0].max()) for parts in self._parts.values() for part in parts]
        )
        row_of = np.full(n_known, -1, dtype=np.int32)
        row_of[cells] = np.arange(len(cells), dtype=np.int32)
        matrices, tables = [], []
        for chrom in sorted(self._parts, key=order):  # type: ignore[arg-type]
            parts = self._parts.pop(chrom)
            if not parts:
                continue
            row = row_of[np.concatenate([part[0] for part in parts])]
            piece = np.concatenate([part[1] for part in parts])
            n = np.concatenate([part[2] for part in parts])
            del parts
            if (row < 0).any():
                kept = row >= 0
                row, piece, n = row[kept], piece[kept], n[kept]
            if isinstance(self.features, Peaks):
                to_peak = self.features.to_peaks(chrom)
                counts = sp.coo_matrix(
                    (n, (row, piece)), shape=(len(cells), to_peak.shape[0]), dtype=np.int32
                )
                matrices.append(counts.tocsr() @ to_peak)
                continue
            if not len(piece):
                continue
            seen = np.zeros(int(piece.max()) + 1, dtype=bool)
            seen[piece] = True
            column_of = np.cumsum(seen, dtype=np.int32) - 1
            bins = np.flatnonzero(seen)
            counts = sp.coo_matrix(
                (n, (row, column_of[piece])), shape=(len(cells), len(bins)), dtype=np.int32
            )
            matrices.append(counts.tocsr())
            tables.append(self._bin_table(chrom, bins))
        if isinstance(self.features, Peaks):
            table = self.features.table
            empty = sp.csr_matrix((len(cells), len(table)), dtype=np.int32)
            total = sum(matrices, start=empty).tocsr()
        else:
            if not matrices:
                raise InputError("No fragment of a chosen barcode was found. Check the list of barcodes.")
            total = sp.hstack(matrices, format="csr", dtype=np.int32)
            table = pd.concat(tables)
        total.sort_indices()
        return total, table

    def _bin_table(self, chrom: str, bins: Ints) -> pd.DataFrame:
        assert isinstance(self.features, Bins)
        start = bins.astype(np.int64) * self.features.bin_size
        end = start + self.features.bin_size
        columns = {keys.CHROM: np.full(len(bins), chrom, dtype=object), keys.START: start, keys.END: end}
        names = island_names(columns[keys.CHROM], start, end)
        return pd.DataFrame(columns, index=pd.Index(names, dtype=object))
