"""Shares of the types in every sample, as stacked bars."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from annatac import keys
from annatac.pl.canvas import axes_or_new
from annatac.pl.palette import type_colors
from annatac.tl.contrasts.replicates import table_of_samples
from annatac.tl.groups import codes_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_CHAR_IN = 0.072


def composition(
    adata: AnnData,
    groupby: str = keys.LABEL,
    *,
    sample_key: str,
    condition_key: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of each type in each sample; samples of one condition stand together.

    Parameters
    ----------
    adata
        Cells with their types in ``obs[groupby]``.
    groupby, sample_key, condition_key
        Columns of ``obs``: types, samples and, if given, the condition of each sample.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    LabelError
        A column is missing, or a sample has two conditions.
    """
    types, names = codes_of(adata, groupby)
    if condition_key is None:
        sample, samples = codes_of(adata, sample_key)
        condition = [""] * len(samples)
    else:
        sample, samples, condition, _ = table_of_samples(adata, sample_key, condition_key, None)
    known = (types >= 0) & (sample >= 0)
    cells = np.zeros((len(samples), len(names)))
    np.add.at(cells, (sample[known], types[known]), 1)
    order = sorted(np.flatnonzero(cells.sum(axis=1)).tolist(), key=lambda i: (condition[i], i))
    share = 100 * cells[order] / cells[order].sum(axis=1, keepdims=True)
    gaps = np.cumsum([0, *(condition[a] != condition[b] for a, b in pairwise(order))])
    y = np.arange(len(order)) + 0.8 * gaps
    texts = [f"{samples[i]} ({int(cells[i].sum()):,})" for i in order]

    longest = max(len(text) for text in texts)
    widest = max(len(name) for name in names)
    width = 4.8 + _CHAR_IN * (longest + widest)
    ax = axes_or_new(ax, width, max(1.0 + 0.3 * (y[-1] + 1), 0.8 + 0.2 * len(names)))
    left = np.zeros(len(order))
    colors = type_colors(names)
    for name, part in zip(names, share.T, strict=True):
        ax.barh(
            y, part, left=left, height=0.8, color=colors[name], label=name, edgecolor="white", linewidth=0.5
        )
        left += part
    for text in dict.fromkeys(condition):
        rows = [i for i, row in enumerate(order) if condition[row] == text]
        if text and rows:
            ax.text(0, y[rows[0]] - 0.5, text, ha="left", va="bottom", fontsize=9, fontweight="bold")
    ax.set_yticks(y, texts)
    ax.set_ylim(y[-1] + 0.6, -1.3 if any(condition) else -0.6)
    ax.set_xlim(0, 100)
    ax.set_xlabel("% of the sample's cells")
    ax.set_ylabel("sample (cells)")
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, handlelength=1)
    return ax
