"""True types and predictions side by side on one map of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from annatac import keys
from annatac.errors import no_column
from annatac.pl.canvas import pyplot
from annatac.pl.embedding import LEGEND, colors_of, legend_handle, shown_type, umap
from annatac.pl.palette import type_colors

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def prediction_panels(
    adata: AnnData,
    truth_key: str,
    predictions: Sequence[str] = (keys.LABEL,),
    *,
    basis: str = "umap",
    n_columns: int = 3,
) -> list[Axes]:
    """Draw the cells by their true types, then by each prediction, in panels with the same places and colours.

    Parameters
    ----------
    adata
        Cells with ``obsm['X_umap']`` or ``obsm['X_tsne']`` (``annatac.tl.embed``).
    truth_key
        Column of ``obs`` with the true types.
    predictions
        Columns of ``obs`` with predicted types: annatac's, and those of other methods. Each title says how many of
        the cells with a true type agree with it.
    basis
        'umap' or 'tsne'.
    n_columns
        Panels in a row.

    Raises
    ------
    InputError, LabelError
        There is no such layout; ``obs`` lacks a column.
    """
    columns = [truth_key, *predictions]
    for column in columns:
        if column not in adata.obs:
            raise no_column(column, adata.obs.columns)
    names = dict.fromkeys(name for column in columns for name in colors_of(adata, column))
    classes = [str(name) for name in adata.uns.get(keys.UNS, {}).get("classes", [])]
    colors = {
        name: color
        for name, color in type_colors([*(c for c in classes if c in names), *sorted(names)]).items()
        if name in names
    }
    n_columns = min(n_columns, len(columns))
    n_rows = -(-len(columns) // n_columns)
    n_beside = max(3, min(len(colors), 3 * n_columns))
    figure, grid = pyplot().subplots(
        n_rows,
        n_columns,
        figsize=(4.2 * n_columns, 4.0 * n_rows + 0.2 * -(-len(colors) // n_beside)),
        layout="constrained",
        squeeze=False,
    )
    axes: list[Axes] = list(grid.ravel())
    for ax in axes[len(columns) :]:
        ax.remove()
    truth = adata.obs[truth_key]
    has_truth = truth.notna().to_numpy()
    for ax, column in zip(axes, columns, strict=False):
        umap(adata, column, basis=basis, legend=False, colors=colors, ax=ax)
        if column == truth_key:
            ax.set_title(f"true type ({truth_key})", fontsize=11)
        else:
            same = adata.obs[column].astype(str).to_numpy() == truth.astype(str).to_numpy()
            words = "annatac" if column == keys.LABEL else column.replace("_", " ")
            share = np.mean(same[has_truth]) if has_truth.any() else np.nan
            ax.set_title(f"{words} ({share:.1%} agree)", fontsize=11)
    figure.legend(
        handles=[legend_handle(shown_type(name), color) for name, color in colors.items()],
        loc="outside lower center",
        ncols=n_beside,
        **LEGEND,
    )
    return axes[: len(columns)]
