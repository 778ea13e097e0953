"""Promoters, exons, introns, distal peaks: their shares as stacked bars (paper, Fig. 4B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.errors import InputError
from annatac.pl.canvas import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {
    "promoter": "#D55E00",
    "exon": "#E69F00",
    "intron": "#56B4E9",
    "gene body": "#56B4E9",
    "distal": "#0072B2",
}
_CHAR_IN = 0.072


def elements(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of each element among the peaks of each type, and of all types together (last).

    Parameters
    ----------
    table
        What ``annatac.tl.elements`` returned.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        Another table, or one without a row.
    """
    needed = ("cell_type", "is_union", "element", "n_peaks", "share", "min_share")
    missing = [name for name in needed if name not in table]
    if missing or table.empty:
        raise InputError(
            f"The table has {len(table)} rows and no column {', '.join(missing) or '(none missing)'}; give the "
            "table of annatac.tl.elements."
        )
    kinds = list(dict.fromkeys(table["element"]))
    bars = list(dict.fromkeys(zip(table["is_union"], table["cell_type"], strict=True)))
    wide = table.pivot_table(
        index=["is_union", "cell_type"], columns="element", values="n_peaks", sort=False, observed=True
    )
    n_peaks = wide.reindex(index=pd.MultiIndex.from_tuples(bars), columns=kinds).to_numpy()
    total = n_peaks.sum(axis=1, keepdims=True)
    percent = np.divide(100 * n_peaks, total, out=np.zeros(n_peaks.shape), where=total > 0)
    y = np.arange(len(bars)) + np.where([union for union, _ in bars], 0.5, 0)
    texts = [f"{name} ({int(n):,})" for (_, name), n in zip(bars, total[:, 0], strict=True)]

    longest = max(len(text) for text in texts)
    ax = axes_or_new(ax, 4.4 + _CHAR_IN * longest, 1.3 + 0.27 * len(bars))
    left = np.zeros(len(bars))
    for kind, share in zip(kinds, percent.T, strict=True):
        color = COLORS.get(kind, "#999999")
        ax.barh(y, share, left=left, height=0.78, color=color, label=kind, edgecolor="white", linewidth=0.6)
        for position, start, width in zip(y, left, share, strict=True):
            if width >= 7:
                ax.text(
                    start + width / 2,
                    position,
                    f"{width:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="white" if kind in ("promoter", "distal") else "black",
                )
        left += share
    ax.set_yticks(y, texts)
    ax.set_ylim(y[-1] + 0.6, -0.6)
    ax.set_xlim(0, 100)
    ax.set_xlabel(
        f"% of the peaks open in at least {100 * table['min_share'].iloc[0]:g} % of the type's cells"
    )
    ax.set_ylabel("cell type (peaks)")
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(
        frameon=False, ncols=len(kinds), loc="lower left", bbox_to_anchor=(0, 1), fontsize=9, handlelength=1
    )
    return ax
