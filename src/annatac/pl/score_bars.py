"""Methods side by side on each data set, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.benchmark.sets import set_title
from annatac.pl.canvas import axes_or_new
from annatac.pl.score_table import method_colors, runs_of, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def score_bars(
    table: pd.DataFrame | str | Path,
    metric: str = "macro_f1",
    *,
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a group of bars a data set, one bar a method: the mean over its runs, with an interval.

    The line on a bar is the 95 % bootstrap interval over cells (its ends are means over the runs); where a method
    has several runs, dots show each.

    Parameters
    ----------
    table
        Results of ``annatac benchmark``: the tidy table, or its file.
    metric
        One of the table's metrics over all types.
    sets, methods
        Which, in this order; all of the table otherwise.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    MissingFileError, InputError
        No such file; no such set, method or metric in it.
    """
    rows = runs_of(table, [metric], sets=sets, methods=methods)
    names, groups = list(rows["method"].cat.categories), list(rows["set"].cat.categories)
    colors = method_colors(names)
    ax = axes_or_new(ax, max(5.0, 1.2 + 0.13 * len(names) * len(groups) + 0.25 * len(groups)), 3.6)
    width = 0.84 / len(names)
    for i, name in enumerate(names):
        mine = rows[rows["method"] == name]
        mean = mine.groupby("set", observed=False)[["value", "low", "high"]].mean().reindex(groups)
        x = np.arange(len(groups)) + (i - (len(names) - 1) / 2) * width
        ax.bar(x, mean["value"], width * 0.92, color=colors[name], label=shown(name))
        ax.vlines(x, mean["low"], mean["high"], color="black", linewidth=0.9)
        for place, group in zip(x, groups, strict=True):
            runs = mine.loc[mine["set"] == group, "value"]
            if len(runs) > 1:
                ax.plot(np.full(len(runs), place), runs, "o", color="black", markersize=2, alpha=0.6)
    ax.set_xticks(range(len(groups)), [set_title(name) for name in groups])
    if len(groups) > 3:
        for tick in ax.get_xticklabels():
            tick.set(rotation=20, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.55, len(groups) - 0.45)
    top = float(np.nanmax(rows["high"].fillna(rows["value"])))
    ax.set_ylim(0, max(1.0, 1.05 * top))
    ax.set_ylabel(shown(metric))
    ax.yaxis.grid(True, color="#DDDDDD", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
