"""Features that change along a pseudo-time, and pairs of them that change together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, nearest
from annatac.genome.intervals import intervals_of
from annatac.genome.nearest import nearest_genes
from annatac.io.atomic import atomic_path
from annatac.pp.counts import as_csr
from annatac.pp.validate import validate_counts
from annatac.tl.groups import column_of
from annatac.tl.rank_sums import false_discovery_rate
from annatac.tl.trajectories.trend_tests import count_trend, spline_basis, value_trend

if TYPE_CHECKING:
    from anndata import AnnData

MIN_CELLS = 50


@dataclass(frozen=True, kw_only=True)
class TrajectoryFeatures:
    """How each of m features runs along a pseudo-time.

    Attributes
    ----------
    table
        m rows, indexed by the features' names: ``chrom``, ``start``, ``end``, ``gene``, ``distance`` as far as known;
        ``n_open`` (cells in which it is not 0; counts only), ``statistic`` (F), ``p_value``, ``fdr``, ``peak_time``
        (pseudo-time at which it is greatest), ``change`` (highest over lowest of the curve: log2 for counts, difference
        otherwise).
    curves
        float32 (m, bins): smoothed mean; for counts, counts of a cell of median depth.
    time
        float32 (bins,): middles of the bins, 0 to 100.
    is_counts
        Whether the features are counts.
    smoothing
        Standard deviation of the kernel that smoothed the curves, in bins.
    n_cells
        Cells with a pseudo-time.
    """

    table: pd.DataFrame
    curves: npt.NDArray[np.float32]
    time: npt.NDArray[np.float32]
    is_counts: bool
    smoothing: float
    n_cells: int
    parameters: dict[str, Any] = field(default_factory=dict)

    def changing(self, *, max_fdr: float = 0.05, min_change: float = 0.0) -> pd.DataFrame:
        """Return the rows of :attr:`table` that change, by these bounds, in the order of their peak time."""
        chosen = (self.table["fdr"] <= max_fdr) & (self.table["change"] >= min_change)
        return self.table[chosen].sort_values(["peak_time", "p_value"], kind="stable")

    def z_scores(self, names: Sequence[str] | pd.Index) -> npt.NDArray[np.float32]:
        """Return the curves of these features, each with mean 0 and standard deviation 1 over the bins.

        Raises
        ------
        InputError
            A feature that was not tested; the nearest is offered.
        """
        rows = self.table.index.get_indexer(pd.Index(names))
        if (rows < 0).any():
            name = str(list(names)[int(np.flatnonzero(rows < 0)[0])])
            raise InputError(f"Feature '{name}' was not tested.{nearest(name, self.table.index.astype(str))}")
        curves = self.curves[rows].astype(np.float64)
        spread = curves.std(1, keepdims=True)
        return ((curves - curves.mean(1, keepdims=True)) / np.maximum(spread, 1e-12)).astype(np.float32)

    def write_csv(self, path: str | Path, *, max_fdr: float = 0.05, min_change: float = 0.0) -> Path:
        """Write :meth:`changing` as CSV, whole or not at all; ``max_fdr=1`` for all."""
        table = self.changing(max_fdr=max_fdr, min_change=min_change).rename_axis("feature").reset_index()
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
        return Path(path)


def trajectory_features(
    adata: AnnData,
    *,
    pseudotime: str = keys.PSEUDOTIME,
    obsm: str | None = None,
    names: Sequence[str] | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    n_terms: int = 4,
    n_bins: int = 100,
    smoothing: float = 5.0,
    min_open: int = 20,
) -> TrajectoryFeatures:
    """Return which peaks (or gene scores, or motif deviations) change along a pseudo-time, and how.

    Parameters
    ----------
    adata
        Cells with ``obs[pseudotime]``; those without a value are left out.
    pseudotime
        Column of ``obs``, as ``annatac.tl.trajectory`` writes it.
    obsm
        Take the real-valued features of this slot (array, sparse matrix or DataFrame, cells x
        features); otherwise the counts of X.
    names
        Names of the columns of ``obsm``; by default those of a DataFrame, else numbers.
    genes
        GTF, GFF3, BED or table of genes: adds the nearest gene (X only).
    n_terms
        Terms of the cubic spline that a trend is tested with, 3 or more.
    n_bins
        Bins of pseudo-time, of equal width.
    smoothing
        Standard deviation of the Gaussian kernel, in bins.
    min_open
        X only: features that are not 0 in at least so many of the cells are tested.

    Returns
    -------
    :class:`TrajectoryFeatures`.

    Raises
    ------
    InputError
        No such slot; no counts in X; fewer than 50 cells with a pseudo-time.
    LabelError
        No column ``pseudotime``.
    ConfigError
        A number out of range.

    Notes
    -----
    Counts: quasi-Poisson score test of a spline with the cell's depth as offset, so that depth does not pass for a
    trend. Values: F test of a spline. FDR is Benjamini and Hochberg's over all tested features. The pseudo-time was
    found from the same cells, often from the same features, so the p-values rank features; they do not prove that
    there is a process. Their replicates are cells, not donors.
    """
    if n_terms < 3 or n_bins < 10 or smoothing <= 0 or min_open < 1:
        raise ConfigError(
            f"n_terms is {n_terms}, n_bins {n_bins}, smoothing {smoothing}, min_open {min_open}; expected n_terms "
            ">= 3, n_bins >= 10, smoothing > 0, min_open >= 1."
        )
    time = column_of(adata, pseudotime).to_numpy(dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(time))
    if len(rows) < MIN_CELLS:
        raise InputError(
            f"{len(rows)} cells have a pseudo-time in obs['{pseudotime}']; at least {MIN_CELLS} are needed."
        )
    time = time[rows]
    basis = spline_basis(time, n_terms)
    place = np.minimum(((time - time.min()) / max(np.ptp(time), 1e-12) * n_bins).astype(np.int64), n_bins - 1)
    weight = np.exp(-0.5 * ((np.arange(n_bins)[:, None] - np.arange(n_bins)) / smoothing) ** 2)
    if obsm is None:
        validate_counts(adata)
        table = _described(adata, genes)
        counts = as_csr(adata.X)[rows]
        depth = np.asarray(counts.sum(1), dtype=np.float64).ravel()
        empty = depth == 0
        if empty.any():
            counts, depth, basis, place = counts[~empty], depth[~empty], basis[~empty], place[~empty]
            warnings.warn(
                f"{int(empty.sum())} cells on the trajectory have no count and are left out.",
                AnnatacWarning,
                stacklevel=2,
            )
        n_open = np.bincount(counts.indices, minlength=counts.shape[1])
        tested = np.flatnonzero(n_open >= min_open)
        if not len(tested):
            raise InputError(
                f"None of the {counts.shape[1]:,} features is open in {min_open} of the {len(depth):,} cells. "
                "Lower min_open."
            )
        counts, table = counts[:, tested], table.iloc[tested].assign(n_open=n_open[tested])
        trend = count_trend(counts, depth, basis)
        exposure = weight @ np.bincount(place, depth, minlength=n_bins)
        curves = (weight @ (_members(place, n_bins) @ counts).toarray()).T / exposure
        extra = 1 / exposure.min()  # half a count or so in the emptiest stretch keeps the ratio finite
        change = np.log2((curves.max(1) + extra) / (curves.min(1) + extra))
        curves = curves * np.median(depth)
    else:
        values, table = _values(adata, obsm, names, rows)
        trend = value_trend(values, basis)
        exposure = weight @ np.bincount(place, minlength=n_bins)
        curves = (weight @ (_members(place, n_bins) @ values)).T / exposure
        change = np.ptp(curves, axis=1)
    middles = ((np.arange(n_bins) + 0.5) / n_bins * np.ptp(time) + time.min()).astype(np.float32)
    table = table.assign(
        statistic=trend.statistic,
        p_value=trend.p_value,
        fdr=false_discovery_rate(trend.p_value),
        peak_time=middles[curves.argmax(1)],
        change=change,
    )
    return TrajectoryFeatures(
        table=table,
        curves=curves.astype(np.float32),
        time=middles,
        is_counts=obsm is None,
        smoothing=smoothing,
        n_cells=len(place),
        parameters={"pseudotime": pseudotime, "obsm": obsm, "n_terms": n_terms, "min_open": min_open},
    )


def trajectory_pairs(
    first: TrajectoryFeatures,
    second: TrajectoryFeatures,
    *,
    match: str = "all",
    min_correlation: float = 0.7,
    max_fdr: float = 0.05,
    max_pairs: int = 200_000,
) -> pd.DataFrame:
    """Return pairs of changing features, one of each set, whose curves run alike.

    Peaks with motif deviations, say, or the gene score of a factor with its motif (``match='name'``).

    Parameters
    ----------
    first, second
        Of the same cells and pseudo-time, with the same bins.
    match
        'all': every pair of changing features; 'name': those of one name (case and what follows the first of
        ``_ ( : .`` ignored, so that ``GATA1`` meets ``Gata1_MA0035.4``).
    min_correlation
        Pearson's, of the smoothed curves.
    max_fdr
        Which features of either set count as changing.
    max_pairs
        More pairs than these are refused before they fill the memory.

    Returns
    -------
    DataFrame: first, second, correlation, peak_time (of the first); by peak time.

    Raises
    ------
    InputError
        Different bins, or too many pairs.
    ConfigError
        Unknown ``match``.

    Notes
    -----
    The correlation has no p-value: any two features that both rise along the path are correlated, and bins of
    a smoothed curve are no independent observations (a p-value over 100 bins, as it is sometimes given, means
    nothing). What is tested is that either feature changes. A pair is a hint, not a mechanism.
    """
    if match not in ("all", "name"):
        raise ConfigError(f"match is '{match}'; expected 'all' or 'name'.{nearest(match, ('all', 'name'))}")
    if not np.array_equal(first.time, second.time):
        raise InputError("The two sets have different bins of pseudo-time: compute both alike.")
    one, two = (features.changing(max_fdr=max_fdr).index for features in (first, second))
    if match == "all":
        if len(one) * len(two) > max_pairs:
            raise InputError(
                f"{len(one):,} x {len(two):,} pairs are more than max_pairs = {max_pairs:,}. Lower max_fdr, or "
                "raise max_pairs."
            )
        left, right = (index.ravel() for index in np.indices((len(one), len(two))))
    else:
        keyed = pd.DataFrame({"name": [_plain(name) for name in two], "right": np.arange(len(two))})
        merged = pd.DataFrame({"name": [_plain(name) for name in one], "left": np.arange(len(one))}).merge(
            keyed
        )
        left, right = merged["left"].to_numpy(np.int64), merged["right"].to_numpy(np.int64)
    correlation = np.einsum(
        "pb,pb->p", first.z_scores(one)[left], second.z_scores(two)[right], dtype=np.float64
    )
    correlation = np.clip(correlation / len(first.time), -1, 1)
    pairs = pd.DataFrame(
        {
            "first": np.asarray(one)[left],
            "second": np.asarray(two)[right],
            "correlation": correlation,
            "peak_time": first.table.loc[one, "peak_time"].to_numpy()[left],
        }
    )
    return (
        pairs[correlation >= min_correlation]
        .sort_values(["peak_time", "first"], kind="stable")
        .reset_index(drop=True)
    )


def _plain(name: object) -> str:
    text = str(name)
    for mark in "_(:.":
        text = text.partition(mark)[0]
    return text.strip().upper()


def _members(place: npt.NDArray[np.int64], n_bins: int) -> sp.csr_matrix:
    """Return (bins, cells): 1 where the cell lies in the bin."""
    return sp.csr_matrix((np.ones(len(place)), (place, np.arange(len(place)))), shape=(n_bins, len(place)))


def _described(adata: AnnData, genes: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    intervals = intervals_of(adata.var)
    table = pd.DataFrame(index=adata.var_names)
    if intervals is not None:
        for name in (keys.CHROM, keys.START, keys.END):
            table[name] = intervals[name].to_numpy()
    if genes is not None:
        if intervals is None:
            raise InputError(
                f"The features have no coordinates (the first is '{adata.var_names[0]}'): the nearest gene is not "
                "to be had."
            )
        table = table.join(nearest_genes(table, genes))
    return table


def _values(
    adata: AnnData, obsm: str, names: Sequence[str] | None, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    if obsm not in adata.obsm:
        raise InputError(
            f"obsm['{obsm}'] is missing.{nearest(obsm, adata.obsm)} obsm has: {', '.join(adata.obsm) or 'nothing'}."
        )
    slot: Any = adata.obsm[obsm]
    found = names
    if isinstance(slot, pd.DataFrame):
        found = [str(name) for name in slot.columns] if names is None else names
        slot = slot.to_numpy()
    values = (slot[rows].toarray() if sp.issparse(slot) else np.asarray(slot)[rows]).astype(np.float64)
    if found is None:
        found = [str(number) for number in range(values.shape[1])]
    if len(found) != values.shape[1]:
        raise InputError(f"{len(found)} names for {values.shape[1]} columns of obsm['{obsm}'].")
    finite = np.asarray(np.isfinite(values).all(axis=0))
    if not finite.any():
        raise InputError(f"Every column of obsm['{obsm}'] has values that are not finite.")
    if not finite.all():
        warnings.warn(
            f"{int((~finite).sum())} of {len(finite)} features of obsm['{obsm}'] have values that are not finite and "
            "are left out.",
            AnnatacWarning,
            stacklevel=3,
        )
    return values[:, finite], pd.DataFrame(index=pd.Index([str(name) for name in found])[finite])
