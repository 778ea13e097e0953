"""The activity of one motif in the cells of each type, as ridges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from annatac import keys
from annatac.errors import ConfigError, InputError, nearest
from annatac.pl.canvas import axes_or_new
from annatac.pl.embedding import colors_of
from annatac.tl.groups import codes_of, large_groups

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_HEIGHT = 1.7  # of the highest ridge, in rows: neighbours overlap a little


def motif_ridge(
    adata: AnnData, motif: str, groupby: str = keys.LABEL, *, min_cells: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw the distribution of a motif's deviation z-scores over the cells of each type, the most active on top.

    Each ridge has the same area; the line on it is the type's median, the dashed line is 0 (as open as
    background peaks).

    Parameters
    ----------
    adata
        Cells with ``annatac.tl.motif_deviations``.
    motif
        Name or id.
    groupby
        Column of ``obs`` with the types.
    min_cells
        Types with fewer cells are left out, with a warning.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        There are no deviations, or none of this motif.
    ConfigError
        The motif is unknown; the nearest name is offered.
    """
    from scipy.stats import gaussian_kde

    if keys.MOTIF_Z not in adata.obsm:
        raise InputError("The cells have no motif deviations. Call annatac.tl.motif_deviations first.")
    column, title = _column(adata, motif)
    values = np.asarray(adata.obsm[keys.MOTIF_Z])[:, column].astype(float)
    if not np.isfinite(values).any():
        raise InputError(f"'{motif}' has no deviation: none of the open peaks has a site of it.")
    codes, names = codes_of(adata, groupby)
    codes = np.where(np.isfinite(values), codes, -1)
    kept = large_groups(codes, names, min_cells, key=groupby)
    kept.sort(key=lambda group: float(np.median(values[codes == group])))
    colors = colors_of(adata, groupby)
    low, high = np.quantile(values[codes >= 0], [0.002, 0.998])
    grid = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 300)
    curves = []
    for group in kept:
        mine = values[codes == group]
        varied = np.ptp(mine) > 1e-9
        curves.append(gaussian_kde(mine)(grid) if varied else np.zeros_like(grid))
    top = max(float(curve.max()) for curve in curves) or 1.0
    longest = max(len(names[group]) for group in kept)
    ax = axes_or_new(ax, 4.6 + 0.075 * longest, 1.3 + 0.36 * len(kept))
    for row in reversed(range(len(kept))):
        name, curve = names[kept[row]], curves[row] / top * _HEIGHT
        z = 2 * (len(kept) - row)
        ax.fill_between(grid, row, row + curve, color=colors[name], alpha=0.85, linewidth=0, zorder=z)
        ax.plot(grid, row + curve, color="white", linewidth=0.8, zorder=z + 1)
        middle = float(np.median(values[codes == kept[row]]))
        ax.plot(
            [middle] * 2,
            [row, row + np.interp(middle, grid, curve)],
            color="black",
            linewidth=1,
            zorder=z + 1,
        )
    ax.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    n_cells = np.bincount(codes[codes >= 0], minlength=len(names))
    ax.set_yticks(range(len(kept)), [f"{names[group]} ({n_cells[group]:,})" for group in kept])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.15, len(kept) - 1 + _HEIGHT + 0.1)
    ax.set_xlim(grid[0], grid[-1])
    ax.set_xlabel("motif deviation (z-score against background peaks)")
    ax.set_ylabel("type (cells)")
    ax.set_title(title, fontsize=10)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def _column(adata: AnnData, motif: str) -> tuple[int, str]:
    stored = adata.uns[keys.MOTIFS]
    names, ids = [str(x) for x in stored["names"]], [str(x) for x in stored["ids"]]
    for known in (ids, names):
        if motif in known:
            i = known.index(motif)
            return i, names[i] if names[i] == ids[i] else f"{names[i]} ({ids[i]})"
    raise ConfigError(f"There is no motif '{motif}' among {len(ids):,}.{nearest(motif, [*names, *ids])}")
