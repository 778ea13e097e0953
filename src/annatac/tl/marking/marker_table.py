"""Marker peaks of all types: arrays, tables, CSV and BED."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import InputError, LabelError, nearest
from annatac.io.atomic import atomic_path

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Markers:
    """How each of m peaks differs between the cells of each of T types and their matched background.

    Attributes
    ----------
    types
        Names of the T types, the order of every array's rows.
    peaks
        m rows, indexed by the features' names: ``chrom``, ``start``, ``end`` where they have coordinates,
        ``gene`` and ``distance`` (bp, negative upstream) where genes were given.
    log2_fold_change
        float32 (T, m), of mean counts at median depth, one count added to either group.
    p_value, fdr
        float64 (T, m): two-sided Wilcoxon rank-sum test, and Benjamini and Hochberg's adjustment over the
        peaks that are open in at least one of the compared cells, for either direction by itself: of
        the peaks called more open at 0.05, 5 % are expected to be false.
    auc
        float32 (T, m): chance that a cell of the type is more open than one of the background.
    share_in, share_out
        float32 (T, m): share of cells in which the peak is open.
    donor_log2_fold_change, donor_fdr
        float32 (T, m), from pseudobulks with donors as replicates, where ``donor_key`` was given; NaN where a
        type has too few donors or a peak too few counts.
    cells
        T rows: ``n_cells`` of the type, ``n_used``, ``n_background``, the mean of log10 depth and of
        the other matched measures in both, and with donors ``n_donors``.
    parameters
        What was asked for.
    """

    types: list[str]
    peaks: pd.DataFrame
    log2_fold_change: Floats
    p_value: npt.NDArray[np.float64]
    fdr: npt.NDArray[np.float64]
    auc: Floats
    share_in: Floats
    share_out: Floats
    cells: pd.DataFrame
    donor_log2_fold_change: Floats | None = None
    donor_fdr: Floats | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def row_of(self, cell_type: str) -> int:
        """Return the row of a type.

        Raises
        ------
        LabelError
            The type has no markers; the nearest name is offered.
        """
        if cell_type not in self.types:
            raise LabelError(
                f"No markers of a type '{cell_type}'.{nearest(cell_type, self.types)} There are markers of: "
                f"{', '.join(self.types)}; types of too few cells have none."
            )
        return self.types.index(cell_type)

    def is_marker(
        self, *, max_fdr: float = 0.05, min_log2_fold_change: float = 0.5, max_donor_fdr: float | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return bool (T, m): peaks more open in the type, by these bounds.

        Raises
        ------
        InputError
            ``max_donor_fdr`` without donors.
        """
        chosen = (self.fdr <= max_fdr) & (self.log2_fold_change >= min_log2_fold_change)
        if max_donor_fdr is not None:
            if self.donor_fdr is None:
                raise InputError("max_donor_fdr needs markers that were computed with donor_key.")
            assert self.donor_log2_fold_change is not None
            chosen &= (self.donor_fdr <= max_donor_fdr) & (self.donor_log2_fold_change > 0)
        return chosen

    def table(
        self,
        cell_type: str | None = None,
        *,
        max_fdr: float = 0.05,
        min_log2_fold_change: float = 0.5,
        max_donor_fdr: float | None = None,
        n_top: int | None = None,
    ) -> pd.DataFrame:
        """Return the markers of a type, or of all, one row a type and peak, the surest first in each type.

        ``max_fdr=1, min_log2_fold_change=-inf`` gives every peak; ``n_top`` the first so many of each type.

        Returns
        -------
        DataFrame: cell_type, peak, chrom, start, end, gene, distance (as far as known), log2_fold_change,
        p_value, fdr, auc, share_in, share_out, and with donors donor_log2_fold_change, donor_fdr.
        """
        chosen = self.is_marker(
            max_fdr=max_fdr, min_log2_fold_change=min_log2_fold_change, max_donor_fdr=max_donor_fdr
        )
        rows = range(len(self.types)) if cell_type is None else [self.row_of(cell_type)]
        row_parts, column_parts = [], []
        for row in rows:
            columns = np.flatnonzero(chosen[row])
            order = np.lexsort((-self.log2_fold_change[row, columns], self.p_value[row, columns]))[:n_top]
            column_parts.append(columns[order])
            row_parts.append(np.full(len(columns[order]), row))
        where = np.concatenate(row_parts).astype(np.int64), np.concatenate(column_parts).astype(np.int64)
        table = self.peaks.iloc[where[1]].rename_axis("peak").reset_index()
        table.insert(0, "cell_type", np.array(self.types, dtype=object)[where[0]])
        for name in ("log2_fold_change", "p_value", "fdr", "auc", "share_in", "share_out"):
            table[name] = getattr(self, name)[where]
        if self.donor_fdr is not None and self.donor_log2_fold_change is not None:
            table["donor_log2_fold_change"] = self.donor_log2_fold_change[where]
            table["donor_fdr"] = self.donor_fdr[where]
        return table

    def write_csv(self, path: str | Path, cell_type: str | None = None, **bounds: Any) -> Path:
        """Write :meth:`table` as CSV, whole or not at all; ``bounds`` as there."""
        with atomic_path(path) as temporary:
            self.table(cell_type, **bounds).to_csv(temporary, index=False, float_format="%.6g")
        return Path(path)

    def write_bed(self, path: str | Path, cell_type: str | None = None, **bounds: Any) -> Path:
        """Write the markers as BED6, sorted by position; ``bounds`` as in :meth:`table`.

        Name is the type (spaces become underscores), score -10 log10 of the FDR, at most 1000.

        Raises
        ------
        InputError
            The features have no coordinates.
        """
        table = self.table(cell_type, **bounds)
        if keys.CHROM not in table:
            raise InputError(
                f"These features have no coordinates (the first is '{self.peaks.index[0]}'): a BED file "
                "cannot be written. Write a CSV instead."
            )
        score = np.minimum(-10 * np.log10(np.maximum(table["fdr"].to_numpy(np.float64), 1e-100)), 1000)
        bed = pd.DataFrame(
            {
                "chrom": table[keys.CHROM],
                "start": table[keys.START],
                "end": table[keys.END],
                "name": table["cell_type"].str.replace(r"\s", "_", regex=True),
                "score": score.astype(int),
                "strand": ".",
            }
        ).sort_values(["chrom", "start", "end"], kind="stable")
        with atomic_path(path) as temporary:
            bed.to_csv(temporary, sep="\t", header=False, index=False)
        return Path(path)
