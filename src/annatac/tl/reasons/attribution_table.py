"""Attributions of cells to islands: by cell, by type, and held against statistical markers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import ConfigError, InputError, LabelError, nearest
from annatac.io.atomic import atomic_path
from annatac.tl.marking.marker_table import Markers


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What each open island adds to the call of each of n cells.

    Attributes
    ----------
    types
        Names of the C types of the model.
    islands
        L rows, indexed by the islands' names: ``chrom``, ``start``, ``end`` where they have coordinates,
        ``gene`` and ``distance`` (bp, negative upstream) where genes were given.
    contributions
        float32 CSR (n, L), in logits: positive speaks for the cell's ``target``. An entry for every open
        island; closed ones have none.
    wide
        float32 CSR (n, L) of the same pattern: the part of it that comes from the wide path (exact).
    cells
        n rows, indexed by barcode: ``target`` (the type explained), ``n_open``, ``logit`` (of the target, over the
        mean of the other types or over the one it is explained against), ``baseline`` (of a cell without
        evidence at the same depth), ``missed`` (logit - baseline - sum of the contributions).
    parameters
        What was asked for.
    """

    types: list[str]
    islands: pd.DataFrame
    contributions: sp.csr_matrix
    wide: sp.csr_matrix
    cells: pd.DataFrame
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> list[str]:
        """The types that cells are explained for, in the model's order."""
        present = set(self.cells["target"])
        return [name for name in self.types if name in present]

    def rows_of(self, cell_type: str) -> npt.NDArray[np.int64]:
        """Return the rows of the cells explained for a type.

        Raises
        ------
        LabelError
            There is none; the nearest name is offered.
        """
        if cell_type not in set(self.cells["target"]):
            raise LabelError(
                f"No cell is explained for a type '{cell_type}'.{nearest(cell_type, self.targets)} There are "
                f"cells of: {', '.join(self.targets)}."
            )
        return np.flatnonzero(self.cells["target"].to_numpy() == cell_type)

    def mean(self, cell_type: str) -> npt.NDArray[np.float64]:
        """Return the mean contribution of every island over the cells of a type, (L,); closed counts as 0."""
        rows = self.rows_of(cell_type)
        return np.asarray(self.contributions[rows].sum(0)).ravel() / len(rows)

    def of_cell(self, barcode: str, *, n_top: int | None = None) -> pd.DataFrame:
        """Return the open islands of a cell, those that matter most (either way) first.

        Returns
        -------
        DataFrame: island, chrom, start, end, gene, distance (as far as known), contribution, wide, encoder.

        Raises
        ------
        InputError
            The cell is not among those explained.
        """
        if barcode not in self.cells.index:
            raise InputError(
                f"Cell '{barcode}' is not among the {len(self.cells):,} explained.{nearest(barcode, self.cells.index)}"
            )
        row = self.cells.index.get_loc(barcode)
        part = slice(self.contributions.indptr[row], self.contributions.indptr[row + 1])
        value, wide = self.contributions.data[part], self.wide.data[part]
        order = np.argsort(-np.abs(value), kind="stable")[:n_top]
        table = self.islands.iloc[self.contributions.indices[part][order]].rename_axis("island").reset_index()
        return table.assign(contribution=value[order], wide=wide[order], encoder=(value - wide)[order])

    def table(self, cell_type: str | None = None, *, n_top: int | None = 100) -> pd.DataFrame:
        """Return the islands that speak most for each type, one row a type and island.

        Returns
        -------
        DataFrame: cell_type, island, chrom, start, end, gene, distance (as far as known), mean_contribution
        (logits, over the type's cells, 0 where closed; the table's order), mean_when_open, share_open.
        ``n_top=None`` gives every island that is open in a cell of the type, also those that speak against it.
        """
        parts = []
        for name in self.targets if cell_type is None else [cell_type]:
            rows = self.rows_of(name)
            part = self.contributions[rows]
            total = np.asarray(part.sum(0)).ravel()
            n_open = np.bincount(part.indices, minlength=part.shape[1])
            order = np.flatnonzero(n_open)
            order = order[np.argsort(-total[order], kind="stable")][:n_top]
            table = self.islands.iloc[order].rename_axis("island").reset_index()
            table.insert(0, "cell_type", name)
            parts.append(
                table.assign(
                    mean_contribution=total[order] / len(rows),
                    mean_when_open=total[order] / n_open[order],
                    share_open=n_open[order] / len(rows),
                )
            )
        return pd.concat(parts, ignore_index=True)

    def write_csv(self, path: str | Path, cell_type: str | None = None, *, n_top: int | None = 100) -> Path:
        """Write :meth:`table` as CSV, whole or not at all."""
        with atomic_path(path) as temporary:
            self.table(cell_type, n_top=n_top).to_csv(temporary, index=False, float_format="%.6g")
        return Path(path)


