"""What cells are like, without their labels: depth, counts, openness, and how the types are mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.special import logsumexp

from annatac.errors import InputError
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import intervals_of
from annatac.pp.counts import in_chunks, opened
from annatac.simulate.islands import group_peaks

if TYPE_CHECKING:
    from anndata import AnnData

_N_QUANTILES = 201
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CellStatistics:
    """What simulated cells take after.

    Attributes
    ----------
    open_islands
        float64, quantiles (evenly spaced, rising) of the open 5-kb islands of a cell.
    second_insertion
        How often both ends of a fragment are counted in the peak that one of them lies in, 0 to 1.
    openness
        float64 of n peaks, the share of the cells in which each is open; None where the peaks do not matter.
    """

    open_islands: Floats
    second_insertion: float
    openness: Floats | None = None

    @classmethod
    def usual(
        cls, *, median_open: float = 2000, depth_sigma: float = 0.5, saturation: float = 0.6
    ) -> CellStatistics:
        """Return what is usual of cells of a droplet experiment.

        A cell's library holds a log-normal number of molecules, and a log-normal number of reads samples them; what
        is seen is C (1 - exp(-R / C)).

        Parameters
        ----------
        median_open
            Open islands of the median cell.
        depth_sigma
            Standard deviation of the natural logarithm of both numbers.
        saturation
            Share of a median library's molecules that were sequenced, above 0 and below 1.
        """
        from scipy.stats import norm

        at = norm.ppf((np.arange(31) + 0.5) / 31)
        molecules, reads = np.meshgrid(np.exp(depth_sigma * at), np.exp(depth_sigma * at))
        seen = molecules * -np.expm1(np.log1p(-saturation) * reads / molecules)
        return cls(
            open_islands=median_open * np.quantile(seen / np.median(seen), np.linspace(0, 1, _N_QUANTILES)),
            second_insertion=0.5,
        )


def cell_statistics(cells: AnnData, *, peaks: pd.DataFrame | None = None) -> CellStatistics:
    """Return what real cells are like; labels are not used.

    Parameters
    ----------
    cells
        Cells x peaks, counts; X dense, sparse or backed.
    peaks
        n peaks (chrom, start, end) that are to be simulated, each one of the cells'; then open islands are counted
        in them alone, and the openness of each is measured. Otherwise all peaks count.

    Raises
    ------
    InputError
        The cells' features have no coordinates, or no cell has an open peak.
    """
    table = intervals_of(cells.var)
    if table is None:
        raise InputError(
            f"The cells' features have no coordinates (the first is '{cells.var_names[0]}'); peaks such as "
            "chr1:1000-1500 are expected."
        )
    if peaks is None:
        columns = np.arange(cells.n_vars)
    else:
        columns = columns_of(cells, peaks)
    island_of, n_islands = group_peaks(table.iloc[columns])
    to_island = sp.csr_matrix(
        (np.ones(len(columns), np.float32), (columns, island_of)), shape=(cells.n_vars, n_islands)
    )
    n_open, n_ones = [], 0
    n_cells_open = np.zeros(cells.n_vars)
    for x in in_chunks(cells.X):
        is_open = opened(x, np.float32)
        n_open.append(np.diff((is_open @ to_island).indptr))
        n_cells_open += np.bincount(x.indices, minlength=cells.n_vars)
        n_ones += int((x.data == 1).sum())
    per_cell = np.concatenate(n_open)
    per_cell = per_cell[per_cell > 0]
    if not len(per_cell):
        raise InputError("No cell has an open peak among those that are to be simulated.")
    openness = n_cells_open / cells.n_obs
    return CellStatistics(
        open_islands=np.quantile(per_cell, np.linspace(0, 1, _N_QUANTILES)),
        second_insertion=_second_insertion(n_ones / n_cells_open.sum(), openness, per_cell / per_cell.mean()),
        openness=None if peaks is None else openness[columns],
    )


def fit_mixture(
    cells: sp.csr_matrix, ratios: Floats, openness: Floats, *, n_rounds: int = 15, prior: float = 0.02
) -> Floats:
    """Return the shares of the types among unlabelled cells, by expectation and maximisation.

    A type's chance of a peak is ``openness`` times ``ratios`` over their mean in the mixture; the mean changes with
    the shares, so that what all cells together have stays what was measured.

    Parameters
    ----------
    cells
        CSR (m, n), what is not 0 is open.
    ratios
        float64 (T, n), above 0: each type's rate of each peak, up to a factor of the peak.
    openness
        float64 (n,), share of the cells in which a peak is open.
    prior
        Share that every type has at least, times 1 / T.
    """
    is_open = sp.csr_matrix((np.ones(cells.nnz, np.float32), cells.indices, cells.indptr), shape=cells.shape)
    shares = np.full(len(ratios), 1 / len(ratios))
    for _ in range(n_rounds):
        rate = openness * ratios / (shares @ ratios)
        log_rate = np.log(np.maximum(rate, 1e-12))
        log_rate -= logsumexp(log_rate, axis=1, keepdims=True)
        score = np.asarray(is_open @ log_rate.T.astype(np.float32), dtype=np.float64) + np.log(shares)
        posterior = np.exp(score - logsumexp(score, axis=1, keepdims=True)).mean(axis=0)
        shares = (1 - prior) * posterior + prior / len(ratios)
    return shares


def columns_of(cells: AnnData, peaks: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the column of cells x peaks that each of n peaks (chrom, start, end) is, int64 (n,).

    Raises
    ------
    InputError
        A peak is none of the cells', or they have no coordinates.
    """
    names = ["chrom", "start", "end"]
    table = intervals_of(cells.var)
    if table is None:
        raise InputError(
            "The cells' features have no coordinates; peaks such as chr1:1000-1500 are expected."
        )
    theirs = table.assign(chrom=to_ucsc(table["chrom"]), column=np.arange(len(table))).drop_duplicates(names)
    found = peaks[names].merge(theirs, on=names, how="left")["column"]
    if found.isna().any():
        raise InputError(f"{int(found.isna().sum()):,} of {len(peaks):,} peaks are none of the cells' peaks.")
    return found.to_numpy(np.int64)


def _second_insertion(share_of_ones: float, openness: Floats, depth: Floats) -> float:
    """Return the share of fragments that count twice, from the share of open peaks that have a count of 1.

    In a cell of relative depth d, fragments arrive at rate r = -d log(1 - openness); of its open peaks r exp(-r) /
    (1 - exp(-r)) have one.
    """
    rate = -np.log1p(-np.minimum(openness[openness > 0], 0.999))
    rate = np.outer(np.quantile(depth, np.linspace(0.05, 0.95, 10)), rate)
    one_fragment = (rate * np.exp(-rate)).sum() / -np.expm1(-rate).sum()
    return float(np.clip(1 - share_of_ones / one_fragment, 0, 1))
