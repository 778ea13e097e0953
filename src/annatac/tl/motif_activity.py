"""How much more open a motif's peaks are in each cell than like peaks without it (chromVAR)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac import keys
from annatac.errors import ConfigError, InputError
from annatac.pp.counts import column_sums, in_chunks
from annatac.pp.validate import validate_counts
from annatac.tl.motif_scanning import motifs_of

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
_GRID = 50  # classes along either axis of the background, as in chromVAR
_KERNEL = 0.1  # standard deviation of the distance between a peak and its background peaks, as in chromVAR


def motif_deviations(
    adata: AnnData,
    *,
    n_background: int = 50,
    n_rows: int = 4_000,
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Write each cell's deviation of each motif, corrected for bias by background peaks, and its z-score.

    With counts x, motif matches m (0 or 1) and the expectation e = column sums / total, a cell's raw deviation is
    ``y = (sum_j x_j m_j - E) / E``, ``E = sum(x) * sum_j e_j m_j``. The same with each peak replaced by a
    background peak of like GC content and mean accessibility, ``n_background`` times, gives y'. Written are
    ``y - mean(y')`` and ``(y - mean(y')) / sd(y')`` (Schep et al. 2017, Methods).

    Parameters
    ----------
    adata
        Cells x peaks, counts, scanned by ``annatac.tl.motif_scan``. Peaks without counts or without sequence
        take no part.
    n_background
        Background sets.
    n_rows
        Cells at a time: bounds the memory.
    seed
        Seed of the background peaks.
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
    """
    if n_background < 2 or n_rows < 1:
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
    background = background_peaks(gc[use], total[use] / adata.n_obs, n_sets=n_background, seed=seed)
    corrected = np.empty((adata.n_obs, len(motifs)), dtype=np.float32)
    z = np.empty_like(corrected)
    low = 0
    for counts in in_chunks(adata.X, n_rows):
        x = sp.csr_matrix(counts[:, use], dtype=np.float64)
        depth = np.asarray(x.sum(axis=1)).ravel()
        raw = _deviations(x, depth, has, expected)
        mean, square = np.zeros_like(raw), np.zeros_like(raw)
        for matches in _replaced(has, background):
            y = _deviations(x, depth, matches, expected)
            mean += y
            square += y * y
        mean /= n_background
        spread = np.sqrt(np.maximum(square / n_background - mean**2, 0) * n_background / (n_background - 1))
        rows = slice(low, low + x.shape[0])
        corrected[rows] = raw - mean
        with np.errstate(divide="ignore", invalid="ignore"):
            z[rows] = np.where(spread > 1e-12, (raw - mean) / spread, np.nan)
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
        "n_background": n_background,
        "seed": seed,
    }
    return adata if copy else None


def background_peaks(gc: Floats, mean_openness: Floats, *, n_sets: int, seed: int) -> npt.NDArray[np.int64]:
    """Return for each of n peaks its background peaks, int64 (n_sets, n).

    GC share and log10 mean openness are made uncorrelated with variance 1 (Mahalanobis), the plane is cut into
    50 x 50 cells; a peak draws a cell with weight ``exp(-d^2 / (2 * 0.1^2))`` of the distance between the
    cells, then one of its peaks, with replacement. A peak may be its own background.
    """
    points = np.column_stack([gc, np.log10(mean_openness)])
    points = points - points.mean(axis=0)
    covariance = np.cov(points, rowvar=False) + 1e-9 * np.eye(2)
    points = np.linalg.solve(np.linalg.cholesky(covariance), points.T).T
    low, span = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-12)
    place = np.minimum((points - low) / span * _GRID, _GRID - 1).astype(np.int64)
    cells, cell_of = np.unique(place[:, 0] * _GRID + place[:, 1], return_inverse=True)
    centre = low + (np.column_stack([cells // _GRID, cells % _GRID]) + 0.5) * span / _GRID
    members = np.argsort(cell_of, kind="stable")
    n_in = np.bincount(cell_of)
    first = np.cumsum(n_in) - n_in
    random = np.random.default_rng(seed)
    result = np.empty((n_sets, len(gc)), dtype=np.int64)
    for cell in range(len(cells)):
        mine = members[first[cell] : first[cell] + n_in[cell]]
        weight = np.exp(-((centre - centre[cell]) ** 2).sum(axis=1) / (2 * _KERNEL**2))
        drawn = random.choice(len(cells), size=(n_sets, len(mine)), p=weight / weight.sum())
        result[:, mine] = members[first[drawn] + (random.random(drawn.shape) * n_in[drawn]).astype(np.int64)]
    return result


def _replaced(has: sp.csr_matrix, background: npt.NDArray[np.int64]) -> Iterator[sp.csr_matrix]:
    """Yield for each background set the matches of the peaks that stand in: row b(j) gets the row of j added."""
    n = has.shape[0]
    for peaks in background:
        yield sp.csr_matrix((np.ones(n), (peaks, np.arange(n))), shape=(n, n)) @ has


def _deviations(x: sp.csr_matrix, depth: Floats, has: sp.csr_matrix, expected: Floats) -> Floats:
    found = (x @ has).toarray()
    usual = depth[:, None] * (has.T @ expected)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(usual > 0, found / usual - 1, np.nan)
