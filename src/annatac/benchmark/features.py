"""Two studies in the same features: the reference's peaks that the query measured too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from annatac.errors import InputError, OverlapError
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import intervals_of
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def aligned(reference: AnnData, query: AnnData) -> tuple[AnnData, AnnData]:
    """Return both studies over the reference's peaks that overlap one of the query's, in the reference's order.

    A query's count goes to the reference peak with the longest overlap (the first of equals), so that no fragment
    counts twice. Features of the same names are matched by name.

    Raises
    ------
    InputError
        Features without coordinates whose names differ.
    OverlapError
        No peak overlaps.
    """
    from anndata import AnnData

    if list(reference.var_names) == list(query.var_names):
        return reference, query
    a, b = intervals_of(reference.var), intervals_of(query.var)
    if a is None or b is None:
        raise InputError(
            "Reference and query have different features, and not both have coordinates: count the query in the "
            "reference's features first."
        )
    into = transfer_matrix(b, a)
    shared = np.flatnonzero(np.asarray(into.sum(axis=0)).ravel())
    if not len(shared):
        raise OverlapError(
            f"None of the query's {len(b):,} peaks overlaps one of the reference's {len(a):,}. Are they of one "
            "assembly?"
        )
    counts = sp.csr_matrix(as_csr(query.X) @ into[:, shared])
    var = reference.var.iloc[shared]
    moved = AnnData(counts, obs=query.obs.copy(), var=var[[]].copy(), uns=dict(query.uns))
    return reference[:, shared].copy(), moved


def transfer_matrix(source: pd.DataFrame, target: pd.DataFrame) -> sp.csr_matrix:
    """Return int32 (source peaks x target peaks): 1 at the target that overlaps a source peak longest."""
    columns = np.full(len(source), -1, dtype=np.int64)
    source_chrom, target_chrom = np.asarray(to_ucsc(source["chrom"])), np.asarray(to_ucsc(target["chrom"]))
    starts, ends = source["start"].to_numpy(), source["end"].to_numpy()
    for chrom in set(source_chrom) & set(target_chrom) - {""}:
        rows = np.flatnonzero(source_chrom == chrom)
        mine = np.flatnonzero(target_chrom == chrom)
        mine = mine[np.argsort(target["start"].to_numpy()[mine], kind="stable")]
        low, high = target["start"].to_numpy()[mine], target["end"].to_numpy()[mine]
        reach = int((high - low).max())
        first = np.searchsorted(low, starts[rows] - reach, side="right")
        last = np.searchsorted(low, ends[rows], side="left")
        for row, i, j in zip(rows, first, last, strict=True):
            shared = np.minimum(ends[row], high[i:j]) - np.maximum(starts[row], low[i:j])
            if len(shared) and shared.max() > 0:
                columns[row] = mine[i + int(shared.argmax())]
    hit = np.flatnonzero(columns >= 0)
    ones = np.ones(len(hit), dtype=np.int32)
    return sp.csr_matrix((ones, (hit, columns[hit])), shape=(len(source), len(target)))
