"""Cells over the islands that are open in any of them: what a model is to know of a corpus over all bins."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac.corpus.cells import Cells, Flat, Rows

_AT_ONCE = 2**22  # open islands that are read at a time


def openness_sums(cells: Cells) -> npt.NDArray[np.int64]:
    """Return the sum of each island's openness classes over all cells, int64 (n_islands,): one reading of all.

    0 says that the island is open in no cell.
    """
    total = np.zeros(cells.n_islands, dtype=np.int64)
    for rows in runs(cells.n_open):
        islands, classes, _ = cells.flat(rows)
        # the weighted sums are whole numbers far below 2**53: exact in float64
        total += np.bincount(islands, weights=classes, minlength=cells.n_islands).astype(np.int64)
    return total


def as_matrix(cells: Cells, rows: Rows) -> sp.csr_matrix:
    """Return some cells as a matrix in memory, uint8 CSR (len(rows), n_islands)."""
    islands, classes, lengths = cells.flat(rows)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sp.csr_matrix((classes, islands, indptr), shape=(len(rows), cells.n_islands))


def runs(n_open: npt.NDArray[np.integer]) -> list[Rows]:
    """Return all cells in order, some at a time: what is read together holds about four million open islands."""
    part = np.cumsum(n_open, dtype=np.int64) // _AT_ONCE
    return [run for run in np.split(np.arange(len(n_open)), np.flatnonzero(np.diff(part)) + 1) if len(run)]


class OpenIslands:
    """The same cells with islands numbered anew: only those of ``open_mask``.

    Parameters
    ----------
    open_mask
        bool (n_islands,); islands that are left out must be closed in every cell.
    """

    def __init__(self, cells: Cells, open_mask: npt.NDArray[np.bool_]) -> None:
        self._cells = cells
        self._number = np.where(open_mask, np.cumsum(open_mask) - 1, -1).astype(np.int32)
        self.n_cells, self.n_islands = cells.n_cells, int(open_mask.sum())
        self.n_open, self.block = cells.n_open, cells.block
        digest = hashlib.sha256(cells.checksum.encode())
        digest.update(np.packbits(open_mask).tobytes())
        self.checksum = digest.hexdigest()

    def flat(self, rows: Rows) -> Flat:
        """Return islands and classes of the cells ``rows`` one after the other, and each cell's number."""
        islands, classes, lengths = self._cells.flat(rows)
        return self._number[islands], classes, lengths