def attribution_agreement(
    attribution: Attribution, markers: Markers, *, n_top: int = 100, min_cells: int = 10
) -> pd.DataFrame:
    """Return how far the islands that the model goes by are those that statistics find.

    Parameters
    ----------
    attribution
        What ``annatac.tl.attribution`` returned.
    markers
        What ``annatac.tl.markers`` returned for the same cells, by islands or by peaks: an island then has its
        peaks' best value. Peaks are matched by name, else by the island that their middle lies in.
    n_top
        Islands that are compared: the greatest mean contributions, the surest markers (more open).
    min_cells
        Types with fewer explained cells are left out.

    Returns
    -------
    DataFrame, one row a type known to both: cell_type, n_cells, n_islands (in which both have a value), spearman
    (of mean contribution and AUC over them), n_differing and spearman_differing (the same over the islands that
    differ at FDR 5 %, either way: most others are noise in both), n_shared (of the ``n_top`` of both), n_expected
    (by chance), n_top.

    Raises
    ------
    InputError
        No type, or no island, in common.
    ConfigError
        ``n_top`` is not positive.

    Notes
    -----
    The model was not trained on these cells' labels, and markers are computed on its labels: agreement says that
    the calls rest on islands that differ between the called groups, not that the calls are right.
    """
    if n_top < 1:
        raise ConfigError(f"n_top is {n_top}; expected 1 or more.")
    common = [name for name in attribution.targets if name in markers.types]
    if not common:
        raise InputError(
            f"No type in common: attributions are of {', '.join(attribution.targets)}; markers of "
            f"{', '.join(markers.types)}."
        )
    island = islands_of_peaks(markers.peaks, attribution.islands)
    known = island >= 0
    if not known.any():
        raise InputError(
            f"None of the {len(island):,} marker peaks lies in one of the model's islands: peaks look like "
            f"'{markers.peaks.index[0]}', islands like '{attribution.islands.index[0]}'."
        )
    rows = []
    for name in common:
        cells = attribution.rows_of(name)
        if len(cells) < min_cells:
            continue
        row = markers.row_of(name)
        mean = attribution.mean(name)
        surely = np.where(markers.log2_fold_change[row] > 0, -np.log10(markers.p_value[row] + 1e-300), 0)
        statistics = pd.DataFrame(
            {"auc": markers.auc[row], "surely": surely, "fdr": -markers.fdr[row]}, index=island
        )[known]
        best = statistics.groupby(level=0).max()
        both = best.index.to_numpy()
        n = min(n_top, len(both))
        by_model = set(both[np.argsort(-mean[both], kind="stable")[:n]])
        by_test = set(both[np.argsort(-best["surely"].to_numpy(), kind="stable")[:n]])
        auc, differs = best["auc"].to_numpy(), -best["fdr"].to_numpy() <= 0.05
        rows.append(
            {
                "cell_type": name,
                "n_cells": len(cells),
                "n_islands": len(both),
                "spearman": _rank_correlation(mean[both], auc),
                "n_differing": int(differs.sum()),
                "spearman_differing": _rank_correlation(mean[both][differs], auc[differs]),
                "n_shared": len(by_model & by_test),
                "n_expected": n * n / len(both),
                "n_top": n,
            }
        )
    return pd.DataFrame(rows, columns=_AGREEMENT)


_AGREEMENT = [
    *("cell_type", "n_cells", "n_islands", "spearman", "n_differing", "spearman_differing"),
    *("n_shared", "n_expected", "n_top"),
]


def _rank_correlation(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    from scipy.stats import spearmanr

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(spearmanr(x, y).statistic)


def islands_of_peaks(peaks: pd.DataFrame, islands: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return for each of n peaks the row of its island (int64), -1 without one.

    ``peaks`` and ``islands``: tables with chrom, start and end, named by their index.
    """
    by_name = islands.index.get_indexer(peaks.index)
    if (by_name >= 0).any() or keys.CHROM not in peaks or keys.CHROM not in islands:
        return by_name.astype(np.int64)
    found = np.full(len(peaks), -1, dtype=np.int64)
    middle = ((peaks[keys.START] + peaks[keys.END]) // 2).to_numpy(np.int64)
    of_chrom = pd.Series(np.arange(len(peaks))).groupby(peaks[keys.CHROM].astype(str).to_numpy()).indices
    for chrom, rows in (
        pd.Series(np.arange(len(islands))).groupby(islands[keys.CHROM].astype(str).to_numpy()).indices.items()
    ):
        if chrom not in of_chrom:
            continue
        own = of_chrom[chrom]
        rows = rows[np.argsort(islands[keys.START].to_numpy()[rows], kind="stable")]
        place = np.searchsorted(islands[keys.START].to_numpy()[rows], middle[own], side="right") - 1
        hit = rows[np.maximum(place, 0)]
        inside = (place >= 0) & (middle[own] < islands[keys.END].to_numpy()[hit])
        found[own] = np.where(inside, hit, -1)
    return found
