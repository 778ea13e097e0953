"""Cells as training reads them: in memory or on disk, behind one small protocol."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Rows = npt.NDArray[np.int64]
Flat = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int64]]


@runtime_checkable
class Cells(Protocol):
    """n cells as open islands of one universe.

    Attributes
    ----------
    n_cells, n_islands
        Cells, and islands of the universe.
    n_open
        int32 (n_cells,), open islands of each cell.
    block
        Cells next to each other that are best read together; 1 where any order is as good.
    checksum
        Hexadecimal, the same for the same cells.
    """

    @property
    def n_cells(self) -> int: ...

    @property
    def n_islands(self) -> int: ...

    @property
    def n_open(self) -> npt.NDArray[np.int32]: ...

    @property
    def block(self) -> int: ...

    @property
    def checksum(self) -> str: ...

    def flat(self, rows: Rows) -> Flat:
        """Return islands and classes (1..5) of the cells one after the other, and each cell's number."""


class CsrCells:
    """Cells in memory: ``tokens`` is uint8 CSR, cells x islands, classes 1..5 where open."""

    block = 1

    def __init__(self, tokens: sp.csr_matrix) -> None:
        self.tokens = tokens
        self.n_cells, self.n_islands = (int(n) for n in tokens.shape)

    @cached_property
    def n_open(self) -> npt.NDArray[np.int32]:
        """Open islands of each cell; not counted where a batch is all that is asked for."""
        return np.diff(self.tokens.indptr).astype(np.int32)

    @property
    def checksum(self) -> str:
        """SHA-256 of the matrix."""
        digest = hashlib.sha256(repr(self.tokens.shape).encode())
        for array in (self.tokens.indptr, self.tokens.indices, self.tokens.data):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def flat(self, rows: Rows) -> Flat:
        """Return islands and classes of the cells ``rows`` one after the other, and each cell's number."""
        indptr, indices, data = self.tokens.indptr, self.tokens.indices, self.tokens.data
        starts, stops = indptr[rows].astype(np.int64), indptr[rows + 1].astype(np.int64)
        parts = [slice(start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
        islands = np.concatenate([indices[:0], *(indices[part] for part in parts)])
        return islands, np.concatenate([data[:0], *(data[part] for part in parts)]), stops - starts


def as_cells(tokens: Cells | sp.csr_matrix) -> Cells:
    """Return a CSR matrix of tokens as :class:`Cells`; cells are returned as they are."""
    return CsrCells(tokens) if sp.issparse(tokens) else tokens
