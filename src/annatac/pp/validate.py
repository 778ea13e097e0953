"""Counts and labels that can be used, or one clear error."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, InputError, LabelError, no_column
from annatac.pp.counts import in_chunks

if TYPE_CHECKING:
    from anndata import AnnData

_NOT_A_LABEL = ("", "nan", "NaN", "None", "<NA>")


class Labels(NamedTuple):
    """Labels of the cells that have one.

    ``keep``: bool array over all cells; ``values``: object array of the kept cells' labels (str);
    ``classes``: the sorted different labels.
    """

    keep: npt.NDArray[np.bool_]
    values: npt.NDArray[Any]
    classes: list[str]


def validate_counts(adata: AnnData) -> npt.NDArray[np.float64]:
    """Check that X (cells x features; dense, sparse or backed) holds counts and that barcodes are unique.

    Returns
    -------
    The sum of each feature's counts, float64 (features,).

    Raises
    ------
    InputError
        Empty; no count at all; NaN, infinite, negative or fractional values (log-normalised data is named as
        such); a barcode that is there more than once.
    """
    if 0 in adata.shape:
        raise InputError(
            f"The matrix is empty: {adata.n_obs} cells x {adata.n_vars} features. Check how it was written."
        )
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()]
        raise InputError(
            f"{twice.nunique():,} barcodes are there more than once, for example '{twice[0]}'. Barcodes must "
            "be unique: read several samples as several inputs, each cell is then named sample:barcode."
        )
    total = np.zeros(adata.n_vars)
    any_open = False
    for x in in_chunks(adata.X):
        _check_values(x, adata)
        any_open |= x.nnz > 0
        total += np.bincount(x.indices, weights=x.data, minlength=adata.n_vars)
    if not any_open:
        raise InputError(
            f"All {adata.n_obs:,} cells x {adata.n_vars:,} features are 0: there is nothing to annotate."
        )
    return total


def _check_values(x: sp.csr_matrix, adata: AnnData) -> None:
    values = x.data
    if not len(values) or values.dtype.kind in "ub":
        return
    if values.dtype.kind not in "if":
        raise InputError(f"X holds values of type {values.dtype}; counts (whole numbers) are expected.")
    if not np.isfinite(values).all():
        n_bad = int((~np.isfinite(values)).sum())
        raise InputError(f"X holds {n_bad:,} NaN or infinite values; counts are expected. {_advice(adata)}")
    if values.min() < 0:
        raise InputError(
            f"X holds {int((values < 0).sum()):,} negative values (the lowest is {values.min():.4g}); counts "
            f"are expected. It was scaled or embedded. {_advice(adata)}"
        )
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        example = values[values != np.floor(values)][0]
        raise InputError(
            f"X holds fractions (for example {example:.4g}); counts are expected. {_kind(x, adata)} "
            f"{_advice(adata)}"
        )


def _kind(x: sp.csr_matrix, adata: AnnData) -> str:
    """Say what was done to the counts, judged by what all cells' sums have in common."""
    rows = x[: min(x.shape[0], 200)].astype(np.float64)
    rows = sp.csr_matrix(rows[np.diff(rows.indptr) > 0])
    logged = rows.copy()
    if rows.nnz and rows.data.max() < 50:
        logged.data = np.expm1(logged.data)
        if "log1p" in adata.uns or _is_constant(logged):
            return "This looks log-normalised (normalised to one total a cell, then log1p)."
    if rows.shape[0] > 1 and _is_constant(rows):
        return f"This looks normalised: every cell sums to {float(rows[0].sum()):.4g}."
    return "This looks transformed (TF-IDF, scaling or averaging)."


def _is_constant(rows: sp.csr_matrix) -> bool:
    sums = np.asarray(rows.sum(axis=1)).ravel()
    return len(sums) > 1 and bool(sums.std() < 1e-3 * sums.mean())


def _advice(adata: AnnData) -> str:
    layers = [name for name, layer in adata.layers.items() if _holds_counts(layer)]
    if layers:
        return f"Layer '{layers[0]}' holds counts: set adata.X to it and write the file again."
    if adata.raw is not None and _holds_counts(adata.raw.X):
        return "adata.raw holds counts: use adata.raw.to_adata()."
    return "Give the raw counts, as Cell Ranger, SnapATAC2, ArchR or Signac wrote them."


def _holds_counts(x: Any) -> bool:
    first = next(in_chunks(x[: min(200, x.shape[0])]), None)
    if first is None or not first.nnz:
        return False
    values = first.data
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values == np.floor(values)).all())


def validate_labels(adata: AnnData, key: str) -> Labels:
    """Return the labels in ``obs[key]``; cells without one are left out, with a warning that counts them.

    Raises
    ------
    LabelError
        No such column (the nearest is named), no label, one class only, a class with one cell, or the name
        that annatac keeps for novel cells.
    """
    if key not in adata.obs:
        raise no_column(key, adata.obs.columns)
    column = adata.obs[key]
    text = column.astype(object).where(column.notna(), "").map(_text)
    keep = ~text.isin(_NOT_A_LABEL).to_numpy()
    n_without = int((~keep).sum())
    if not keep.any():
        raise LabelError(f"None of the {adata.n_obs:,} cells has a label in obs['{key}'].")
    values = text[keep].to_numpy(dtype=object)
    n_cells = pd.Series(values).value_counts().sort_index()
    if len(n_cells) == 1:
        raise LabelError(
            f"All {len(values):,} labelled cells are '{n_cells.index[0]}' in obs['{key}']; two cell types or "
            "more are needed to tell them apart."
        )
    if n_cells.min() < 2:
        lone = [str(name) for name in n_cells.index[n_cells < 2]]
        shown = ", ".join(f"'{name}'" for name in lone[:5]) + (" ..." if len(lone) > 5 else "")
        raise LabelError(
            f"{len(lone)} of {len(n_cells)} types in obs['{key}'] have one cell only: {shown}. Two are the "
            "least (one to learn from, one to check): merge them into a broader type, or leave them out."
        )
    if keys.NOVEL_LABEL in n_cells.index:
        raise LabelError(
            f"obs['{key}'] holds the label '{keys.NOVEL_LABEL}', the name that annatac gives to unknown "
            "cells. Rename it, or leave those cells out."
        )
    if n_without:
        warnings.warn(
            f"{n_without:,} of {adata.n_obs:,} cells have no label in obs['{key}'] and are left out.",
            AnnatacWarning,
            stacklevel=2,
        )
    return Labels(keep, values, [str(name) for name in n_cells.index])


def _text(label: Any) -> str:
    if isinstance(label, float) and label.is_integer():
        return str(int(label))  # cluster numbers that passed through a table with gaps
    return str(label).strip()
