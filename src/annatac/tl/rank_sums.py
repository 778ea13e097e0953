"""Wilcoxon rank sums of two groups of cells, for every column of a sparse matrix at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]
_ENTRIES_AT_ONCE = 4_000_000


class RankSums(NamedTuple):
    """One number a column (float64): two-sided p-value, area under the ROC curve, and shares that are not 0."""

    p_value: Floats
    auc: Floats
    share_in: Floats
    share_out: Floats


def rank_sums(values: sp.csr_matrix, is_in: npt.NDArray[np.bool_]) -> RankSums:
    """Return the Mann-Whitney test of the rows in a group against the others, for every column.

    All zeros of a column are one block of ties; other ties are told in float32. As
    ``scipy.stats.mannwhitneyu(..., method='asymptotic')``: normal approximation with tie and continuity
    correction; the p-value is 1 where a column has one value only.

    Parameters
    ----------
    values
        float32, n cells x m features, non-negative, without stored zeros.
    is_in
        bool (n,): the group.

    Notes
    -----
    An entry becomes one 64-bit integer: its column, the bits of its value (which sort as the value does, it
    being positive), and one bit for the group. One sort then orders every column, and ties and ranks
    are sums over runs of equal integers.
    """
    n_columns = values.shape[1]
    keys = values.indices.astype(np.uint64)
    keys <<= np.uint64(33)
    bits = values.data.astype(np.float32, copy=False).view(np.uint32).astype(np.uint64)
    bits <<= np.uint64(1)
    bits |= np.repeat(is_in, np.diff(values.indptr))
    keys |= bits
    del bits
    keys.sort()

    n_entries = np.bincount(values.indices, minlength=n_columns).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(n_entries)])
    n_open_in = np.zeros(n_columns)
    rank_sum = np.zeros(n_columns)
    tie_sum = np.zeros(n_columns)
    start = 0
    while start < n_columns:
        stop = max(int(np.searchsorted(first, first[start] + _ENTRIES_AT_ONCE, side="right")) - 1, start + 1)
        block = slice(start, stop)
        n_open_in[block], rank_sum[block], tie_sum[block] = _block(
            keys[first[start] : first[stop]], first[start : stop + 1] - first[start], len(is_in), start
        )
        start = stop
    return _test(n_open_in, rank_sum, tie_sum, n_entries, is_in)


def _block(
    keys: npt.NDArray[np.uint64], first: npt.NDArray[np.int64], n_cells: int, column: int
) -> tuple[Floats, Floats, Floats]:
    """Return cells of the group that are not 0, sum of their ranks, and sum of t^3 - t over ties, by column."""
    n_columns = len(first) - 1
    if not len(keys):
        return np.zeros(n_columns), np.zeros(n_columns), np.zeros(n_columns)
    value = keys >> np.uint64(1)
    run = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    size = np.diff(np.append(run, len(keys)))
    of_run = (value[run] >> np.uint64(32)).astype(np.int64) - column
    n_in = np.add.reduceat((keys & np.uint64(1)).astype(np.int64), run)
    n_zero = n_cells - np.diff(first)
    rank = n_zero[of_run] + (run - first[of_run]) + (size + 1) / 2

    def total(weights: npt.NDArray[np.generic]) -> Floats:
        return np.bincount(of_run, weights=weights, minlength=n_columns).astype(np.float64)

    return total(n_in), total(rank * n_in), total(size.astype(np.float64) ** 3 - size)


def _test(
    n_open_in: Floats,
    rank_sum: Floats,
    tie_sum: Floats,
    n_entries: npt.NDArray[np.int64],
    is_in: npt.NDArray[np.bool_],
) -> RankSums:
    n = len(is_in)
    n_in = int(is_in.sum())
    n_out = n - n_in
    n_zero = (n - n_entries).astype(np.float64)
    ranks = rank_sum + (n_in - n_open_in) * (n_zero + 1) / 2
    u = ranks - n_in * (n_in + 1) / 2
    ties = tie_sum + n_zero**3 - n_zero
    variance = n_in * n_out / 12 * ((n + 1) - ties / (n * (n - 1)))
    varies = variance > 1e-9 * n_in * n_out
    distance = np.maximum(u, n_in * n_out - u) - n_in * n_out / 2 - 0.5
    z = np.divide(distance, np.sqrt(np.where(varies, variance, 1)))
    p_value = np.where(varies, np.minimum(2 * ndtr(-z), 1), 1.0)
    return RankSums(p_value, u / (n_in * n_out), n_open_in / n_in, (n_entries - n_open_in) / n_out)


def false_discovery_rate(p_value: Floats) -> Floats:
    """Return Benjamini and Hochberg's adjusted p-values (1995); NaN stays NaN and is not counted."""
    adjusted = np.full(p_value.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_value))
    if len(known):
        order = known[np.argsort(p_value[known])]
        scaled = p_value[order] * len(order) / np.arange(1, len(order) + 1)
        adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted
