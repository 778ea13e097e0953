"""Effect against certainty of every peak: of a type's markers, or between conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.errors import InputError
from annatac.pl.canvas import axes_or_new, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annatac.tl.marking.marker_table import Markers

_UP, _DOWN, _NEITHER = "#D55E00", "#0072B2", "#BDBDBD"
_NAME_POINTS = 7.5


def volcano(
    markers: Markers | pd.DataFrame,
    cell_type: str | None = None,
    *,
    max_fdr: float = 0.05,
    min_log2_fold_change: float = 0.5,
    n_names: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw log2 fold change (x) against -log10 FDR (y), one point a peak.

    Parameters
    ----------
    markers
        What ``annatac.tl.markers`` returned, with ``cell_type``; or the table of
        ``annatac.tl.differential``.
    cell_type
        The type whose markers are drawn.
    max_fdr, min_log2_fold_change
        Peaks within these bounds are coloured and counted, on either side.
    n_names
        So many of the surest peaks are named, by their nearest gene where it is known; a name that would
        cover another is left out.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    LabelError
        The type has no markers.
    InputError
        No ``cell_type`` for markers, or a table without log2_fold_change and fdr.
    """
    table, title, against = _table(markers, cell_type)
    x = table["log2_fold_change"].to_numpy(np.float64)
    y = -np.log10(np.maximum(table["fdr"].to_numpy(np.float64), 1e-300))
    sure = table["fdr"].to_numpy() <= max_fdr
    up, down = sure & (x >= min_log2_fold_change), sure & (x <= -min_log2_fold_change)

    ax = axes_or_new(ax, 5.4, 4.4)
    sides = (
        (~up & ~down, _NEITHER, "neither", 5),
        (down, _DOWN, "more closed", 9),
        (up, _UP, "more open", 9),
    )
    for mask, color, words, size in sides:
        ax.scatter(
            x[mask],
            y[mask],
            s=size,
            color=color,
            linewidth=0,
            alpha=0.75,
            rasterized=len(x) > 2000,
            label=f"{words} ({int(mask.sum()):,})",
        )
    ax.axhline(-np.log10(max_fdr), color="#888888", linewidth=0.8, linestyle=":")
    for bound in (-min_log2_fold_change, min_log2_fold_change):
        ax.axvline(bound, color="#888888", linewidth=0.8, linestyle=":")
    reach = 1.25 * max(float(np.abs(x).max(initial=0)), 1)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(0, 1.12 * max(float(y.max(initial=0)), -np.log10(max_fdr), 1))
    ax.set_xlabel(f"log2 fold change {against}")
    ax.set_ylabel("-log10 FDR")
    ax.set_title(title, fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        frameon=False,
        fontsize=8.5,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=3,
        handletextpad=0.2,
        columnspacing=1.2,
        markerscale=1.6,
        title=f"peaks at FDR {max_fdr:g}, fold change {2**min_log2_fold_change:.2g} or more",
        title_fontsize=8.5,
    )
    names = (table["gene"] if "gene" in table else table["peak"]).astype(str).to_numpy()
    surest = np.flatnonzero(up | down)
    surest = surest[np.argsort(-y[surest], kind="stable")]
    _write_names(ax, x[surest], y[surest], names[surest], n_names)
    return ax


def _table(markers: Markers | pd.DataFrame, cell_type: str | None) -> tuple[pd.DataFrame, str, str]:
    """Return the table, a title, and what the fold change is against."""
    if isinstance(markers, pd.DataFrame):
        missing = [name for name in ("peak", "log2_fold_change", "fdr") if name not in markers]
        if missing:
            raise InputError(
                f"The table has no column {', '.join(missing)}; it has: {', '.join(map(str, markers.columns))}. "
                "Give the table of annatac.tl.differential."
            )
        of = markers.attrs.get("conditions")
        against = f"({of[1]} over {of[0]})" if of else ""
        return markers, str(markers.attrs.get("cell_type", "")), against
    if cell_type is None:
        raise InputError(f"Say which type to draw: {', '.join(markers.types)}.")
    table = markers.table(cell_type, max_fdr=1, min_log2_fold_change=-np.inf)
    return table, f"{cell_type} ({markers.cells['n_used'][cell_type]:,} cells)", "to matched background"


def _write_names(ax: Axes, x: np.ndarray, y: np.ndarray, names: np.ndarray, n_names: int) -> None:
    """Write names beside their points, the first first; one that would cover a name is left out."""
    from matplotlib.patheffects import withStroke

    figure = figure_of(ax)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    placed: list = []
    written: set[str] = set()
    for x_point, y_point, name in zip(x[: 4 * n_names], y[: 4 * n_names], names[: 4 * n_names], strict=True):
        if not name or name in written or len(written) >= n_names:
            continue
        right = x_point > 0
        text = ax.annotate(
            name,
            (x_point, y_point),
            xytext=(4 if right else -4, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=_NAME_POINTS,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
        box = text.get_window_extent(renderer)
        if any(box.overlaps(other) for other in placed):
            text.remove()
        else:
            placed.append(box)
            written.add(name)
