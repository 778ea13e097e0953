"""The one form that every reader returns: cells x features, CSR, counts as integers, coordinates in var."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import InputError
from annatac.genome.intervals import intervals_of
from annatac.io.insertions import Bins, Peaks

if TYPE_CHECKING:
    from anndata import AnnData

_INT32_MAX = np.iinfo(np.int32).max


def as_counts(matrix: Any) -> sp.csr_matrix:
    """Return a dense or sparse matrix as CSR with sorted indices and no stored zeros.

    Whole numbers become int32 (int64 where they are larger); anything else (NaN, fractions) is kept as
    found, for the validation that follows to name. The arrays of ``matrix`` may be changed in place.
    """
    counts = sp.csr_matrix(matrix)
    counts.data = as_integers(counts.data)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    counts.sort_indices()
    return counts


def as_integers(values: np.ndarray) -> np.ndarray:
    """Return whole numbers as int32 or int64, other values unchanged."""
    if values.dtype.kind == "f":
        if not np.all(np.isfinite(values)) or not np.array_equal(values, np.trunc(values)):
            return values
    elif values.dtype.kind not in "iub":
        return values
    small = values.size == 0 or (values.max() <= _INT32_MAX and values.min() >= -_INT32_MAX)
    return values.astype(np.int32 if small else np.int64, copy=False)


def add_coordinates(var: pd.DataFrame) -> pd.DataFrame:
    """Return ``var`` with chrom, start and end (int64) in front, where they are known or the names tell."""
    found = intervals_of(var)
    if found is None:
        return var
    table = pd.DataFrame(
        {
            keys.CHROM: found[keys.CHROM].astype(str).to_numpy(dtype=object),
            keys.START: found[keys.START].to_numpy(np.int64),
            keys.END: found[keys.END].to_numpy(np.int64),
        },
        index=var.index,
    )
    others = [name for name in var.columns if name not in table.columns]
    return table.join(var[others]) if others and var.index.is_unique else _beside(table, var[others])


def _beside(table: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    for name in others.columns:
        table[name] = others[name].to_numpy() if others[name].dtype == object else others[name].array
    return table


def matrix_anndata(counts: Any, barcodes: Sequence[str], var: pd.DataFrame, *, source: Path) -> AnnData:
    """Return an AnnData of counts (cells x features): CSR, or a backed sparse data set of anndata.

    Raises
    ------
    InputError
        The matrix is empty, or its shape is not that of the names.
    """
    from anndata import AnnData

    if counts.shape != (len(barcodes), len(var)):
        raise InputError(
            f"{source}: the matrix has {counts.shape[1]:,} features x {counts.shape[0]:,} cells, but "
            f"{len(var):,} features and {len(barcodes):,} barcodes are named. The files do not belong "
            "together: "
            "take them from one run."
        )
    refuse_empty(counts.shape, source, n_counts=getattr(counts, "nnz", None))
    obs = pd.DataFrame(index=pd.Index(np.asarray(barcodes, dtype=object).astype(str), dtype=object))
    return AnnData(X=counts, obs=obs, var=add_coordinates(var))


def refuse_empty(shape: tuple[int, ...], source: Path, *, n_counts: int | None = None) -> None:
    """Raise InputError if there is no cell, no feature, or (``n_counts`` = 0) no count."""
    what = "no cells" if not shape[0] else "no features" if not shape[1] else "no counts"
    if not shape[0] or not shape[1] or n_counts == 0:
        raise InputError(
            f"{source} is empty: {shape[0]:,} cells x {shape[1]:,} features, {what}. Expected a matrix with "
            "counts; check that the run that wrote it called cells and peaks."
        )


def insertion_anndata(
    counts: Any, barcodes: Sequence[str], var: pd.DataFrame, features: Bins | Peaks
) -> AnnData:
    """Return an AnnData of insertions; ``uns[keys.ISLANDS]`` says so where the features are bins."""
    from anndata import AnnData

    obs = pd.DataFrame(index=pd.Index(np.asarray(barcodes, dtype=object).astype(str), dtype=object))
    adata = AnnData(X=counts, obs=obs, var=var)
    if isinstance(features, Bins):
        adata.uns[keys.ISLANDS] = {"bin_size": features.bin_size, "source": "fragments"}
    return adata
