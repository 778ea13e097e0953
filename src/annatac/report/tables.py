"""Numbers of a report: by type, by sample, and what each type is taken for second."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.report.cells import Cells, Grouping

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def by_group(cells: Cells, grouping: Grouping) -> pd.DataFrame:
    """Return one row a name of the grouping that has cells.

    Columns: code, name, n_cells, share, mean_confidence, share_low_quality, share_novel, median_open (NaN where
    unknown), and ``median_`` of each further measure.
    """
    n_cells = grouping.n_cells
    frame = pd.DataFrame(
        {
            "confidence": cells.confidence.astype(np.float64),
            "low": cells.is_low_quality,
            "novel": cells.is_novel,
            "open": np.nan if cells.n_open is None else cells.n_open,
            **cells.measures,
        }
    )
    groups = frame.groupby(grouping.code)
    codes = np.flatnonzero(n_cells)
    table = pd.DataFrame(
        {
            "code": codes,
            "name": [grouping.names[code] for code in codes],
            "n_cells": n_cells[codes],
            "share": n_cells[codes] / max(len(cells), 1),
            "mean_confidence": groups["confidence"].mean().to_numpy(),
            "share_low_quality": groups["low"].mean().to_numpy(),
            "share_novel": groups["novel"].mean().to_numpy(),
            "median_open": groups["open"].median().to_numpy(),
        }
    )
    for words in cells.measures:
        table[f"median_{words}"] = groups[words].median().to_numpy()
    return table


def cross_table(rows: Grouping, columns: Grouping) -> npt.NDArray[np.int64]:
    """Return the cells of each row's and column's name, int64 (rows, columns)."""
    n_rows, n_columns = len(rows.names), len(columns.names)
    flat = np.bincount(rows.code * n_columns + columns.code, minlength=n_rows * n_columns)
    return flat.reshape(n_rows, n_columns)


def quantiles(values: npt.NDArray[Any], grouping: Grouping) -> npt.NDArray[np.float64]:
    """Return the quantiles of :data:`QUANTILES` of each name, float64 (names, 5); NaN without a cell."""
    result = np.full((len(grouping.names), len(QUANTILES)), np.nan)
    order = np.argsort(grouping.code, kind="stable")
    ends = np.cumsum(grouping.n_cells)
    for code, part in enumerate(np.split(values[order], ends[:-1])):
        part = part[np.isfinite(part)]
        if len(part):
            result[code] = np.quantile(part, QUANTILES)
    return result


def mean_probabilities(cells: Cells) -> npt.NDArray[np.float64] | None:
    """Return each label's mean probability of each known type, float64 (labels, classes); NaN without a cell."""
    if cells.probabilities is None:
        return None
    result = np.full((len(cells.label.names), len(cells.classes)), np.nan)
    for code in np.flatnonzero(cells.label.n_cells):
        result[code] = cells.probabilities[cells.label.code == code].mean(axis=0, dtype=np.float64)
    return result
