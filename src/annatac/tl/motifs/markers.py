"""Motifs whose deviations tell a type's cells from all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import InputError
from annatac.tl.groups import codes_of, large_groups
from annatac.tl.rank_sums import false_discovery_rate

if TYPE_CHECKING:
    from anndata import AnnData


def marker_motifs(adata: AnnData, groupby: str = keys.LABEL, *, min_cells: int = 10) -> pd.DataFrame:
    """Return how the deviations of each motif differ between each type's cells and all other cells.

    Two-sided Wilcoxon rank-sum test on the z-scores. Cells of one experiment are no replicates and the labels come
    from the same cells: the p-values rank motifs, they do not prove a difference between donors.

    Parameters
    ----------
    adata
        Cells with ``annatac.tl.motif_deviations``.
    groupby
        Column of ``obs`` with the types; cells without one are left out.
    min_cells
        Types with fewer cells are left out, with a warning.

    Returns
    -------
    DataFrame, a row a type and motif, the most active first in each type: cell_type, motif (id), name,
    difference (of the mean bias-corrected deviation, type minus others), mean_z (of the type's cells), auc,
    p_value, fdr (Benjamini and Hochberg over the motifs of the type), n_cells.

    Raises
    ------
    InputError
        There are no deviations.
    LabelError
        No such column, or fewer than two types.
    """
    from scipy.stats import mannwhitneyu

    if keys.MOTIF_Z not in adata.obsm:
        raise InputError("The cells have no motif deviations. Call annatac.tl.motif_deviations first.")
    codes, names = codes_of(adata, groupby)
    kept = large_groups(codes, names, min_cells, key=groupby)
    z = np.asarray(adata.obsm[keys.MOTIF_Z], dtype=np.float64)
    corrected = np.asarray(adata.obsm[keys.MOTIF_DEVIATIONS], dtype=np.float64)
    labelled = codes >= 0
    usable = np.isfinite(z[labelled]).any(axis=0)
    stored = adata.uns[keys.MOTIFS]
    tables = []
    for group in kept:
        inside, outside = codes == group, labelled & (codes != group)
        if not outside.any():
            raise InputError(f"obs['{groupby}'] has one type only: there is nothing to compare it with.")
        test = mannwhitneyu(z[inside][:, usable], z[outside][:, usable], nan_policy="omit")
        p = np.asarray(test.pvalue, dtype=np.float64)
        n_in = np.isfinite(z[inside][:, usable]).sum(axis=0)
        n_out = np.isfinite(z[outside][:, usable]).sum(axis=0)
        table = pd.DataFrame(
            {
                "cell_type": names[group],
                "motif": np.asarray(stored["ids"])[usable],
                "name": np.asarray(stored["names"])[usable],
                "difference": np.nanmean(corrected[inside][:, usable], axis=0)
                - np.nanmean(corrected[outside][:, usable], axis=0),
                "mean_z": np.nanmean(z[inside][:, usable], axis=0),
                "auc": np.asarray(test.statistic) / np.maximum(n_in * n_out, 1),
                "p_value": p,
                "fdr": false_discovery_rate(np.where(np.isfinite(p), p, 1.0)),
                "n_cells": int(inside.sum()),
            }
        )
        tables.append(table.sort_values("auc", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)
