"""Does a feature change with time? Tests of smooth trends, for all features at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.interpolate import BSpline
from scipy.stats import f as f_distribution

Floats = npt.NDArray[np.float64]


class Trend(NamedTuple):
    """One number a feature, float64: F statistic and p-value (NaN where the feature does not vary)."""

    statistic: Floats
    p_value: Floats


def spline_basis(time: Floats, n_terms: int) -> Floats:
    """Return (n, n_terms): cubic B-splines of ``time`` with knots at its quantiles, without the constant."""
    n_inner = n_terms - 3
    inner = np.quantile(time, np.linspace(0, 1, n_inner + 2)[1:-1])
    low, high = time.min(), time.max()
    knots = np.concatenate([[low] * 4, inner, [high] * 4])
    return np.asarray(BSpline.design_matrix(time, knots, 3).todense())[:, 1:]


def count_trend(counts: sp.csr_matrix, depth: Floats, basis: Floats) -> Trend:
    """Return the quasi-likelihood score test of a trend in counts, with the depth as offset.

    Null: y_ij ~ d_i l_j, with variance f_j times the mean. With B the basis centred by depth, D = diag(d),
    U_j = B' (y_j - d l_j) has the covariance f_j l_j B' D B, one matrix for all features; F_j is
    U' cov^-1 U / terms, on (terms, n - 1 - terms) degrees of freedom. A cell's depth can so not pass for a trend.

    Parameters
    ----------
    counts
        n cells x m features.
    depth
        (n,), what the mean is proportional to; positive.
    basis
        (n, terms).
    """
    n_cells, n_terms = basis.shape
    centred = basis - (depth @ basis) / depth.sum()
    rate = np.asarray(counts.sum(0), dtype=np.float64).ravel() / depth.sum()
    score = np.asarray(counts.T @ centred)  # B' d = 0, so that B' (y - d l) = B' y
    root = np.linalg.cholesky(centred.T @ (depth[:, None] * centred))
    whitened = np.linalg.solve(root, score.T)
    squares = counts.copy()
    squares.data = squares.data.astype(np.float64) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        pearson = (squares.T @ (1 / depth)) / rate - rate * depth.sum()
        dispersion = pearson / (n_cells - 1)
        statistic = (whitened**2).sum(0) / (rate * dispersion) / n_terms
    statistic = np.where((rate > 0) & (dispersion > 1e-12), statistic, np.nan)
    return Trend(statistic, f_distribution.sf(statistic, n_terms, n_cells - 1 - n_terms))


def value_trend(values: npt.NDArray[np.floating], basis: Floats) -> Trend:
    """Return the F test of a trend in real values (n cells x m features), least squares on ``basis``."""
    n_cells, n_terms = basis.shape
    q, _ = np.linalg.qr(basis - basis.mean(0))
    statistic = np.empty(values.shape[1])
    for first in range(0, values.shape[1], 2_000):
        block = values[:, first : first + 2_000].astype(np.float64)
        block = block - block.mean(0)
        total = (block**2).sum(0)
        explained = ((q.T @ block) ** 2).sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (explained / n_terms) / (np.maximum(total - explained, 0) / (n_cells - 1 - n_terms))
        statistic[first : first + 2_000] = np.where(total > 1e-20, ratio, np.nan)
    return Trend(statistic, f_distribution.sf(statistic, n_terms, n_cells - 1 - n_terms))
