"""Methods as polygons over several metrics, or over several data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from annatac.benchmark.sets import set_title
from annatac.errors import ConfigError, InputError
from annatac.pl.canvas import pyplot
from annatac.pl.score_table import OURS, PAPER_METRICS, method_colors, runs_of, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def score_radar(
    table: pd.DataFrame | str | Path,
    metrics: Sequence[str] = PAPER_METRICS,
    *,
    corners: Literal["metrics", "sets"] = "metrics",
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each method as a polygon; farther out is better.

    Parameters
    ----------
    table
        Results of ``annatac benchmark``: the tidy table, or its file.
    metrics
        The paper's five otherwise. With ``corners='sets'`` the first of them is shown.
    corners
        'metrics': a corner a metric, its mean over the sets (only of those that all the drawn methods have). 'sets':
        a corner a data set.
    sets, methods
        Which; all of the table otherwise.
    ax
        Polar axes to draw on (``subplot_kw={"projection": "polar"}``); a new figure otherwise.

    Raises
    ------
    ConfigError
        Unknown ``corners``; axes that are not polar.
    InputError
        Fewer than three corners; no set that all methods have.
    """
    if corners not in ("metrics", "sets"):
        raise ConfigError(f"corners is '{corners}'; expected 'metrics' or 'sets'.")
    if ax is not None and ax.name != "polar":
        raise ConfigError("A radar needs polar axes: plt.subplot(projection='polar').")
    metrics = list(metrics) if corners == "metrics" else list(metrics)[:1]
    rows = runs_of(table, metrics, sets=sets, methods=methods)
    names = list(rows["method"].cat.categories)
    means = rows.groupby(["method", "set", "metric"], observed=True)["value"].mean().unstack("method")
    means = means.dropna()
    if means.empty:
        raise InputError(
            f"No data set has results of all {len(names)} methods: name fewer `methods`, or `sets`."
        )
    if corners == "metrics":
        values = means.groupby("metric", observed=True).mean().reindex(metrics)
        words = [shown(name) for name in metrics]
    else:
        values = means.droplevel("metric")
        words = [set_title(str(name)) for name in values.index]
    if len(values) < 3:
        raise InputError(f"A radar needs three corners or more; there are {len(values)}.")
    if ax is None:
        _, ax = pyplot().subplots(
            figsize=(6.4, 4.4), subplot_kw={"projection": "polar"}, layout="constrained"
        )
    from matplotlib.ticker import MaxNLocator

    angle = np.linspace(0, 2 * np.pi, len(values), endpoint=False)
    colors = method_colors(names)
    for name in sorted(names, key=lambda name: name == OURS):  # ours last: on top
        y = values[name].to_numpy()
        own: dict[str, Any] = {"linewidth": 2.2, "zorder": 3} if name == OURS else {"linewidth": 1.1}
        ax.plot(np.append(angle, angle[0]), np.append(y, y[0]), color=colors[name], label=shown(name), **own)
    if OURS in values:
        ax.fill(angle, values[OURS], color=colors[OURS], alpha=0.12)
    low = float(np.floor(10 * values.min().min()) / 10)
    ax.set_ylim(max(0.0, low - 0.1), min(1.0, float(np.ceil(10 * values.max().max()) / 10)))
    polar = cast(Any, ax)
    polar.set_theta_offset(np.pi / 2)
    polar.set_theta_direction(-1)
    polar.set_rlabel_position(180 / len(values))
    ax.set_xticks(angle, words, fontsize=8)
    for tick, place in zip(
        ax.get_xticklabels(), angle, strict=True
    ):  # words grow outwards, not into the circle
        side = np.sin(place)
        tick.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    ax.tick_params(axis="x", pad=2)
    ax.tick_params(axis="y", labelsize=7)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.grid(color="#DDDDDD", linewidth=0.7)
    ax.spines["polar"].set_color("#BBBBBB")
    handles, labels = ax.get_legend_handles_labels()
    order = [labels.index(shown(name)) for name in names]
    ax.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        frameon=False,
        fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.45, 0.5),
    )
    return ax
