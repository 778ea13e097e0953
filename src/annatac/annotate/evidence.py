"""How much speaks for a cell's best type: likelihood ratios of the types' profiles against their mean.

From them come two statistics of a cell, by which novelty and doublets are told: the best ratio itself, and what a
mixture of two types adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

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

    def log_ratios_without(self, tokens: sp.csr_matrix, labels: npt.NDArray[np.integer]) -> Floats:
        """Return each cell's open islands under its own type without the cell, float32 (entries of ``tokens``,).

        ``tokens`` and ``labels`` are of cells that ``counts`` hold.
        """
        n_open = np.diff(tokens.indptr)
        own, islands = np.repeat(labels, n_open), tokens.indices
        expected = self.weight * self.background[islands]
        total = self.counts.sum(1)[own] - np.repeat(n_open, n_open) + self.weight
        profile = (np.maximum(self.counts[own, islands] - 1, 0) + expected) / total
        return np.log(profile / self.background[islands]).astype(np.float32)


@dataclass(frozen=True)
class Evidence:
    """Two statistics of n cells, float32 (n,) each, over the square root of a cell's open islands.

    Attributes
    ----------
    best
        Log-likelihood ratio of the best type against the mean of all.
    mixed
        What an equal mixture of the best type and any other adds to it.
    """

    best: Floats
    mixed: Floats


def profiles_of(tokens: sp.csr_matrix, labels: npt.NDArray[np.integer], n_types: int) -> Profiles:
    """Return the profiles of labelled cells (CSR, n x L; labels 0..C-1, int (n,))."""
    members = sp.csr_matrix((np.ones(len(labels)), (labels, np.arange(len(labels)))), (n_types, len(labels)))
    counts = np.asarray((members @ _binary(tokens)).toarray(), dtype=np.float64)
    smooth = counts + _PSEUDO_COUNT
    background = (smooth / smooth.sum(1, keepdims=True)).mean(0)
    weight = BACKGROUND_CELLS * float(max(np.median(np.diff(tokens.indptr)), 1))
    return Profiles(counts, background, weight)


def evidence_of(
    tokens: sp.csr_matrix,
    log_ratios: Floats,
    *,
    own: npt.NDArray[np.integer] | None = None,
    own_log_ratios: Floats | None = None,
) -> Evidence:
    """Return the evidence in the open islands of n cells.

    Parameters
    ----------
    tokens
        CSR, n x L, entries where an island is open.
    log_ratios
        float32 (L, C).
    own, own_log_ratios
        For cells of the reference: their types, and what :meth:`Profiles.log_ratios_without` returns, put in the
        place of their own type's column.
    """
    n_cells, n_types = tokens.shape[0], log_ratios.shape[1]
    best, mixed = np.zeros(n_cells, np.float32), np.zeros(n_cells, np.float32)
    indptr = tokens.indptr
    per_chunk = max(1, _CHUNK // max(n_types, 1))
    start = 0
    while start < n_cells:
        stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + per_chunk, side="right")) - 1)
        stop = min(stop, n_cells)
        entries = slice(indptr[start], indptr[stop])
        n_open = np.diff(indptr[start : stop + 1])
        logs = log_ratios[tokens.indices[entries]]
        if own is not None and own_log_ratios is not None:
            logs[np.arange(len(logs)), np.repeat(own[start:stop], n_open)] = own_log_ratios[entries]
        found = np.flatnonzero(n_open) + start
        if len(found):
            best[found], mixed[found] = _statistics(logs, n_open[n_open > 0])
        start = stop
    return Evidence(best, mixed)


def _statistics(logs: Floats, n_open: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Return both statistics of cells whose islands' log ratios (entries, C) stand one below the other."""
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
    scale = np.sqrt(n_open).astype(np.float32)
    return (best / scale).astype(np.float32), (gain / scale).astype(np.float32)


def _binary(tokens: sp.csr_matrix) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(tokens.nnz), tokens.indices, tokens.indptr), shape=tokens.shape)
