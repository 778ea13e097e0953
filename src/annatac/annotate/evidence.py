"""How much speaks for a cell's best type: likelihood ratios of the types' profiles against their mean.

From them come three statistics of a cell, by which novelty and doublets are told: the best ratio itself, the
likelihood that it is a part of, and what a mixture of two types adds to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac.pp.counts import open_counts

Floats = npt.NDArray[np.float32]

BACKGROUND_CELLS = 10  # a type's profile is its cells' and so many cells of the mean profile
_PSEUDO_COUNT = 0.05
_CHUNK = 2**22  # open islands x types that are mixed at a time: 16 MB each


@dataclass(frozen=True)
class Profiles:
    """Counts of a reference, from which the types' profiles come.

    Attributes
    ----------
    counts
        float64 (C, L): cells of a type with the island open.
    background
        float64 (L,): the mean of the types' profiles, each counting the same; sums to 1.
    weight
        Open islands of the background that are added to a type's own.
    """

    counts: npt.NDArray[np.float64]
    background: npt.NDArray[np.float64]
    weight: float

    def log_ratios(self) -> Floats:
        """Return log(profile / background), float32 (L, C)."""
        total = self.counts.sum(1, keepdims=True)
        profile = (self.counts + self.weight * self.background) / (total + self.weight)
        return np.ascontiguousarray(np.log(profile / self.background).T.astype(np.float32))

    def log_background(self) -> Floats:
        """Return log(background), float32 (L,)."""
        return np.log(self.background).astype(np.float32)

    def log_ratios_without(
        self, islands: npt.NDArray[np.integer], own: npt.NDArray[np.integer], n_open: npt.NDArray[np.integer]
    ) -> tuple[Floats, Floats]:
        """Return log ratios and log background at open islands of cells that are left out of both.

        Parameters
        ----------
        islands, own, n_open
            (entries,): an island that is open in a cell of ``counts``, the cell's type, and how many islands are
            open in it.

        Returns
        -------
        float32 (entries, C) and (entries,), as :meth:`log_ratios` and :meth:`log_background` have them.
        """
        rows, n_types, n_islands = np.arange(len(islands)), *self.counts.shape
        counts, total = self.counts[:, islands].T, self.counts.sum(1)
        with_it = (counts[rows, own] + _PSEUDO_COUNT) / (total[own] + _PSEUDO_COUNT * n_islands)
        counts[rows, own] = np.maximum(counts[rows, own] - 1, 0)
        without = (counts[rows, own] + _PSEUDO_COUNT) / (total[own] - n_open + _PSEUDO_COUNT * n_islands)
        background = self.background[islands] - (with_it - without) / n_types
        totals = np.broadcast_to(total, counts.shape).copy()
        totals[rows, own] -= n_open
        profile = (counts + self.weight * background[:, None]) / (totals + self.weight)
        logs = np.log(profile / background[:, None]).astype(np.float32)
        return logs, np.log(background).astype(np.float32)


@dataclass(frozen=True)
class Evidence:
    """Three statistics of n cells, float32 (n,) each; 0 of a cell without an open island.

    Attributes
    ----------
    best
        Log-likelihood ratio of the best type against the mean of all, over the square root of the open islands.
    fit
        Log-likelihood of that type, the mean over the open islands.
    mixed
        What an equal mixture of the best type and any other adds to the ratio, over the square root.
    """

    best: Floats
    fit: Floats
    mixed: Floats


def profiles_of(tokens: sp.csr_matrix, labels: npt.NDArray[np.integer], n_types: int) -> Profiles:
    """Return the profiles of labelled cells (CSR, n x L; labels 0..C-1, int (n,))."""
    counts = open_counts(tokens, labels, n_types)
    smooth = counts + _PSEUDO_COUNT
    background = (smooth / smooth.sum(1, keepdims=True)).mean(0)
    weight = BACKGROUND_CELLS * float(max(np.median(np.diff(tokens.indptr)), 1))
    return Profiles(counts, background, weight)


def evidence_of(tokens: sp.csr_matrix, log_ratios: Floats, log_background: Floats) -> Evidence:
    """Return the evidence in the open islands of n cells (CSR, n x L) by tables (L, C) and (L,)."""

    def logs(entries: slice, n_open: npt.NDArray[np.integer], cells: slice) -> tuple[Floats, Floats]:
        islands = tokens.indices[entries]
        return log_ratios[islands], log_background[islands]

    return _in_chunks(tokens.indptr, log_ratios.shape[1], logs)


def evidence_without(tokens: sp.csr_matrix, profiles: Profiles, own: npt.NDArray[np.integer]) -> Evidence:
    """Return the evidence in cells that the profiles were made of, each left out of them: as a query's cell.

    ``own``: the cells' types (n,).
    """

    def logs(entries: slice, n_open: npt.NDArray[np.integer], cells: slice) -> tuple[Floats, Floats]:
        each, types = np.repeat(n_open, n_open), np.repeat(own[cells], n_open)
        return profiles.log_ratios_without(tokens.indices[entries], types, each)

    return _in_chunks(tokens.indptr, len(profiles.counts), logs)


def _in_chunks(
    indptr: npt.NDArray[np.integer],
    n_types: int,
    logs: Callable[[slice, npt.NDArray[np.integer], slice], tuple[Floats, Floats]],
) -> Evidence:
    """Return the evidence of cells; ``logs`` gives (entries, C) and (entries,) of some cells' open islands."""
    n_cells = len(indptr) - 1
    found = np.zeros((3, n_cells), np.float32)
    per_chunk = max(1, _CHUNK // max(n_types, 1))
    start = 0
    while start < n_cells:
        stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + per_chunk, side="right")) - 1)
        stop = min(stop, n_cells)
        n_open = np.diff(indptr[start : stop + 1])
        if some := np.flatnonzero(n_open).tolist():
            ratios, background = logs(slice(indptr[start], indptr[stop]), n_open, slice(start, stop))
            found[:, np.array(some) + start] = _statistics(ratios, background, n_open[some])
        start = stop
    return Evidence(*found)


def _statistics(logs: Floats, background: Floats, n_open: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Return the statistics (3, n) of cells whose islands' log ratios (entries, C) stand one below the other."""
    first = np.concatenate([[0], np.cumsum(n_open)[:-1]])
    rows = np.arange(len(n_open))
    summed = np.add.reduceat(logs, first, axis=0)
    a = summed.argmax(1)
    best = summed[rows, a]
    ratios = np.exp(logs)
    of_best = ratios[np.arange(len(logs)), np.repeat(a, n_open)]
    ratios += of_best[:, None]
    np.log(ratios, out=ratios)
    pairs = np.add.reduceat(ratios, first, axis=0) - (n_open * np.float32(np.log(2)))[:, None]
    pairs[rows, a] = -np.inf
    gain = pairs.max(1) - best if logs.shape[1] > 1 else np.zeros(len(rows), np.float32)
    scale = np.sqrt(n_open)
    likelihood = (best + np.add.reduceat(background, first)) / n_open
    return np.stack([best / scale, likelihood, gain / scale]).astype(np.float32)
