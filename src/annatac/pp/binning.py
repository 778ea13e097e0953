"""Which island a peak belongs to, and how open islands are."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.genome.chroms import sort_key
from annatac.genome.intervals import island_names

Assign = Literal["midpoint", "start", "overlap"]
Openness = Literal["mean", "sum", "max", "binary"]
Rows = npt.NDArray[np.int64]


def assign_peaks(table: pd.DataFrame, peaks: Rows, bin_size: int, assign: Assign) -> tuple[Rows, Rows]:
    """Return pairs of peak (row of ``table``) and bin number on its chromosome."""
    start, end = table["start"].to_numpy()[peaks], table["end"].to_numpy()[peaks]
    if assign == "midpoint":
        return peaks, (start + end) // 2 // bin_size
    first = start // bin_size
    if assign == "start":
        return peaks, first
    n_bins = (end - 1) // bin_size - first + 1
    offset = np.arange(n_bins.sum()) - np.repeat(np.cumsum(n_bins) - n_bins, n_bins)
    return np.repeat(peaks, n_bins), np.repeat(first, n_bins) + offset


def group_by_island(
    table: pd.DataFrame, peak_of: Rows, bins: Rows, bin_size: int
) -> tuple[Rows, Rows, pd.DataFrame]:
    """Return the order that sorts the pairs by island, the island of each sorted pair, and the islands."""
    codes, unique = pd.factorize(table["chrom"].to_numpy()[peak_of])
    by_name = sorted(range(len(unique)), key=lambda i: sort_key(unique[i]))
    rank = np.empty(len(unique), dtype=np.int64)
    rank[by_name] = np.arange(len(unique))
    start, end = table["start"].to_numpy()[peak_of], table["end"].to_numpy()[peak_of]
    order = np.lexsort((end, start, bins, rank[codes]))
    rank_sorted, bins_sorted = rank[codes][order], bins[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(rank_sorted) != 0) | (np.diff(bins_sorted) != 0)
    first = np.flatnonzero(new)
    spans = [f"{s}-{e}" for s, e in zip(start[order].tolist(), end[order].tolist(), strict=True)]
    edges = [*first.tolist(), len(order)]
    island_start = bins_sorted[first] * bin_size
    var = pd.DataFrame(
        {
            keys.CHROM: np.asarray(unique, dtype=object)[by_name][rank_sorted[first]],
            keys.START: island_start,
            keys.END: island_start + bin_size,
            keys.N_PEAKS: np.diff(edges).astype(np.int32),
            keys.PEAKS: [";".join(spans[a:b]) for a, b in pairwise(edges)],
        }
    )
    var.index = pd.Index(island_names(var[keys.CHROM], var[keys.START], var[keys.END]))
    return order, np.cumsum(new) - 1, var


def island_openness(
    x: sp.csr_matrix, peak_of: Rows, island_of: Rows, n_islands: int, how: str
) -> sp.csr_matrix:
    """Return cells x islands, int32 CSR, from cells x peaks; pairs are sorted by island."""
    if how != "binary" and len(peak_of) == n_islands == x.shape[1] and (np.diff(peak_of) == 1).all():
        same = sp.csr_matrix((np.ceil(x.data).astype(np.int32), x.indices, x.indptr), shape=x.shape)
        same.sort_indices()
        return same
    if how in ("mean", "sum"):
        edges = np.searchsorted(island_of, np.arange(n_islands + 1))
        ones = np.ones(len(peak_of), dtype=np.int32)
        indicator = sp.csc_matrix((ones, peak_of, edges), shape=(x.shape[1], n_islands)).tocsr()
        summed = sp.csr_matrix(x @ indicator)
        summed.sort_indices()
        if how == "mean":
            summed.data = np.ceil(summed.data / np.diff(edges)[summed.indices])
        summed.data = summed.data.astype(np.int32)
        return summed
    columns = sp.csr_matrix(x[:, peak_of])
    columns.sort_indices()
    if how == "binary":
        columns.data = np.ones_like(columns.data)
    island = island_of[columns.indices]  # not decreasing within a cell, so a cell's island is one run
    new = np.ones(len(island), dtype=bool)
    new[1:] = np.diff(island) != 0
    row_starts = columns.indptr[:-1]
    new[row_starts[row_starts < len(island)]] = True
    first = np.flatnonzero(new)
    values = np.maximum.reduceat(columns.data, first) if len(first) else columns.data
    return sp.csr_matrix(
        (values.astype(np.int32), island[first], np.searchsorted(first, columns.indptr)),
        shape=(x.shape[0], n_islands),
    )
