"""Pseudo-time on the layout of the cells, with the path drawn through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from annatac import keys
from annatac.errors import InputError
from annatac.pl.canvas import axes_or_new, figure_of
from annatac.pl.embedding import layout_of
from annatac.pl.palette import MISSING_COLOR
from annatac.tl.groups import column_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_SMOOTHING = 6.0  # pseudo-time units
_FEWEST = 3.0  # cells under the kernel for a point of the path


def trajectory(
    adata: AnnData, *, pseudotime: str = keys.PSEUDOTIME, basis: str = "umap", ax: Axes | None = None
) -> Axes:
    """Draw the cells coloured by pseudo-time; an arrow runs through them from early to late.

    The path is the mean place in the layout of the cells of like pseudo-time (not the curve itself, which lies in
    the model's space). It is drawn for a curve through named groups; diffusion may branch and has none.

    Parameters
    ----------
    adata
        Cells with ``obs[pseudotime]`` and ``obsm['X_umap']`` or ``['X_tsne']``.
    pseudotime
        Column of ``obs``.
    basis
        'umap' or 'tsne'.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        There is no layout, or no cell with a pseudo-time.
    LabelError
        No column ``pseudotime``.
    """
    xy, axis_name = layout_of(adata, basis)
    value = column_of(adata, pseudotime).to_numpy(dtype=np.float64)
    known = np.isfinite(value)
    if not known.any():
        raise InputError(f"No cell has a pseudo-time in obs['{pseudotime}'].")
    ax = axes_or_new(ax, 6.0, 4.8)
    size = float(np.clip(12000 / max(len(xy), 1), 1.0, 14.0))
    ax.scatter(xy[~known, 0], xy[~known, 1], s=size, color=MISSING_COLOR, linewidths=0, rasterized=True)
    order = np.random.default_rng(0).permutation(np.flatnonzero(known))
    points = ax.scatter(
        xy[order, 0],
        xy[order, 1],
        s=size,
        c=value[order],
        cmap="viridis",
        vmin=0,
        vmax=100,
        linewidths=0,
        rasterized=True,
    )
    settings = adata.uns.get(pseudotime, {})
    if settings.get("method") != "diffusion":
        _draw_path(ax, _path(xy[known], value[known]))
    bar = figure_of(ax).colorbar(points, ax=ax, fraction=0.035, pad=0.02)
    bar.set_label("pseudo-time (0 = start)")
    bar.outline.set_visible(False)  # type: ignore[operator]
    names = [str(name) for name in settings.get("order", [])]
    if names:
        title = " → ".join(names)
        ax.set_title(title, fontsize=10 if len(title) < 60 else 8)
    elif "root" in settings:
        ax.set_title(f"diffusion pseudo-time from {settings['root']}", fontsize=10)
    if (~known).any():
        ax.text(
            1, -0.02, f"grey: {int((~known).sum()):,} cells without", transform=ax.transAxes, fontsize=8, ha="right",
            va="top",
        )  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{axis_name} 1", loc="left", fontsize=8)
    ax.set_ylabel(f"{axis_name} 2", loc="bottom", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _path(xy: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the mean place of the cells around each of 101 times, (up to 101, 2)."""
    times = np.linspace(0, 100, 101)
    place = np.clip(np.round(value).astype(np.int64), 0, 100)
    counts = np.bincount(place, minlength=101)
    sums = np.stack([np.bincount(place, xy[:, k], minlength=101) for k in range(2)], axis=1)
    kernel = np.exp(-0.5 * ((times[:, None] - times) / _SMOOTHING) ** 2)
    weight = kernel @ counts
    return ((kernel @ sums) / np.maximum(weight, 1e-12)[:, None])[weight >= _FEWEST]


def _draw_path(ax: Axes, path: np.ndarray) -> None:
    from matplotlib.patheffects import withStroke

    if len(path) < 3:
        return
    white = [withStroke(linewidth=4.5, foreground="white")]
    ax.plot(*path[:-1].T, color="black", linewidth=2, path_effects=white, solid_capstyle="round")
    ax.annotate(
        "",
        path[-1],
        path[-3],
        arrowprops={
            "arrowstyle": "-|>",
            "color": "black",
            "linewidth": 2,
            "mutation_scale": 18,
            "shrinkB": 0,
        },
    )
    ax.plot(*path[0], marker="o", color="black", markersize=7, markeredgecolor="white")
