"""Linear models of counts with moderated variances: limma's voom, in numpy.

Law et al. 2014 (voom: weights from the trend of variance over mean), Smyth 2004 and Phipson et al. 2016
(empirical Bayes). Every sample is one replicate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, polygamma
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]
_N_BINS = 60  # of the mean-variance trend


class Moderated(NamedTuple):
    """One number a feature (float64): estimate, moderated t, two-sided p-value."""

    effect: Floats
    t: Floats
    p_value: Floats


def size_factors(counts: Floats) -> Floats:
    """Return the effective library size of each sample (rows): total counts x median of ratios.

    Anders and Huber 2010: the median ratio to the geometric mean over features with counts in every sample;
    where fewer than 50 features have, totals alone count.
    """
    total = np.maximum(counts.sum(axis=1), 1)
    everywhere = (counts > 0).all(axis=0)
    if everywhere.sum() < 50:
        return total
    logs = np.log(counts[:, everywhere] / total[:, None])
    factor = np.exp(np.median(logs - logs.mean(axis=0), axis=1))
    return total * factor / np.exp(np.log(factor).mean())


def enough_counts(
    counts: Floats, library: Floats, n_smallest: int, *, min_count: float
) -> npt.NDArray[np.bool_]:
    """Return the features worth testing, as edgeR's filterByExpr finds them.

    At least ``min_count`` counts, at the median library size, in ``n_smallest`` samples, and 1.5 times
    that many in all.
    """
    per_sample = counts / library[:, None] * np.median(library)
    return ((per_sample >= min_count).sum(axis=0) >= n_smallest) & (counts.sum(axis=0) >= 1.5 * min_count)


def voom(counts: Floats, library: Floats, design: Floats) -> tuple[Floats, Floats]:
    """Return log2 counts per million and their weights, both samples x features."""
    y = np.log2((counts + 0.5) / (library[:, None] + 1) * 1e6)
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    fitted = design @ coefficients
    n_free = len(y) - design.shape[1]
    root_sd = np.sqrt(np.sqrt(((y - fitted) ** 2).sum(axis=0) / n_free))
    to_count = np.log2(library + 1) - np.log2(1e6)
    x, trend = _trend(y.mean(axis=0) + to_count.mean(), root_sd)
    expected = np.interp(fitted + to_count[:, None], x, trend)
    return y, expected**-4.0


def _trend(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return a smooth curve of y over x: means in bins of equal size, then a weighted line over 7 bins."""
    order = np.argsort(x, kind="stable")
    bins = np.array_split(order, max(1, min(_N_BINS, len(x) // 10)))
    middle = np.array([x[rows].mean() for rows in bins])
    height = np.array([y[rows].mean() for rows in bins])
    smooth = np.convolve(np.pad(height, 2, mode="edge"), [1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9], mode="valid")
    return middle, np.maximum(smooth, 0.01)


def fit(y: Floats, weights: Floats | None, design: Floats, coefficient: int) -> Moderated:
    """Return the moderated test of one coefficient of the design, for every feature.

    Parameters
    ----------
    y, weights
        Samples x features; weights None for equal ones.
    design
        Samples x coefficients, of full rank, with fewer coefficients than samples.
    """
    n_free = len(y) - design.shape[1]
    w = np.ones_like(y) if weights is None else weights
    gram = np.einsum("si,sf,sj->fij", design, w, design, optimize=True)
    right = np.einsum("si,sf->fi", design, w * y)
    inverse = np.linalg.inv(gram)
    beta = np.einsum("fij,fj->fi", inverse, right)
    residual = y - design @ beta.T
    variance = (w * residual**2).sum(axis=0) / n_free
    prior_df, prior_variance = _prior(variance, n_free)
    if np.isinf(prior_df):
        posterior = np.full_like(variance, prior_variance)
    else:
        posterior = (prior_df * prior_variance + n_free * variance) / (prior_df + n_free)
    effect = beta[:, coefficient]
    t = effect / np.sqrt(np.maximum(posterior * inverse[:, coefficient, coefficient], 1e-300))
    free = min(n_free + prior_df, n_free * len(variance))
    return Moderated(effect, t, 2 * student.sf(np.abs(t), free))


def _prior(variance: Floats, n_free: int) -> tuple[float, float]:
    """Return degrees of freedom and value of the prior variance (Smyth 2004, section 6.2)."""
    positive = variance[variance > 1e-12 * max(float(np.median(variance)), 1e-300)]
    if len(positive) < 3:
        return 0.0, float(variance.mean())
    e = np.log(positive) - digamma(n_free / 2) + np.log(n_free / 2)
    mean = e.mean()
    excess = e.var(ddof=1) - float(polygamma(1, n_free / 2))
    if excess <= 0:
        return np.inf, float(np.exp(mean))
    df = 2 * _inverse_trigamma(excess)
    return df, float(np.exp(mean + digamma(df / 2) - np.log(df / 2)))


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by Newton's method."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
