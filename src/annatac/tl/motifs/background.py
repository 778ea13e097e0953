"""Background peaks of motif deviations: of like GC content and mean openness; drawn, or all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float64]
_GRID = 50  # classes along either axis of the background, as in chromVAR
_KERNEL = 0.1  # standard deviation of the distance between a peak and its background peaks, as in chromVAR


@dataclass(frozen=True, kw_only=True, eq=False)
class BackgroundGrid:
    """n peaks in k cells of the plane of GC and openness.

    ``cell_of``: int64 (n,). ``weight``: float64 (k, k), the chance that a peak of the row's cell draws the column's.
    """

    cell_of: npt.NDArray[np.int64]
    weight: Floats


def background_grid(gc: Floats, mean_openness: Floats) -> BackgroundGrid:
    """Return the classes of n peaks, and what each draws from.

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
    distance = ((centre[:, None, :] - centre[None, :, :]) ** 2).sum(axis=2)
    weight = np.exp(-distance / (2 * _KERNEL**2))
    return BackgroundGrid(cell_of=cell_of, weight=weight / weight.sum(axis=1, keepdims=True))


def background_peaks(grid: BackgroundGrid, *, n_sets: int, seed: int) -> npt.NDArray[np.int64]:
    """Return for each of n peaks drawn background peaks, int64 (n_sets, n)."""
    members = np.argsort(grid.cell_of, kind="stable")
    n_in = np.bincount(grid.cell_of)
    first = np.cumsum(n_in) - n_in
    random = np.random.default_rng(seed)
    result = np.empty((n_sets, len(members)), dtype=np.int64)
    for cell, weight in enumerate(grid.weight):
        mine = members[first[cell] : first[cell] + n_in[cell]]
        drawn = random.choice(len(n_in), size=(n_sets, len(mine)), p=weight)
        result[:, mine] = members[first[drawn] + (random.random(drawn.shape) * n_in[drawn]).astype(np.int64)]
    return result


def deviations(x: sp.csr_matrix, depth: Floats, has: sp.csr_matrix, expected: Floats) -> Floats:
    """Return ``y = found / usual - 1``, float64 (cells, motifs); NaN where nothing is expected."""
    found = (x @ has).toarray()
    usual = depth[:, None] * (has.T @ expected)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(usual > 0, found / usual - 1, np.nan)


def all_backgrounds(
    grid: BackgroundGrid, has: sp.csr_matrix, expected: Floats
) -> Callable[[sp.csr_matrix, Floats], tuple[Floats, Floats]]:
    """Return a function of counts (cells, peaks) and depths: mean and standard deviation of y' over all sets.

    With X and e of a drawn background peak of grid cell c, the moments E[X], E[e], E[X^2], E[X e], E[e^2] are
    weighted means over grid cells; a motif adds them up over its peaks' cells (``in_cell``: k x motifs).
    """
    n, k = len(grid.cell_of), len(grid.weight)
    to_cell = sp.csr_matrix((np.ones(n), (np.arange(n), grid.cell_of)), shape=(n, k))
    n_in = np.bincount(grid.cell_of, minlength=k)
    draw = (grid.weight / n_in[None, :]).T  # sums by cell @ draw: expectation of a draw, by the drawer's cell
    in_cell = np.asarray((to_cell.T @ has).todense())
    scale = n * expected  # openness in units of the mean: keeps the numbers of one size
    e, e_square = (to_cell.T @ scale) @ draw, (to_cell.T @ scale**2) @ draw
    usual = e @ in_cell  # E[D]
    spread_e = (e_square - e**2) @ in_cell
    weighted = sp.csr_matrix(to_cell.multiply(scale[:, None]))

    def moments(x: sp.csr_matrix, depth: Floats) -> tuple[Floats, Floats]:
        square = x.copy()
        square.data **= 2
        mean_x = (x @ to_cell).toarray() @ draw
        square_x = (square @ to_cell).toarray() @ draw
        product = (x @ weighted).toarray() @ draw
        found = mean_x @ in_cell  # E[N]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = found / usual  # n / depth of it is y' + 1
            variance = (square_x - mean_x**2) @ in_cell
            variance += ratio * (ratio * spread_e - 2 * ((product - mean_x * e) @ in_cell))
            per = n / (depth[:, None] * usual)
            return found * per - 1, np.sqrt(np.maximum(variance, 0)) * per

    return moments
