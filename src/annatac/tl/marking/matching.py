"""Background cells that are like a group's cells in depth and signal to noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Rows = npt.NDArray[np.int64]
_N_NEIGHBORS = 100
_MAX_SHARE_TAKEN = (
    0.8  # of the cells on offer (ArchR's bufferRatio): with all taken, nothing would be matched
)
_MAX_SHIFT = 0.1  # of a further round's mean quantile from the group's


class Match(NamedTuple):
    """Rows of the group, and as many rows (or a whole multiple) of the background, each at most once."""

    inside: Rows
    outside: Rows


def quantiles(bias: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each column of ``bias`` (cells x measures) as quantiles in (0, 1], ties at their mean."""
    from scipy.stats import rankdata

    return rankdata(bias, axis=0) / len(bias)


def match_background(
    space: npt.NDArray[np.float64],
    is_in: npt.NDArray[np.bool_],
    *,
    n_each: int,
    max_cells: int | None = None,
    max_background: int | None = None,
    seed: int = 0,
) -> Match:
    """Return a group's cells and, for each, the nearest background cells that no other has taken.

    Parameters
    ----------
    space
        Cells x measures, quantiles (see :func:`quantiles`); distances are Euclidean.
    is_in
        bool, the group; all others are background.
    n_each
        Background cells wanted a cell of the group, found in as many rounds. Rounds end early where the
        background is used up, or where the cells of a further round would be 10 percentiles off the group's
        in the mean of any measure.
    max_cells
        At most so many cells of the group, drawn at random.
    max_background
        At most so many background cells in all, but at least one round.
    seed
        Seed of the order in which cells choose.

    Notes
    -----
    ArchR's ``getMarkerFeatures`` (Granja et al. 2021) does this with one background cell a cell. Cells whose
    100 nearest are all taken search again among what is left. A group that is larger than its background is
    thinned the same way: each background cell takes the nearest cell of the group.
    """
    random = np.random.default_rng([seed, 0x3A7C])
    inside = random.permutation(np.flatnonzero(is_in))
    outside = random.permutation(np.flatnonzero(~is_in))
    if len(inside) > len(outside):  # the few choose among the many: a large type is thinned to its background
        few, many = _choose(space, outside, inside, n_each=1, n_most=max_cells, n_taken=max_background)
        return Match(np.sort(many), np.sort(few))
    few, many = _choose(space, inside, outside, n_each=n_each, n_most=max_cells, n_taken=max_background)
    return Match(np.sort(few), np.sort(many))


def _choose(
    space: npt.NDArray[np.float64],
    choosers: Rows,
    offered: Rows,
    *,
    n_each: int,
    n_most: int | None,
    n_taken: int | None,
) -> tuple[Rows, Rows]:
    """Return the rows that chose and the rows of ``offered`` that they took."""
    most = int(_MAX_SHARE_TAKEN * len(offered))
    n = min(len(choosers), most, len(choosers) if n_most is None else n_most)
    choosers = choosers[:n]
    if n_taken is not None:
        most = min(most, n_taken)
    center = space[choosers].mean(axis=0)
    taken: list[Rows] = []
    for _ in range(max(1, min(n_each, most // n))):
        chosen = _nearest_free(space, choosers, offered)
        if taken and np.abs(space[chosen].mean(axis=0) - center).max() > _MAX_SHIFT:
            break
        taken.append(chosen)
        offered = np.setdiff1d(offered, chosen, assume_unique=True)
    return choosers, np.concatenate(taken)


def _nearest_free(space: npt.NDArray[np.float64], inside: Rows, outside: Rows) -> Rows:
    """Return one row of ``outside`` for each of ``inside``, the nearest that is free when its turn comes."""
    chosen: list[int] = []
    waiting = inside
    free = outside
    while len(waiting):
        k = min(_N_NEIGHBORS, len(free))
        _, near = cKDTree(space[free]).query(space[waiting], k=k)
        is_free = np.ones(len(free), dtype=bool).tolist()
        again: list[int] = []
        for row, candidates in zip(waiting.tolist(), near.reshape(len(waiting), k).tolist(), strict=True):
            for candidate in candidates:
                if is_free[candidate]:
                    is_free[candidate] = False
                    chosen.append(int(free[candidate]))
                    break
            else:
                again.append(row)
        waiting = np.array(again, dtype=np.int64)
        free = free[np.array(is_free, dtype=bool)]
    return np.array(chosen, dtype=np.int64)
