"""Cells grouped by a column of obs: types, samples, conditions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, LabelError, nearest, no_column

if TYPE_CHECKING:
    from anndata import AnnData

ALL_CELLS = "all cells"


def column_of(adata: AnnData, key: str) -> pd.Series:
    """Return the column of ``obs``.

    Raises
    ------
    LabelError
        There is none of that name; the nearest is offered.
    """
    if key not in adata.obs:
        raise no_column(key, adata.obs.columns)
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
    _warn_left_out(small, len(names), key, min_cells)
    return large


def _warn_left_out(small: list[str], n_groups: int, key: str, min_cells: int) -> None:
    """Warn, for the caller's caller, of the groups that are too small; nothing where there is none."""
    if small:
        shown = ", ".join(small[:5]) + (f" and {len(small) - 5} more" if len(small) > 5 else "")
        warnings.warn(
            f"{len(small)} of {n_groups} groups in obs['{key}'] have under {min_cells} cells and are left out: "
            f"{shown}.",
            AnnatacWarning,
            stacklevel=4,
        )


@dataclass(frozen=True, kw_only=True)
class CellGroups:
    """Cells by type.

    ``names``: the types that are used, in the order of the model's types, then of the column; ``code``
    (int64, one a cell): their number, -1 for cells left out; ``n_cells`` (int64, one a type); ``order``: all
    types of the column, by which plots choose colours.
    """

    names: list[str]
    code: npt.NDArray[np.int64]
    n_cells: npt.NDArray[np.int64]
    order: list[str]


def cell_groups(
    adata: AnnData, groupby: str | None = None, *, min_cells: int = 10, types: list[str] | None = None
) -> CellGroups:
    """Return the cells of each type of ``obs[groupby]``; without it ``annatac_label``, else all in one.

    Raises
    ------
    LabelError
        No such column (the nearest is named), no such type, or no type with ``min_cells`` cells.

    Warns
    -----
    AnnatacWarning
        Types of fewer cells are left out (they are named).
    """
    if groupby is None and keys.LABEL not in adata.obs:
        n = np.array([adata.n_obs], dtype=np.int64)
        return CellGroups(
            names=[ALL_CELLS], code=np.zeros(adata.n_obs, np.int64), n_cells=n, order=[ALL_CELLS]
        )
    column = keys.LABEL if groupby is None else groupby
    values = column_of(adata, column)
    known = values.notna().to_numpy()
    text = values.astype(str).to_numpy(dtype=object)
    present = set(text[known])
    listed = (
        [str(name) for name in values.cat.categories]
        if isinstance(values.dtype, pd.CategoricalDtype)
        else sorted(present)
    )
    classes = [str(name) for name in adata.uns.get(keys.UNS, {}).get("classes", [])]
    order = list(dict.fromkeys([*classes, *listed]))
    if types is not None:
        for name in types:
            if name not in present:
                raise LabelError(
                    f"No cell has the type '{name}' in obs['{column}'].{nearest(name, present)} "
                    f"Types: {', '.join(sorted(present))}."
                )
        present &= set(types)
    sizes = pd.Series(text[known]).value_counts()
    names = [name for name in order if name in present and sizes[name] >= min_cells]
    small = [f"'{name}' ({sizes[name]})" for name in order if name in present and sizes[name] < min_cells]
    if not names:
        raise LabelError(
            f"No type in obs['{column}'] has {min_cells} cells; there are: {', '.join(small) or 'none'}. "
            "Lower min_cells, or name another column."
        )
    _warn_left_out(small, len(present), column, min_cells)
    number = {name: i for i, name in enumerate(names)}
    code = np.array(
        [number.get(name, -1) if ok else -1 for name, ok in zip(text, known, strict=True)], dtype=np.int64
    )
    return CellGroups(
        names=names, code=code, n_cells=np.bincount(code[code >= 0], minlength=len(names)), order=order
    )


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
