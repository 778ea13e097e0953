"""What changes along a pseudo-time, in the order in which it is greatest; one set, or two side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annatac.errors import ConfigError, InputError
from annatac.pl.canvas import axes_or_new, figure_of, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annatac.tl.trajectories.change import TrajectoryFeatures

_LIMIT = 2.0  # standard deviations
_ROW_IN = 0.16  # inches for a row with a name


def trajectory_heatmap(
    features: TrajectoryFeatures,
    *,
    max_fdr: float = 0.05,
    min_change: float = 0.0,
    n_top: int | None = 500,
    n_names: int = 30,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each changing feature (rows, by the time at which it is greatest) along the pseudo-time (columns).

    Parameters
    ----------
    features
        What ``annatac.tl.trajectory_features`` returned.
    max_fdr, min_change
        What counts as changing.
    n_top
        The surest so many; None for all.
    n_names
        So many rows, evenly spread, are named (by their nearest gene where it is known).
    title
        Above the picture.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        No feature changes by these bounds.
    """
    table = features.changing(max_fdr=max_fdr, min_change=min_change)
    if table.empty:
        raise InputError(
            f"None of the {len(features.table):,} features changes along the trajectory at an FDR of {max_fdr} "
            f"and a change of at least {min_change}: there is nothing to draw."
        )
    n_changing = len(table)
    if n_top is not None:
        table = table.loc[table["p_value"].nsmallest(n_top).index].sort_values("peak_time", kind="stable")
    ax = axes_or_new(ax, 5.6, min(2.2 + _ROW_IN * min(n_names, len(table)), 8.0))
    names = table["gene"].where(table["gene"] != "", table.index) if "gene" in table else table.index
    image = _draw(ax, features, table.index, np.asarray(names, dtype=object), n_names, side="right")
    what = "peaks" if features.is_counts else "features"
    shown = f"{len(table):,}" if len(table) == n_changing else f"surest {len(table):,} of {n_changing:,}"
    ax.set_ylabel(f"{shown} {what} that change (FDR {max_fdr:g})")
    ax.set_title(title or f"{features.n_cells:,} cells", fontsize=10)
    _bar(ax, image)
    return ax


def trajectory_pairs(
    first: TrajectoryFeatures,
    second: TrajectoryFeatures,
    pairs: pd.DataFrame,
    *,
    titles: tuple[str, str] = ("peaks", "motifs"),
    n_top: int = 60,
    n_names: int = 60,
) -> list[Axes]:
    """Draw correlated pairs side by side: row by row the one on the left goes with the one on the right.

    Parameters
    ----------
    first, second
        The sets that ``annatac.tl.trajectory_pairs`` compared.
    pairs
        What it returned.
    titles
        Above the two heat maps.
    n_top
        The most correlated so many pairs, in the order of time; each feature of ``first`` once, with its best
        partner.
    n_names
        Rows that are named.

    Returns
    -------
    The two axes.

    Raises
    ------
    InputError
        There is no pair.
    ConfigError
        ``n_top`` is not positive.
    """
    if n_top < 1:
        raise ConfigError(f"n_top is {n_top}; expected 1 or more.")
    if pairs.empty:
        raise InputError("There is no correlated pair to draw: lower min_correlation.")
    best = pairs.sort_values("correlation", ascending=False).drop_duplicates("first").head(n_top)
    best = best.sort_values("peak_time", kind="stable")
    height = min(2.2 + _ROW_IN * min(n_names, len(best)), 10.0)
    figure, axes = pyplot().subplots(1, 2, figsize=(9.6, height), layout="constrained")
    described = first.table.loc[best["first"]]
    left = (
        described["gene"].where(described["gene"] != "", best["first"].to_numpy())
        if "gene" in described
        else best["first"]
    )
    _draw(axes[0], first, pd.Index(best["first"]), np.asarray(left, dtype=object), n_names, side="left")
    image = _draw(
        axes[1], second, pd.Index(best["second"]), best["second"].to_numpy(object), n_names, side="right"
    )
    for ax, features, title in zip(axes, (first, second), titles, strict=True):
        kind = f"{title} ({features.n_cells:,} cells)"
        ax.set_title(kind, fontsize=10)
    low = best["correlation"].min()
    figure.suptitle(f"{len(best):,} pairs, correlation {low:.2f} or more", fontsize=10)
    bar = figure.colorbar(
        image, ax=list(axes), location="bottom", fraction=0.03, pad=0.03, extend="both", shrink=0.4
    )
    bar.set_label("z-score along the trajectory")
    bar.outline.set_visible(False)
    return list(axes)


def _draw(
    ax: Axes, features: TrajectoryFeatures, rows: pd.Index, names: np.ndarray, n_names: int, *, side: str
) -> Any:
    z = features.z_scores(rows)
    step = float(features.time[1] - features.time[0]) / 2
    extent = (float(features.time[0]) - step, float(features.time[-1]) + step, len(z) - 0.5, -0.5)
    image = ax.imshow(
        z, cmap="RdBu_r", vmin=-_LIMIT, vmax=_LIMIT, aspect="auto", interpolation="nearest", extent=extent
    )
    named = np.unique(np.linspace(0, len(z) - 1, min(n_names, len(z))).round().astype(int))
    ax.set_yticks(named, [_short(names[i]) for i in named], fontsize=7)
    if side == "right":
        ax.yaxis.tick_right()
        ax.yaxis.set_label_position("left")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("pseudo-time (0 to 100)")
    ax.spines[:].set_visible(False)
    return image


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= 26 else text[:25] + "…"


def _bar(ax: Axes, image) -> None:  # type: ignore[no-untyped-def]
    bar = figure_of(ax).colorbar(image, ax=ax, fraction=0.04, pad=0.02, extend="both", shrink=0.6)
    bar.set_label("z-score along the trajectory")
    bar.outline.set_visible(False)
