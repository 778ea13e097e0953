"""Where a reference's islands lie among a base model's, on the same assembly or on another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac.genome.intervals import island_names
from annatac.pp.lift import Lift
from annatac.pp.universe import Universe

PROBES = 20  # positions that stand for an island of which no peak is known

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """Where n islands lie among the m islands of a base model.

    Attributes
    ----------
    weights
        float64 CSR (n, m): how much of an island lies in each of the base's; rows sum to 1, or to 0 where the base
        knows none.
    there
        The n islands with their coordinates on the base's assembly; chrom '' where an island has no counterpart.
    """

    weights: sp.csr_matrix
    there: Universe

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Which of the n islands the base knows."""
        return np.diff(self.weights.indptr) > 0


def place(universe: Universe, own: Universe, lift: Lift | None) -> Places:
    """Return where the islands of ``universe`` lie among those of a base, ``own``.

    On the same assembly each is the island of the same name. On another each of an island's peaks, or 20 positions
    where they are not known, goes where its midpoint goes: only the base's vectors are carried over by it, the
    reference's counts and islands stay where they are.
    """
    if lift is None or universe.chrom is None or own.bin_size is None:
        at = own.index_of(universe.names)
        return Places(_weights(np.arange(len(universe)), at, (len(universe), len(own))), universe)
    points = _points(universe)
    chrom, position, _ = lift.liftover.positions(points["chrom"], points["position"])
    row, found = points["row"].to_numpy(), position >= 0
    start = position // own.bin_size * own.bin_size
    names = island_names(chrom[found], start[found], start[found] + own.bin_size)
    weights = _weights(row[found], own.index_of(names), (len(universe), len(own)))
    first = np.flatnonzero(found)[np.unique(row[found], return_index=True)[1]]
    to_chrom = np.full(len(universe), "", dtype=object)
    to_start = np.full(len(universe), -1, dtype=np.int64)
    to_chrom[row[first]], to_start[row[first]] = chrom[first], start[first]
    there = replace(
        universe, chrom=to_chrom, start=to_start, end=to_start + own.bin_size, genome=own.genome, peaks=None
    )
    return Places(weights, there)


def _points(universe: Universe) -> pd.DataFrame:
    """Return chrom and position of the midpoints of each island's peaks, or of 20 parts of it, and its row."""
    assert universe.chrom is not None
    assert universe.start is not None
    assert universe.end is not None
    peaks = np.full(len(universe), "", dtype=object) if universe.peaks is None else universe.peaks
    has_peaks = peaks != ""
    spans = (
        pd.Series(peaks[has_peaks], index=np.flatnonzero(has_peaks), dtype=object).str.split(";").explode()
    )
    edges = spans.astype(str).str.split("-", n=1, expand=True).astype(np.int64) if len(spans) else None
    of_peaks = np.zeros(0, np.int64) if edges is None else (edges[0] + edges[1]).to_numpy() // 2
    whole = np.flatnonzero(~has_peaks)
    width = universe.end[whole] - universe.start[whole]
    parts = universe.start[whole, None] + (2 * np.arange(PROBES) + 1) * width[:, None] // (2 * PROBES)
    row = np.concatenate([spans.index.to_numpy(np.int64), np.repeat(whole, PROBES)])
    return pd.DataFrame(
        {"row": row, "chrom": universe.chrom[row], "position": np.concatenate([of_peaks, parts.ravel()])}
    )


def _weights(row: Ints, at: Ints, shape: tuple[int, int]) -> sp.csr_matrix:
    known = at >= 0
    counted = sp.csr_matrix((np.ones(known.sum()), (row[known], at[known])), shape=shape)
    total = np.asarray(counted.sum(1)).ravel()
    return sp.csr_matrix(sp.diags(np.divide(1, total, out=np.zeros(shape[0]), where=total > 0)) @ counted)
