"""How much more open a motif's peaks are in each cell than like peaks without it (chromVAR)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac import keys
from annatac.errors import ConfigError, InputError
from annatac.pp.counts import column_sums, in_chunks
from annatac.pp.validate import validate_counts
from annatac.tl.motifs.background import all_backgrounds, background_grid, background_peaks, deviations
from annatac.tl.motifs.scanning import motifs_of

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]


def motif_deviations(
    adata: AnnData,
    *,
    n_background: int | None = None,
    n_rows: int = 1_000,
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Write each cell's deviation of each motif, corrected for bias by background peaks, and its z-score.

    With counts x, motif matches m (0 or 1) and the expectation e = column sums / total, a cell's raw deviation is
    ``y = (sum_j x_j m_j - E) / E``, ``E = sum(x) * sum_j e_j m_j``. The same with each peak replaced by a
    background peak of like GC content and mean accessibility gives y'. Written are ``y - mean(y')`` and
    ``(y - mean(y')) / sd(y')`` (Schep et al. 2017, Methods).

    Parameters
    ----------
    adata
        Cells x peaks, counts, scanned by ``annatac.tl.motif_scan``. Peaks without counts or without sequence
        take no part.
    n_background
        Number of background sets that are drawn, as chromVAR does (50 there). By default none is drawn: mean
        and standard deviation of y' are computed over all sets that could be (see Notes).
    n_rows
        Cells at a time: bounds the memory.
    seed
        Seed of the draws; without draws there is nothing to seed.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: ``obsm['annatac_motif_deviations']`` and ``obsm['annatac_motif_z']``
    (float32, cells x motifs, the order of ``uns['annatac_motifs']['names']``; NaN for a motif without
    matches and a cell without counts), ``uns['annatac_motifs']['variability']`` (standard deviation of z over
    the cells).

    Raises
    ------
    InputError
        The peaks were not scanned, or X holds no counts.

    Notes
    -----
    Each peak draws its background peak by itself, from a known distribution (:func:`background_peaks`). So
    the mean and variance of the numerator N and denominator D of ``y' + 1 = N / D`` over all draws are sums over
    the peaks, and those of the ratio follow from ``N / D - r = (N - r D) / E[D]``, ``r = E[N] / E[D]``, to first
    order in the spread of D, which is small as background peaks are like in openness. This is what many
    draws tend to, without their noise (with 50 draws, 10 % of a z-score), and takes a fraction of their time.
    """
    if (n_background is not None and n_background < 2) or n_rows < 1:
        raise ConfigError(f"n_background is {n_background}, n_rows {n_rows}; expected 2 and 1 or more.")
    motifs = motifs_of(adata)
    validate_counts(adata)
    adata = adata.copy() if copy else adata
    total = column_sums(adata.X)
    gc = adata.var[keys.GC].to_numpy(dtype=np.float64)
    use = np.flatnonzero((total > 0) & np.isfinite(gc))
    if len(use) < 2:
        raise InputError(f"{len(use)} of {adata.n_vars:,} peaks have counts and sequence; more are needed.")
    has = sp.csr_matrix(adata.varm[keys.MOTIF_HITS][use].astype(bool).astype(np.float64))
    expected = total[use] / total[use].sum()
    grid = background_grid(gc[use], total[use] / adata.n_obs)
    moments: Callable[[sp.csr_matrix, Floats], tuple[Floats, Floats]]
    if n_background is None:
        moments = all_backgrounds(grid, has, expected)
    else:
        moments = _drawn(background_peaks(grid, n_sets=n_background, seed=seed), has, expected)
    corrected = np.empty((adata.n_obs, len(motifs)), dtype=np.float32)
    z = np.empty_like(corrected)
    low = 0
    for counts in in_chunks(adata.X, n_rows):
        x = sp.csr_matrix(counts[:, use], dtype=np.float64)
        depth = np.asarray(x.sum(axis=1)).ravel()
        mean, spread = moments(x, depth)
        rows = slice(low, low + x.shape[0])
        difference = deviations(x, depth, has, expected) - mean
        corrected[rows] = difference
        with np.errstate(divide="ignore", invalid="ignore"):
            z[rows] = np.where(spread > 1e-12, difference / spread, np.nan)
        low += x.shape[0]
    adata.obsm[keys.MOTIF_DEVIATIONS] = corrected
    adata.obsm[keys.MOTIF_Z] = z
    finite = np.ma.masked_invalid(z.astype(np.float64))
    variability = (
        np.ma.std(finite, axis=0, ddof=1).filled(np.nan) if adata.n_obs > 1 else np.full(len(motifs), np.nan)
    )
    adata.uns[keys.MOTIFS] = {
        **adata.uns[keys.MOTIFS],
        "variability": np.asarray(variability, dtype=np.float64),
        "n_background": 0 if n_background is None else n_background,  # 0: all of them
        "seed": seed,
    }
    return adata if copy else None


def _drawn(
    background: npt.NDArray[np.int64], has: sp.csr_matrix, expected: Floats
) -> Callable[[sp.csr_matrix, Floats], tuple[Floats, Floats]]:
    """Return a function that gives the mean and standard deviation of y' over drawn sets, (cells, motifs)."""
    n_sets = len(background)

    def moments(x: sp.csr_matrix, depth: Floats) -> tuple[Floats, Floats]:
        mean = square = np.zeros(())
        for matches in _replaced(has, background):
            y = deviations(x, depth, matches, expected)
            mean, square = mean + y, square + y * y
        mean = mean / n_sets
        variance = np.maximum(square / n_sets - mean**2, 0) * n_sets / (n_sets - 1)
        return mean, np.sqrt(variance)

    return moments


def _replaced(has: sp.csr_matrix, background: npt.NDArray[np.int64]) -> Iterator[sp.csr_matrix]:
    """Yield for each background set the matches of the peaks that stand in: row b(j) gets the row of j added."""
    n = has.shape[0]
    for peaks in background:
        yield sp.csr_matrix((np.ones(n), (peaks, np.arange(n))), shape=(n, n)) @ has
