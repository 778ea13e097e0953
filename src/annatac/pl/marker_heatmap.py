"""The strongest marker peaks of every type, in every type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from annatac.errors import ConfigError, InputError
from annatac.pl.canvas import axes_or_new, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annatac.tl.marking.marker_table import Markers

_CHAR_IN = 0.072  # an average character at 9 points


def marker_heatmap(
    markers: Markers,
    *,
    n_top: int = 30,
    n_names: int = 2,
    max_fdr: float = 0.05,
    min_log2_fold_change: float = 0.5,
    limit: float = 3.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the log2 fold change of each type's surest marker peaks (columns) in all types (rows).

    A peak that is a marker of several types stands with the first. Types without a marker keep their row.

    Parameters
    ----------
    markers
        What ``annatac.tl.markers`` returned.
    n_top
        Peaks of each type, at most.
    n_names
        Of each type's peaks, so many are named by their nearest gene (by themselves where no genes were
        given).
    max_fdr, min_log2_fold_change
        What counts as a marker.
    limit
        Fold changes beyond it (log2) have the colour of it.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        No type has a marker by these bounds.
    ConfigError
        ``n_top`` or ``limit`` is not positive.
    """
    if n_top < 1 or limit <= 0:
        raise ConfigError(f"n_top is {n_top} and limit {limit}; both must be positive.")
    table = markers.table(max_fdr=max_fdr, min_log2_fold_change=min_log2_fold_change, n_top=n_top)
    table = table.drop_duplicates("peak")
    if table.empty:
        raise InputError(
            f"No peak has an FDR of at most {max_fdr} and a log2 fold change of at least "
            f"{min_log2_fold_change} in any type: there is nothing to draw. Widen the bounds."
        )
    columns = markers.peaks.index.get_indexer(table["peak"])
    values = markers.log2_fold_change[:, columns]
    owner = np.array([markers.row_of(name) for name in table["cell_type"]])
    names = [f"{name} ({n:,})" for name, n in zip(markers.types, markers.cells["n_cells"], strict=True)]

    longest = max(len(name) for name in names)
    width = 2.2 + _CHAR_IN * longest + max(4.5, 0.17 * n_names * len(markers.types))
    ax = axes_or_new(ax, width, 1.7 + 0.24 * len(names))
    image = ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylabel("cell type (cells)")
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    for start in starts[1:]:
        ax.axvline(start - 0.5, color="white", linewidth=1.5)
    named = "gene" if "gene" in table else "peak"
    ticks, texts = _names(table[named].astype(str).to_numpy(), starts, n_names, len(columns))
    ax.set_xticks(ticks, texts, rotation=90, fontsize=7.5)
    what = "nearest gene of the surest ones" if named == "gene" else "the surest ones named"
    ax.set_xlabel(f"{len(columns):,} marker peaks, in blocks by type ({what})")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", length=2)
    ax.spines[:].set_visible(False)
    bar = figure_of(ax).colorbar(image, ax=ax, fraction=0.025, pad=0.015, extend="both")
    bar.set_label("log2 fold change\nto matched background")
    bar.outline.set_visible(False)  # type: ignore[operator]
    return ax


def _names(
    names: np.ndarray, starts: np.ndarray, n_names: int, n_columns: int
) -> tuple[list[float], list[str]]:
    """Return positions and texts of the first different names of each block, spread over the block."""
    ticks: list[float] = []
    texts: list[str] = []
    for start, stop in zip(starts, [*starts[1:], n_columns], strict=True):
        first = list(dict.fromkeys(name for name in names[start:stop] if name))[:n_names]
        where = start + (np.arange(len(first)) + 0.5) * (stop - start) / max(len(first), 1) - 0.5
        ticks += where.tolist()
        texts += first
    return ticks, texts
