"""Count matrices of any kind as CSR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

DENSE_ENTRIES = 2**25  # of a dense matrix that are taken at once: 268 MB as float64


def as_csr(x: Any) -> sp.csr_matrix:
    """Return a dense, sparse or backed matrix (cells x features) as CSR without stored zeros.

    The values keep their dtype. An in-memory CSR matrix without stored zeros is returned itself, not copied.
    """
    if hasattr(x, "to_memory"):  # anndata's backed sparse data set
        x = x.to_memory()
    elif not isinstance(x, np.ndarray) and not sp.issparse(x):
        x = np.asarray(x[:]) if hasattr(x, "shape") else np.asarray(x)  # HDF5 or zarr array
    matrix = sp.csr_matrix(x)
    if matrix.nnz and not matrix.data.all():
        matrix = matrix.copy() if sp.issparse(x) else matrix
        matrix.eliminate_zeros()
    return matrix


def in_chunks(
    x: Any, n_rows: int = 2_000, *, first: int = 0, last: int | None = None
) -> Iterator[sp.csr_matrix]:
    """Yield the rows ``first`` to ``last - 1`` as CSR, ``n_rows`` at a time; no more of a backed one is read.

    Of a dense matrix fewer rows are taken where they would pass 2^25 entries.
    """
    if sp.issparse(x) and x.format != "csr":
        x = sp.csr_matrix(x)  # rows of other formats are slow to take out
    if not sp.issparse(x) and not hasattr(x, "to_memory"):  # dense, in memory or on disk
        n_rows = min(n_rows, max(1, DENSE_ENTRIES // max(x.shape[1], 1)))
    last = max(x.shape[0], 1) if last is None else last
    for start in range(first, last, n_rows):
        yield as_csr(x[start : min(start + n_rows, last)])


def opened(x: sp.csr_matrix, dtype: npt.DTypeLike = np.float64) -> sp.csr_matrix:
    """Return 1 where ``x``, CSR without stored zeros, holds anything; indices are shared with it."""
    return sp.csr_matrix((np.ones(x.nnz, dtype), x.indices, x.indptr), shape=x.shape)


def open_counts(x: sp.csr_matrix, labels: npt.NDArray[np.integer], n_types: int) -> npt.NDArray[np.float64]:
    """Return in how many cells of each type every feature is open, float64 (C, L), of n cells, CSR (n, L).

    ``labels``: types 0..C-1, int (n,).
    """
    members = sp.csr_matrix((np.ones(len(labels)), (labels, np.arange(len(labels)))), (n_types, len(labels)))
    return np.asarray((members @ opened(x)).toarray(), dtype=np.float64)


def column_sums(x: Any) -> npt.NDArray[np.float64]:
    """Return the sum of each column of a dense, sparse or backed matrix."""
    total = np.zeros(x.shape[1])
    for rows in in_chunks(x):
        total += np.bincount(rows.indices, weights=rows.data, minlength=x.shape[1])
    return total


def map_columns(x: sp.csr_matrix, target: npt.NDArray[np.int64], n_columns: int) -> sp.csr_matrix:
    """Return ``x`` with column j moved to ``target[j]``.

    A column with target -1 is left out; columns of one target are summed.
    """
    moved = target[x.indices]
    keep = moved >= 0
    n_kept = np.concatenate([[0], np.cumsum(keep)])
    result = sp.csr_matrix(
        (x.data[keep], moved[keep], n_kept[x.indptr]), shape=(x.shape[0], n_columns), copy=False
    )
    result.sum_duplicates()  # sorts the indices too
    return result
