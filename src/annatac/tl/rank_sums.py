"""Wilcoxon rank sums of two groups of cells, for every column of a sparse matrix at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import gammainc, gammaincc, ndtr

Floats = npt.NDArray[np.float64]
_ENTRIES_AT_ONCE = 4_000_000


class RankSums(NamedTuple):
    """One number a column (float64): two-sided p-value, area under the ROC curve, and shares that are not 0."""

    p_value: Floats
    auc: Floats
    share_in: Floats
    share_out: Floats


def rank_sums(
    counts: sp.csr_matrix,
    scale: npt.NDArray[np.float32],
    is_in: npt.NDArray[np.bool_] | npt.NDArray[np.floating],
) -> RankSums:
    """Return the Mann-Whitney test of the rows in a group against the others, for every column.

    What is ranked is a cell's count times its scale.

    All zeros of a column are one block of ties; other ties are told in float32. Where both groups are of one
    size this is ``scipy.stats.mannwhitneyu(..., method='asymptotic')``, with tie and continuity correction.
    The p-value is 1 where a column has one value only.

    Parameters
    ----------
    counts
        n cells x m features, whole numbers, non-negative, without stored zeros or duplicates.
    scale
        float32 (n,), positive: what a count of each cell is worth.
    is_in
        bool (n,): the group; or float (n,) in [0, 1], how much each row belongs to it. The test is then on the
        sum of membership times rank, with the permutations' moments: of whole numbers it is the same.

    Notes
    -----
    Where groups differ in size and few cells are not 0, the rank sum is skewed, and a normal distribution makes
    far too many peaks of the smaller group significant. A shifted gamma distribution with the
    permutations' exact mean, variance and skewness takes its place (Pearson type III; Zhou and Wright 2015).

    Nothing is sorted but the few different (cell, count) pairs: a cell's entries of one count make a row, rows
    are put in the order of their value, and the transpose to columns leaves every column in that order. Ties
    and ranks are sums over runs of equal values.
    """
    n_columns = counts.shape[1]
    by_column, value_id = _ordered(counts, scale, is_in)
    first = by_column.indptr.astype(np.int64)
    moments = np.zeros((4, n_columns))
    start = 0
    while start < n_columns:
        stop = max(int(np.searchsorted(first, first[start] + _ENTRIES_AT_ONCE, side="right")) - 1, start + 1)
        part = slice(first[start], first[stop])
        moments[:, start:stop] = _block(
            value_id[by_column.indices[part]],
            by_column.data[part],
            first[start : stop + 1] - first[start],
            len(is_in),
        )
        start = stop
    return _test(moments, np.diff(first), is_in)


def _ordered(
    counts: sp.csr_matrix, scale: npt.NDArray[np.float32], is_in: npt.NDArray[Any]
) -> tuple[sp.csc_matrix, npt.NDArray[np.int32]]:
    """Return (pairs x features) of whether the cell is in the group, in rising order, and each pair's value.

    Values are numbered; equal values have equal numbers.
    """
    n_cells, n_columns = counts.shape
    data = counts.data.astype(np.int64, copy=False)
    present = np.flatnonzero(np.bincount(data)) if len(data) else np.empty(0, np.int64)
    small = np.uint8 if len(present) <= 2**8 else np.uint16 if len(present) <= 2**16 else np.int64
    code_of = np.zeros(int(present[-1]) + 1 if len(present) else 1, dtype=small)
    code_of[present] = np.arange(len(present))
    code = code_of[data]
    row_of = np.repeat(np.arange(n_cells, dtype=np.int32), np.diff(counts.indptr))
    order = np.argsort(code, kind="stable")  # a radix sort: by count, then by cell
    n_entries = np.bincount(code.astype(np.int64) * n_cells + row_of, minlength=len(present) * n_cells)
    pairs = sp.csr_matrix(
        (is_in[row_of[order]], counts.indices[order], np.concatenate([[0], np.cumsum(n_entries)])),
        shape=(len(present) * n_cells, n_columns),
    )
    value = (present[:, None] * scale.astype(np.float64)).astype(np.float32).ravel()
    rising = np.argsort(value, kind="stable")
    value_id = np.cumsum(np.diff(value[rising], prepend=value[rising][:1]) > 0, dtype=np.int32)
    return pairs[rising].tocsc(), value_id


def _block(
    number: npt.NDArray[np.int32], in_group: npt.NDArray[Any], first: npt.NDArray[np.int64], n_cells: int
) -> Floats:
    """Return, by column: cells of the group that are not 0, the sum of their ranks, sum of t^3 - t over ties,
    and the sum of the cubed distances of ranks from their mean, those of zeros left out.
    """
    n_columns = len(first) - 1
    if not len(number):
        return np.zeros((4, n_columns))
    starts = np.zeros(len(number), dtype=bool)
    starts[first[:-1][first[:-1] < first[1:]]] = True
    starts[1:] |= number[1:] != number[:-1]
    run = np.flatnonzero(starts)
    size = np.diff(np.append(run, len(number)))
    of_run = np.repeat(np.arange(n_columns), np.diff(np.searchsorted(run, first)))
    n_in = np.add.reduceat(in_group, run, dtype=np.int32 if in_group.dtype == bool else np.float64)
    n_zero = n_cells - np.diff(first)
    rank = n_zero[of_run] + (run - first[of_run]) + (size + 1) / 2
    weights = (n_in, rank * n_in, size.astype(np.float64) ** 3 - size, size * (rank - (n_cells + 1) / 2) ** 3)
    return np.array([np.bincount(of_run, weights=weight, minlength=n_columns) for weight in weights])


def _test(moments: Floats, n_entries: npt.NDArray[np.int64], is_in: npt.NDArray[Any]) -> RankSums:
    n_open_in, rank_sum, tie_sum, cubes = moments
    n = len(is_in)
    member = is_in.astype(np.float64)
    n_in = float(member.sum())
    n_out = n - n_in
    centred = member - member.mean()
    n_zero = (n - n_entries).astype(np.float64)
    away = rank_sum + (n_in - n_open_in) * (n_zero + 1) / 2 - n_in * (n + 1) / 2
    ties = tie_sum + n_zero**3 - n_zero
    variance = float((centred**2).sum()) * n / 12 * ((n + 1) - ties / (n * (n - 1)))
    varies = variance > 1e-9 * n_in * n_out
    spread = np.sqrt(np.where(varies, variance, 1))
    cubes = cubes + n_zero * ((n_zero + 1) / 2 - (n + 1) / 2) ** 3
    third = float((centred**3).sum()) * n / ((n - 1) * max(n - 2, 1)) * cubes
    z = np.sign(away) * (np.abs(away) - 0.5) / spread
    p_value = np.where(varies, np.minimum(2 * skewed_tail(z, np.sign(away), third / spread**3), 1), 1.0)
    return RankSums(p_value, 0.5 + away / (n_in * n_out), n_open_in / n_in, (n_entries - n_open_in) / n_out)


def skewed_tail(z: Floats, side: Floats, skewness: Floats) -> Floats:
    """Return the chance of a value beyond z, on its side, by a gamma distribution of that skewness."""
    skewness = skewness * side  # as seen from the side of z
    z = z * side
    tail = ndtr(-z)
    skewed = np.abs(skewness) > 1e-3
    shape = 4 / skewness[skewed] ** 2
    place = shape + np.sign(skewness[skewed]) * z[skewed] * np.sqrt(shape)
    tail[skewed] = np.where(
        skewness[skewed] > 0, gammaincc(shape, np.maximum(place, 0)), gammainc(shape, np.maximum(place, 0))
    )
    return tail


def false_discovery_rate(p_value: Floats, *, any_dependence: bool = False) -> Floats:
    """Return Benjamini and Hochberg's adjusted p-values (1995); NaN stays NaN and is not counted.

    With ``any_dependence`` those of Benjamini and Yekutieli (2001), which hold however the tests depend on each
    other: larger by ``1 + 1/2 + ... + 1/m``.
    """
    adjusted = np.full(p_value.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_value))
    if len(known):
        order = known[np.argsort(p_value[known])]
        rank = np.arange(1, len(order) + 1)
        scaled = p_value[order] * len(order) / rank * ((1 / rank).sum() if any_dependence else 1)
        adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted


def directed_false_discovery_rate(p_value: Floats, is_up: npt.NDArray[np.bool_]) -> Floats:
    """Return the adjusted p-values of two-sided tests, each direction controlled by itself.

    With both in one list, many true changes in one direction let false ones of the other pass: of the
    discoveries in that direction more than the stated share would be false.
    """
    up = false_discovery_rate(np.where(is_up, p_value / 2, 1 - p_value / 2))
    down = false_discovery_rate(np.where(is_up, 1 - p_value / 2, p_value / 2))
    return np.where(is_up, up, down)
