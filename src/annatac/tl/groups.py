"""Cells grouped by a column of obs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, LabelError, nearest

if TYPE_CHECKING:
    from anndata import AnnData


def column_of(adata: AnnData, key: str) -> pd.Series:
    """Return the column of ``obs``.

    Raises
    ------
    LabelError
        There is none of that name; the nearest is offered.
    """
    if key not in adata.obs:
        columns = [str(column) for column in adata.obs.columns]
        raise LabelError(
            f"obs has no column '{key}'.{nearest(key, columns)} It has: {', '.join(columns) or 'none'}."
        )
    return adata.obs[key]


def codes_of(adata: AnnData, key: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the number of each cell's group (-1 where it has none) and the names, those in use only.

    The order is that of the categories of a categorical column, alphabetical otherwise.
    """
    column = column_of(adata, key)
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.where(column.notna(), None).map(_text, na_action="ignore").astype("category")
    column = column.cat.remove_unused_categories()
    names = [str(name) for name in column.cat.categories]
    codes = column.cat.codes.to_numpy().astype(np.int64)
    if not names:
        raise LabelError(f"None of the {adata.n_obs:,} cells has a value in obs['{key}'].")
    return codes, names


def large_groups(
    codes: npt.NDArray[np.int64], names: list[str], min_cells: int, *, key: str, at_least: int = 1
) -> list[int]:
    """Return the numbers of the groups with ``min_cells`` cells or more; a warning names the others.

    Raises
    ------
    LabelError
        Fewer than ``at_least`` groups are left.
    """
    n_cells = np.bincount(codes[codes >= 0], minlength=len(names))
    large = np.flatnonzero(n_cells >= min_cells).tolist()
    small = [f"'{names[i]}' ({n_cells[i]})" for i in range(len(names)) if n_cells[i] < min_cells]
    if len(large) < at_least:
        raise LabelError(
            f"{len(large)} of {len(names)} groups in obs['{key}'] have {min_cells} cells or more; at least "
            f"{at_least} must. Too small: {', '.join(small[:5])}. Merge groups, or lower min_cells."
        )
    if small:
        shown = ", ".join(small[:5]) + (f" and {len(small) - 5} more" if len(small) > 5 else "")
        warnings.warn(
            f"{len(small)} of {len(names)} groups in obs['{key}'] have under {min_cells} cells and are left "
            f"out: {shown}.",
            AnnatacWarning,
            stacklevel=3,
        )
    return large


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
