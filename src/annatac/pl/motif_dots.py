"""Motifs enriched in the peaks of each type, as dots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.errors import InputError
from annatac.pl.canvas import axes_or_new, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 50.0  # -log10 FDR beyond which dots grow no more
_AREA = (12.0, 130.0)


def motif_enrichment(table: pd.DataFrame, *, n_top: int = 5, ax: Axes | None = None) -> Axes:
    """Draw the most enriched motifs of each type: colour is log2 enrichment, area is -log10 FDR.

    Parameters
    ----------
    table
        Result of ``annatac.tl.motif_enrichment``.
    n_top
        Enriched motifs taken from each type; each is drawn for all types. Dots without an outline are
        not enriched at the table's bounds.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        The table lacks columns, or no motif is enriched in any type.
    """
    needed = {"cell_type", "motif", "name", "log2_enrichment", "fdr", "is_enriched"}
    if missing := needed - set(table.columns):
        raise InputError(
            f"The table lacks {', '.join(sorted(missing))}: expected what annatac.tl.motif_enrichment returns."
        )
    types = list(dict.fromkeys(table["cell_type"]))
    enriched = table[table["is_enriched"].astype(bool)]
    top = enriched.groupby("cell_type", sort=False).head(n_top)
    motifs = list(dict.fromkeys(top["motif"]))
    if not motifs:
        raise InputError("No motif is enriched in any type: there is nothing to draw.")
    label = dict(zip(table["motif"], table["name"], strict=True))
    repeated = pd.Series([label[motif] for motif in motifs]).duplicated(keep=False).to_numpy()
    shown = [f"{label[m]} ({m})" if twice else label[m] for m, twice in zip(motifs, repeated, strict=True)]
    rows = table[table["motif"].isin(motifs)]
    x = rows["motif"].map({m: i for i, m in enumerate(motifs)}).to_numpy()
    y = rows["cell_type"].map({name: i for i, name in enumerate(types)}).to_numpy()
    strength = -np.log10(np.maximum(rows["fdr"].to_numpy(dtype=float), 10**-_MOST))
    most = max(float(strength.max()), 2.0)
    effect = rows["log2_enrichment"].to_numpy(dtype=float)
    bound = max(float(np.abs(effect).max()), 0.5)
    longest = max(map(len, types))
    ax = axes_or_new(
        ax, 3.0 + 0.075 * longest + 0.27 * len(motifs), 1.7 + 0.08 * max(map(len, shown)) + 0.3 * len(types)
    )
    edge = np.where(rows["is_enriched"].astype(bool), "black", "none")
    dots = ax.scatter(
        x,
        y,
        s=_area(strength, most),
        c=effect,
        cmap="PuOr_r",
        vmin=-bound,
        vmax=bound,
        edgecolors=edge.tolist(),
        linewidths=0.7,
    )
    ax.set_xticks(range(len(motifs)), shown, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    ax.set_yticks(range(len(types)), types)
    ax.set_xlim(-0.6, len(motifs) - 0.4)
    ax.set_ylim(len(types) - 0.4, -0.6)
    ax.set_axisbelow(True)
    ax.grid(color="#EEEEEE", linewidth=0.7)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel("motif")
    ax.set_ylabel("type")
    bar = figure_of(ax).colorbar(dots, ax=ax, fraction=0.05, pad=0.02, aspect=12)
    bar.set_label("log2 enrichment")
    bar.outline.set_visible(False)  # type: ignore[operator]
    levels = [level for level in (1.3, 5.0, 20.0, 50.0) if level <= most] or [1.3]
    handles = [
        ax.scatter(
            [], [], s=_area(np.array([level]), most), color="#999999", edgecolors="black", linewidths=0.7
        )
        for level in levels
    ]
    names = [f"{level:g}" for level in levels]
    title = "-log10 FDR\n(outlined: enriched)"
    ax.legend(
        handles,
        names,
        title=title,
        ncols=len(levels),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0.2,
    )
    return ax


def _area(strength: np.ndarray, most: float) -> np.ndarray:
    return _AREA[0] + (_AREA[1] - _AREA[0]) * np.sqrt(np.clip(strength / most, 0, 1))
