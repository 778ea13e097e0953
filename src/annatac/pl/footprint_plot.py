"""Footprints of a motif by cell type, with the bias of Tn5 below (the paper's Fig. 5A)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac.errors import InputError, nearest
from annatac.pl.canvas import axes_or_new
from annatac.pl.palette import type_colors
from annatac.tl.fragments.footprint_profiles import Footprints

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WORDS = {
    "subtract": "insertions − expected\n(flank mean = 1 each)",
    "divide": "insertions / expected\n(flank mean = 1)",
    "none": "insertions\n(flank mean = 1, not corrected)",
}
_BIAS_COLOR = "#555555"


def footprint(
    footprints: Footprints,
    motif: str | None = None,
    *,
    normalise: str | None = None,
    types: list[str] | None = None,
    smooth_bp: int = 5,
    ax: Axes | None = None,
) -> Axes:
    """Draw the insertions around a motif's sites by cell type, and below what Tn5's bias alone would give.

    Parameters
    ----------
    footprints
        Result of ``annatac.tl.footprints``.
    motif
        Name of the set of sites; not needed where there is only one.
    normalise
        ``'subtract'``, ``'divide'`` or ``'none'``; subtract where there is a bias, else none.
    types
        Only these types.
    smooth_bp
        Width of the running mean that is drawn, in bp; 1 for none.
    ax
        Where to draw; a new figure otherwise. The bias stands in an inset below the axes.

    Raises
    ------
    InputError
        No such motif or type (the nearest is named).
    ConfigError
        An unknown way of normalising.
    """
    m = footprints.index_of(motif)
    has_bias = footprints.expected is not None
    normalise = normalise or ("subtract" if has_bias else "none")
    profile = footprints.profile(normalise)[m]
    wanted = footprints.types if types is None else types
    for name in wanted:
        if name not in footprints.types:
            raise InputError(
                f"There is no footprint of '{name}'.{nearest(name, footprints.types)} "
                f"Types: {', '.join(footprints.types)}."
            )
    rows = [footprints.types.index(name) for name in wanted]
    colors = type_colors(footprints.type_order)
    table = footprints.table()
    table = table[table["motif"] == footprints.motifs[m]].reset_index(drop=True)

    ax = axes_or_new(ax, 6.6, 4.4 if has_bias else 3.4)
    half = footprints.core_bp[m] / 2
    ax.axvspan(-half, half, color="#EEEEEE", zorder=0, linewidth=0)
    depth = "depth" if has_bias else "depth_uncorrected"
    for t in rows:
        ax.plot(
            footprints.position,
            running_mean(profile[t], smooth_bp),
            color=colors[footprints.types[t]],
            linewidth=1.2,
            label=f"{footprints.types[t]}  {table[depth][t]:.3f} ± {table['depth_se'][t]:.3f}",
        )
    ax.set_ylabel(_WORDS[normalise], fontsize=9)
    ax.set_title(f"{footprints.motifs[m]}   {footprints.n_sites[m]:,} sites", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0)
    below = ax
    if has_bias:
        below = ax.inset_axes((0, -0.46, 1, 0.34), sharex=ax)
        ax.tick_params(labelbottom=False)
        _draw_bias(below, footprints, m, rows, smooth_bp, colors)
    below.set_xlabel(f"distance from the middle of the motif (bp), mean over {smooth_bp} bp", fontsize=9)
    ax.legend(
        title="cell type, footprint depth" + ("\n(corrected)" if has_bias else "\n(not corrected)"),
        title_fontsize=8,
        fontsize=8,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        ncols=1 + len(rows) // 22,
    )
    return ax


def running_mean(values: npt.NDArray[np.float64], width_bp: int) -> npt.NDArray[np.float64]:
    """Return the mean over ``width_bp`` positions around each; at the ends over those that there are."""
    if width_bp <= 1:
        return values
    kernel = np.ones(width_bp)
    n = np.convolve(np.ones(len(values)), kernel, mode="same")
    return np.convolve(values, kernel, mode="same") / n


def _draw_bias(
    ax: Axes, footprints: Footprints, m: int, rows: list[int], smooth_bp: int, colors: dict[str, str]
) -> None:
    """Draw the expected insertions: in grey where types differ little, else each in its colour."""
    bias = footprints.bias()[m][rows]
    differ = np.nanmax(np.ptp(bias, axis=0)) > 0.25 if len(rows) > 1 else False
    if differ:
        for t, line in zip(rows, bias, strict=True):
            ax.plot(
                footprints.position,
                running_mean(line, smooth_bp),
                color=colors[footprints.types[t]],
                linewidth=0.9,
            )
    else:
        mean = running_mean(np.nanmean(bias, axis=0), smooth_bp)
        ax.plot(footprints.position, mean, color=_BIAS_COLOR, linewidth=1.1)
    half = footprints.core_bp[m] / 2
    ax.axvspan(-half, half, color="#EEEEEE", zorder=0, linewidth=0)
    ax.set_ylabel("Tn5 bias\n(expected)", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
