"""How a figure is spread over runs, or over cell types, for each method: half-violins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import gaussian_kde

from annatac.pl.canvas import axes_or_new
from annatac.pl.score_table import method_colors, runs_of, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def score_violins(
    table: pd.DataFrame | str | Path,
    metric: str = "f1",
    *,
    kind: str = "split",
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw half a violin a method, with each value as a dot below it and the quartiles as a box.

    Parameters
    ----------
    table
        Results of ``annatac benchmark``: the tidy table, or its file.
    metric
        ``f1``, ``recall`` or ``precision``: a dot is a cell type in one run. Any other: a dot is a run (a fold, seed
        or data set).
    kind
        The protocol whose runs are shown.
    sets, methods
        Which, in this order; all of the table otherwise.
    ax
        Where to draw; a new figure otherwise.

    Notes
    -----
    The outline is a Gaussian kernel density (Scott's width), cut off at the lowest and the highest value; of fewer
    than four values there is no density worth drawing, and the dots stand alone.
    """
    rows = runs_of(table, [metric], kind=kind, sets=sets, methods=methods)
    names = list(rows["method"].cat.categories)
    colors = method_colors(names)
    ax = axes_or_new(ax, 6.0, 0.9 + 0.55 * len(names))
    for place, name in enumerate(reversed(names)):
        values = rows.loc[rows["method"] == name, "value"].to_numpy(dtype=float)
        color = colors[name]
        if len(np.unique(values)) >= 4:
            grid = np.linspace(values.min(), values.max(), 200)
            density = gaussian_kde(values)(grid)
            ax.fill_between(
                grid,
                place + 0.08,
                place + 0.08 + 0.42 * density / density.max(),
                color=color,
                alpha=0.75,
                lw=0,
            )
        # dots lie in rows of their own order: spread evenly, the same in every picture
        offset = 0.05 + 0.2 * (np.argsort(np.argsort(values)) % 5) / 5
        ax.plot(values, place - offset, "o", color=color, markersize=2.6, alpha=0.7, markeredgewidth=0)
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        ax.plot([low, high], [place, place], color="black", linewidth=1.2, solid_capstyle="butt")
        ax.plot(middle, place, "o", color="white", markeredgecolor="black", markersize=4.5)
    ax.set_yticks(range(len(names)), [shown(name) for name in reversed(names)])
    ax.set_ylim(-0.4, len(names) - 0.35)
    ax.set_xlabel(shown(metric))
    ax.xaxis.grid(True, color="#DDDDDD", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax
